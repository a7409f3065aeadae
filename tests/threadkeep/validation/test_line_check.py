"""One line by itself: the quick check agrees with the thorough one, and what a message gives occasion to note."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import strategies
from canned_threads import message
from threadkeep.records.ndjson import encode_message
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.validation.fast_line_check import LineSummary, summaries
from threadkeep.validation.line_check import EXISTS_SINCE, NO_ID, about, check_line, is_odd_time

NOW = 1_800_000_000
SAVED = frozenset({"file-1"})
ASSISTANT = "asst_1"
PLAIN = st.builds(
    lambda text, number, created_at: message(
        "thread_a",
        number,
        created_at=created_at,
        content=[{"type": "text", "text": {"value": text, "annotations": []}}],
    ),
    strategies.raw_text,
    st.integers(0, 9),
    st.integers(EXISTS_SINCE - 1, NOW + 1),
)
_TEXTS = st.lists(
    st.sampled_from(["", " ", "a", "\U0001f32e", "\n", "【4:0†a】", "sandbox:/mnt/data/a"]), max_size=4
).map("".join)
_ANNOTATIONS = st.builds(
    lambda kind, text, start, end: {
        "type": kind,
        "text": text,
        "start_index": start,
        "end_index": end,
        kind: {"file_id": "file-1"},
    },
    st.sampled_from(["file_citation", "file_path"]),
    st.sampled_from(["", "【4:0†a】", "sandbox:/mnt/data/a"]),
    st.integers(-1, 6),
    st.integers(-1, 6),
)
_PARTS = st.one_of(
    st.builds(
        lambda value, annotations: {"type": "text", "text": {"value": value, "annotations": annotations}},
        _TEXTS,
        st.lists(_ANNOTATIONS, max_size=2),
    ),
    st.sampled_from(["file-1", "file-2"]).map(lambda one: {"type": "image_file", "image_file": {"file_id": one}}),
    st.sampled_from(
        [
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
            {"type": "refusal", "refusal": "no"},
            {"type": "hologram", "text": {"value": "a", "annotations": []}},
            {"type": "text", "text": {"value": "a", "annotations": [{}]}},
            {"type": "text", "text": {"value": 5, "annotations": []}},
        ]
    ),
)
RICH = st.builds(
    lambda number, created_at, content, fields: (
        message("thread_a", number, created_at=created_at, content=content) | fields
    ),
    st.integers(0, 9),
    st.sampled_from([EXISTS_SINCE - 1, EXISTS_SINCE, NOW]),
    st.lists(_PARTS, max_size=3),
    st.sampled_from(
        [
            {},
            {"role": "system"},
            {"created_at": 1_774_963_800.0},
            {"attachments": [{"file_id": "file-1", "tools": [{"type": "file_search"}]}]},
            {"metadata": {"a": "b"}},
            {"metadata": None},
            {"attachments": None, "file_ids": []},
        ]
    ),
)
VALUES = st.sampled_from(
    [None, True, 0, 1, 1.0, "", " ", "user", "thread_a", [], {}, 2**70, {"value": "x"}, ["thread_a"]]
)


def summary_of(line: bytes, assistant_id: object = ASSISTANT, *, flat: bool = False) -> LineSummary | None:
    """The summary of one line, without its newline."""
    (summary,) = summaries(line + b"\n", is_flat=flat, assistant_id=assistant_id, now=NOW, saved=SAVED)
    return summary


Edit = Callable[[bytes, random.Random, Any], bytes]


def _byte(line: bytes, draw: random.Random, _value: object) -> bytes:
    place = draw.randrange(len(line))
    return line[:place] + bytes([draw.randrange(256)]) * draw.randrange(3) + line[place + 1 :]


def _blank(line: bytes, draw: random.Random, _value: object) -> bytes:
    places = [place for place, byte in enumerate(line) if byte in b',:{}[]"']
    place = draw.choice(places)
    return line[:place] + draw.choice([b" ", b"\t", b"\r", b"\xef\xbb\xbf"]) + line[place:]


def _objects(value: Any) -> list[dict[str, Any]]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict) else []
    return own + [found for one in inner for found in _objects(one)]


def _of_value(change: Callable[[dict[str, Any], random.Random, Any], None]) -> Edit:
    def edit(line: bytes, draw: random.Random, value: object) -> bytes:
        try:
            row = loads(line)
        except ValueError:
            return line
        owners = [one for one in _objects(row) if one]
        if owners:
            change(draw.choice(owners), draw, value)
        return dumps(row)

    return edit


def _changed(row: dict[str, Any], draw: random.Random, value: object) -> None:
    row[draw.choice(list(row))] = value


def _lost(row: dict[str, Any], draw: random.Random, _value: object) -> None:
    del row[draw.choice(list(row))]


def _added(row: dict[str, Any], _draw: random.Random, value: object) -> None:
    row["message" if value is None else "more"] = value


def _reordered(row: dict[str, Any], draw: random.Random, _value: object) -> None:
    pairs = list(row.items())
    draw.shuffle(pairs)
    row.clear()
    row.update(pairs)


def _doubled(line: bytes, draw: random.Random, _value: object) -> bytes:
    place = draw.choice([place for place, byte in enumerate(line) if byte == ord("{")] or [0])
    return line[: place + 1] + draw.choice([b'"role":"user",', b'"id":1,', b'"text" :{},']) + line[place + 1 :]


def _escaped(line: bytes, draw: random.Random, _value: object) -> bytes:
    letter = draw.choice(b"aehtr_")
    return line.replace(bytes([letter]), b"\\u%04x" % letter, 1)


EDITS: list[Edit] = [
    _byte,
    _blank,
    _doubled,
    _escaped,
    *map(_of_value, [_changed, _lost, _added, _reordered]),
    lambda line, draw, _value: line + draw.choice([b" ", b"\r"]),
]


@given(
    st.one_of(PLAIN, RICH, strategies.messages(long_texts=False), strategies.odd_messages()),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(EDITS), VALUES), max_size=2),
    st.sampled_from([ASSISTANT, None, ""]),
    st.randoms(use_true_random=False),
)
def test_the_quick_check_agrees_with_the_thorough_one(
    raw: dict[str, Any],
    flat: bool,
    edits: list[tuple[Edit, Any]],
    assistant_id: str | None,
    draw: random.Random,
) -> None:
    """On lines as the exporter writes them, and on lines that nearly are: the same ids, time and notes."""
    line = encode_message(raw, assistant_id=assistant_id, flat=flat)
    for edit, value in edits:
        line = edit(line, draw, value).replace(b"\n", b" ")
    read = check_line(line, 2, now=NOW, saved=SAVED)
    for form in (False, True):
        summary = summary_of(line, assistant_id, flat=form)
        if summary is not None:
            assert summary[3:5] == (assistant_id, form)
            assert (*summary[:5], list(summary[5])) == read


@given(st.lists(st.one_of(PLAIN, RICH, strategies.odd_messages()), max_size=5), st.booleans())
def test_lines_together_are_as_each_by_itself(rows: list[dict[str, Any]], flat: bool) -> None:
    """Whether all of them are plain or not."""
    written = [encode_message(row, assistant_id=ASSISTANT, flat=flat) for row in rows]
    content = b"".join(line + b"\n" for line in written)
    together = summaries(content, is_flat=flat, assistant_id=ASSISTANT, now=NOW, saved=SAVED) if rows else ()
    assert list(together) == [summary_of(line, flat=flat) for line in written]


@given(st.one_of(PLAIN, RICH))
def test_the_quick_check_is_enough_for_lines_without_a_fault(raw: dict[str, Any]) -> None:
    """Or with images that were not downloaded. Half a pair alone goes the slow way."""
    line = encode_message(raw, assistant_id=ASSISTANT)
    assume(b"\\ud" not in line)
    is_quick = {one.code for one in check_line(line, 2, now=NOW, saved=SAVED)[-1]} <= {"image_not_downloaded"}
    assert summary_of(line) is not None or not is_quick


@pytest.mark.parametrize("assistant_id", [ASSISTANT, None])
@pytest.mark.parametrize("flat", [True, False])
def test_an_ordinary_line_passes(flat: bool, assistant_id: str | None) -> None:
    """As the exporter writes it, and of that assistant and form only."""
    line = encode_message(message("thread_a", 1), assistant_id=assistant_id, flat=flat)
    expected = ("thread_a", "msg_thread_a_00001", 1_774_963_800, assistant_id, flat, ())
    assert summary_of(line, assistant_id, flat=flat) == expected
    assert summary_of(line, assistant_id, flat=not flat) is None
    assert summary_of(line, "asst_other", flat=flat) is None
    assert summary_of(line, NO_ID, flat=flat) is None


def test_unknown_keys_are_found_in_the_order_of_the_line() -> None:
    """Whatever the hashes of this run."""
    value = json.loads(encode_message(message("thread_a", 1), assistant_id=ASSISTANT))
    keys = [f"key{number}" for number in range(20)]
    *_, faults = check_line(dumps(value | dict.fromkeys(keys)), 2, now=NOW, saved=SAVED)
    assert [one.path for one in faults] == [f"$.{key}" for key in keys]


@pytest.mark.parametrize(
    ("line", "number", "codes"),
    [
        (b"\xef\xbb\xbf", 1, ["byte_order_mark", "blank_line"]),
        (b"\xef\xbb\xbf{}\r", 1, ["byte_order_mark", "crlf", *["missing_key"] * 6, "odd_timestamp"]),
        (b"\xef\xbb\xbf{}", 2, ["malformed_line"]),
        (b" \t", 3, ["blank_line"]),
        (b"\r", 3, ["crlf", "blank_line"]),
        (b"[1]", 3, ["not_an_object"]),
        (b"[NaN]", 3, ["not_finite", "not_an_object"]),
    ],
)
def test_one_trouble_does_not_hide_the_next(line: bytes, number: int, codes: list[str]) -> None:
    """Bytes, JSON and keys are each looked at, as far as there is anything to look at."""
    *_, faults = check_line(line, number, now=NOW, saved=SAVED)
    assert [one.code for one in faults] == codes


@pytest.mark.parametrize("depth", [200, 990, 5000])
@pytest.mark.parametrize("key", ["content", "metadata", "attachments"])
def test_no_depth_is_too_deep_to_be_told_of(depth: int, key: str) -> None:
    """Whatever of the quick ways gives up on it."""
    line = encode_message(message("thread_a", 1), assistant_id=ASSISTANT)
    place = line.index(b'"%s":' % key.encode()) + len(key) + 3
    for opened, closed in ((b'[{"a":', b"}]"), (b'{"a":', b"}"), (b"[", b"]")):
        deep = line[:place] + opened * depth + b"1" + closed * depth + b',"more":' + line[place:]
        assert summary_of(deep) is None or depth < 5000  # of 990 levels, Python 3.11 gives up
        check_line(deep, 2, now=NOW, saved=SAVED)


def test_a_flat_line_without_text_says_what_it_can() -> None:
    """That the message is empty cannot be known."""
    line = encode_message(message("thread_a", 1, content=[]), assistant_id=ASSISTANT, flat=True)
    *_, (fault,) = check_line(line, 1, now=NOW, saved=SAVED)
    assert (fault.code, fault.path) == ("empty_message", "$.text")
    assert "does not carry" in fault.what


# --- notes about the content of a message


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


@pytest.mark.parametrize(
    ("value", "annotations", "outside"),
    [
        ("\U0001f32e" * 3, [cited(0, 3)], []),  # neither bytes nor UTF-16 units are counted
        ("\U0001f32e" * 3, [cited(0, 4), cited(2, 3), cited(4, 4)], [0, 2]),
        ("Hello", [{"end_index": 6}], [0]),  # the other offset may be missing
        ("Hello", [None, "x", 5, {"start_index": None}, {"start_index": "9"}, cited(True, 1.5), []], []),
    ],
)
def test_annotations_outside_their_text(value: str, annotations: list[object], outside: list[int]) -> None:
    """One that lacks offsets, or has something else there, points nowhere."""
    path = "$.message.content[0].text.annotations"
    assert found(text(value, *annotations)) == [("annotation_outside_text", f"{path}[{place}]") for place in outside]


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
    "content", [{"a": 1}, 5, [text("x"), text("")], [{"type": "refusal", "refusal": ""}], [None], [text(5)]]
)
def test_a_message_that_says_anything_is_not_empty(content: object) -> None:
    """Content of another shape than promised is content: it was called blank once."""
    assert [note.code for note in about({"content": content}, frozenset())] == []


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ("words", "$.message.content"),
        ([text("x"), {"type": "text", "text": "words"}], "$.message.content[1].text"),
        ([{"type": "output_text", "text": "words"}], "$.message.content[0].text"),
    ],
)
def test_a_text_of_another_shape_is_noted(content: object, path: str) -> None:
    """Its words are in the line's text."""
    assert [(note.code, note.path) for note in about({"content": content}, frozenset())] == [
        ("text_of_another_shape", path)
    ]


@pytest.mark.parametrize(
    ("created_at", "is_odd"),
    [(EXISTS_SINCE, False), (EXISTS_SINCE - 1, True), (2_000_000_000, False), (2_000_000_001, True), (None, True),
     ("x", True), (True, True), (1.5, True), (-1, True), (2**80, True)],
)  # fmt: skip
def test_a_time_is_between_the_beginning_and_now(created_at: object, is_odd: bool) -> None:
    """Anything else is odd."""
    assert is_odd_time(created_at, 2_000_000_000) is is_odd
