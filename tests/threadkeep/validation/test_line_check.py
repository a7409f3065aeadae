"""One line by itself: the glance lets pass what the look has nothing to say of, and nothing else."""

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import strategies
import threadkeep.validation.line_check as lines
from canned_threads import message
from threadkeep.records.ndjson import encode_message
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.validation.content_check import EXISTS_SINCE
from threadkeep.validation.fast_line_check import fast_check_flat, fast_check_full
from threadkeep.validation.line_check import NOWHERE, check_line

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
    st.just({"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}),
    st.just({"type": "refusal", "refusal": "no"}),
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
            {"attachments": [{"file_id": "file-1", "tools": [{"type": "file_search"}]}]},
            {"metadata": {"a": "b"}},
            {"metadata": None},
            {"file_ids": []},
        ]
    ),
)
VALUES = st.sampled_from(
    [None, True, 0, 1, 1.0, "", " ", "user", "thread_a", [], {}, 2**70, {"value": "x"}, ["thread_a"]]
)


def text_part(value: str) -> dict[str, Any]:
    """A part of this text."""
    return {"type": "text", "text": {"value": value, "annotations": []}}


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
        return dumps(row) + b"\n"

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
    lambda line, draw, _value: line.removesuffix(b"\n") + draw.choice([b"", b" ", b"\r"]),
    lambda line, _draw, _value: line.removesuffix(b"\n") + b"\r\n",
]


@given(
    st.one_of(PLAIN, RICH, strategies.messages(long_texts=False), strategies.odd_messages()),
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(EDITS), VALUES), max_size=2),
    st.sampled_from([ASSISTANT, None, ""]),
    st.randoms(use_true_random=False),
)
def test_what_the_glance_lets_pass_the_look_has_nothing_to_say_of(
    raw: dict[str, Any],
    flat: bool,
    edits: list[tuple[Edit, Any]],
    assistant_id: str | None,
    draw: random.Random,
) -> None:
    """Of lines as the exporter writes them, and of lines that nearly are; both read the same ids and time."""
    line = encode_message(raw, assistant_id=assistant_id or ASSISTANT, flat=flat) + b"\n"
    if assistant_id is None:
        line = line.replace(b'"assistant_id":"asst_1"', b'"assistant_id":null', 1)
    for edit, value in edits:
        line = edit(line, draw, value)
    row, faults = check_line(line, 2, now=NOW, saved=SAVED)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "as_exported", lambda _line: None)
        assert check_line(line, 2, now=NOW, saved=SAVED) == (row, faults)  # its own short cut says the same
    for glance in (fast_check_full, fast_check_flat):
        summary = glance(line, assistant_id, NOW, SAVED, bytearray())
        if summary is not None:
            assert faults == []
            assert (row[0], row[2], row[3]) == summary
            assert row[1] == assistant_id
            assert row[4] is (glance is fast_check_flat)


@given(st.one_of(PLAIN, RICH))
def test_what_the_look_has_nothing_to_say_of_the_glance_lets_pass(raw: dict[str, Any]) -> None:
    """Else the glance would be right and worth nothing. Half a pair alone goes the slow way."""
    line = encode_message(raw, assistant_id=ASSISTANT) + b"\n"
    assume(b"\\ud" not in line)
    _, faults = check_line(line, 2, now=NOW, saved=SAVED)
    assert (fast_check_full(line, ASSISTANT, NOW, SAVED, bytearray()) is None) is bool(faults)


@pytest.mark.parametrize("flat", [True, False])
def test_an_ordinary_line_is_let_pass(flat: bool) -> None:
    """As the exporter writes it, and of that assistant and form only."""
    line = encode_message(message("thread_a", 1), assistant_id=ASSISTANT, flat=flat) + b"\n"
    glance, other = (fast_check_flat, fast_check_full) if flat else (fast_check_full, fast_check_flat)
    assert glance(line, ASSISTANT, NOW, SAVED, bytearray()) == ("thread_a", "msg_thread_a_00001", 1_774_963_800)
    assert other(line, ASSISTANT, NOW, SAVED, bytearray()) is None
    assert glance(line, "asst_other", NOW, SAVED, bytearray()) is None


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("assistant_id", [None, ""])
def test_a_line_without_assistant_is_never_let_pass(flat: bool, assistant_id: str | None) -> None:
    """Also where none is known yet: its first line was taken for whole once."""
    value = json.loads(encode_message(message("thread_a", 1), assistant_id=ASSISTANT, flat=flat))
    line = dumps({**value, "assistant_id": assistant_id}) + b"\n"
    assert (fast_check_flat if flat else fast_check_full)(line, assistant_id, NOW, SAVED, bytearray()) is None
    _, faults = check_line(line, 1, now=NOW, saved=SAVED)
    assert [(one.code, one.path) for one in faults] == [("wrong_type", "$.assistant_id")]


def test_unknown_keys_are_told_in_the_order_of_the_line() -> None:
    """Whatever the hashes of this run."""
    value = json.loads(encode_message(message("thread_a", 1), assistant_id=ASSISTANT))
    keys = [f"key{number}" for number in range(20)]
    _, faults = check_line(dumps(value | dict.fromkeys(keys)) + b"\n", 2, now=NOW, saved=SAVED)
    assert [one.path for one in faults] == [f"$.{key}" for key in keys]


@pytest.mark.parametrize(
    ("line", "number", "codes"),
    [
        (b"\xef\xbb\xbf\n", 1, ["byte_order_mark", "blank_line"]),
        (b"\xef\xbb\xbf{}\r\n", 1, ["byte_order_mark", "crlf", *["missing_key"] * 6, "odd_timestamp"]),
        (b"\xef\xbb\xbf{}\n", 2, ["malformed_line"]),
        (b" \t\n", 3, ["blank_line"]),
        (b"\r\n", 3, ["crlf", "blank_line"]),
        (b"[1]\n", 3, ["not_an_object"]),
        (b"[NaN]\n", 3, ["not_finite", "not_an_object"]),
    ],
)
def test_one_trouble_does_not_hide_the_next(line: bytes, number: int, codes: list[str]) -> None:
    """Bytes, JSON and keys are each looked at, as far as there is anything to look at."""
    row, faults = check_line(line, number, now=NOW, saved=SAVED)
    assert [one.code for one in faults] == codes
    assert (row == NOWHERE) is ("odd_timestamp" not in codes)


@pytest.mark.parametrize("depth", [200, 990, 5000])
@pytest.mark.parametrize("key", ["content", "metadata", "attachments"])
def test_no_depth_is_too_deep_to_be_told_of(depth: int, key: str) -> None:
    """Whatever of the quick ways gives up on it."""
    line = encode_message(message("thread_a", 1), assistant_id=ASSISTANT)
    place = line.index(b'"%s":' % key.encode()) + len(key) + 3
    for opened, closed in ((b'[{"a":', b"}]"), (b'{"a":', b"}"), (b"[", b"]")):
        deep = line[:place] + opened * depth + b"1" + closed * depth + b',"more":' + line[place:] + b"\n"
        assert fast_check_full(deep, ASSISTANT, NOW, SAVED, bytearray()) is None or depth == 200
        check_line(deep, 2, now=NOW, saved=SAVED)


def test_a_flat_line_without_text_says_what_it_can() -> None:
    """That the message is empty cannot be known."""
    line = encode_message(message("thread_a", 1, content=[]), assistant_id=ASSISTANT, flat=True) + b"\n"
    _, (fault,) = check_line(line, 1, now=NOW, saved=SAVED)
    assert (fault.code, fault.path) == ("empty_message", "$.text")
    assert "does not carry" in fault.what


def _cited(value: str, marker: str, end: int = 1) -> dict[str, Any]:
    kind = "file_citation"
    one = {"type": kind, "text": marker, "start_index": 0, "end_index": end, kind: {"file_id": "file-1", "quote": ""}}
    return {"type": "text", "text": {"value": value, "annotations": [one]}}


ORDINARY: dict[str, dict[str, Any]] = {
    "two parts": {"content": [text_part("a"), text_part("")]},
    "a refusal": {"content": [{"type": "refusal", "refusal": "no"}]},
    "a marker that is resolved": {"content": [_cited("See 【1†a】.", "【1†a】")]},
    "an image that was saved": {"content": [{"type": "image_file", "image_file": {"file_id": "file-1"}}]},
    "an image from the web": {"content": [{"type": "image_url", "image_url": {"url": "x", "detail": "low"}}]},
    "a part of another kind": {"content": [{**text_part("a"), "type": "hologram"}]},
    "an annotation of another kind": {"content": [{"type": "text", "text": {"value": "a", "annotations": [{}]}}]},
    "a text that is none": {"content": [{"type": "text", "text": {"value": 5, "annotations": []}}]},
    "another role": {"role": "system"},
    "an attachment": {"attachments": [{"file_id": "file-1", "tools": [{"type": "file_search"}]}]},
    "the shape of old": {"attachments": None, "file_ids": []},
    "a time that is a double": {"created_at": 1_774_963_800.0},
}


@pytest.mark.parametrize("fields", ORDINARY.values(), ids=ORDINARY.keys())
def test_what_the_api_gives_is_let_pass(fields: dict[str, Any]) -> None:
    """Of whatever parts, and from servers with other keys."""
    line = encode_message(message("thread_a", 1, **fields), assistant_id=ASSISTANT) + b"\n"
    assert fast_check_full(line, ASSISTANT, NOW, SAVED, bytearray()) == (
        "thread_a",
        "msg_thread_a_00001",
        1_774_963_800,
    )
    assert check_line(line, 2, now=NOW, saved=SAVED)[1] == []
    for content in (line[:-1] + b" ", line[:-1] + b"\r", line[:-1], line + b"\n"):
        assert fast_check_full(content, ASSISTANT, NOW, SAVED, bytearray()) is None


WANTED: dict[str, dict[str, Any]] = {
    "no text": {"content": [text_part("")]},
    "blanks": {"content": [text_part(" \n")]},
    "two parts of blanks": {"content": [text_part(" "), text_part("")]},
    "a marker": {"content": [text_part("See 【1†a】.")]},
    "a marker that is not resolved": {"content": [_cited("See 【1†a】.", "【2†a】")]},
    "an annotation outside": {"content": [_cited("a", "【2†a】", end=2)]},
    "a link into the sandbox": {"content": [text_part("[a](sandbox:/mnt/data/a)")]},
    "no part": {"content": []},
    "an image that was not saved": {"content": [{"type": "image_file", "image_file": {"file_id": "file-2"}}]},
    "an early time": {"created_at": EXISTS_SINCE - 1},
    "a late time": {"created_at": NOW + 1},
    "no time": {"created_at": None},
    "a number beyond": {"more": 2**64},
    "half a pair": {"metadata": {"a": "\ud800"}},
}


@pytest.mark.parametrize("fields", WANTED.values(), ids=WANTED.keys())
def test_what_wants_a_look_is_not_let_pass(fields: dict[str, Any]) -> None:
    """Though there may be nothing to say of it in the end."""
    line = encode_message(message("thread_a", 1, **fields), assistant_id=ASSISTANT) + b"\n"
    assert fast_check_full(line, ASSISTANT, NOW, SAVED, bytearray()) is None
    row, _ = check_line(line, 2, now=NOW, saved=SAVED)
    assert row[:3] == ("thread_a", ASSISTANT, "msg_thread_a_00001")
