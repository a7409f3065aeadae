"""The plan of a run on many machines: which threads are in which shard.

A plan is a row of objects, ``plan/000001.ndjson`` and so on: a header, then a line for each shard with its ids. Each of
them is created once. Who finds that another run was first follows the other's plan, and adds shards for the ids that it
does not have; so does every later run with a longer list.
"""

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import msgspec

from threadkeep.errors import OtherExport, OutputUnusable
from threadkeep.scale.object_store import Folder, ObjectStore
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.storage.index import IndexHeader
from threadkeep.storage.session import InvalidId, InvalidIds, ThreadList

__all__ = [
    "MOST_THREADS",
    "Planned",
    "PlannedShard",
    "decode_plan",
    "encode_plan",
    "is_planned",
    "make_plan",
    "planned_header",
    "read_plan",
    "shard_size",
]

MOST_THREADS = 500
"""No shard has more threads."""

_FORMAT = "threadkeep-plan/1"

# So many shards are in one object at most: half a million ids, some 20 MB.
_SHARDS = 1000


@attrs.frozen
class PlannedShard:
    """A shard: its name, and the ids of its threads in the order in which they were first wanted."""

    name: str
    ids: tuple[str, ...] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Planned:
    """What a list adds to a plan.

    Attributes:
        listed: how many distinct ids the list has.
        added: how many of them no earlier run had.
        invalid, invalid_count: the first entries of the list that cannot be thread ids, and how many there are.
    """

    listed: int
    added: int
    invalid: tuple[InvalidId, ...]
    invalid_count: int


def shard_size(threads: int, workers: int) -> int:
    """Return how many threads a shard has: so few that the last shards do not keep one worker busy for long."""
    return max(1, min(MOST_THREADS, threads // (4 * workers)))


def encode_plan(number: int, header: IndexHeader, shards: Iterable[tuple[str, ...]]) -> bytes:
    """Return an object of a plan, with these ids as its shards."""
    fields = msgspec.to_builtins(header) | {"format": _FORMAT}
    rows = ({"name": f"{number:06}-{place:04}", "ids": ids} for place, ids in enumerate(shards, 1))
    return b"".join(dumps(row) + b"\n" for row in (fields, *rows))


def decode_plan(content: bytes, place: str) -> tuple[IndexHeader, list[PlannedShard]]:
    """Read an object of a plan.

    Raises:
        OutputUnusable: it is none.
    """
    try:
        first, *rows = map(loads, content.split(b"\n")[:-1])
        if first.pop("format") != _FORMAT:
            raise ValueError("it has another format")
        return msgspec.convert(first, IndexHeader), [PlannedShard(row["name"], tuple(row["ids"])) for row in rows]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise OutputUnusable(f"{place} is no plan of threadkeep: {error}") from None


def read_plan(store: ObjectStore) -> Iterator[tuple[IndexHeader, list[PlannedShard]]]:
    """Yield the objects of a plan, in their order."""
    for number in count(1):
        content = store.get(_name(number))
        if content is None:
            return
        yield decode_plan(content, f"{store.url}/{_name(number)}")


def is_planned(folder: Folder) -> bool:
    """Return whether a folder holds a plan."""
    return (folder.path / _name(1)).is_file()


def planned_header(store: ObjectStore) -> IndexHeader:
    """Return what the export is of.

    Raises:
        OutputUnusable: there is no plan.
    """
    for header, _ in read_plan(store):
        return header
    raise OutputUnusable(f"{store.url} has no plan of threadkeep, {_name(1)}: nothing was exported there.")


def make_plan(store: ObjectStore, header: IndexHeader, wanted: ThreadList, workers: int) -> Planned:
    """Put the shards of those threads that no earlier run has planned.

    Args:
        store: where the export goes.
        header: what it is of.
        wanted: which threads the run is for.
        workers: how many there are.

    Raises:
        OtherExport: the plan that is there is for something else.
        OutputUnusable: something that is no export is there; or the store refuses.
        UnreadableIds: the list cannot be read.
    """
    with _Lists.opened() as lists:
        planned = lists.fill(wanted)
        number = 1
        for before, shards in read_plan(store):
            _refuse_other(before, header, store)
            lists.know(shards)
            number += 1
        added = lists.left()
        if number == 1 and any(not name.startswith("plan/") for name in store.names()):
            raise OutputUnusable(f"{store.url} is not empty, and no export of shards: choose another prefix.")
        size = shard_size(added, workers)
        while ids := lists.next(size * _SHARDS):
            content = encode_plan(number, header, [tuple(ids[at : at + size]) for at in range(0, len(ids), size)])
            is_own = store.create(_name(number), content)
            before, shards = decode_plan(content if is_own else store.get(_name(number)) or b"", _name(number))
            _refuse_other(before, header, store)
            lists.know(shards)
            number += 1
    return attrs.evolve(planned, added=added)


def _name(number: int) -> str:
    return f"plan/{number:06}.ndjson"


def _refuse_other(before: IndexHeader, given: IndexHeader, store: ObjectStore) -> None:
    for field in ("source", "assistant_id", "flat", "include"):
        was, now = getattr(before, field), getattr(given, field)
        if was != now:
            raise OtherExport(f"{store.url} was begun with {field} {was!r}, and not {now!r}")


class _Lists:
    """The ids that are listed and those that are planned, in a database: there may be many millions."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.execute("CREATE TABLE listed(place INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE)")
        db.execute("CREATE TABLE known(id BLOB PRIMARY KEY) WITHOUT ROWID")

    @classmethod
    @contextlib.contextmanager
    def opened(cls) -> Iterator["_Lists"]:
        """Yield them; they are deleted afterwards."""
        with contextlib.ExitStack() as opened:
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="threadkeep-"))
            db = opened.enter_context(contextlib.closing(sqlite3.connect(Path(folder) / "lists", isolation_level=None)))
            db.execute("PRAGMA journal_mode=OFF")
            db.execute("PRAGMA synchronous=OFF")
            db.execute("BEGIN")
            yield cls(db)

    def fill(self, wanted: ThreadList) -> Planned:
        """Take the list, without what is left out of it."""
        invalid = InvalidIds()
        self._db.execute("CREATE TEMP TABLE done(id BLOB PRIMARY KEY) WITHOUT ROWID")
        self._db.executemany("INSERT OR IGNORE INTO done VALUES (?)", ((_key(one),) for one in wanted.done))
        insert = "INSERT OR IGNORE INTO listed(id) SELECT :id WHERE NOT EXISTS (SELECT 1 FROM done WHERE id = :id)"
        ids = invalid.passed_over(wanted.ids, wanted.shard)
        self._db.executemany(insert, ({"id": _key(one)} for one, _ in ids))
        if wanted.limit is not None:
            cut = "DELETE FROM listed WHERE place > (SELECT place FROM listed ORDER BY place LIMIT 1 OFFSET ?)"
            self._db.execute(cut, (wanted.limit - 1,))
        return Planned(
            listed=self._one("SELECT count(*) FROM listed"),
            added=0,
            invalid=tuple(invalid.examples),
            invalid_count=invalid.count,
        )

    def know(self, shards: Iterable[PlannedShard]) -> None:
        """Take out of the list what is planned."""
        keys = ((_key(one),) for shard in shards for one in shard.ids)
        self._db.executemany("INSERT OR IGNORE INTO known VALUES (?)", keys)

    def left(self) -> int:
        """Return how many listed ids are not planned."""
        return int(self._one("SELECT count(*) FROM listed WHERE id NOT IN known"))

    def next(self, most: int) -> list[str]:
        """Return the first listed ids that are not planned."""
        query = "SELECT id FROM listed WHERE id NOT IN known ORDER BY place LIMIT ?"
        return [row[0].decode("utf-8", "surrogatepass") for row in self._db.execute(query, (most,))]

    def _one(self, query: str) -> Any:
        return self._db.execute(query).fetchone()[0]


def _key(thread_id: str) -> bytes:
    """An id may hold a lone surrogate, which SQLite takes for no text."""
    return thread_id.encode("utf-8", "surrogatepass")
