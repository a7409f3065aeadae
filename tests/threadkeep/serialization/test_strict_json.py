"""The strict reader: what every reader reads, and what they pass over in silence, with its place."""

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from threadkeep.serialization.json_diff import below
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.serialization.strict_json import strict

BLANKS = st.text(st.sampled_from(" \t\n\r"), max_size=2)
KEYS = st.one_of(
    st.sampled_from(["a", "b", 'a":', 'q"', ":", '":"', "\\", '\\":', "", "a b", "é", "\ud800"]), st.text(max_size=3)
)


class Text:
    """JSON text that is written with its troubles, as hypothesis draws them."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.troubles: list[tuple[str, str]] = []

    def value(self, path: str, depth: int) -> str:
        """A value, with blanks round it."""
        kind = self._draw(
            st.sampled_from(["object", "list", "number", "string", "odd"] if depth else ["number", "string", "odd"])
        )
        written: str = getattr(self, f"_{kind}")(path, depth)
        return self._draw(BLANKS) + written + self._draw(BLANKS)

    def _object(self, path: str, depth: int) -> str:
        keys = self._draw(st.lists(KEYS, max_size=4))
        place = len(self.troubles)
        inner = [self._key(key) + self._draw(BLANKS) + ":" + self.value(below(path, key), depth - 1) for key in keys]
        self.troubles[place:place] = [
            ("duplicate_key", below(path, key)) for key in dict.fromkeys(keys) if keys.count(key) > 1
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
            self.troubles.append(("not_finite", path))
        return written


def _escaped(letter: str) -> str:
    pair = letter.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{pair[place : place + 2].hex()}" for place in range(0, len(pair), 2))


@st.composite
def troubled(draw: st.DrawFn) -> tuple[str, list[tuple[str, str]]]:
    """A text, and its troubles in the order of the text."""
    text = Text(draw)
    return text.value("$", 3), text.troubles


@given(troubled())
def test_every_trouble_is_told_at_its_path(drawn: tuple[str, list[tuple[str, str]]]) -> None:
    """Whatever stands in keys, however they are escaped, whatever blanks stand between, however deep."""
    text, troubles = drawn
    value, found = strict(text.encode("utf-8", "surrogatepass"))
    assert sorted((one.code, one.path) for one in found) == sorted(troubles)
    assert dumps_of(value) == dumps_of(json.loads(text))


def dumps_of(value: Any) -> str:
    """A text that tells 1 from 1.0 and NaN from nothing."""
    return json.dumps(value)


@given(
    strategies.json_values,
    st.sampled_from([(",", ":"), (", ", ": "), (" , ", "\t: ")]),
    st.sampled_from([None, 0, 3]),
    st.booleans(),
)
def test_a_text_without_trouble_has_none(
    value: Any, separators: tuple[str, str], indent: int | None, escaped: bool
) -> None:
    """In any form that it can be written in; and its value is what every reader reads."""
    text = json.dumps(value, separators=separators, indent=indent, ensure_ascii=escaped)
    written = text.encode("utf-8", "backslashreplace")
    read, troubles = strict(written)
    assert troubles == ()
    assert dumps_of(read) == dumps_of(loads(written))


@given(strategies.json_values)
def test_what_orjson_reads_and_writes_is_read_alike(value: Any) -> None:
    """Values of the same types."""
    written = dumps(value)
    try:
        expected = orjson.loads(written)
    except orjson.JSONDecodeError:  # half a surrogate pair
        expected = json.loads(written)
    read, _ = strict(written)
    if "e+" not in json.dumps(expected):  # an integer that orjson makes a double
        assert dumps_of(read) == dumps_of(expected)


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
def test_a_key_that_stands_twice_hides_behind_nothing(text: bytes, path: str) -> None:
    """A blank before the colon, an escape, a colon in a text, depth: each could have passed a quick look."""
    _, troubles = strict(text)
    assert [(one.code, one.path) for one in troubles] == [("duplicate_key", path)]


def test_what_a_doubled_key_hides_is_told_too() -> None:
    """The value that no reader sees has its own trouble; a key that stands thrice is one trouble."""
    value, troubles = strict(b'{"a":{"b":NaN},"a":1,"a":2}')
    assert value == {"a": 2}
    assert [(one.code, one.path) for one in troubles] == [("duplicate_key", "$.a"), ("not_finite", "$.a.b")]


@pytest.mark.parametrize("depth", [253, 254, 255, 256, 500, 700])
def test_deep_nesting_is_read(depth: int) -> None:
    """Some hundreds of levels are what the exporter keeps."""
    value, troubles = strict(b"[" * depth + b"1" + b"]" * depth)
    assert troubles == ()
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
def test_what_is_no_json_is_told_once(text: bytes, code: str) -> None:
    """There is no value then."""
    value, (trouble,) = strict(text)
    assert value is None
    assert (trouble.code, trouble.path) == (code, "$")


def test_an_infinity_is_kept_as_one() -> None:
    """The value is what readers make of it."""
    value, _ = strict(b"[1e400]")
    assert math.isinf(value[0])
