"""JSON text in and out, without loss.

orjson does the work wherever it is faithful. Three things it is not faithful to go the slower way through the
standard library: integers beyond 64 bits (it reads them as floats, silently), lone surrogates (it refuses the
escape ``\\ud800``) and deep nesting. What no double can hold (1e400) is refused, never rounded to infinity.
"""

import json
import math
from typing import Any, NoReturn

import orjson

__all__ = ["dumps", "dumps_pretty", "loads", "may_hold_beyond_64_bits", "refuse_nan", "text_or_none"]

# 2**63 has 19 digits. The run may stand in a string: then the slow path is slower and just as right. Looking for
# it with all digits made one is ten times faster than a regular expression, which would cost as much as orjson.
_ONE_DIGIT = bytes.maketrans(b"123456789", b"000000000")
_MAYBE_BEYOND_64_BITS = b"0" * 19


def loads(text: bytes) -> Any:
    """Read one JSON value, keeping number types, key order and lone surrogates.

    Args:
        text: UTF-8. Where a key occurs twice in one object, the last one counts.

    Raises:
        ValueError: the bytes are not JSON, or hold a number or a depth that cannot be kept.
    """
    if not may_hold_beyond_64_bits(text):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # perhaps only a lone surrogate: the standard library decides
    try:
        return json.loads(text.decode("utf-8"), parse_float=_finite, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def may_hold_beyond_64_bits(text: bytes) -> bool:
    """Whether a JSON text has digits enough for an integer that orjson would turn into a float."""
    return _MAYBE_BEYOND_64_BITS in text.translate(_ONE_DIGIT)


def dumps(value: object) -> bytes:
    """Write one JSON value as compact UTF-8 on one line; lone surrogates stay JSON escapes.

    What `loads` gave holds no NaN and no infinity. For any other value see `refuse_nan` first: orjson would write
    them as null.

    Raises:
        ValueError: the value is nested too deeply, or holds something that is not JSON.
    """
    try:
        return orjson.dumps(value)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits, or more than 254 levels
        return _dumps_slowly(value, separators=(",", ":"))


def dumps_pretty(value: object) -> bytes:
    """Write one JSON value as UTF-8 for people, indented by two blanks and ended by a newline.

    Raises:
        ValueError: as for `dumps`.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return _dumps_slowly(value, indent=2) + b"\n"


def _dumps_slowly(value: object, **form: Any) -> bytes:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, **form)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except TypeError as error:
        raise ValueError(str(error)) from None
    # Only a lone surrogate cannot be encoded, and Python's backslash form of one is its JSON escape.
    return text.encode("utf-8", "backslashreplace")


def refuse_nan(value: object) -> None:
    """Look for NaN and infinities, which JSON cannot hold.

    Raises:
        ValueError: there is one, or the value is nested too deeply to look.
    """
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
        raise ValueError(f"the number {digits} is too large to be kept")
    return number


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def text_or_none(value: object) -> str | None:
    """The value itself where it is a string, else None."""
    return value if isinstance(value, str) else None
