"""The building blocks of body checks. A check takes a value and its path, and raises ApiProblem.

Limits are the documented ones. Texts and codes are in `errors.values`, and the tables of checks, one per route, in
the other modules of this package.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, cast

import attrs

import fake_assistants.errors.values as errors


class Check(Protocol):
    """Raise ApiProblem for a value that does not fit. `path` names it in the text: `content[0].text`."""

    def __call__(self, value: object, path: str) -> None: ...


def _inside(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def anything(value: object, path: str) -> None:
    """Accept any value."""


@attrs.frozen
class Text:
    """A string within bounds, in characters, in which every character matches `characters` if that is given."""

    at_most: int | None = None
    filled: bool = False
    characters: str | None = None

    def __call__(self, value: object, path: str) -> None:
        if not isinstance(value, str):
            raise errors.invalid_type(path, "a string", value)
        if self.filled and not value:
            raise errors.empty_string(path)
        if self.at_most is not None and len(value) > self.at_most:
            raise errors.too_long(path, self.at_most, len(value))
        if self.characters is not None and not re.fullmatch(f"{self.characters}*", value):
            raise errors.pattern_mismatch(path, f"^{self.characters}+$")


# The name of a function or of a JSON schema. The limit is documented.
NAME = Text(64, filled=True, characters="[a-zA-Z0-9_-]")

_ARTICLES = {"decimal": "a decimal", "integer": "an integer"}


@attrs.frozen
class Number:
    """A number within bounds, both included; whole numbers only where it is an "integer"."""

    at_least: int
    at_most: int
    noun: Literal["decimal", "integer"] = "decimal"

    def __call__(self, value: object, path: str) -> None:
        fits = isinstance(value, int) or (self.noun == "decimal" and isinstance(value, float))
        if isinstance(value, bool) or not fits:
            raise errors.invalid_type(path, _ARTICLES[self.noun], value)
        self._bounded(cast(float, value), path)

    def _bounded(self, value: float, path: str) -> None:
        if value < self.at_least:
            raise errors.out_of_bounds(path, "below", self.noun, self.at_least, value)
        if value > self.at_most:
            raise errors.out_of_bounds(path, "above", self.noun, self.at_most, value)


def boolean(value: object, path: str) -> None:
    """Accept true and false."""
    if not isinstance(value, bool):
        raise errors.invalid_type(path, "a boolean", value)


@attrs.frozen
class Choice:
    """One of a few strings."""

    values: Sequence[str]

    def __call__(self, value: object, path: str) -> None:
        if not isinstance(value, str):
            raise errors.invalid_type(path, f"one of {_either(self.values)}", value)
        if value not in self.values:
            raise errors.invalid_value(path, value, self.values)


def _either(values: Sequence[str]) -> str:
    return " or ".join(f"'{value}'" for value in values)


@attrs.frozen
class ListOf:
    """An array whose items pass one check."""

    item: Check
    at_most: int | None = None
    filled: bool = False

    def __call__(self, value: object, path: str) -> None:
        if not isinstance(value, list):
            raise errors.invalid_type(path, "an array", value)
        if self.filled and not value:
            raise errors.empty_array(path)
        if self.at_most is not None and len(value) > self.at_most:
            raise errors.too_many_items(path, self.at_most, len(value))
        for index, item in enumerate(value):
            self.item(item, f"{path}[{index}]")


@attrs.frozen
class Shape:
    """An object with known keys. Keys of `needed` must be there."""

    keys: Mapping[str, Check]
    needed: Sequence[str] = ()

    def __call__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise errors.invalid_type(path, "an object", value)
        for key in value:
            if key not in self.keys:
                raise errors.unknown_parameter(_inside(path, key))
        for key in self.needed:
            if key not in value:
                raise errors.missing_parameter(_inside(path, key))
        for key, item in value.items():
            self.keys[key](item, _inside(path, key))


@attrs.frozen
class Open:
    """Check the listed keys of an object. Accept all other keys, and everything that is not an object."""

    keys: Mapping[str, Check]

    def __call__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            return
        for key, check in self.keys.items():
            if key in value:
                check(value[key], _inside(path, key))


def typed(value: object, path: str) -> None:
    """Accept an object that has a `type`, whichever it is."""
    if not isinstance(value, dict):
        raise errors.invalid_type(path, "an object", value)
    if "type" not in value:
        raise errors.missing_parameter(_inside(path, "type"))
    Text()(value["type"], _inside(path, "type"))


@attrs.frozen
class Tagged:
    """An object whose `type` selects its shape; the shapes do not list `type` themselves."""

    shapes: Mapping[str, Shape]

    def __call__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise errors.invalid_type(path, "an object", value)
        if "type" not in value:
            raise errors.missing_parameter(_inside(path, "type"))
        Choice(tuple(self.shapes))(value["type"], _inside(path, "type"))
        self.shapes[value["type"]]({key: value[key] for key in value if key != "type"}, path)


@attrs.frozen
class TextOr:
    """A string, or a value that the other check accepts."""

    text: Check
    other: Check
    takes: type
    expected: str

    def __call__(self, value: object, path: str) -> None:
        if isinstance(value, str):
            self.text(value, path)
        elif isinstance(value, self.takes):
            self.other(value, path)
        else:
            raise errors.invalid_type(path, self.expected, value)


@attrs.frozen
class OrNull:
    """Null, or a value that the check accepts."""

    check: Check

    def __call__(self, value: object, path: str) -> None:
        if value is not None:
            self.check(value, path)


@attrs.frozen
class Metadata:
    """Up to 16 pairs of strings: keys of 64 characters, values of 512 (documented)."""

    pairs: int = 16
    key: int = 64
    value: int = 512

    def __call__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise errors.invalid_type(path, "a metadata object", value)
        if len(value) > self.pairs:
            raise errors.too_many_properties(path, self.pairs, len(value))
        for key, item in value.items():
            if len(key) > self.key:
                raise errors.long_property_name(path, self.key, len(key))
            Text(self.value)(item, _inside(path, key))
