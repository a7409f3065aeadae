"""What a message itself gives occasion to note."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from threadkeep.validation.content_check import EXISTS_SINCE, about, is_odd_time, may_hold_markers


def text(value: object, *annotations: object) -> dict[str, Any]:
    """A text part."""
    return {"type": "text", "text": {"value": value, "annotations": list(annotations)}}


def cited(start: object, end: object, marker: str = "x") -> dict[str, Any]:
    """An annotation of these code points."""
    return {"type": "file_citation", "text": marker, "start_index": start, "end_index": end}


def found(*parts: object, saved: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    """What is noted of a message of these parts."""
    return [(note.code, note.path) for note in about({"content": list(parts)}, saved)]


@given(strategies.odd_messages())
def test_any_message_can_be_looked_at(raw: dict[str, Any]) -> None:
    """Whatever its shape; every note is of the message's content."""
    for note in about(raw, frozenset()):
        assert note.path.startswith("$.message.content")


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1).map(lambda drawn: f"a{drawn}"),
    st.integers(-1, 60),
    st.integers(-1, 60),
)
def test_offsets_are_of_code_points(value: str, start: int, end: int) -> None:
    """A letter beyond the first plane is one; an offset lies in the text or at its end, the end behind the start."""
    inside = 0 <= start <= end <= len(value)
    codes = [code for code, _ in found(text(value, cited(start, end)))]
    assert codes.count("annotation_outside_text") == (not inside)


def test_an_astral_text_has_as_many_code_points_as_letters() -> None:
    """Neither bytes nor UTF-16 units are counted."""
    assert found(text("\U0001f32e" * 3, cited(0, 3))) == []
    assert found(text("\U0001f32e" * 3, cited(0, 4), cited(2, 3), cited(4, 4))) == [
        ("annotation_outside_text", "$.message.content[0].text.annotations[0]"),
        ("annotation_outside_text", "$.message.content[0].text.annotations[2]"),
    ]


@pytest.mark.parametrize("odd", [None, "x", 5, {"start_index": None}, {"start_index": "9"}, cited(True, 1.5), []])
def test_an_annotation_without_offsets_points_nowhere(odd: object) -> None:
    """One that lacks them, or has something else there."""
    assert found(text("Hello", odd)) == []


def test_one_offset_alone_is_held_against_the_text() -> None:
    """The other may be missing."""
    assert found(text("Hello", {"end_index": 6})) == [
        ("annotation_outside_text", "$.message.content[0].text.annotations[0]")
    ]


@pytest.mark.parametrize(
    ("value", "markers"),
    [
        ("See 【4:0†source】.", ["【4:0†source】"]),
        ("See 【13†a b.pdf】 and 【1:2†x】.", ["【13†a b.pdf】", "【1:2†x】"]),
        ("[plot](sandbox:/mnt/data/plot.png)", ["sandbox:/mnt/data/plot.png"]),
        ("a † alone, 【x†y】 and sandbox: too", []),
    ],
)
def test_a_marker_wants_an_annotation(value: str, markers: list[str]) -> None:
    """One that resolves it has its text; any other resolves nothing."""
    path = "$.message.content[0].text.value"
    assert may_hold_markers(value)
    assert found(text(value)) == [("marker_without_annotation", path)] * len(markers)
    assert found(text(value, *[cited(0, 1, marker) for marker in markers])) == []
    assert found(text(value, cited(0, 1, "other"), {"text": 5}, {"text": ""})) == [
        ("marker_without_annotation", path)
    ] * len(markers)


def test_images_that_were_saved_are_passed_over() -> None:
    """Others are named, by their file's id; an image of another shape is not guessed at."""
    images = [{"type": "image_file", "image_file": {"file_id": name}} for name in ("file-a", "file-b")]
    path = "$.message.content[1].image_file.file_id"
    assert found(*images, saved=frozenset(["file-a"])) == [("image_not_downloaded", path)]
    odd = [{"type": "image_file", "image_file": body} for body in (None, {}, {"file_id": 5}, "file-a")]
    assert found(*odd, {"type": "other", "image_file": {"file_id": "file-a"}}) == []


@pytest.mark.parametrize("content", [None, [], "", 0, [text("")], [text(" \n"), text("\u2003")]])
def test_a_message_that_says_nothing_is_noted(content: object) -> None:
    """Without content, or with blanks only."""
    assert [(note.code, note.path) for note in about({"content": content}, frozenset())] == [
        ("empty_message", "$.message.content")
    ]
    assert [note.code for note in about({}, frozenset())] == ["empty_message"]


@pytest.mark.parametrize(
    "content", ["words", {"a": 1}, 5, [text("x"), text("")], [{"type": "refusal", "refusal": ""}], [None], [text(5)]]
)
def test_a_message_that_says_anything_is_not_empty(content: object) -> None:
    """Content of another shape than promised is content: it was called blank once."""
    assert [note.code for note in about({"content": content}, frozenset())] == []


@pytest.mark.parametrize(
    ("created_at", "is_odd"),
    [(EXISTS_SINCE, False), (EXISTS_SINCE - 1, True), (2_000_000_000, False), (2_000_000_001, True), (None, True),
     ("x", True), (True, True), (1.5, True), (-1, True), (2**80, True)],
)  # fmt: skip
def test_a_time_is_between_the_beginning_and_now(created_at: object, is_odd: bool) -> None:
    """Anything else is odd."""
    assert is_odd_time(created_at, 2_000_000_000) is is_odd
