"""The law of Markdown: a folder of pages gives back every message as the API gave it, whatever its texts hold."""

import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from converting import losses, put_bare, text_message
from exporting import Export
from small_world import IDS, OPTIONS, world
from strategies import identifiers, json_values, odd_messages, raw_text
from threadkeep import Converted, ExportedThread, OutputUnusable, convert, encode, read
from threadkeep.conversion.formats import markdown
from threadkeep.conversion.formats.markdown import _Names
from threadkeep.conversion.job import Conversion, Options
from threadkeep.conversion.losses import LossReport
from threadkeep.conversion.source import Thread
from threadkeep.records.markdown import Page, PageWriter, contents_line, moment_of, read_head
from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.private_files import create

ODD_TEXTS = st.one_of(
    raw_text,
    st.lists(
        st.sampled_from(
            [
                "## User, 2026-03-31 13:30:00 UTC",
                "---",
                '<!-- message {"id":"msg_9"} -->',
                "<!-- end 0 -->",
                "<!--",
                "> quoted",
                ">",
                "```",
                "~~~~",
                "trailing  ",
                "\t",
                "  ",
                "",
                "\r",
                "&amp;#x00000D;",
                "&amp;#x110000;",
                "&amp;#xD;",
                "\ud800",
                "\x1b[31m",
                "\u2028",
                "\u202e",
                "\ufeff",
                "[^source-1]: x",
                "</div><script>alert(1)</script>",
                "שלום",
            ]
        ),
        max_size=8,
    ).map("\n".join),
)
ODD_IDS = st.one_of(identifiers("thread_"), raw_text.filter(bool), st.sampled_from(["../x", "CON", "index", "A", "a"]))


@st.composite
def odd_threads(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """Messages of threads with ids of any characters; some have nothing but a text that looks like the page."""
    drawn: dict[str, list[dict[str, Any]]] = {}
    for thread_id in draw(st.lists(ODD_IDS, min_size=1, max_size=3, unique=True)):
        plain = st.builds(text_message, st.integers(1, 9), st.sampled_from(["user", "assistant"]), ODD_TEXTS)
        rows = draw(st.lists(st.one_of(odd_messages(), plain), min_size=1, max_size=4))
        drawn[thread_id] = [{**row, "thread_id": thread_id} for row in rows]
    return drawn


def pages(folder: Path, messages: Iterable[Mapping[str, Any]], *, flat: bool = False, **options: Any) -> Converted:
    """The folder that messages are converted to."""
    out = put_bare(folder / "out.ndjson", messages, flat=flat)
    return convert(out, to="markdown", target=folder / "pages", force=True, **options)


def lines_of(path: Path) -> list[bytes]:
    """The lines of an export."""
    with read(path) as export:
        return [encode(record, flat=not record.raw) for record in export]


@given(drawn=odd_threads(), flat=st.booleans())
def test_every_message_comes_back(drawn: dict[str, list[dict[str, Any]]], flat: bool) -> None:
    """To the byte of its line, in the order of OUT, and nothing is lost."""
    with tempfile.TemporaryDirectory() as name:
        done = pages(Path(name), [row for rows in drawn.values() for row in rows], flat=flat)
        before = (Path(name) / "out.ndjson").read_bytes().split(b"\n")[:-1]
        assert lines_of(done.path) == before
        assert losses(done) == []
        with read(done.path) as export:
            threads = [*export.threads()]
            assert [thread.thread_id for thread in threads] == [*drawn]
            for thread in threads:
                assert export[thread.thread_id].thread_id == thread.thread_id
        names = [path.name for path in done.path.iterdir()]
        assert len({name.casefold() for name in names}) == len(drawn) + 1
        assert all(re.fullmatch(r"[A-Za-z0-9_~-]+\.md", name) for name in names)


@given(drawn=odd_threads())
def test_pages_convert_like_their_export(drawn: dict[str, list[dict[str, Any]]]) -> None:
    """A folder of pages may be converted in the place of the export."""
    with tempfile.TemporaryDirectory() as name:
        done = pages(Path(name), [row for rows in drawn.values() for row in rows])
        again = convert(done.path, to="markdown", target=Path(name, "again"))
        assert (again.threads, again.messages, again.is_flat) == (done.threads, done.messages, False)
        for path in (path for path in done.path.iterdir() if path.name != "index.md"):
            assert (again.path / path.name).read_bytes() == path.read_bytes()


@given(
    texts=st.lists(st.one_of(ODD_TEXTS, st.text()), min_size=1, max_size=4),
    role=st.sampled_from(["user", "assistant"]),
)
def test_a_text_stays_in_its_quote(texts: list[str], role: str) -> None:
    """A reader of Markdown finds the headings of the page, and each text in a quote of its own, whatever it holds."""
    with tempfile.TemporaryDirectory() as name:
        messages = [text_message(number, role, text) for number, text in enumerate(texts, 1)]
        page = (pages(Path(name), messages).path / "thread_a.md").read_text(encoding="utf-8")
    tokens = MarkdownIt("commonmark").parse(page.split("---\n", 2)[2])
    top = [token for token in tokens if token.level == 0]
    headings = [token.tag for token in top if token.type == "heading_open"]
    assert headings == ["h1", *["h2"] * len(texts)]
    assert [token.type for token in top].count("blockquote_open") == len(texts)
    kinds = {token.type for token in top if not token.type.startswith(("heading", "blockquote", "inline"))}
    assert kinds == {"html_block"}
    assert all(token.content.count("<!--") == token.content.count("-->") for token in top if token.type == "html_block")


@given(st.text(max_size=30).filter(str.strip), st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3))
def test_front_matter_is_yaml(thread_id: str, metadata: dict[str, str]) -> None:
    """Other programs read it."""
    page = Page(thread_id=thread_id, assistant_id=None, thread={"id": thread_id, "metadata": metadata})
    _, front, rest = PageWriter(page, lambda _: None).head().split("---\n", 2)
    found = yaml.safe_load(front)
    assert (found["thread_id"], found["assistant_id"], found["metadata"]) == (thread_id, None, metadata)
    assert rest.startswith("\n# ")


@given(
    st.text(min_size=1, max_size=9),
    st.one_of(st.none(), raw_text),
    st.one_of(st.none(), st.dictionaries(raw_text, json_values), st.fixed_dictionaries({"metadata": json_values})),
    st.dictionaries(raw_text, raw_text, max_size=2),
)
def test_front_matter_comes_back(
    thread_id: str, assistant_id: str | None, thread: dict[str, Any] | None, files: dict[str, str]
) -> None:
    """With the thread object, whatever the API gave; somebody's own rows are left alone."""
    page = Page(thread_id=thread_id, assistant_id=assistant_id, thread=thread, files=files)
    head = PageWriter(page, lambda _: None).head().replace("---\n", "---\ntags: [a]\nplain\n", 1)
    found = read_head(iter(head.encode().decode().split("\n")))
    assert found == page
    assert dumps(found.thread) == dumps(thread)


@pytest.mark.parametrize(
    "content",
    [
        "a string",
        "",
        None,
        5,
        {},
        [],
        [{"type": "text", "text": "bare"}],
        [{"type": "audio", "text": "spoken"}],
        [{"type": "refusal", "refusal": "no", "text": "and why"}],
        [{"type": "image_file", "image_file": {"file_id": "f"}, "text": "caption"}],
        [{"type": "text", "text": {"annotations": [], "value": "other order"}}],
        [{"text": {"value": "x", "annotations": []}, "type": "text"}],
        [{"type": "text", "text": {"value": "", "annotations": []}}] * 3,
        [{"type": "text"}, {"type": "text", "text": None}, 7, [], "a"],
    ],
)
def test_a_content_of_any_shape_comes_back(content: Any, tmp_path: Path) -> None:
    """To the byte, with usual fields and with others."""
    messages = [text_message(1, content=content), text_message(2, content=content, status="completed")]
    done = pages(tmp_path, messages)
    assert lines_of(done.path) == (tmp_path / "out.ndjson").read_bytes().split(b"\n")[:-1]


def test_a_page_as_people_read_it(tmp_path: Path) -> None:
    """The comments hold what is not a text, and no more than is needed."""
    cited = "see 【4:0†a.txt】"
    citation = {
        "type": "file_citation",
        "text": "【4:0†a.txt】",
        "start_index": 4,
        "end_index": 15,
        "file_citation": {"file_id": "file-1"},
    }
    answer = {"type": "text", "text": {"value": cited, "annotations": [citation]}}
    image = {"type": "image_file", "image_file": {"file_id": "file_a*"}}
    url = {"type": "image_url", "image_url": {"url": "https://x/a b>.png"}}
    refusal = {"type": "refusal", "refusal": "no"}
    messages = [
        text_message(1, text="# Hi\n\n```\nx\r\n"),
        text_message(2, "assistant", content=[answer, image, url, refusal, {"type": "audio"}], run_id="run_1"),
    ]
    folder = pages(tmp_path, messages).path
    assert (folder / "thread_a.md").read_text(encoding="utf-8") == (
        """---
format: "threadkeep-markdown/1"
thread_id: "thread_a"
assistant_id: null
---

# thread\\_a

<!-- message {"id":"msg_1","created_at":1774963800,"role":"user"} -->
## User, 2026-03-31 13:30:00 UTC

> # Hi
>
> ```
> x&amp;#x00000D;
>

<!-- message {"id":"msg_2","created_at":1774963800,"run_id":"run_1","role":"assistant"} -->
## Assistant, 2026-03-31 13:30:00 UTC

<!-- part {"type":"text","text":{"value":"","annotations":[{"type":"file_citation","text":"【4:0†a.txt】","""
        """"start_index":4,"end_index":15,"file_citation":{"file_id":"file-1"}}]}} -->
> see 【4:0†a.txt】

<!-- part {"type":"image_file","image_file":{"file_id":"file_a*"}} -->
*Image file\\_a\\*, which was not downloaded*

<!-- part {"type":"image_url","image_url":{"url":"https://x/a b\\u003e.png"}} -->
![image](<https://x/a%20b%3E.png>)

<!-- part {"type":"refusal","refusal":""} -->
*Refusal:*

> no

<!-- part {"type":"audio"} -->
*A part of the type audio*

<!-- end 2 -->
"""
    )
    assert (folder / "index.md").read_text(encoding="utf-8") == (
        """---
format: "threadkeep-markdown-contents/1"
---

# out.ndjson

- [thread_a](thread_a.md) 2 messages · 2026-03-31 13:30:00 UTC · \\# Hi \\`\\`\\` x

<!-- end 1 -->
"""
    )


def test_citations_as_footnotes(tmp_path: Path) -> None:
    """One number for a source in the page; stripped citations, and those without a place, are named."""

    def cited(number: int, start: int) -> dict[str, Any]:
        citation = {
            "type": "file_citation",
            "text": "【4:0†a.txt】",
            "start_index": start,
            "end_index": start + 11,
            "file_citation": {"file_id": "file-1"},
        }
        text = {"value": "see 【4:0†a.txt】.", "annotations": [citation]}
        return text_message(number, "assistant", content=[{"type": "text", "text": text}])

    messages = [cited(1, 4), cited(2, 4), cited(3, 5)]
    done = pages(tmp_path, messages, citations="footnotes")
    with read(done.path) as export:
        found = [record.text for record in export]
    noted = "see [^source-1].\n\n[^source-1]: a.txt (file-1)"
    assert found == [noted, noted, "see 【4:0†a.txt】."]
    assert [(row["message_id"], row["lost"]) for row in losses(done)] == [("msg_3", "annotations")]
    done = pages(tmp_path, messages, citations="strip")
    with read(done.path) as export:
        assert [record.text for record in export] == ["see .", "see .", "see 【4:0†a.txt】."]
    assert [row["lost"] for row in losses(done)] == ["annotations"] * 3


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """An export with thread objects and downloads."""
    return Export(tmp_path).run_alone(IDS, world(), **OPTIONS)


def test_what_belongs_to_a_thread_comes_back(export: Export, tmp_path: Path) -> None:
    """Its assistant, the thread object with its metadata, and its files, which a moved folder still has."""
    done = convert(export.paths.out, to="markdown", target=tmp_path / "pages")
    with read(export.paths.out) as before:
        threads = [thread for thread in before.threads() if thread.outcome == "complete"]
        wanted = [(one.thread_id, one.assistant_id, one.thread, [*one.messages]) for one in threads]
        files = [{file_id: path.read_bytes() for file_id, path in one.files.items()} for one in threads]
    moved = done.path.rename(tmp_path / "moved")
    with read(moved) as after:
        found = [*after.threads()]
        assert [(one.thread_id, one.assistant_id, one.thread, [*one.messages]) for one in found] == wanted
        assert [{file_id: path.read_bytes() for file_id, path in one.files.items()} for one in found] == files
        assert all(path.is_relative_to(moved) for one in found for path in one.files.values())
        assert any(files)
        assert after.manifest is None


def test_files_are_copied_linked_or_inline(tmp_path: Path) -> None:
    """An image is shown each way; one that is gone is named by its id, and so is an attachment."""
    image = {"type": "image_file", "image_file": {"file_id": "file-1"}}
    attached = [{"file_id": "file-1"}, {"file_id": "file_2"}, 3]
    message = text_message(1, content=[image], attachments=attached)
    saved = tmp_path / "out.files" / "file-1.png"
    saved.parent.mkdir()
    saved.write_bytes(b"hi")

    def shown(**options: Any) -> tuple[Path, str]:
        folder = tmp_path / f"pages-{len(options)}-{saved.exists()}"
        exported = ExportedThread(
            thread_id="thread_a",
            assistant_id=None,
            outcome=None,
            messages=records,
            files={"file-1": saved, "file_3": tmp_path},
        )
        with LossReport(create(tmp_path / "losses")) as report:
            job = Conversion(
                out=tmp_path / "out.ndjson", options=Options(**options), losses=report, target=tmp_path / "a" / "x"
            )
            markdown.write([Thread(exported)], folder, job)
            single = "".join(markdown.page(Thread(exported), job))
        assert "](../out.files/file-1.png)" in single or options
        return folder, (folder / "thread_a.md").read_text()

    with read(put_bare(tmp_path / "out.ndjson", [message])) as export:
        records = next(export.threads()).messages
        folder, page = shown()
        assert '\nfiles: {"file-1":"file-1.png"}\n' in page
        assert "\n![file-1](files/file-1.png)\n" in page
        assert "\nAttached: [file-1](files/file-1.png)\n" in page
        assert "\nAttached: file\\_2\n" in page
        assert [path.read_bytes() for path in (folder / "files").iterdir()] == [b"hi"]
        folder, page = shown(files_url="https://x/f")
        assert "\n![file-1](https://x/f/file-1.png)\n" in page
        folder, page = shown(inline_images=True, citations="strip")
        assert "\n![file-1](data:image/png;base64,aGk=)\n" in page
        assert not (folder / "files").exists()
        saved.unlink()
        for options in ({}, {"inline_images": True, "citations": "strip"}):
            folder, page = shown(**options)
            assert "\n*Image file-1, which was not downloaded*\n" in page


@pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
def test_line_ends_may_have_been_changed(ending: bytes, tmp_path: Path) -> None:
    """As some editors and version control do it: a text keeps its own."""
    done = pages(tmp_path, [text_message(1, text="a\r\nb\n\nc \n")])
    before = lines_of(done.path)
    for path in done.path.iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", ending))
    assert lines_of(done.path) == before


def test_a_line_may_have_another_assistant(tmp_path: Path) -> None:
    """In a file that was put together by hand."""
    out = tmp_path / "out.ndjson"
    rows = put_bare(out, [text_message(n) for n in range(4)]).read_bytes().split(b"\n")[:-1]
    for number, assistant in ((1, b'"asst_1"'), (2, b'"asst_2"')):
        rows[number] = rows[number].replace(b'"assistant_id":null', b'"assistant_id":' + assistant, 1)
    out.write_bytes(b"\n".join([*rows, b""]))
    assert lines_of(convert(out, to="markdown", target=tmp_path / "t").path) == rows


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<!-- end 2 -->\n", "", "it was cut off"),
        ("<!-- end 2 -->", "<!-- end 3 -->", "some are missing"),
        ('format: "threadkeep-markdown/1"\n', "", "does not say 'format:"),
        ('thread_id: "thread_a"\n', "", "no thread_id"),
        ("assistant_id: null\n", "assistant_id: null\nfiles: []\n", "no object"),
        ("---\n", "", "does not begin with front matter"),
        ('{"id":"msg_1",', '{"id":"msg_1"', "line 9: "),
        ('{"id":"msg_1",', "{", "a message has no id"),
        ('{"id":"msg_1",', '{"id":"",', "expected an id"),
        ('{"id":"msg_1",', '{"id":"msg_1","thread_id":"thread_b",', "belongs to another thread"),
        ('{"id":"msg_2",', '{"id":"msg_2","content":"",', "a content that has none"),
        ('{"id":"msg_1",', '{"id":"msg_1","content":null,', "a content that has none"),
        ('<!-- message {"id":"msg_1"', '<!-- messages {"id":"msg_1"', "comes before the first message"),
        ("<!-- message {", "<!-- message 1 {", "line 9: "),
        ('<!-- message {"id":"msg_1","created_at":1774963800,"role":"user"} -->', "<!-- message 1 -->", "is no object"),
        ("\n<!-- end 2 -->\n", "", "it was cut off"),
        ("<!-- message {", "<!-- message-as-it-is {", "a content that has none"),
        ("<!-- message {", "<!-- flat {", "a message is not complete"),
        ("> no\n", "", "the text of a part is missing"),
    ],
)
def test_a_damaged_page_is_named(old: str, new: str, words: str, tmp_path: Path) -> None:
    """With its line."""
    second = text_message(2, "assistant", content=[{"type": "refusal", "refusal": "no"}])
    page = pages(tmp_path, [text_message(1), second]).path / "thread_a.md"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(OutputUnusable, match=re.escape(words)) as caught:
        lines_of(page.parent)
    assert str(page) in str(caught.value)


def test_the_folder_is_not_written_to(tmp_path: Path) -> None:
    """A target in the folder that is converted would be a file of it."""
    done = pages(tmp_path, [text_message(1)])
    for name in ("thread_a.md", "new", "files/new"):
        (done.path / "files").mkdir(exist_ok=True)
        with pytest.raises(OutputUnusable, match="a file of the export itself"):
            convert(done.path, to="markdown", target=done.path / name, force=True)


def test_a_folder_that_is_no_export(tmp_path: Path) -> None:
    """Or that lacks a page, or whose list was cut off."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OutputUnusable, match="is a folder: give the NDJSON file"):
        read(folder)
    (folder / "index.md").write_text("# mine\n")
    with pytest.raises(OutputUnusable, match=r"index\.md, line 1: it does not begin with front matter"):
        read(folder)
    done = pages(tmp_path, [text_message(1)])
    index = done.path / "index.md"
    listed = index.read_text()
    for new, words in (("", "it was cut off"), ("<!-- end 2 -->", "some are missing")):
        index.write_text(listed.replace("<!-- end 1 -->", new))
        with pytest.raises(OutputUnusable, match=words):
            lines_of(done.path)
    index.write_text(listed)
    (done.path / "thread_a.md").unlink()
    with pytest.raises(OutputUnusable, match=r"thread_a\.md: No such file"):
        read(done.path)


@pytest.mark.parametrize(("quotes", "words"), [(0, "the text of a message is missing"), (2, "a message has two texts")])
def test_a_message_whose_content_is_a_string(quotes: int, words: str, tmp_path: Path) -> None:
    """It has one quote, no more and no less."""
    page = pages(tmp_path, [text_message(1, content="hi")]).path / "thread_a.md"
    page.write_text(page.read_text().replace("> hi\n", "> hi\n\n" * quotes))
    with pytest.raises(OutputUnusable, match=words):
        lines_of(page.parent)


def test_names_are_unique_and_safe() -> None:
    """Also where capitals are small letters, and on Windows."""
    ids = ["thread_A", "thread_a", "nul", "-x", "../x", ".._x", "x" * 200, "x" * 201, "index", "", "\ud800"]
    names = _Names()
    found = [names.name(one) for one in ids]
    assert len({name.lower() for name in found}) == len(ids)
    assert found[0] == "thread_A"
    assert all(re.fullmatch(r"[A-Za-z0-9_-]*~[0-9a-f]{12}", name) for name in found[1:])


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "1970-01-01 00:00:00 UTC"), (None, "no time"), (10**20, "1" + "0" * 20), ("x", "x")]
)
def test_a_time_that_is_none_is_shown_as_it_is(seconds: object, words: str) -> None:
    """The API may give any number."""
    assert moment_of(seconds) == words


def test_a_line_of_the_list() -> None:
    """It is one line, and names the id where the file's name is not the same."""
    line = contents_line("x~1", "x/y", 1, None, "a\n- [b](b.md)")
    assert line == "- [x~1](x~1.md) x/y · 1 message · a - \\[b\\]\\(b.md\\)\n"
