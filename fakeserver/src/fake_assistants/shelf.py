"""An ordered collection: insertion order is the order, and every id keeps its place for good."""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from typing import Any

Obj = dict[str, Any]


class Shelf:
    """Objects by id, in the order in which they were put here.

    A place is a number that only grows (the world deals them out). An id keeps its place after its object
    is deleted, so a cursor that points at it still says where to go on. Objects are never changed in
    place: whoever modifies one puts a new one in its stead.
    """

    def __init__(self) -> None:
        self._objects: dict[str, Obj] = {}
        self._place_of: dict[str, int] = {}
        self._places: list[int] = []
        self._ids: list[str] = []

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, object_id: str) -> bool:
        return object_id in self._objects

    @property
    def places(self) -> Sequence[int]:
        """The places of what stands here, ascending."""
        return self._places

    @property
    def ids(self) -> Collection[str]:
        """The ids of what stands here; a look-up is not a scan."""
        return self._objects.keys()

    def get(self, object_id: str) -> Obj | None:
        """The object, or None when it is not here (any more)."""
        return self._objects.get(object_id)

    def place_of(self, object_id: str) -> int | None:
        """Where the id stands or stood; None when it was never here."""
        return self._place_of.get(object_id)

    def at(self, place: int) -> Obj:
        """The object that stands at a place."""
        return self._objects[self._ids[bisect_left(self._places, place)]]

    def rows(self) -> Iterator[tuple[int, Obj]]:
        """Place and object, in order."""
        return zip(self._places, map(self._objects.__getitem__, self._ids), strict=True)

    def append(self, object_id: str, value: Obj, place: int) -> None:
        """Put a new object at the end. `place` is greater than every place given before."""
        self._objects[object_id] = value
        self._place_of[object_id] = place
        self._places.append(place)
        self._ids.append(object_id)

    def replace(self, object_id: str, value: Obj) -> None:
        """Put another object where this id stands."""
        self._objects[object_id] = value

    def delete(self, object_id: str) -> None:
        """Take the object away; its place stays known."""
        del self._objects[object_id]
        position = bisect_left(self._places, self._place_of[object_id])
        del self._places[position]
        del self._ids[position]
