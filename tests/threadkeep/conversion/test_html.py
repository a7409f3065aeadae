"""Pages of threads: everything is on them, in order, nothing of an export is more than text, and the search has all."""

import base64
import io
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converting import losses, put_bare, text_message
from html_pages import PNG, pages_alone, with_image, written
from reports import HOSTILE
from strategies import identifiers, odd_messages, raw_text
from threadkeep import Converted, MessageRecord, convert, from_message_json
from threadkeep.conversion import search_shards
from threadkeep.conversion.content import Spans
from threadkeep.conversion.formats import html
from threadkeep.conversion.html_text import text_html
from threadkeep.conversion.job import Conversion, Options
from threadkeep.conversion.losses import LossReport
from threadkeep.conversion.source import PlainMessage, Thread
from threadkeep.html_report.visible_text import marked, visible
from threadkeep.records.model import ImageFilePart, ImageUrlPart, RefusalPart, TextPart
from threadkeep.storage.reader import ExportedThread


@attrs.define
class Node:
    """An element of a page."""

    tag: str
    attributes: Mapping[str, str]
    children: list["Node | str"] = attrs.field(factory=list)

    def text(self, without: str = "") -> str:
        """The text in it, without what is in elements of a class."""
        return "".join(
            child if isinstance(child, str) else child.text(without)
            for child in self.children
            if isinstance(child, str) or not without or child.attributes.get("class") != without
        )

    def all(self, tag: str = "", of: str = "") -> Iterator["Node"]:
        """Yield the elements in it, of a tag, of a class."""
        for child in self.children:
            if isinstance(child, Node):
                if tag in ("", child.tag) and (not of or of in child.attributes.get("class", "").split()):
                    yield child
                yield from child.all(tag, of)


class Tree(HTMLParser):
    """Read a page, every element of which must be closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = Node("", {})
        self._open = [self.root]
        self.feed(page)
        self.close()
        assert self._open == [self.root]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attributes})
        self._open[-1].children.append(node)
        if tag not in ("meta", "link", "img", "input"):
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def tree(page: Path | str) -> Node:
    """A page, which is UTF-8."""
    return Tree(page.read_bytes().decode() if isinstance(page, Path) else page).root


def made(folder: Path, messages: list[dict[str, Any]], **options: Any) -> tuple[Converted, Path]:
    """Convert messages, and return the result and the folder."""
    out = put_bare(folder / "out.ndjson", messages)
    done = convert(out, to="html", target=folder / "site", force=True, **options)
    return done, folder / "site"


def shown(page: Node) -> list[list[tuple[str, str]]]:
    """The parts of the messages of a page: the API's word, and the text."""
    return [[*_parts(article)] for article in page.all("article")]


def _parts(article: Node) -> Iterator[tuple[str, str]]:
    for child in article.children:
        if not isinstance(child, Node):
            continue
        match child.tag, child.attributes.get("class"):
            case "div", "text":
                yield "text", child.text(without="cite")
            case "div", "refusal":
                yield "refusal", next(child.all("div", "text")).text()
            case "figure", _:
                yield "image", child.text()
            case "p", "aside":
                yield "image_url", child.text().removeprefix("Image on the web, not loaded: ")
            case "details", _ if child.text().startswith("A part of"):
                yield "unknown", next(child.all("code", "block")).text()


def expected(record: MessageRecord) -> list[tuple[str, str]]:
    """The same of a record."""
    found: list[tuple[str, str]] = []
    for part in record.parts:
        match part:
            case TextPart(value):
                found.append(("text", visible(value)))
            case RefusalPart(refusal):
                found.append(("refusal", visible(refusal)))
            case ImageUrlPart(url):
                found.append(("image_url", visible(url)))
            case ImageFilePart(file_id):
                found.append(("image", f"\nImage {visible(file_id)}: not downloaded\n"))
            case _:
                text = part.raw.get("text") if isinstance(part.raw, dict) else None
                if isinstance(text, str):
                    found.append(("text", visible(text)))
                if not isinstance(text, str) or not part.raw.keys() <= {"type", "text"}:
                    found.append(("unknown", visible(html._json(part.raw))))
    return found


@st.composite
def odd_threads(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Messages of two threads, those of each together."""
    ids = draw(st.lists(identifiers("msg_"), min_size=1, max_size=6, unique=True))
    cut = draw(st.integers(0, len(ids)))
    return [
        {**draw(odd_messages()), "id": message_id, "thread_id": "thread_a" if place < cut else "thread_b"}
        for place, message_id in enumerate(ids)
    ]


@given(messages=odd_threads())
def test_everything_is_on_the_pages(messages: list[dict[str, Any]]) -> None:
    """Every part, in the order of the thread, and no loss; the role, the id, citations, attachments, metadata too."""
    records = [from_message_json(message, assistant_id=None) for message in messages]
    ids = [*dict.fromkeys(record.thread_id for record in records)]
    with tempfile.TemporaryDirectory() as folder:
        done, site = made(Path(folder), messages)
        pages = [tree(path) for path in _thread_pages(site)]
        single = alone(Path(folder) / "out.ndjson")
    assert (done.losses, len(pages)) == ({}, len(ids))
    assert [shown(page) for page in single] == [shown(page) for page in pages]
    for page, thread_id in zip(pages, ids, strict=True):
        own = [record for record in records if record.thread_id == thread_id]
        assert shown(page) == [expected(record) for record in own]
        for article, record in zip(page.all("article"), own, strict=True):
            words = article.text()
            assert next(article.all("strong")).text() == ("no role" if record.role is None else visible(record.role))
            assert next(article.all("span", "id")).text() == record.message_id
            assert all(visible(word) in words for word in _other_words(record))


def alone(out: Path, files: Mapping[str, Path] | None = None) -> list[Node]:
    """The page of each thread by itself, which needs no other file."""
    pages = [*map(tree, pages_alone(out, files or {}))]
    for page in pages:
        assert "script" not in page_policy(page)
        assert [*page.all("link"), *page.all("script")] == []
        assert all(one.attributes["src"].startswith("data:") for one in page.all("img"))
        assert all(re.match(r"#m-\d+|https?://", one.attributes["href"]) for one in page.all("a"))
    return pages


def _thread_pages(site: Path) -> list[Path]:
    return sorted((site / "threads").iterdir(), key=lambda path: [*map(int, path.stem.split("-"))])


def _other_words(record: MessageRecord) -> Iterator[str]:
    for part in record.parts:
        for one in part.annotations if isinstance(part, TextPart) else ():
            yield html._json(one.raw) if not hasattr(one, "file_id") else one.file_id
    attached, metadata = record.raw.get("attachments"), record.raw.get("metadata")
    if isinstance(attached, list):
        yield from (row["file_id"] for row in attached if isinstance(row, dict) and isinstance(row.get("file_id"), str))
    if isinstance(metadata, dict):
        yield from (value for value in metadata.values() if isinstance(value, str))


ELEMENTS = {
    *("html", "head", "meta", "title", "link", "script", "noscript", "body", "header", "main", "nav", "footer"),
    *("h1", "p", "a", "b", "i", "bdi", "strong", "time", "span", "div", "dl", "dt", "dd", "ol", "ul", "li", "label"),
    *("article", "details", "summary", "code", "figure", "figcaption", "img", "input", "button"),
}
ATTRIBUTES = {
    *("alt", "aria-current", "aria-label", "autocapitalize", "autocomplete", "charset", "class", "content"),
    *("data-shards", "decoding", "dir", "enterkeyhint", "for", "hidden", "href", "http-equiv", "id", "lang", "loading"),
    *("name", "placeholder", "rel", "role", "spellcheck", "src", "target", "type", "value"),
}


@given(texts=st.lists(st.one_of(raw_text, st.sampled_from(HOSTILE)), min_size=1, max_size=5))
def test_nothing_of_an_export_is_more_than_text(texts: list[str]) -> None:
    """Elements and attributes are ours, links lead to pages of the folder or to the web, and policies allow no more."""
    first, *_ = texts
    image = {"type": "image_url", "image_url": {"url": first}}
    messages = [
        text_message(n, text, text, thread_id=f"thread{n // 2} {first}", metadata={text: text}, content=[image])
        if n % 2
        else text_message(n, text, text, thread_id=f"thread{n // 2} {first}")
        for n, text in enumerate(texts)
    ]
    with tempfile.TemporaryDirectory() as folder:
        _, site = made(Path(folder), messages)
        pages = {path: tree(path) for path in site.rglob("*.html")}
        for path, page in pages.items():
            for one in page.all():
                assert one.tag in ELEMENTS
                assert one.attributes.keys() <= ATTRIBUTES
                target = one.attributes.get("href", "#")
                if re.match(r"https?://", target):
                    assert (one.tag, one.attributes["rel"]) == ("a", "noopener noreferrer")
                else:
                    file, _, anchor = target.partition("#")
                    there = pages.get((path.parent / file).resolve() if file else path)
                    assert there is None or not anchor or [*_with_id(there, anchor)]
                    assert (path.parent / file).exists()
            policy = page_policy(page)
            assert policy.startswith("default-src 'none'; ")
            assert "unsafe" not in policy
            assert len([*page.all("script")]) == ("script-src" in policy) == (path.name == "index.html")


def page_policy(page: Node) -> str:
    """The Content-Security-Policy of a page."""
    (policy,) = (one.attributes["content"] for one in page.all("meta") if "http-equiv" in one.attributes)
    return policy


def _with_id(page: Node, anchor: str) -> Iterator[Node]:
    return (one for one in page.all() if one.attributes.get("id") == anchor)


def searched(site: Path) -> list[tuple[str, int, str]]:
    """What the search reads: page, number of the message, text."""
    found = []
    count = int(next(_with_id(tree(site / "index.html"), "search")).attributes["data-shards"])
    assert {path.name for path in (site / "search").iterdir()} == {f"{n}.js" for n in range(1, count + 1)}
    for number in range(1, count + 1):
        script = (site / "search" / f"{number}.js").read_bytes().decode()
        head = f"threadkeep({number},"
        assert (script[: len(head)], script[-2:]) == (head, ")\n")
        for page, _, _, texts in json.loads(script[len(head) : -2]):
            found += [(page, *pair) for pair in zip(texts[::2], texts[1::2], strict=True)]
    return found


@given(messages=odd_threads(), size=st.sampled_from([1, 50, 10**6]))
def test_the_search_has_every_text(messages: list[dict[str, Any]], size: int) -> None:
    """By the page and the number at which it is, and the id of every thread, whatever the size of a shard is."""
    records = [from_message_json(message, assistant_id=None) for message in messages]
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_shards, "_SHARD", size)
        _, site = made(Path(folder), messages)
        found = searched(site)
    threads = [*dict.fromkeys(record.thread_id for record in records)]
    texts = {(page, number): text for page, number, text in found}
    assert len(texts) == len(found)
    for number, thread_id in enumerate(threads, 1):
        assert thread_id in texts[f"{number}.html", 0]
        own = [record for record in records if record.thread_id == thread_id]
        for place, record in enumerate(own, 1):
            for part in record.parts:
                if isinstance(part, TextPart | RefusalPart):
                    words = search_shards.one_line(part.value if isinstance(part, TextPart) else part.refusal)
                    assert words in texts.get((f"{number}.html", place), "")


def test_the_pages_of_a_long_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has the messages from where the one before ended, and links to the others; a long text fills a page too."""
    monkeypatch.setattr(html, "MOST_MESSAGES", 2)
    monkeypatch.setattr(html, "MOST_CHARACTERS", 100)
    long = [text_message(n, text="x" * 100 if n == 1 else f"text {n}") for n in range(1, 8)]
    _, site = made(tmp_path, [*long, text_message(9, thread_id="thread_b")])
    pages = {path.name: tree(path) for path in _thread_pages(site)}
    numbers = [[one.attributes["id"] for one in page.all("article")] for page in pages.values()]
    assert numbers == [["m-1"], ["m-2", "m-3"], ["m-4", "m-5"], ["m-6", "m-7"], ["m-1"]]
    links = [one.attributes["href"] for one in next(pages["1-2.html"].all("nav", "pager")).all("a")]
    assert (links, "page 2 of 4" in pages["1-2.html"].text()) == (["1.html", "1-3.html", "1-4.html"], True)
    assert [row[:2] for row in searched(site)][:3] == [("1.html", 0), ("1.html", 1), ("1-2.html", 2)]


def test_the_pages_of_the_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads with first words, counts and dates, in the order of OUT; a thread leads to its neighbours, and back."""
    monkeypatch.setattr(html, "LISTED", 2)
    messages = [text_message(n, text=f"\n first\twords  {n}", thread_id=f"t{n // 2}") for n in range(10)]
    messages[3]["created_at"] += 86_400
    _, site = made(tmp_path, messages)
    contents = [tree(site / name) for name in ("index.html", "index-2.html", "index-3.html")]
    rows = [row for page in contents for row in next(page.all("ol", "threads")).all("a")]
    assert [row.attributes["href"] for row in rows] == [f"threads/{n}.html" for n in range(1, 6)]
    assert rows[1].text().split("\n") == ["first words 2", "2 messages 2026-03-31 – 2026-04-01"]
    assert "5 threads · 10 messages · 2026-03-31 – 2026-04-01" in contents[0].text()
    middle = tree(site / "threads" / "3.html")
    assert [one.attributes["href"] for one in next(middle.all("nav", "neighbours")).all("a")] == ["2.html", "4.html"]
    assert next(next(middle.all("p", "back")).all("a")).attributes["href"] == "../index-2.html#t-3"


def test_links_to_pages_around_one() -> None:
    """The first, the last, two on each side; a gap is 0, if it hides more than one."""
    assert html._near(1, 1) == [1]
    assert html._near(5, 9) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert html._near(50, 100) == [1, 0, 48, 49, 50, 51, 52, 0, 100]


def test_an_export_without_threads(tmp_path: Path) -> None:
    """Has a contents page that says so."""
    _, site = made(tmp_path, [])
    assert "There are no threads." in tree(site / "index.html").text()


# --- images


@pytest.mark.parametrize(
    ("content", "name", "copied"),
    [
        (PNG, "file-1.png", "file-1.png"),
        (PNG, "file-1.html", "file-1.html.png"),
        (b"\xff\xd8\xff\xe0 and more", "file-1.JPEG", "file-1.JPEG"),
        (b"GIF89a and more", "file-1", "file-1.gif"),
        (b"RIFF\n\r\n\rWEBPVP8 ", "file #1?.webp", "file #1?.webp"),
    ],
)
def test_an_image_is_copied(content: bytes, name: str, copied: str, tmp_path: Path) -> None:
    """Once, under an ending that its content has, whatever its name says."""
    out, files = with_image(tmp_path, content, name)
    site, lost = written(tmp_path, out, files)
    assert ([*(site / "files").iterdir()], lost) == ([site / "files" / copied], {})
    assert (site / "files" / copied).read_bytes() == content
    images = [*tree(site / "threads" / "1.html").all("img")]
    assert len(images) == 2
    assert "#" not in images[0].attributes["src"]
    assert images[0].attributes["src"].startswith("../files/file")


@pytest.mark.parametrize("options", [{}, {"inline_images": True}])
def test_what_is_no_image_is_named(options: dict[str, Any], tmp_path: Path) -> None:
    """A page with a script, an SVG, what cannot be read: it is not copied, and is a loss."""
    for content in (b"<script>alert(1)</script>", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b""):
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        out, files = with_image(folder, content)
        site, lost = written(folder, out, files, **options)
        assert ([*(site / "files").iterdir()], lost) == ([], {"image_file": 2})
        page = tree(site / "threads" / "1.html")
        assert [*page.all("img")] == []
        assert "Image file-1.png: the download is no PNG, JPEG, GIF or WebP image" in page.text()
    files["file-1"].unlink()
    files["file-1"].symlink_to(out)
    assert written(Path(tempfile.mkdtemp(dir=tmp_path)), out, files, **options)[1] == {"image_file": 2}


def test_images_within_the_page_and_on_the_web(tmp_path: Path) -> None:
    """A data URL is shown; a URL is a link, and nothing is copied."""
    out, files = with_image(tmp_path, PNG)
    site, lost = written(tmp_path, out, files, inline_images=True)
    (source, *_) = (one.attributes["src"] for one in tree(site / "threads" / "1.html").all("img"))
    assert source == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    (page,) = alone(out, files)
    assert [one.attributes["src"] for one in page.all("img")] == [source, source]
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    site, lost = written(folder, out, files, files_url="https://example.com/f")
    page = tree(site / "threads" / "1.html")
    assert ([*page.all("img")], [*(site / "files").iterdir()], lost) == ([], [], {})
    assert "https://example.com/f/file-1.png" in [link.attributes["href"] for link in page.all("a")]
    image = {"type": "image_url", "image_url": {"url": source}}
    _, site = made(Path(tempfile.mkdtemp(dir=tmp_path)), [text_message(1, content=[image])])
    assert [one.attributes["src"] for one in tree(site / "threads" / "1.html").all("img")] == [source]


# --- citations and code


CITED = "one【4:0†a.txt】 two【4:1†source】 three"


def cited(**more: Any) -> dict[str, Any]:
    """A message with two citations of one file, and one that has no place."""
    rows = [
        {"type": "file_citation", "text": marker, "start_index": start, "end_index": start + len(marker)}
        | {"file_citation": {"file_id": file_id}}
        for marker, start, file_id in (
            ("【4:0†a.txt】", 3, "file-1"),
            ("【4:1†source】", 18, "file-2"),
            ("x", 0, "file-3"),
        )
    ]
    return text_message(1, content=[{"type": "text", "text": {"value": CITED, "annotations": rows}}], **more)


@pytest.mark.parametrize(
    ("citations", "text", "lost"),
    [
        ("keep", "one【4:0†a.txt】1 two【4:1†source】2 three", {}),
        ("footnotes", "one1 two2 three", {}),
        ("strip", "one two three", {"annotations": 1}),
    ],
)
def test_citations(citations: str, text: str, lost: dict[str, int], tmp_path: Path) -> None:
    """Footnotes with the names of files, also where no marker leads to one; the number is a link to it."""
    done, site = made(tmp_path, [cited()], citations=citations)
    page = tree(site / "threads" / "1.html")
    assert next(page.all("div", "text")).text() == text
    assert (done.losses, len(losses(done))) == (lost, len(lost))
    notes = [one.text() for one in next(page.all("ol", "notes"), Node("", {})).all("li")]
    assert notes == ([] if lost else ["a.txt (file-1)", "file-2", "file-3"])
    for link in page.all("a", "cite"):
        assert [*_with_id(page, link.attributes["href"][1:])]


def test_code_is_a_block(tmp_path: Path) -> None:
    """Fenced code with its language, code without an end, and code in a line; every character stays."""
    text = "a `b`\n````py\n```\nx\n````\nc ```d```\n```\nno end"
    _, site = made(tmp_path, [text_message(1, text=text)])
    shown = next(tree(site / "threads" / "1.html").all("div", "text"))
    assert shown.text() == text
    assert [one.text(without="ticks") for one in shown.all("code", "block")] == ["py\n```\nx\n", "no end"]
    assert next(one.text() for one in shown.all("code")) == "`b`"


@given(text=st.text("`\n ~ab:/htps【】.)", max_size=60), cuts=st.lists(st.integers(0, 60), max_size=4))
def test_every_character_of_a_text_stays(text: str, cuts: list[int]) -> None:
    """Wherever code begins or ends, and wherever markers are."""
    ends = sorted({min(cut, len(text)) for cut in cuts})
    marks: Spans = {(a, b): [] for a, b in zip(ends[::2], ends[1::2], strict=False)}
    page = tree(str(text_html(text, marks, lambda marker, _: marked(marker))))
    assert page.text() == visible(text)


def test_links_in_texts(tmp_path: Path) -> None:
    """Addresses of the web, without the end of a sentence; nothing else, and none that hides a character."""
    text = "See (https://a.example/b_(c)), http://d.example. javascript:x ftp://e https://f\u202eg https:// `https://h`"
    _, site = made(tmp_path, [text_message(1, text=text)])
    links = [*next(tree(site / "threads" / "1.html").all("div", "text")).all("a")]
    assert [one.attributes["href"] for one in links] == ["https://a.example/b_(c)", "http://d.example"]


# --- size


def test_messages_are_not_held() -> None:
    """A page begins before the second message is made ready; afterwards, there is at most one that is not shown."""
    taken = 0

    class Many(Thread):
        def turns(self) -> Iterator[Any]:
            nonlocal taken
            for taken in range(1, 1_001):
                yield PlainMessage("thread_a", None, f"msg_{taken}", "user", f"text {taken}", None)

    none: Any = ()  # they are not read
    thread = Many(ExportedThread(thread_id="thread_a", assistant_id=None, outcome=None, messages=none))
    with LossReport(io.BytesIO()) as report:
        pieces = html.page(thread, Conversion(out=Path("out"), options=Options(), losses=report))
        shown = 0
        for piece in pieces:
            shown += piece.count("<article")
            assert taken in (1_000, shown, shown + 1, shown + 2)
    assert shown == 1_000
