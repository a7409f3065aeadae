"""The items of a chat history: JSON objects of any shape, kept exactly as they are."""

import math
import re
from collections.abc import Iterable
from typing import Any

from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.serialization.own_stack import NestedTooDeeply, with_room

__all__ = [
    "Item",
    "checked",
    "decode_item",
    "encodable",
    "encode_item",
    "named_type",
    "not_a_dict",
    "without_surrogates",
]

Item = dict[str, Any]

_NESTED = {dict, list, tuple}
_PLAIN = {bool, int, float, type(None)}
# Every reader and writer of JSON that is used here can do more, on a stack of its own.
_MOST_LEVELS = 500
# JSON would read the two as one character.
_SURROGATE_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def checked(items: Iterable[Any]) -> list[Item]:
    """Return the items as a list if JSON can keep every one of them exactly.

    Raises:
        TypeError: an item is no dict, or holds something that is not JSON. The message says where.
        ValueError: a number or a string that JSON cannot hold, or more than 500 levels.
    """
    if items is None or isinstance(items, dict | str | bytes):
        raise TypeError(f"a list of items is needed, not {named_type(items)}")
    found = list(items)
    for number, item in enumerate(found):
        if not isinstance(item, dict):
            raise not_a_dict(number, item)
    with_room(lambda: _check_all(found))
    return found


def not_a_dict(number: int, item: object) -> TypeError:
    """Return the error about an item that is no dict, as an object of the SDK."""
    return TypeError(f"item {number} is {named_type(item)}, not a dict.{_dump_hint(item)}")


def encode_item(item: Item) -> bytes:
    """Write a `checked` item as compact JSON in UTF-8, on one line."""
    return dumps(item)


def decode_item(text: bytes) -> Item:
    """Read an item.

    Raises:
        ValueError: the text is not a JSON object.
    """
    item = loads(text)
    if not isinstance(item, dict):
        raise ValueError(f"not an object, but {_json_type(item)}")
    return item


def encodable(value: Any) -> Any:
    """Return what JSON can hold with U+FFFD for each lone surrogate, so that UTF-8 can carry it."""
    if isinstance(value, str):
        return without_surrogates(value)
    if isinstance(value, dict):
        return {encodable(key): encodable(inner) for key, inner in value.items()}
    return [encodable(inner) for inner in value] if isinstance(value, list | tuple) else value


def without_surrogates(text: str) -> str:
    """Return the text as UTF-8 can hold it, with U+FFFD for each lone surrogate."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _check_all(items: list[Item]) -> None:
    for number, item in enumerate(items):
        try:
            _check(item, f"item {number}", _MOST_LEVELS)
        except NestedTooDeeply:
            raise ValueError(f"item {number} is nested too deeply: it has more than {_MOST_LEVELS} levels") from None


def _check(value: Any, place: str, levels: int) -> None:
    kind = type(value)
    if kind in _NESTED and not levels:
        raise NestedTooDeeply
    if kind is str:
        _check_text(value, place)
    elif kind is dict:
        for key, inner in value.items():
            if type(key) is not str:
                raise TypeError(f"{place} has the key {key!r}; keys are strings in JSON")
            _check_text(key, place)
            _check(inner, f"{place}.{key}", levels - 1)
    elif kind is list or kind is tuple:
        for number, inner in enumerate(value):
            _check(inner, f"{place}[{number}]", levels - 1)
    elif kind is float and not math.isfinite(value):
        raise ValueError(f"{place} is {value}, which is not JSON")
    elif kind not in _PLAIN:
        raise TypeError(f"{place} is {named_type(value)}, which is not JSON.{_dump_hint(value)}")


def named_type(value: object) -> str:
    """Return the name of the type of a value with its article."""
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIO" else f"a {name}"


def _check_text(text: str, place: str) -> None:
    if _SURROGATE_PAIR.search(text):
        raise ValueError(f"{place} holds two surrogates in a row, which JSON reads as one character")


def _dump_hint(value: object) -> str:
    return " Use its model_dump(exclude_none=True)." if hasattr(value, "model_dump") else ""


def _json_type(value: object) -> str:
    return {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
