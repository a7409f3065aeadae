"""Read and write JSON text without loss.

orjson does the work except in three cases, which go through the slower standard library: integers beyond 64 bits
(orjson silently reads them as floats), lone surrogates (it rejects the escape ``\\ud800``) and deep nesting. A number
that no double can hold (1e400) is rejected, never rounded to infinity.
"""

import json
import math
from typing import Any, NoReturn

import orjson

from threadkeep.serialization.own_stack import NestedTooDeeply, with_room

__all__ = ["NestedTooDeeply", "dumps", "dumps_pretty", "loads", "may_hold_beyond_64_bits", "refuse_nan", "text_or_none"]

_EQUAL_DIGITS = bytes.maketrans(b"123456789", b"000000000")


def loads(text: bytes) -> Any:
    """Read one JSON value. The types of numbers, the order of keys and lone surrogates are preserved.

    Args:
        text: UTF-8. If a key occurs twice in one object, the last one counts.

    Raises:
        ValueError: the bytes are not JSON, or hold a number or a depth that cannot be represented.
    """
    if not may_hold_beyond_64_bits(text):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # perhaps only because of a lone surrogate: the standard library decides
    decoded = text.decode("utf-8")
    return with_room(lambda: json.loads(decoded, parse_float=_finite, parse_constant=_refuse_constant))


def may_hold_beyond_64_bits(text: bytes) -> bool:
    """Return whether a JSON text has a run of digits that may be an integer beyond 64 bits: 2**63 has 19 digits.

    If the digits are in a string, the slow path is taken for nothing. With all digits made equal the search is ten
    times faster than by a regular expression, which would cost as much as orjson.
    """
    return b"0" * 19 in text.translate(_EQUAL_DIGITS)


def dumps(value: object) -> bytes:
    """Write one JSON value as compact UTF-8 on one line. Lone surrogates stay JSON escapes.

    A value that `loads` returned holds no NaN and no infinity. For any other value call `refuse_nan` first: orjson
    writes them as null.

    Raises:
        ValueError: the value is nested too deeply, or holds something that is not JSON.
    """
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits, or more than 254 levels
        return _dumps_slowly(value, separators=(",", ":"))


def dumps_pretty(value: object) -> bytes:
    """Write one JSON value as `dumps` does, but indented by two blanks and ended by a newline."""
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return _dumps_slowly(value, indent=2) + b"\n"


def _dumps_slowly(value: object, **layout: Any) -> bytes:
    try:
        text = with_room(lambda: json.dumps(value, ensure_ascii=False, allow_nan=False, **layout))
    except TypeError as error:
        raise ValueError(str(error)) from None
    # Only a lone surrogate cannot be encoded, and Python's backslash form of one is its JSON escape.
    return text.encode("utf-8", "backslashreplace")


def refuse_nan(value: object) -> None:
    """Raise ValueError if a value holds NaN or an infinity, which JSON has not, or is nested too deeply to check."""
    try:
        _refuse_nan(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_nan(value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not JSON")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _refuse_nan(inner)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"the number {digits} is too large")
    return number


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def text_or_none(value: object) -> str | None:
    """Return the value if it is a string, else None."""
    return value if isinstance(value, str) else None
