"""The world: everything that the fake keeps, on shelves."""

from collections.abc import Collection, Iterator
from operator import itemgetter

import attrs

from fake_assistants.ids import IdSource
from fake_assistants.jsontext import alone, array_of, dumps_to_keep, loads
from fake_assistants.kinds import CONVERSATION_ITEMS, KINDS, RESPONSE_INPUT_ITEMS, RESPONSES, THREADS, Kind
from fake_assistants.shelf import Obj, Shelf
from fake_assistants.state import Staged, State, parent_of
from fake_assistants.used import Used

_place = itemgetter(0)

_Shelves = dict[str, dict[str, Shelf]]

# What has ids within, or is itself called by two.
_ITEMS = frozenset(kind.name for kind in (RESPONSES, CONVERSATION_ITEMS, RESPONSE_INPUT_ITEMS))


def _no_shelves() -> _Shelves:
    return {name: {} for name in KINDS}


@attrs.define
class World:
    """One shelf per kind, or per kind and parent for what stands in something else.

    Places are dealt out by one counter for the whole world, so the order of insertion is known across
    threads too and a snapshot gives it back. Objects are kept as JSON text: what is given is copied in, and
    what is found is the finder's own.

    Two worlds may share shelves (`fork`). A shelf bears the mark of the world that may write on it; any other
    world copies it first.
    """

    _shelves: _Shelves = attrs.field(factory=_no_shelves)
    _used: Used = attrs.field(factory=Used)
    _next_place: int = 0
    _forked_from: "World | None" = None
    _mark: object = attrs.field(factory=object, init=False)

    def fork(self) -> "World":
        """A world with the same objects and places. A change of either is not seen in the other."""
        self._mark = object()  # from here on nothing is this world's alone
        shelves = {name: by_parent.copy() for name, by_parent in self._shelves.items()}
        return World(shelves, self._used.fork(), self._next_place, self)

    def is_still(self, world: "World") -> bool:
        """Whether this is a fork of that world, and nothing was put or deleted here since."""
        return self._forked_from is world

    def shelf(self, kind: Kind, parent: str = "") -> Shelf:
        """The shelf of a kind, for reading; `parent` is the id of what its objects stand in, such as a thread.

        Ask again after a change: the world may have put a copy in its stead.
        """
        by_parent = self._shelves[kind.name]
        shelf = by_parent.get(parent)
        if shelf is None:
            shelf = by_parent[parent] = Shelf(self._mark)
        return shelf

    def find(self, kind: Kind, object_id: str, parent: str = "") -> Obj | None:
        """The object with this id, the caller's own, or None."""
        shelf = self._shelves[kind.name].get(parent)
        return None if shelf is None else shelf.get(object_id)

    def text(self, kind: Kind, object_id: str, parent: str = "") -> bytes | None:
        """The JSON text of the object with this id, as it goes over the wire, or None."""
        shelf = self._shelves[kind.name].get(parent)
        kept = None if shelf is None else shelf.text(object_id)
        return None if kept is None else alone(kept)

    def thread_ids(self) -> Collection[str]:
        """The ids of all threads."""
        return self.shelf(THREADS).ids

    def put(self, kind: Kind, value: Obj) -> None:
        """Append a new object, or replace the one with its id where it stands."""
        self._put(kind, parent_of(kind, value), value["id"], dumps_to_keep(value))

    def delete(self, kind: Kind, object_id: str, parent: str = "") -> None:
        """Take an object away, and with it all that stands in it."""
        self._writable(kind, parent).delete(object_id)
        self._clear(kind, object_id)

    def _put(self, kind: Kind, parent: str, object_id: str, text: bytes) -> None:
        shelf = self._writable(kind, parent)
        if object_id in shelf:
            shelf.replace(object_id, text)
        else:
            shelf.append(object_id, text, self._next_place)
            self._next_place += 1
            self._used.add(object_id)
        if kind.name in _ITEMS:
            for item_id in _item_ids(kind, loads(text)):
                self._used.add(item_id)

    def _writable(self, kind: Kind, parent: str) -> Shelf:
        self._forked_from = None
        shelf = self.shelf(kind, parent)
        if shelf.mark is not self._mark:
            shelf = self._shelves[kind.name][parent] = shelf.fork(self._mark)
        return shelf

    def _clear(self, kind: Kind, object_id: str) -> None:
        for inner in KINDS.values():
            shelf = self._shelves[inner.name].pop(object_id, None) if inner.within is kind else None
            for inner_id in () if shelf is None else shelf.ids:
                self._clear(inner, inner_id)

    def mint(self, ids: IdSource, prefix: str) -> str:
        """A new id that nothing in this world has or had."""
        return ids.draw(prefix, self._used.__contains__)

    def put_all(self, state: Staged) -> None:
        """Merge a checked state by id. A thread that was made up does not replace one that is here."""
        known = state.made_up.intersection(self.thread_ids())
        for kind in KINDS.values():
            for parent, object_id, text in state.rows[kind.name]:
                if kind is not THREADS or object_id not in known:
                    self._put(kind, parent, object_id, text)

    def snapshot(self) -> State:
        """The world as a state, in the order of insertion, the caller's own."""
        return {kind.name: [loads(text) for text in self._texts(kind)] for kind in KINDS.values()}

    def json(self) -> bytes:
        """The snapshot as JSON text."""
        kinds = [b'\n  "%b": %b' % (name.encode(), array_of(self._texts(kind))) for name, kind in KINDS.items()]
        return b"{" + b",".join(kinds) + b"\n}"

    def _texts(self, kind: Kind) -> list[bytes]:
        rows = [row for shelf in self._shelves[kind.name].values() for row in shelf.texts()]
        rows.sort(key=_place)  # each shelf is sorted already, which sorting makes use of
        return [text for _, text in rows]


def _item_ids(kind: Kind, value: Obj) -> Iterator[str]:
    """The ids of an item, or of those that a response said; a state may have brought in any JSON for them."""
    items = value.get("output") if kind is RESPONSES else [value]
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            yield from (item[key] for key in ("id", "call_id") if isinstance(item.get(key), str))
