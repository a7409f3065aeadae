"""The strict reader: the value that every reader reads, and the faults that they ignore, with their paths."""

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from threadkeep.serialization.json_diff import child_path
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.serialization.strict_json import loads_strict

BLANKS = st.text(st.sampled_from(" \t\n\r"), max_size=2)
KEYS = st.one_of(
    st.sampled_from(["a", "b", 'a":', 'q"', ":", '":"', "\\", '\\":', "", "a b", "é", "\ud800"]), st.text(max_size=3)
)


class Text:
    """JSON text that is written with its faults, as hypothesis draws them."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.faults: list[tuple[str, str]] = []

    def value(self, path: str, depth: int) -> str:
        """A value, with blanks round it."""
        kind = self._draw(
            st.sampled_from(["object", "list", "number", "string", "odd"] if depth else ["number", "string", "odd"])
        )
        written: str = getattr(self, f"_{kind}")(path, depth)
        return self._draw(BLANKS) + written + self._draw(BLANKS)

    def _object(self, path: str, depth: int) -> str:
        keys = self._draw(st.lists(KEYS, max_size=4))
        place = len(self.faults)
        inner = [
            self._key(key) + self._draw(BLANKS) + ":" + self.value(child_path(path, key), depth - 1) for key in keys
        ]
        self.faults[place:place] = [
            ("duplicate_key", child_path(path, key)) for key in dict.fromkeys(keys) if keys.count(key) > 1
        ]
        return "{" + ",".join(self._draw(BLANKS) + one for one in inner) + "}"

    def _key(self, key: str) -> str:
        written = json.dumps(key, ensure_ascii=self._draw(st.booleans()) or "\ud800" in key)
        way = self._draw(st.sampled_from(["as it is", "escaped"]))
        return written if way == "as it is" else '"' + "".join(map(_escaped, key)) + '"'

    def _list(self, path: str, depth: int) -> str:
        size = self._draw(st.integers(0, 3))
        return "[" + ",".join(self.value(f"{path}[{place}]", depth - 1) for place in range(size)) + "]"

    def _number(self, _path: str, _depth: int) -> str:
        return json.dumps(self._draw(st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))))

    def _string(self, _path: str, _depth: int) -> str:
        text = self._draw(st.one_of(KEYS, strategies.raw_text))
        return self._draw(st.sampled_from([json.dumps(text), '"' + "".join(map(_escaped, text)) + '"']))

    def _odd(self, path: str, _depth: int) -> str:
        written = self._draw(st.sampled_from(["null", "true", "NaN", "Infinity", "-Infinity", "1e400", "-1E999"]))
        if written not in ("null", "true"):
            self.faults.append(("not_finite", path))
        return written


def _escaped(letter: str) -> str:
    pair = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{pair[place : place + 2].hex()}" for place in range(0, len(pair), 2))


@st.composite
def faultd(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    """A text, and its faults in the order of the text."""
    text = Text(draw)
    return text.value("$", 3), text.faults


@given(faultd())
def test_every_fault_is_named_with_its_path(drawn: tuple[str, list[tuple[str, str]]]) -> None:
    """Whatever the keys, their escapes, the white space and the depth."""
    text, faults = drawn
    value, found = loads_strict(text.encode("utf-8", "surrogatepass"))
    assert sorted((one.code, one.path) for one in found) == sorted(faults)
    assert json.dumps(value) == json.dumps(json.loads(text))


@given(
    strategies.json_values,
    st.sampled_from([(",", ":"), (", ", ": "), (" , ", "\t: ")]),
    st.sampled_from([None, 0, 3]),
    st.booleans(),
)
def test_a_text_without_fault_has_none(
    value: Any, separators: tuple[str, str], indent: int | None, escaped: bool
) -> None:
    """In any form that it can be written in; and its value is what every reader reads."""
    text = json.dumps(value, separators=separators, indent=indent, ensure_ascii=escaped)
    written = text.encode("utf-8", "backslashreplace")
    read, faults = loads_strict(written)
    assert faults == ()
    assert json.dumps(read) == json.dumps(loads(written))


@given(strategies.json_values)
def test_what_orjson_reads_and_writes_is_read_alike(value: Any) -> None:
    """Values of the same types."""
    written = dumps(value)
    try:
        expected = orjson.loads(written)
    except orjson.JSONDecodeError:  # half a surrogate pair
        expected = json.loads(written)
    read, _ = loads_strict(written)
    if "e+" not in json.dumps(expected):  # an integer that orjson makes a double
        assert json.dumps(read) == json.dumps(expected)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (b'{"a" :1,"a":2}', "$.a"),
        (b'{"a\\u0022":1,"a\\"":2}', '$["a\\""]'),
        (b'{"x":"\\u003a","b":1,"b":2}', "$.b"),
        (b'{"\\u0061":{"b":"x\\":"},"a":"y"}', "$.a"),
        (b"[" * 300 + b'{"a":1,"a":2}' + b"]" * 300, "$" + "[0]" * 300 + ".a"),
        (b'{"a":{"b":1,"b":2},"c":[{"d":1}]}', "$.a.b"),
    ],
)
def test_a_duplicate_key_is_always_found(text: bytes, path: str) -> None:
    """A blank before the colon, an escape, a colon in a text, depth: each could have passed a quick look."""
    _, faults = loads_strict(text)
    assert [(one.code, one.path) for one in faults] == [("duplicate_key", path)]


def test_a_value_behind_a_duplicate_key_is_checked_too() -> None:
    """The value that no reader sees has its own fault; a key that occurs three times is one fault."""
    value, faults = loads_strict(b'{"a":{"b":NaN},"a":1,"a":2}')
    assert value == {"a": 2}
    assert [(one.code, one.path) for one in faults] == [("duplicate_key", "$.a"), ("not_finite", "$.a.b")]


@pytest.mark.parametrize("depth", [253, 254, 255, 256, 500, 700])
def test_deep_nesting_is_read(depth: int) -> None:
    """Some hundreds of levels are what the exporter keeps."""
    value, faults = loads_strict(b"[" * depth + b"1" + b"]" * depth)
    assert faults == ()
    for _ in range(depth):
        (value,) = value
    assert value == 1


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b'"\xff"', "not_utf8"),
        (b'"\xed\xa0\x80"', "not_utf8"),
        (b"", "malformed_line"),
        (b"{", "malformed_line"),
        (b"\xef\xbb\xbf1", "malformed_line"),
        (b"[" * 100_000, "malformed_line"),
        (b"9" * 5000, "malformed_line"),
        (b'{"a":1}x', "malformed_line"),
    ],
)
def test_what_is_not_json_is_one_fault(text: bytes, code: str) -> None:
    """There is no value then."""
    value, (fault,) = loads_strict(text)
    assert value is None
    assert (fault.code, fault.path) == (code, "$")


def test_an_infinity_stays_one() -> None:
    """The value is what readers make of it."""
    value, _ = loads_strict(b"[1e400]")
    assert math.isinf(value[0])
