"""Find the undamaged items in what was a JSON array of items.

Objects that follow each other are a run. An object in which JSON breaks ends the run, and the search continues where it
broke, or at an object that begins in one of its strings: a lost quote shifts what is a string. Behind something
damaged, a run is part of a damaged item, and not taken, if it is the value of a key, if an object ends behind it, or if
keys follow it as they follow a value. Nor is a run of ``{}``, which may be a part of a string.
"""

import json
import re

from threadkeep.history.items import Item, decode_item
from threadkeep.serialization.own_stack import on_own_stack

__all__ = ["salvage", "salvage_bytes"]

_BETWEEN = " \t\r\n,"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.S)
_FOLLOWS_A_PART = re.compile(r"\s*(?:\}|\]\s*[},])")
# A colon behind something that is no key.
_NO_KEY = re.compile(r"(?:\A|[\[}])[\s,]*:\Z")
# A key whose colon is damaged, and the key behind its value.
_ENDS_A_KEY = re.compile(r'"\s*[^\s{}\[\]]{0,8}\Z')
_FOLLOWS_A_VALUE = re.compile(r'\s*,\s*"')
_NOT_UTF_8 = re.compile("[\udc80-\udcff]")

_decoder = json.JSONDecoder()


def salvage_bytes(content: bytes) -> list[Item]:
    """Return the undamaged items of a file. A byte that is not UTF-8 is damage, unless all is in another encoding."""
    found = salvage(content.decode("utf-8", "surrogateescape"))
    if not found and not (encoding := json.detect_encoding(content)).startswith("utf-8"):
        found = salvage(content.decode(encoding, "replace"))
    return found


def salvage(text: str) -> list[Item]:
    """Return the undamaged items of a damaged array, in their order."""
    return on_own_stack(lambda: _salvaged(text))


def _salvaged(text: str) -> list[Item]:
    items: list[Item] = []
    at = len(text) - len(text.lstrip("\ufeff \t\r\n"))
    at += text.startswith("[", at)
    is_sure = True  # nothing damaged lies between the last item and here
    while (start := text.find("{", at)) >= 0:
        is_sure = is_sure and not text[at:start].strip(_BETWEEN)
        spans, broken_at = _run(text, start)
        at = spans[-1][1] if spans else start
        is_sure = is_sure or not _is_part(text, start, at)
        if is_sure:
            items += [item for start, end in spans if (item := _item(text[start:end])) is not None]
        if broken_at is not None:
            broken = text.index("{", at)
            at, is_sure = _first_in_strings(text, broken, broken_at), False
    return items


def _is_part(text: str, start: int, end: int) -> bool:
    """Return whether a run behind something damaged may be a part of it."""
    before = text[max(0, start - 100) : start].rstrip()
    return (
        (before.endswith(":") and _NO_KEY.search(before) is None)
        or _FOLLOWS_A_PART.match(text, end) is not None
        or (_ENDS_A_KEY.search(before) is not None and _FOLLOWS_A_VALUE.match(text, end) is not None)
        or not text[start:end].strip("{} \t\r\n,")
    )


def _run(text: str, start: int) -> tuple[list[tuple[int, int]], int | None]:
    """Read objects that follow each other. Returns where they are, and where JSON broke in the one behind them."""
    spans: list[tuple[int, int]] = []
    at = start
    while text.startswith("{", at):
        _, end, broken_at = _read(text, at)
        if broken_at is not None:
            return spans, broken_at
        spans.append((at, end))
        at = end
        while at < len(text) and text[at] in _BETWEEN:
            at += 1
    return spans, None


def _read(text: str, start: int) -> tuple[object, int, int | None]:
    try:
        return *_decoder.raw_decode(text, start), None
    except json.JSONDecodeError as error:
        return None, start, max(error.pos, start + 1)
    except (ValueError, RecursionError):  # a number of too many digits, or too many levels
        return None, start, start + 1


def _first_in_strings(text: str, broken: int, broken_at: int) -> int:
    """Return where to search on: at an object that begins in a string of the broken one, or else where it broke."""
    for string in _STRING.finditer(text, broken, broken_at):
        at = string.start()
        while (at := text.find("{", at, string.end())) >= 0:
            if _read(text, at)[0]:
                return at
            at += 1
    return broken_at


def _item(text: str) -> Item | None:
    if _NOT_UTF_8.search(text):
        return None
    try:
        return decode_item(text.encode())
    except ValueError:
        return None
