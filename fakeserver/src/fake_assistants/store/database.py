"""The database: all objects of a fake, in collections by kind and parent."""

from collections.abc import Collection, Iterator
from operator import itemgetter

import attrs

from fake_assistants.http.lossless_json import Obj, array_of, dumps_to_keep, loads, unindented
from fake_assistants.store.collection import ObjectCollection
from fake_assistants.store.ids import IdSource
from fake_assistants.store.kinds import CONVERSATION_ITEMS, KINDS, RESPONSE_INPUT_ITEMS, RESPONSES, THREADS, Kind
from fake_assistants.store.snapshot import Staged, State, parent_of


@attrs.define
class UsedIds:
    """A set of ids that only grows, made of layers. Forks share all layers but the newest."""

    _layers: tuple[frozenset[str], ...] = ()
    _own: set[str] = attrs.field(factory=set)

    def __contains__(self, object_id: str) -> bool:
        return object_id in self._own or any(object_id in layer for layer in self._layers)

    def add(self, object_id: str) -> None:
        """Add an id."""
        self._own.add(object_id)

    def fork(self) -> "UsedIds":
        """Return a set with the same ids; later additions to either are not in the other."""
        if self._own:
            self._layers, self._own = _stacked(self._layers, frozenset(self._own)), set()
        return UsedIds(self._layers)


def _stacked(layers: tuple[frozenset[str], ...], top: frozenset[str]) -> tuple[frozenset[str], ...]:
    """Add a layer. Layers of similar size are merged, so that there are few and an id is rarely copied."""
    while layers and len(layers[-1]) < 2 * len(top):
        layers, top = layers[:-1], layers[-1] | top
    return (*layers, top)


_place = itemgetter(0)

_Collections = dict[str, dict[str, ObjectCollection]]

# Kinds whose objects contain other ids: the items of a response, and the `call_id` of an item.
_ITEMS = frozenset(kind.name for kind in (RESPONSES, CONVERSATION_ITEMS, RESPONSE_INPUT_ITEMS))


def _no_collections() -> _Collections:
    return {name: {} for name in KINDS}


@attrs.define
class Database:
    """Collections of objects: one for each kind, or for each kind and parent, such as the messages of a thread.

    Places come from one counter for the whole database, so a snapshot has the order of insertion across threads.
    Objects are stored as JSON text: `put` copies its argument, and `find` returns a copy.

    Two databases may share collections (`fork`). A collection has the mark of the database that may write to it; any
    other database copies it first.
    """

    _collections: _Collections = attrs.field(factory=_no_collections)
    _used: UsedIds = attrs.field(factory=UsedIds)
    _next_place: int = 0
    _forked_from: "Database | None" = None
    _mark: object = attrs.field(factory=object, init=False)

    def fork(self) -> "Database":
        """Return a database with the same objects and places. Later changes to either are not seen in the other."""
        self._mark = object()  # from now on every collection is shared
        collections = {name: by_parent.copy() for name, by_parent in self._collections.items()}
        return Database(collections, self._used.fork(), self._next_place, self)

    def is_still(self, database: "Database") -> bool:
        """Return whether this is a fork of that database, without changes since."""
        return self._forked_from is database

    def collection(self, kind: Kind, parent: str = "") -> ObjectCollection:
        """Return the collection of a kind, for reading; `parent` is the id of its parent object, such as a thread.

        Do not hold it across a change: the database may have replaced it by a copy.
        """
        by_parent = self._collections[kind.name]
        collection = by_parent.get(parent)
        if collection is None:
            collection = by_parent[parent] = ObjectCollection(self._mark)
        return collection

    def find(self, kind: Kind, object_id: str, parent: str = "") -> Obj | None:
        """Return a copy of the object with this id, or None."""
        collection = self._collections[kind.name].get(parent)
        return None if collection is None else collection.get(object_id)

    def text(self, kind: Kind, object_id: str, parent: str = "") -> bytes | None:
        """Return the JSON text of the object with this id, as sent over the wire, or None."""
        collection = self._collections[kind.name].get(parent)
        stored = None if collection is None else collection.text(object_id)
        return None if stored is None else unindented(stored)

    def thread_ids(self) -> Collection[str]:
        """Return the ids of all threads."""
        return self.collection(THREADS).ids

    def put(self, kind: Kind, value: Obj) -> None:
        """Append a new object, or replace the one with the same id at its place."""
        self._put(kind, parent_of(kind, value), value["id"], dumps_to_keep(value))

    def delete(self, kind: Kind, object_id: str, parent: str = "") -> None:
        """Delete an object and all that it contains."""
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
        """Return a new id, which no object of this database has or had. `shape` is as in `IdSource.draw`."""
        return ids.draw(prefix, self._used.__contains__, shape)

    def put_all(self, state: Staged) -> None:
        """Merge a checked state by id. A placeholder thread does not replace an existing one."""
        known = state.made_up.intersection(self.thread_ids())
        for kind in KINDS.values():
            for parent, object_id, text in state.rows[kind.name]:
                if kind is not THREADS or object_id not in known:
                    self._put(kind, parent, object_id, text)

    def snapshot(self) -> State:
        """Return a copy of the database as a state, in order of insertion."""
        return {kind.name: [loads(text) for text in self._texts(kind)] for kind in KINDS.values()}

    def json(self) -> bytes:
        """Return the snapshot as JSON text."""
        kinds = [b'\n  "%b": %b' % (name.encode(), array_of(self._texts(kind))) for name, kind in KINDS.items()]
        return b"{" + b",".join(kinds) + b"\n}"

    def _texts(self, kind: Kind) -> list[bytes]:
        rows = [row for collection in self._collections[kind.name].values() for row in collection.texts()]
        rows.sort(key=_place)  # fast: each collection is sorted already
        return [text for _, text in rows]


def _item_ids(kind: Kind, value: Obj) -> Iterator[str]:
    """Yield the ids of an item, or of the items of a response. An imported state may have any JSON in their place."""
    items = value.get("output") if kind is RESPONSES else [value]
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict):
            yield from (item[key] for key in ("id", "call_id") if isinstance(item.get(key), str))
