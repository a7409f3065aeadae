"""The world: everything that the fake keeps, on shelves."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from heapq import merge
from itertools import count
from operator import itemgetter

from fake_assistants.ids import IdSource
from fake_assistants.kinds import CONVERSATION_ITEMS, KINDS, RESPONSE_INPUT_ITEMS, RESPONSES, THREADS, Kind
from fake_assistants.shelf import Obj, Shelf
from fake_assistants.state import State, parent_of

_place = itemgetter(0)

# What has ids within, or is itself called by two.
_ITEMS = frozenset(kind.name for kind in (RESPONSES, CONVERSATION_ITEMS, RESPONSE_INPUT_ITEMS))


class World:
    """One shelf per kind, or per kind and parent for what stands in something else.

    Places are dealt out by one counter for the whole world, so the order of insertion is known across
    threads too and a snapshot gives it back.
    """

    def __init__(self) -> None:
        self._shelves: dict[str, defaultdict[str, Shelf]] = {name: defaultdict(Shelf) for name in KINDS}
        self._next_place = count()
        self._used: set[str] = set()

    def shelf(self, kind: Kind, parent: str = "") -> Shelf:
        """The shelf of a kind; `parent` is the id of what its objects stand in, such as a thread."""
        return self._shelves[kind.name][parent]

    def find(self, kind: Kind, object_id: str, parent: str = "") -> Obj | None:
        """The object with this id, or None."""
        shelf = self._shelves[kind.name].get(parent)
        return None if shelf is None else shelf.get(object_id)

    def thread_ids(self) -> Collection[str]:
        """The ids of all threads."""
        return self.shelf(THREADS).ids

    def put(self, kind: Kind, value: Obj) -> None:
        """Append a new object, or replace the one with its id where it stands."""
        shelf = self.shelf(kind, parent_of(kind, value))
        if value["id"] in shelf:
            shelf.replace(value["id"], value)
        else:
            shelf.append(value["id"], value, next(self._next_place))
            self._used.add(value["id"])
        if kind.name in _ITEMS:
            self._used.update(_item_ids(kind, value))

    def delete(self, kind: Kind, object_id: str, parent: str = "") -> None:
        """Take an object away, and with it all that stands in it."""
        self.shelf(kind, parent).delete(object_id)
        self._clear(kind, object_id)

    def _clear(self, kind: Kind, object_id: str) -> None:
        for inner in KINDS.values():
            shelf = self._shelves[inner.name].pop(object_id, None) if inner.within is kind else None
            for inner_id in () if shelf is None else shelf.ids:
                self._clear(inner, inner_id)

    def mint(self, ids: IdSource, prefix: str) -> str:
        """A new id that nothing in this world has or had."""
        return ids.draw(prefix, self._used.__contains__)

    def put_all(self, state: State) -> None:
        """Merge a checked state by id."""
        for kind in KINDS.values():
            for value in state[kind.name]:
                self.put(kind, value)

    def snapshot(self) -> State:
        """The world as a state. The objects are the world's own: they are for reading."""
        return {name: self._in_order(shelves.values()) for name, shelves in self._shelves.items()}

    @staticmethod
    def _in_order(shelves: Iterable[Shelf]) -> list[Obj]:
        rows = merge(*(shelf.rows() for shelf in shelves), key=_place)
        return [value for _, value in rows]


def _item_ids(kind: Kind, value: Obj) -> Iterator[str]:
    """The ids of an item, or of those that a response said; a state may have brought in any JSON for them."""
    items = value.get("output") if kind is RESPONSES else [value]
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            yield from (item[key] for key in ("id", "call_id") if isinstance(item.get(key), str))
