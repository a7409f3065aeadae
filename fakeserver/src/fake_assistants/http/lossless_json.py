"""JSON that loses nothing: number types, key order, big integers and lone surrogates survive.

orjson is the fast path. It is left where it would lose something (each case was tried):

- it reads integers beyond 64 bits as floats, so text with a long run of digits goes to the standard library;
- it refuses lone surrogate escapes, on the way in and on the way out;
- it refuses to write integers beyond 64 bits and nesting beyond 254 levels.

The standard library is kept strict: no NaN or Infinity, no number that overflows to infinity, and no
surrogates smuggled in as raw bytes. What could be read but not written back is refused at the door.
"""

import json
import math
from collections.abc import Sequence
from typing import Any, NoReturn

import orjson

Obj = dict[str, Any]
"""A JSON object."""

# The standard library's writer needs one frame a level, and Python has about a thousand.
MAX_LEVELS = 500

# How deep an object of a database may be: a state or a page that holds it is two levels more.
OBJECT_LEVELS = MAX_LEVELS - 2

# What stands between the lines of a text that is kept: a newline, and how far items of a list page are set in.
SET_IN = b"\n    "

# A number that does not fit 64 bits has 19 digits or more. Flattened digits are found ten times faster
# than by a regular expression, which would cost more than the reading itself.
_FLATTENED = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19


class MalformedJson(ValueError):
    """The text is not JSON, or is nested too deep. The message says where."""


def loads(text: bytes, *, levels: int = MAX_LEVELS) -> Any:
    """Read UTF-8 JSON text, nested at most `levels` deep. Raises MalformedJson."""
    value = _read(text)
    if text.count(b"[") + text.count(b"{") > levels and _deeper(value, levels):
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
    """`dumps`, set in as the items of a list page are, so that a page is joined without touching them.

    The copy has its own size: what orjson gives holds on to several times its length in memory.
    """
    return dumps(value).replace(b"\n", SET_IN)


def alone(kept: bytes) -> bytes:
    """What `dumps` writes for the object of a kept text. Only newlines between tokens are raw: strings escape them."""
    return kept.replace(SET_IN, b"\n")


def dumps_compact(value: object) -> bytes:
    """Write a JSON value on one line without blanks, raw UTF-8, as the real API does in streams. Raises as `dumps`."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "backslashreplace")


def array_of(kept: Sequence[bytes], head: bytes = b"", tail: bytes = b"") -> bytes:
    """What `dumps` writes for an array of the objects of kept texts, where it stands in an object, between two texts.

    Pages are large: each copy of one that is spared shows in the rate at which they are served.
    """
    if not kept:
        return b"%b[]%b" % (head, tail)
    items = [*kept]
    items[0] = head + b"[" + SET_IN + items[0]
    items[-1] += b"\n  ]" + tail
    return (b"," + SET_IN).join(items)


def _read(text: bytes) -> Any:
    if _LONG_NUMBER not in text.translate(_FLATTENED):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # the slow path reads what orjson refuses, or words the refusal
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


def _deeper(value: object, levels: int) -> bool:
    """Whether containers stand more than `levels` deep. orjson's own limit settles it quickly for most."""
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
