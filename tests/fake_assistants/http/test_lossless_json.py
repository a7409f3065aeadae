"""JSON in and out loses nothing."""

import json
import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants.http.lossless_json import (
    MAX_LEVELS,
    MalformedJson,
    array_of,
    dumps,
    dumps_to_keep,
    loads,
    unindented,
)
from strategies import json_values


def exact(value: object) -> str:
    """A text that tells 1 from 1.0, 0.0 from -0.0, and one key order from another."""
    return repr(value)


@given(json_values)
def test_what_is_written_reads_back_exactly(value: object) -> None:
    """Types, signs, big integers, surrogates and key order survive."""
    assert exact(loads(dumps(value))) == exact(value)


@given(json_values)
def test_both_spellings_of_the_standard_library_read_the_same(value: object) -> None:
    """Escaped and raw text, compact and pretty, give one value."""
    for text in (json.dumps(value), json.dumps(value, indent=1)):
        assert exact(loads(text.encode())) == exact(value)


no_floats = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(no_floats)
def test_layout_is_the_real_one(value: object) -> None:
    """Two spaces, raw UTF-8, no newline at the end: byte for byte what the standard library indents."""
    assert dumps(value) == json.dumps(value, indent=2, ensure_ascii=False).encode()


@given(st.lists(no_floats, max_size=4))
def test_an_array_is_joined_from_kept_texts_as_if_it_were_written_whole(values: list[object]) -> None:
    """Newlines inside strings are escaped, so only the layout is moved."""
    kept = [dumps_to_keep(value) for value in values]
    assert b'{\n  "x": %b\n}' % array_of(kept) == dumps({"x": values})
    assert [unindented(text) for text in kept] == [dumps(value) for value in values]


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "1" * 400])
def test_integers_beyond_64_bits_stay_integers(number: str) -> None:
    """orjson unindented would make floats of them."""
    assert dumps(loads(number.encode())).decode() == number


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"NaN",
        b"-Infinity",
        b"1e400",
        b"[1,]",
        b"\xef\xbb\xbf{}",
        b'"\xed\xa0\x80"',
        b'"\xff"',
        b"9" * 5000,
        b"[" * 100_000,
        b"[" * 2000 + b"1" * 20 + b"]" * 2000,
        b"[" * (MAX_LEVELS + 1) + b"]" * (MAX_LEVELS + 1),
        b'{"a":' * (MAX_LEVELS + 1) + b"1" + b"}" * (MAX_LEVELS + 1),
    ],
    ids=lambda text: text[:12].decode("latin-1"),
)
def test_what_is_not_json_is_refused(text: bytes) -> None:
    """Never another exception, however it is broken."""
    with pytest.raises(MalformedJson):
        loads(text)


def test_the_deepest_value_that_is_read_can_be_written() -> None:
    """Refused at the door, or served; nothing in between."""
    text = b"[" * MAX_LEVELS + b"]" * MAX_LEVELS
    assert loads(dumps(loads(text))) == loads(text)
    assert loads(b"[" + b"[],[]," * MAX_LEVELS + b"1]")[-1] == 1


def test_a_long_fraction_is_the_same_float_on_both_paths() -> None:
    """Many digits take the slow path and give what the fast one gives."""
    assert loads(b"0.1234567890123456789012345") == 0.1234567890123456789012345
    assert loads(b"1234567890123456789.5e-3") == 1234567890123456789.5e-3


def test_what_is_no_json_value_is_not_written() -> None:
    """Integers for keys are refused by name, infinity is no number."""
    with pytest.raises(TypeError):
        dumps(object())
    assert loads(dumps(sys.maxsize)) == sys.maxsize
    assert math.copysign(1, loads(b"-0.0")) == -1
