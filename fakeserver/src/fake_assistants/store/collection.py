"""Ordered collections of objects: in order of insertion; the place of a deleted id remains known."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import compress

import attrs

from fake_assistants.http.lossless_json import STORED_NEWLINE, Obj, dumps, loads

# The bytes before each field of an object in its stored text.
_LINE = STORED_NEWLINE + b"  "


@attrs.define
class ObjectCollection:
    """Objects by id, in order of insertion, each stored as JSON text (as written by `dumps_to_keep`).

    The database assigns places: increasing numbers, never reused. The place of an id remains known after its object
    is deleted, so a cursor that points at it stays valid. Objects are parsed at each access, so a caller may modify
    the result; `replace` stores a change. Only the database with the same `mark` may write to a collection; any other
    makes a `fork` first.
    """

    mark: object = None
    _texts: dict[str, bytes] = attrs.field(factory=dict)
    _place_of: dict[str, int] = attrs.field(factory=dict)
    _places: list[int] = attrs.field(factory=list)
    _ids: list[str] = attrs.field(factory=list)

    def __len__(self) -> int:
        return len(self._texts)

    def __contains__(self, object_id: str) -> bool:
        return object_id in self._texts

    def fork(self, mark: object) -> "ObjectCollection":
        """Return an independent copy, for the database with this mark."""
        return ObjectCollection(mark, self._texts.copy(), self._place_of.copy(), self._places.copy(), self._ids.copy())

    @property
    def places(self) -> Sequence[int]:
        """The places of all objects, ascending."""
        return self._places

    @property
    def order(self) -> Sequence[str]:
        """The ids of all objects, in the order of their places."""
        return self._ids

    @property
    def ids(self) -> Collection[str]:
        """The ids of all objects, as a view with constant-time membership tests."""
        return self._texts.keys()

    def get(self, object_id: str) -> Obj | None:
        """Return a copy of the object, or None if it does not exist or was deleted."""
        text = self._texts.get(object_id)
        return None if text is None else loads(text)

    def text(self, object_id: str) -> bytes | None:
        """Return the object's stored text, or None."""
        return self._texts.get(object_id)

    def texts_of(self, object_ids: Iterable[str]) -> list[bytes]:
        """Return the stored texts of objects. All of them must exist."""
        return [self._texts[object_id] for object_id in object_ids]

    def place_of(self, object_id: str) -> int | None:
        """Return the place of an id, also of a deleted one; None if it was never in this collection."""
        return self._place_of.get(object_id)

    def at(self, place: int) -> Obj:
        """Return a copy of the object at a place."""
        value: Obj = loads(self._texts[self._ids[bisect_left(self._places, place)]])
        return value

    def rows(self) -> Iterator[tuple[int, Obj]]:
        """Yield places and objects, in order. Each object is parsed: `texts` is faster."""
        return ((place, loads(text)) for place, text in self.texts())

    def texts(self) -> Iterator[tuple[int, bytes]]:
        """Yield places and stored texts, in order."""
        return zip(self._places, map(self._texts.__getitem__, self._ids), strict=True)

    def those(self, fit: Callable[[Iterable[bytes]], list[bool]]) -> tuple[Sequence[int], Sequence[str]]:
        """Return the places and ids of the objects whose stored texts fit, in order."""
        fitting = fit(map(self._texts.__getitem__, self._ids))
        return list(compress(self._places, fitting)), list(compress(self._ids, fitting))

    def append(self, object_id: str, text: bytes, place: int) -> None:
        """Append a new object. `place` must be greater than every earlier place."""
        self._texts[object_id] = text
        self._place_of[object_id] = place
        self._places.append(place)
        self._ids.append(object_id)

    def replace(self, object_id: str, text: bytes) -> None:
        """Replace the object with this id; its place does not change."""
        self._texts[object_id] = text

    def delete(self, object_id: str) -> None:
        """Delete the object; its place remains known."""
        del self._texts[object_id]
        position = bisect_left(self._places, self._place_of[object_id])
        del self._places[position]
        del self._ids[position]


@attrs.frozen
class Field:
    """A test whether a field of an object has this string as its value. The stored text is searched, not parsed.

    This is exact for text written by `dumps_to_keep`: each field of the object itself is on a separate line with the
    same indentation, nested fields are indented further, a JSON string has no raw newline, and it ends with a quote.
    """

    name: str
    value: str
    _line: bytes = attrs.field(init=False)

    @_line.default
    def _written(self) -> bytes:
        return _LINE + dumps(self.name) + b": " + dumps(self.value)

    def among(self, texts: Iterable[bytes]) -> list[bool]:
        """Return for each stored text whether its object has the field."""
        line = self._line
        return [line in text for text in texts]

    def is_in(self, text: bytes) -> bool:
        """Return whether the object of this stored text has the field."""
        return self._line in text


@attrs.frozen
class OneOf:
    """A test whether a field has one of these strings as its value, with one search for all of them. See `Field`."""

    name: str
    values: Collection[str]
    _head: bytes = attrs.field(init=False)
    _tails: tuple[bytes, ...] = attrs.field(init=False)

    @_head.default
    def _written(self) -> bytes:
        return _LINE + dumps(self.name) + b': "'

    @_tails.default
    def _endings(self) -> tuple[bytes, ...]:
        return tuple(dumps(value)[1:] for value in self.values)

    def is_in(self, text: bytes) -> bool:
        """Return whether the object of this stored text has the field."""
        start = text.find(self._head)
        return start >= 0 and text.startswith(self._tails, start + len(self._head))
