"""What a server was found to say, and the expectations that cases hold against it.

A `Found` is a JSON value that knows which request brought it and where in the answer it stood, so that every
deviation can say both.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import attrs

Kind = TypeVar("Kind")

# Longer values are cut in the words of a deviation, in characters.
_SHOWN = 240


class Deviation(Exception):
    """The server does something else. `asked` is the request: "GET /v1/threads/thread_1"."""

    def __init__(self, asked: str, wanted: str, came: str) -> None:
        super().__init__(f"{asked}: expected {wanted}, got {came}")
        self.asked, self.wanted, self.came = asked, wanted, came


class NotApplicable(Exception):
    """The behaviour cannot be asked of this server. The message says why."""


class Unreachable(Exception):
    """No answer came: nobody listens, the connection broke, or it took too long. Raised by ports."""


def shown(value: object) -> str:
    """A value as it stands in words: on one line, cut where it is long."""
    if isinstance(value, bytes):
        text = " ".join(value.decode("utf-8", "replace").split())
    else:
        text = json.dumps(value, ensure_ascii=False)
    text = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


@attrs.frozen
class Found:
    """A JSON value of an answer. Every method but `deviates` raises Deviation when it is not what is wanted."""

    value: Any
    asked: str
    where: str = "$"

    def deviates(self, wanted: str) -> Deviation:
        """The deviation that says what was wanted here."""
        return Deviation(self.asked, f"{wanted} at {self.where}", shown(self.value))

    def __getitem__(self, name: str) -> "Found":
        """The value of a key of this object."""
        fields = self._a(dict, "an object")
        if name not in fields:
            raise self.deviates(f"the key {name!r}")
        return Found(fields[name], self.asked, f"{self.where}.{name}")

    def either(self, name: str, otherwise: object) -> "Found":
        """The value of a key of this object, or something else where the key is absent."""
        there = name in self._a(dict, "an object")
        return self[name] if there else Found(otherwise, self.asked, f"{self.where}.{name}")

    def rows(self, least: int = 0) -> list["Found"]:
        """The items of this array, at least so many."""
        items = self._a(list, "an array")
        if len(items) < least:
            raise self.deviates(f"at least {least} items")
        return [Found(item, self.asked, f"{self.where}[{index}]") for index, item in enumerate(items)]

    def ids(self, wanted: Sequence[str]) -> None:
        """Want a list page with the rows of these ids, in this order."""
        came = [row["id"].text() for row in self["data"].rows()]
        if came != list(wanted):
            raise Deviation(self.asked, f"{len(wanted)} rows, {shown(list(wanted))}", f"{len(came)}, {shown(came)}")

    def only(self) -> "Found":
        """The one item of this array."""
        items = self.rows(1)
        if len(items) != 1:
            raise self.deviates("exactly one item")
        return items[0]

    def text(self) -> str:
        """This string."""
        return self._a(str, "a string")

    def number(self) -> int:
        """This whole number."""
        if isinstance(self.value, bool):
            raise self.deviates("a whole number")
        return self._a(int, "a whole number")

    def same(self, wanted: object) -> None:
        """Want exactly this value; 1 and 1.0 are the same, 1 and true are not. The first difference is told."""
        if _alike(self.value, wanted):
            return
        for inner, value in self._beside(wanted):
            inner.same(value)
        raise self.deviates(shown(wanted))

    def one_of(self, wanted: Sequence[object]) -> None:
        """Want one of a few values."""
        if not any(_alike(self.value, one) for one in wanted):
            raise self.deviates(f"one of {shown(list(wanted))}")

    def has(self, **wanted: object) -> None:
        """Want these values under these keys; other keys may be there."""
        for name, value in wanted.items():
            self[name].same(value)

    def keys(self, wanted: Sequence[str]) -> None:
        """Want these keys and no others, in this order. One that ends in "?" may be missing."""
        came = list(self._a(dict, "an object"))
        wanted = [key.removesuffix("?") for key in wanted if not key.endswith("?") or key[:-1] in came]
        if came == wanted:
            return
        if sorted(came) == sorted(wanted):
            raise self.deviates(f"the keys in the order {', '.join(wanted)}")
        raise self.deviates(f"the keys {', '.join(wanted)} ({_difference(came, wanted)})")

    def like(self, pattern: str, words: str) -> None:
        """Want a string that fits a regular expression as a whole; `words` say what that is."""
        if not re.fullmatch(pattern, self.text(), re.DOTALL):
            raise self.deviates(words)

    def _beside(self, wanted: object) -> list[tuple["Found", object]]:
        """What this holds beside what it should hold, where both have the same keys or the same length."""
        if isinstance(self.value, dict) and isinstance(wanted, dict) and self.value.keys() == wanted.keys():
            return [(self[name], value) for name, value in wanted.items()]
        if isinstance(self.value, list) and isinstance(wanted, list) and len(self.value) == len(wanted):
            return list(zip(self.rows(), wanted, strict=True))
        return []

    def _a(self, kind: type[Kind], words: str) -> Kind:
        if not isinstance(self.value, kind):
            raise self.deviates(words)
        return self.value


def _alike(one: object, other: object) -> bool:
    """Equal as JSON: Python holds True and 1 to be equal, JSON does not. The order of keys is not looked at."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    return one == other


def _difference(came: Iterable[str], wanted: Iterable[str]) -> str:
    came, wanted = list(came), list(wanted)
    missing = [name for name in wanted if name not in came]
    more = [name for name in came if name not in wanted]
    parts = (("missing", missing), ("too many", more))
    return "; ".join(f"{word}: {', '.join(names)}" for word, names in parts if names)
