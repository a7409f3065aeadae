"""Read and write JSON without loss: number types, key order, big integers and lone surrogates are preserved.

orjson is used wherever it is lossless. The standard library is used where it is not (each case was tried):

- orjson reads integers beyond 64 bits as floats, so text with a long run of digits goes to the standard library;
- it refuses lone surrogate escapes, in reading and in writing;
- it refuses to write integers beyond 64 bits and nesting beyond 254 levels.

The standard library is used strictly: no NaN or Infinity, no number that overflows to infinity, and no
surrogates as raw bytes. Text that could be read but not written back is refused when it is read.
"""

import json
import math
from collections.abc import Sequence
from typing import Any, NoReturn

import orjson

Obj = dict[str, Any]
"""A JSON object."""

# The standard library's writer uses one stack frame for each level, and Python allows about a thousand.
MAX_LEVELS = 500

# The deepest nesting of an object in a database: the state or page that contains it adds two levels.
OBJECT_LEVELS = MAX_LEVELS - 2

# The line separator of stored texts: a newline, and the indentation of the items of a list page.
STORED_NEWLINE = b"\n    "

# A number that does not fit 64 bits has 19 digits or more. To replace every digit by 0 and search for zeros is ten
# times faster than a regular expression, which would take longer than the parsing.
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19


class MalformedJson(ValueError):
    """The text is not JSON, or is nested too deep. The message has the position."""


def loads(text: bytes, *, levels: int = MAX_LEVELS) -> Any:
    """Read UTF-8 JSON text, nested at most `levels` deep. Raises MalformedJson."""
    value = _read(text)
    if text.count(b"[") + text.count(b"{") > levels and _is_deeper(value, levels):
        raise MalformedJson(f"nested more than {levels} levels deep")
    return value


def dumps(value: object) -> bytes:
    """Write a JSON value as the real API does: two-space indents, raw UTF-8, no trailing newline.

    A lone surrogate, which UTF-8 cannot carry, is written as its JSON escape. Raises TypeError or
    ValueError when the value is not JSON.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2)
    except orjson.JSONEncodeError:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "backslashreplace")


def dumps_to_keep(value: object) -> bytes:
    """Write a JSON value as a stored text: indented as an item of a list page, so that pages are joined unchanged.

    The replacement also copies: the buffer that orjson returns occupies several times its length in memory.
    """
    return dumps(value).replace(b"\n", STORED_NEWLINE)


def unindented(stored: bytes) -> bytes:
    """Return what `dumps` writes for the object of a stored text.

    Every raw newline is one between tokens: strings have theirs escaped.
    """
    return stored.replace(STORED_NEWLINE, b"\n")


def dumps_compact(value: object) -> bytes:
    """Write a JSON value on one line without blanks, raw UTF-8, as the real API does in streams. Raises as `dumps`."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "backslashreplace")


def array_of(stored: Sequence[bytes], head: bytes = b"", tail: bytes = b"") -> bytes:
    """Return what `dumps` writes for an array in an object, between the texts `head` and `tail`.

    `stored` are the stored texts of the items. The result is built with a single copy, since pages are large.
    """
    if not stored:
        return b"%b[]%b" % (head, tail)
    items = [*stored]
    items[0] = head + b"[" + STORED_NEWLINE + items[0]
    items[-1] += b"\n  ]" + tail
    return (b"," + STORED_NEWLINE).join(items)


def _read(text: bytes) -> Any:
    if _LONG_NUMBER not in text.translate(_DIGITS_TO_ZERO):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # the standard library reads what orjson refuses, or raises with a message
    try:
        return json.loads(text.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise MalformedJson("nested too deep to be read") from None
    except ValueError as error:
        raise MalformedJson(str(error)) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"number out of range: {text[:40]}")
    return number


def _is_deeper(value: object, levels: int) -> bool:
    """Return whether containers are nested more than `levels` deep. Within orjson's own limit the answer is quick."""
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return _depth(value) > levels
    return False


def _depth(value: object) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return depth
