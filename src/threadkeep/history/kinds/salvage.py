"""Find the undamaged items in what was a JSON array of items.

Objects that follow each other are a run. An object in which JSON breaks ends the run, and the search goes on where it
broke, or at an object that begins in one of its strings: a lost quote shifts what is a string. Behind something
damaged, a run is part of a damaged item, and not taken, if it is the value of a key, or if an object ends behind it.
"""

import json
import re

from threadkeep.history.items import Item, decode_item

__all__ = ["decoded", "salvage"]

_BETWEEN = " \t\r\n,"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.S)
_FOLLOWS_A_PART = re.compile(r"\s*(?:\}|\]\s*[},])")
_NOT_UTF_8 = re.compile("[\udc80-\udcff]")

_decoder = json.JSONDecoder()


def decoded(content: bytes) -> str:
    """Return the text of a damaged file. A byte that is not UTF-8 becomes a lone surrogate."""
    encoding = json.detect_encoding(content)
    return content.decode(encoding, "surrogateescape" if encoding.startswith("utf-8") else "replace")


def salvage(text: str) -> list[Item]:
    """Return the undamaged items of a damaged array, in their order."""
    items: list[Item] = []
    at = len(text) - len(text.lstrip("\ufeff \t\r\n"))
    at += text.startswith("[", at)
    is_sure = True  # nothing damaged lies between the last item and here
    while (start := text.find("{", at)) >= 0:
        is_sure = is_sure and not text[at:start].strip(_BETWEEN)
        spans, broken_at = _run(text, start)
        at = spans[-1][1] if spans else start
        is_value = text[max(0, start - 100) : start].rstrip().endswith(":")
        is_sure = is_sure or not (is_value or _FOLLOWS_A_PART.match(text, at))
        if is_sure:
            items += [item for start, end in spans if (item := _item(text[start:end])) is not None]
        if broken_at is not None:
            broken = text.index("{", at)
            at, is_sure = _first_in_strings(text, broken, broken_at), False
    return items


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
