"""An ordered collection: insertion order is the order, and every id keeps its place for good."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import compress

import attrs

from fake_assistants.http.lossless_json import SET_IN, Obj, dumps, loads

# What stands before a field of an object in its kept text.
_LINE = SET_IN + b"  "


@attrs.define
class ObjectCollection:
    """Objects by id, in the order in which they were put here, each kept as its JSON text (what `dumps_to_keep` wrote).

    A place is a number that only grows (the database deals them out). An id keeps its place after its object
    is deleted, so a cursor that points at it still says where to go on. An object is read anew each time that
    it is asked for: whoever modifies one puts a new one in its stead. Only the database with the same `mark` may
    write here; others take a `fork` first.
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
        """A collection of its own with the same objects, for the database with this mark."""
        return ObjectCollection(mark, self._texts.copy(), self._place_of.copy(), self._places.copy(), self._ids.copy())

    @property
    def places(self) -> Sequence[int]:
        """The places of what stands here, ascending."""
        return self._places

    @property
    def order(self) -> Sequence[str]:
        """The ids of what stands here, in the order of their places."""
        return self._ids

    @property
    def ids(self) -> Collection[str]:
        """The ids of what stands here; a look-up is not a scan."""
        return self._texts.keys()

    def get(self, object_id: str) -> Obj | None:
        """The object, the caller's own; None when it is not here (any more)."""
        text = self._texts.get(object_id)
        return None if text is None else loads(text)

    def text(self, object_id: str) -> bytes | None:
        """The object's kept text, or None."""
        return self._texts.get(object_id)

    def texts_of(self, object_ids: Iterable[str]) -> list[bytes]:
        """The kept texts of objects that stand here."""
        return [self._texts[object_id] for object_id in object_ids]

    def place_of(self, object_id: str) -> int | None:
        """Where the id stands or stood; None when it was never here."""
        return self._place_of.get(object_id)

    def at(self, place: int) -> Obj:
        """The object that stands at a place, the caller's own."""
        value: Obj = loads(self._texts[self._ids[bisect_left(self._places, place)]])
        return value

    def rows(self) -> Iterator[tuple[int, Obj]]:
        """Place and object, in order. Each object is read on its way: `texts` costs less."""
        return ((place, loads(text)) for place, text in self.texts())

    def texts(self) -> Iterator[tuple[int, bytes]]:
        """Place and kept text, in order."""
        return zip(self._places, map(self._texts.__getitem__, self._ids), strict=True)

    def those(self, fit: Callable[[Iterable[bytes]], list[bool]]) -> tuple[Sequence[int], Sequence[str]]:
        """Places and ids of the objects whose texts fit, in order."""
        fitting = fit(map(self._texts.__getitem__, self._ids))
        return list(compress(self._places, fitting)), list(compress(self._ids, fitting))

    def append(self, object_id: str, text: bytes, place: int) -> None:
        """Put a new object at the end. `place` is greater than every place given before."""
        self._texts[object_id] = text
        self._place_of[object_id] = place
        self._places.append(place)
        self._ids.append(object_id)

    def replace(self, object_id: str, text: bytes) -> None:
        """Put another object where this id stands."""
        self._texts[object_id] = text

    def delete(self, object_id: str) -> None:
        """Take the object away; its place stays known."""
        del self._texts[object_id]
        position = bisect_left(self._places, self._place_of[object_id])
        del self._places[position]
        del self._ids[position]


@attrs.frozen
class Field:
    """A field of an object that holds this string; told from the object's kept text without reading it.

    Exact, because `dumps_to_keep` wrote the text: a field of the object itself stands on a line of its own behind so
    many blanks, deeper ones stand behind more, a JSON string holds no raw newline, and a string ends with its quote.
    """

    name: str
    value: str
    _line: bytes = attrs.field(init=False)

    @_line.default
    def _written(self) -> bytes:
        return _LINE + dumps(self.name) + b": " + dumps(self.value)

    def among(self, texts: Iterable[bytes]) -> list[bool]:
        """For each text, whether its object has the field."""
        line = self._line
        return [line in text for text in texts]

    def is_in(self, text: bytes) -> bool:
        """Whether the object of this text has the field."""
        return self._line in text


@attrs.frozen
class OneOf:
    """A field that holds one of these strings, told like a `Field`: one search for all of them."""

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
        """Whether the object of this text has the field."""
        start = text.find(self._head)
        return start >= 0 and text.startswith(self._tails, start + len(self._head))
