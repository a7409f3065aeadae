"""The database: everything that the fake keeps, on collections."""

from collections.abc import Collection, Iterator
from operator import itemgetter

import attrs

from fake_assistants.http.lossless_json import Obj, alone, array_of, dumps_to_keep, loads
from fake_assistants.store.collection import ObjectCollection
from fake_assistants.store.ids import IdSource
from fake_assistants.store.kinds import CONVERSATION_ITEMS, KINDS, RESPONSE_INPUT_ITEMS, RESPONSES, THREADS, Kind
from fake_assistants.store.snapshot import Staged, State, parent_of


@attrs.define
class UsedIds:
    """A set that only grows. A fork shares the older layers; only the newest one is its own."""

    _layers: tuple[frozenset[str], ...] = ()
    _own: set[str] = attrs.field(factory=set)

    def __contains__(self, object_id: str) -> bool:
        return object_id in self._own or any(object_id in layer for layer in self._layers)

    def add(self, object_id: str) -> None:
        """Note an id."""
        self._own.add(object_id)

    def fork(self) -> "UsedIds":
        """The same ids; what is added to either from here on is not in the other."""
        if self._own:
            self._layers, self._own = _stacked(self._layers, frozenset(self._own)), set()
        return UsedIds(self._layers)


def _stacked(layers: tuple[frozenset[str], ...], top: frozenset[str]) -> tuple[frozenset[str], ...]:
    """One layer more. Layers of like size become one, so there are few and an id is seldom copied."""
    while layers and len(layers[-1]) < 2 * len(top):
        layers, top = layers[:-1], layers[-1] | top
    return (*layers, top)


_place = itemgetter(0)

_Collections = dict[str, dict[str, ObjectCollection]]

# What has ids within, or is itself called by two.
_ITEMS = frozenset(kind.name for kind in (RESPONSES, CONVERSATION_ITEMS, RESPONSE_INPUT_ITEMS))


def _no_collections() -> _Collections:
    return {name: {} for name in KINDS}


@attrs.define
class Database:
    """One collection per kind, or per kind and parent for what stands in something else.

    Places are dealt out by one counter for the whole database, so the order of insertion is known across
    threads too and a snapshot gives it back. Objects are kept as JSON text: what is given is copied in, and
    what is found is the finder's own.

    Two databases may share collections (`fork`). A collection has the mark of the database that may write to it; any
    other database copies it first.
    """

    _collections: _Collections = attrs.field(factory=_no_collections)
    _used: UsedIds = attrs.field(factory=UsedIds)
    _next_place: int = 0
    _forked_from: "Database | None" = None
    _mark: object = attrs.field(factory=object, init=False)

    def fork(self) -> "Database":
        """A database with the same objects and places. A change of either is not seen in the other."""
        self._mark = object()  # from here on nothing is this database's alone
        collections = {name: by_parent.copy() for name, by_parent in self._collections.items()}
        return Database(collections, self._used.fork(), self._next_place, self)

    def is_still(self, database: "Database") -> bool:
        """Whether this is a fork of that database, and nothing was put or deleted here since."""
        return self._forked_from is database

    def collection(self, kind: Kind, parent: str = "") -> ObjectCollection:
        """The collection of a kind, for reading; `parent` is the id of what its objects stand in, such as a thread.

        Ask again after a change: the database may have put a copy in its stead.
        """
        by_parent = self._collections[kind.name]
        collection = by_parent.get(parent)
        if collection is None:
            collection = by_parent[parent] = ObjectCollection(self._mark)
        return collection

    def find(self, kind: Kind, object_id: str, parent: str = "") -> Obj | None:
        """The object with this id, the caller's own, or None."""
        collection = self._collections[kind.name].get(parent)
        return None if collection is None else collection.get(object_id)

    def text(self, kind: Kind, object_id: str, parent: str = "") -> bytes | None:
        """The JSON text of the object with this id, as it goes over the wire, or None."""
        collection = self._collections[kind.name].get(parent)
        kept = None if collection is None else collection.text(object_id)
        return None if kept is None else alone(kept)

    def thread_ids(self) -> Collection[str]:
        """The ids of all threads."""
        return self.collection(THREADS).ids

    def put(self, kind: Kind, value: Obj) -> None:
        """Append a new object, or replace the one with its id where it stands."""
        self._put(kind, parent_of(kind, value), value["id"], dumps_to_keep(value))

    def delete(self, kind: Kind, object_id: str, parent: str = "") -> None:
        """Take an object away, and with it all that stands in it."""
        self._writable(kind, parent).delete(object_id)
        self._clear(kind, object_id)

    def _put(self, kind: Kind, parent: str, object_id: str, text: bytes) -> None:
        collection = self._writable(kind, parent)
        if object_id in collection:
            collection.replace(object_id, text)
        else:
            collection.append(object_id, text, self._next_place)
            self._next_place += 1
            self._used.add(object_id)
        if kind.name in _ITEMS:
            for item_id in _item_ids(kind, loads(text)):
                self._used.add(item_id)

    def _writable(self, kind: Kind, parent: str) -> ObjectCollection:
        self._forked_from = None
        collection = self.collection(kind, parent)
        if collection.mark is not self._mark:
            collection = self._collections[kind.name][parent] = collection.fork(self._mark)
        return collection

    def _clear(self, kind: Kind, object_id: str) -> None:
        for inner in KINDS.values():
            collection = self._collections[inner.name].pop(object_id, None) if inner.within is kind else None
            for inner_id in () if collection is None else collection.ids:
                self._clear(inner, inner_id)

    def new_id(self, ids: IdSource, prefix: str, shape: str = "") -> str:
        """A new id that nothing in this database has or had. `shape` as in `IdSource.draw`."""
        return ids.draw(prefix, self._used.__contains__, shape)

    def put_all(self, state: Staged) -> None:
        """Merge a checked state by id. A thread that was made up does not replace one that is here."""
        known = state.made_up.intersection(self.thread_ids())
        for kind in KINDS.values():
            for parent, object_id, text in state.rows[kind.name]:
                if kind is not THREADS or object_id not in known:
                    self._put(kind, parent, object_id, text)

    def snapshot(self) -> State:
        """The database as a state, in the order of insertion, the caller's own."""
        return {kind.name: [loads(text) for text in self._texts(kind)] for kind in KINDS.values()}

    def json(self) -> bytes:
        """The snapshot as JSON text."""
        kinds = [b'\n  "%b": %b' % (name.encode(), array_of(self._texts(kind))) for name, kind in KINDS.items()]
        return b"{" + b",".join(kinds) + b"\n}"

    def _texts(self, kind: Kind) -> list[bytes]:
        rows = [row for collection in self._collections[kind.name].values() for row in collection.texts()]
        rows.sort(key=_place)  # each collection is sorted already, which sorting makes use of
        return [text for _, text in rows]


def _item_ids(kind: Kind, value: Obj) -> Iterator[str]:
    """The ids of an item, or of those that a response said; a state may have brought in any JSON for them."""
    items = value.get("output") if kind is RESPONSES else [value]
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            yield from (item[key] for key in ("id", "call_id") if isinstance(item.get(key), str))
