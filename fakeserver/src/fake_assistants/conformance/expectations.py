"""Values in a server's answers, and the expectations that cases have of them.

A `Found` is a JSON value with the request and the path at which it was found, for the message of a deviation.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import attrs

Kind = TypeVar("Kind")

# Longer values are truncated in messages. In characters.
_SHOWN = 240


class Deviation(Exception):
    """The server behaves differently. `asked` is the request: "GET /v1/threads/thread_1"."""

    def __init__(self, asked: str, expected: str, actual: str) -> None:
        super().__init__(f"{asked}: expected {expected}, got {actual}")
        self.asked, self.expected, self.actual = asked, expected, actual


class NotApplicable(Exception):
    """This server cannot be tested for the behaviour. The message has the reason."""


class Unreachable(Exception):
    """No answer came: the connection was refused, it broke, or it timed out. Raised by ports."""


def shown(value: object) -> str:
    """Return a value for a message: on one line, truncated if it is long."""
    if isinstance(value, bytes):
        text = " ".join(value.decode("utf-8", "replace").split())
    else:
        text = json.dumps(value, ensure_ascii=False)
    text = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


@attrs.frozen
class Found:
    """A JSON value of an answer. Every method but `deviates` raises Deviation if it is not as expected."""

    value: Any
    asked: str
    where: str = "$"

    def deviates(self, expected: str) -> Deviation:
        """Return the deviation with what was expected here."""
        return Deviation(self.asked, f"{expected} at {self.where}", shown(self.value))

    def __getitem__(self, name: str) -> "Found":
        """Return the value of a key of this object."""
        fields = self._a(dict, "an object")
        if name not in fields:
            raise self.deviates(f"the key {name!r}")
        return Found(fields[name], self.asked, f"{self.where}.{name}")

    def either(self, name: str, otherwise: object) -> "Found":
        """Return the value of a key of this object, or a default if the key is absent."""
        there = name in self._a(dict, "an object")
        return self[name] if there else Found(otherwise, self.asked, f"{self.where}.{name}")

    def rows(self, least: int = 0) -> list["Found"]:
        """Return the items of this array, of which there must be at least `least`."""
        items = self._a(list, "an array")
        if len(items) < least:
            raise self.deviates(f"at least {least} items")
        return [Found(item, self.asked, f"{self.where}[{index}]") for index, item in enumerate(items)]

    def ids(self, expected: Sequence[str]) -> None:
        """Expect a list page with the rows of these ids, in this order."""
        actual = [row["id"].text() for row in self["data"].rows()]
        if actual != list(expected):
            raise Deviation(
                self.asked, f"{len(expected)} rows, {shown(list(expected))}", f"{len(actual)}, {shown(actual)}"
            )

    def only(self) -> "Found":
        """Return the only item of this array."""
        items = self.rows(1)
        if len(items) != 1:
            raise self.deviates("exactly one item")
        return items[0]

    def text(self) -> str:
        """Return this string."""
        return self._a(str, "a string")

    def number(self) -> int:
        """Return this whole number."""
        if isinstance(self.value, bool):
            raise self.deviates("a whole number")
        return self._a(int, "a whole number")

    def same(self, expected: object) -> None:
        """Expect exactly this value; 1 and 1.0 are equal, 1 and true are not. The first difference is reported."""
        if _is_equal(self.value, expected):
            return
        for inner, value in self._pairs(expected):
            inner.same(value)
        raise self.deviates(shown(expected))

    def one_of(self, expected: Sequence[object]) -> None:
        """Expect one of these values."""
        if not any(_is_equal(self.value, one) for one in expected):
            raise self.deviates(f"one of {shown(list(expected))}")

    def has(self, **expected: object) -> None:
        """Expect these values of these keys; other keys are allowed."""
        for name, value in expected.items():
            self[name].same(value)

    def keys(self, expected: Sequence[str]) -> None:
        """Expect exactly these keys, in this order. One that ends in "?" may be missing."""
        actual = list(self._a(dict, "an object"))
        expected = [key.removesuffix("?") for key in expected if not key.endswith("?") or key[:-1] in actual]
        if actual == expected:
            return
        if sorted(actual) == sorted(expected):
            raise self.deviates(f"the keys in the order {', '.join(expected)}")
        raise self.deviates(f"the keys {', '.join(expected)} ({_difference(actual, expected)})")

    def like(self, pattern: str, words: str) -> None:
        """Expect a string that fully matches a regular expression, which `words` describe."""
        if not re.fullmatch(pattern, self.text(), re.DOTALL):
            raise self.deviates(words)

    def _pairs(self, expected: object) -> list[tuple["Found", object]]:
        """Return pairs of an inner value and the expected one, if both have the same keys or the same length."""
        if isinstance(self.value, dict) and isinstance(expected, dict) and self.value.keys() == expected.keys():
            return [(self[name], value) for name, value in expected.items()]
        if isinstance(self.value, list) and isinstance(expected, list) and len(self.value) == len(expected):
            return list(zip(self.rows(), expected, strict=True))
        return []

    def _a(self, kind: type[Kind], words: str) -> Kind:
        if not isinstance(self.value, kind):
            raise self.deviates(words)
        return self.value


def _is_equal(one: object, other: object) -> bool:
    """Return whether two values are equal as JSON: True and 1 are not, though Python compares them as equal.

    The order of keys is ignored.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_equal, one, other))
    return one == other


def _difference(actual: Iterable[str], expected: Iterable[str]) -> str:
    actual, expected = list(actual), list(expected)
    missing = [name for name in expected if name not in actual]
    more = [name for name in actual if name not in expected]
    parts = (("missing", missing), ("too many", more))
    return "; ".join(f"{word}: {', '.join(names)}" for word, names in parts if names)
