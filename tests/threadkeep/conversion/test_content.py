"""Citations by their offsets, images, and what is kept as text."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converting import text_message
from strategies import raw_text
from threadkeep import (
    Annotation,
    FileCitation,
    FilePath,
    UnknownAnnotation,
    from_message_json,
    to_chat_messages,
    to_response_items,
)
from threadkeep.conversion.content import Footnotes, file_name, file_url, with_footnotes, without_markers


def citation(marker: str, start: int | None, end: int | None = None, file_id: str = "file-1") -> FileCitation:
    """A citation whose marker is in the text at a place, counted in code points."""
    last = start + len(marker) if start is not None and end is None else end
    return FileCitation(text=marker, file_id=file_id, start_index=start, end_index=last, quote=None)


@st.composite
def cited_texts(draw: st.DrawFn) -> tuple[list[str], list[str], list[FileCitation]]:
    """Pieces of a text, the marker behind each but the last, and the annotations in any order."""
    pieces = draw(st.lists(raw_text, min_size=1, max_size=5))
    markers = [draw(st.sampled_from(["【4:0†source】", "【1†a.txt】", "🌮"])) for _ in pieces[1:]]
    annotations, place = [], 0
    for piece, marker in zip(pieces, markers, strict=False):
        annotations.append(citation(marker, place + len(piece)))
        place += len(piece) + len(marker)
    return pieces, markers, draw(st.permutations(annotations))


def joined(pieces: list[str], markers: list[str]) -> str:
    """The text."""
    return "".join(piece + marker for piece, marker in zip(pieces, [*markers, ""], strict=True))


@given(cited_texts())
def test_markers_are_stripped_and_nothing_else(drawn: tuple[list[str], list[str], list[FileCitation]]) -> None:
    """Whatever characters the text has: offsets count code points."""
    pieces, markers, annotations = drawn
    assert without_markers(joined(pieces, markers), annotations) == "".join(pieces)


@given(cited_texts())
def test_every_marker_becomes_a_number(drawn: tuple[list[str], list[str], list[FileCitation]]) -> None:
    """One source, one number, and one footnote behind the text."""
    pieces, markers, annotations = drawn
    text, unplaced = with_footnotes(joined(pieces, markers), annotations, Footnotes({}))
    body = "[1]".join(pieces)
    assert unplaced == []
    assert text.startswith(body)
    assert (text == body) is (annotations == [])
    assert not annotations or "file-1" in text.removeprefix(body)


@given(raw_text, st.lists(st.tuples(raw_text, st.integers(-3, 60), st.integers(-3, 60)), max_size=4))
def test_a_range_without_its_marker_is_left_alone(text: str, found: list[tuple[str, int, int]]) -> None:
    """Offsets that lead elsewhere, or beyond the text, cut nothing out but what is the marker."""
    annotations = [citation(marker, start, end) for marker, start, end in found]
    placed = {(start, end) for marker, start, end in found if 0 <= start <= end and text[start:end] == marker} - {
        (n, n) for n in range(61) if n > len(text)
    }
    left = without_markers(text, annotations)
    assert len(text) - sum(end - start for start, end in placed) <= len(left) <= len(text)
    if not placed:
        assert left == text


def test_footnotes_have_the_names_of_files() -> None:
    """Of the marker, else of the download, else the id; with the quote. One number for each source."""
    files = {"file-2": Path("out.files/file-2.pdf")}
    value = "a【4:0†a.txt】b【4:1†source】c【4:1†source】 [x](sandbox:/mnt/data/x.csv)"
    second = value.index("【4:1")
    path = "sandbox:/mnt/data/x.csv"
    annotations: list[Annotation] = [
        FilePath(text=path, file_id="file-4", start_index=value.index(path), end_index=value.index(path) + len(path)),
        FileCitation(text="【4:0†a.txt】", file_id="file-1", start_index=1, end_index=12, quote="so"),
        citation("【4:1†source】", second, file_id="file-2"),
        citation("【4:1†source】", second, file_id="file-3"),
        citation("【4:1†source】", value.rindex("【4:1"), file_id="file-2"),
        UnknownAnnotation("url_citation", {"type": "url_citation"}),
        citation("【9†none】", 2),
    ]
    text, unplaced = with_footnotes(value, annotations, Footnotes(files))
    assert text == (
        "a[1]b[2][3]c[2] [x]([4])\n\n[1] a.txt (file-1): “so”\n[2] file-2.pdf\n[3] file-3\n[4] x.csv (file-4)"
    )
    assert unplaced == annotations[-2:]


def test_overlapping_markers_are_cut_once() -> None:
    """The one that begins first; the other has no place any more."""
    annotations = [citation("abc", 0), citation("cd", 2), citation("d", 3)]
    assert without_markers("abcde", annotations) == "e"
    assert with_footnotes("abcde", annotations, Footnotes({}))[1] == [annotations[1]]


def test_the_numbers_of_footnotes_continue_in_a_message() -> None:
    """Two texts of one message share their sources."""
    part = {"type": "text", "text": {"value": "a【1†a.txt】", "annotations": []}}
    mark = {"type": "file_citation", "text": "【1†a.txt】", "start_index": 1, "end_index": 10}
    texts = [
        {**part, "text": {**part["text"], "annotations": [{**mark, "file_citation": {"file_id": file_id}}]}}  # type: ignore[dict-item]
        for file_id in ("file-1", "file-2", "file-1")
    ]
    record = from_message_json(text_message(1, content=texts), assistant_id=None)
    (message,), losses = to_chat_messages([record], citations="footnotes")
    assert [part["text"][:4] for part in message["content"]] == ["a[1]", "a[2]", "a[1]"]
    assert losses == []


@pytest.mark.parametrize(
    ("citations", "text"),
    [("keep", "a【1†a.txt】"), ("strip", "a"), ("footnotes", "a[1]\n\n[1] a.txt (file-1)")],
)
@pytest.mark.parametrize("to_one", [to_chat_messages, to_response_items])
def test_what_becomes_of_the_annotations_of_a_text(citations: Any, text: str, to_one: Callable[..., Any]) -> None:
    """Where they have no place, or were stripped, the list of a text is one loss; so are those without a footnote."""
    mark = {"type": "file_citation", "text": "【1†a.txt】", "start_index": 1, "end_index": 10}
    marks = [{**mark, "file_citation": {"file_id": "file-1"}}, {"type": "url_citation"}]
    part = {"type": "text", "text": {"value": "a【1†a.txt】", "annotations": marks}}
    record = from_message_json(text_message(1, "assistant", content=[part]), assistant_id=None)
    (message,), losses = to_one([record], citations=citations)
    content = message["content"]
    assert (content if isinstance(content, str) else content[0]["text"]) == text
    assert [loss.lost for loss in losses] == ["annotations"]


IMAGE = {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "low"}}


def image_in(options: dict[str, Any], role: str = "user") -> tuple[Any, list[str]]:
    """The image of a message of Chat Completions, and the reasons of what was lost."""
    record = from_message_json(text_message(1, role, content=[IMAGE]), assistant_id=None)
    messages, losses = to_chat_messages([record], **options)
    assert all(loss.lost == "image_file" for loss in losses)
    return (messages[0]["content"] if messages else None), [loss.why for loss in losses]


def test_an_image_file_is_a_loss_unless_it_is_said_how() -> None:
    """An id is no URL; and the role must be able to carry it. Kept as text, it is a loss all the same."""
    missing, (why,) = image_in({})
    assert (missing, "--files-url" in why) == (None, True)
    assert image_in({"inline_images": True}) == (None, ["the image was not downloaded: export with --files"])
    assert image_in({"files_url": "https://x"}, "assistant")[0] is None
    kept, (why,) = image_in({"unsupported": "text"}, "assistant")
    assert (kept, why.endswith("; kept as text")) == ("[image_file file-1]", True)


def test_an_image_file_as_a_url() -> None:
    """Under the prefix, by its id, or as the file is called that was downloaded."""
    image = {"type": "image_url", "image_url": {"url": "https://x/file-1", "detail": "low"}}
    assert image_in({"files_url": "https://x"}) == ([image], [])
    files = {"file-1": Path("out.files/file-1.png")}
    assert image_in({"files_url": "https://x/", "files": files})[0][0]["image_url"]["url"] == "https://x/file-1.png"
    assert file_url("https://x/?id=", "file 1/2") == "https://x/?id=file%201%2F2"


def test_an_image_file_inline() -> None:
    """As a data URL of its type, with its bytes."""
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in (("a.png", "image/png"), ("a.webp", "image/webp"), ("a", "application/octet-stream")):
            path = Path(folder, name)
            path.write_bytes(b"\x89")
            content, losses = image_in({"inline_images": True, "files": {"file-1": path}})
            assert content[0]["image_url"]["url"] == f"data:{kind};base64,iQ=="
            assert losses == []


def test_an_image_that_cannot_be_read(tmp_path: Path) -> None:
    """It is a loss with the reason, and no link is followed; an item has its id all the same."""
    (tmp_path / "a.png").symlink_to("/dev/zero")
    for name, why in (("a.png", "is a symbolic link"), ("b.png", "No such file")):
        options: dict[str, Any] = {"inline_images": True, "files": {"file-1": tmp_path / name}}
        content, (reason,) = image_in(options)
        assert (content, why in reason) == (None, True)
        record = from_message_json(text_message(1, content=[IMAGE]), assistant_id=None)
        (item,), losses = to_response_items([record], **options)
        assert (item["content"][0]["file_id"], losses) == ("file-1", [])


def test_a_text_of_an_unknown_part_is_kept() -> None:
    """And the rest of the part is named, if there is a rest."""
    content = [{"type": "input_text", "text": "a"}, {"text": "b", "signature": "s"}]
    record = from_message_json(text_message(1, content=content), assistant_id=None)
    (message,), (loss,) = to_chat_messages([record])
    assert [part["text"] for part in message["content"]] == ["a", "b"] == record.text.split("\n")
    assert loss.lost == "content"


def test_annotations_of_items() -> None:
    """They keep their file and their place; a quote, an unknown one and one without a place are named."""
    marks: list[dict[str, Any]] = [
        {
            "type": "file_citation",
            "text": "【1†a.txt】",
            "start_index": 1,
            "end_index": 10,
            "file_citation": {"file_id": "f"},
        },
        {"type": "file_path", "text": "sandbox:/x", "start_index": 10, "end_index": 20, "file_path": {"file_id": "g"}},
    ]
    part = {"type": "text", "text": {"value": "a【1†a.txt】sandbox:/x", "annotations": marks}}
    record = from_message_json(text_message(1, "assistant", content=[part]), assistant_id=None)
    (item,), losses = to_response_items([record])
    assert item["content"][0]["annotations"] == [
        {"type": "file_citation", "file_id": "f", "filename": "a.txt", "index": 1},
        {"type": "file_path", "file_id": "g", "index": 10},
    ]
    assert losses == []
    marks[0]["file_citation"]["quote"] = "so"
    marks += [{"type": "url_citation"}, {**marks[0], "start_index": None}]
    record = from_message_json(text_message(1, "assistant", content=[part]), assistant_id=None)
    (item,), losses = to_response_items([record])
    assert len(item["content"][0]["annotations"]) == 2
    assert [loss.lost for loss in losses] == ["annotations", "quote"]


def test_attachments_that_name_no_file() -> None:
    """Those that do are carried, and the list is named."""
    attached = [{"file_id": "file-1", "tools": []}, {"tools": []}, 1]
    record = from_message_json(text_message(1, attachments=attached), assistant_id=None)
    (item,), (loss,) = to_response_items([record])
    assert item["content"][1:] == [{"type": "input_file", "file_id": "file-1"}]
    assert loss.lost == "attachments"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"citations": "drop"}, "citations is 'drop'"),
        ({"unsupported": "json"}, "unsupported is 'json'"),
        ({"files_url": "x", "inline_images": True}, "not both"),
    ],
)
def test_options_that_there_are_not(options: dict[str, Any], words: str) -> None:
    """They are named before anything is read."""
    with pytest.raises(ValueError, match=words):
        to_chat_messages([], **options)


def test_the_name_of_a_marker_without_one() -> None:
    """The id is better than nothing."""
    assert file_name(citation("odd", 0), {}) == "file-1"
    assert file_name(FilePath(text="", file_id="file-1", start_index=0, end_index=0), {}) == "file-1"
