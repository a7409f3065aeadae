"""The plan of a run on many machines: which threads are in which shard.

A plan is a row of objects, ``plan/000001.ndjson`` and so on: a header, then a line for each shard with its ids. Each of
them is created once. Who finds that another run was first follows the other's plan, and adds shards for the ids that it
does not have; so does every later run with a longer list.

A shard is named by a digest of what it is of: the random id of the export, what the export is of, and the ids. So
nothing of another export, of another list or of another shard is ever taken for it.
"""

import contextlib
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b, sha256
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

import attrs
import msgspec

from threadkeep.errors import OutputUnusable
from threadkeep.scale.object_store import Folder, ObjectDamaged, ObjectMissing, ObjectStore
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.storage.index import AUTO, IndexHeader
from threadkeep.storage.session import InvalidId, InvalidIds, ThreadList, refuse_other

__all__ = [
    "FIRST",
    "MOST_THREADS",
    "RESTORE",
    "SHARD_NAME",
    "Damaged",
    "PlanHeader",
    "PlanObject",
    "Planned",
    "PlannedShard",
    "decode_plan",
    "encode_plan",
    "is_planned",
    "make_plan",
    "planned_header",
    "planned_ids",
    "read_plan",
    "read_plan_of_once",
    "refuse_unplanned",
    "shard_name",
    "shard_size",
    "unplanned",
]

MOST_THREADS = 500
"""No shard has more threads."""

SHARD_NAME = r"[0-9a-f]{32}"
"""What the name of a shard looks like."""

# So many shards are in one object at most: half a million ids, some 20 MB.
_SHARDS = 1000

_OBJECT = re.compile(r"plan/([0-9]{6,})\.ndjson")
FIRST = "plan/000001.ndjson"
"""The name of the first object of a plan."""

_SHARD_OBJECT = re.compile(rf"shards/({SHARD_NAME})/.+")

RESTORE = "Restore the object from a backup, or export to another prefix."
"""What to do about an object of a plan that is missing or damaged."""

_MOST_NAMED = 5

_Name: TypeAlias = Annotated[str, msgspec.Meta(pattern=rf"^{SHARD_NAME}\Z")]


class PlanHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of an object of a plan.

    Attributes:
        export_id: random, and the same in all objects of a plan.
        number: the place of the object in the plan, from 1.
        source, assistant_id, flat, include: as of `threadkeep.storage.index.IndexHeader`.
        shards, ids: how many it has.
        sha256: of the lines behind the header.
    """

    format: Literal["threadkeep-plan/1"] = "threadkeep-plan/1"
    export_id: _Name
    number: int
    source: str
    assistant_id: str
    flat: bool
    include: tuple[Literal["threads", "runs"], ...]
    shards: Annotated[int, msgspec.Meta(ge=1)]
    ids: int
    sha256: str

    @property
    def of(self) -> IndexHeader:
        """What the export is of."""
        return IndexHeader(source=self.source, assistant_id=self.assistant_id, flat=self.flat, include=self.include)


class _Row(msgspec.Struct, frozen=True):
    name: str
    ids: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    assistants: dict[str, str] = {}


@attrs.frozen
class PlannedShard:
    """A shard of a plan.

    Attributes:
        export_id: of the export that it is of.
        header: what that is of.
        ids: of its threads, in the order in which they were first wanted.
        assistants: that the list has named, by the ids of their threads.
        name: a digest of the first three.
    """

    export_id: str
    header: IndexHeader
    ids: tuple[str, ...] = attrs.field(repr=False)
    assistants: Mapping[str, str] = attrs.field(factory=dict, repr=False, hash=False)
    name: str = attrs.field(init=False)

    @name.default
    def _named(self) -> str:
        return shard_name(self.export_id, self.header, self.ids)


@attrs.frozen
class PlanObject:
    """An object of a plan."""

    header: PlanHeader
    shards: tuple[PlannedShard, ...]


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


def shard_name(export_id: str, header: IndexHeader, ids: Iterable[str]) -> str:
    """Return the name of the shard that has these threads, in this order."""
    what = [export_id, header.source, header.assistant_id, header.flat, header.include, [*ids]]
    return blake2b(dumps(what), digest_size=16).hexdigest()


def encode_plan(
    export_id: str,
    number: int,
    header: IndexHeader,
    shards: Iterable[tuple[str, ...]],
    assistants: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """Return an object of a plan, with these ids as its shards, and the assistants that a list has named for them."""
    rows: list[dict[str, Any]] = []
    for ids in shards:
        named = {one: assistants[one] for one in ids if one in assistants}
        rows.append(
            {"name": shard_name(export_id, header, ids), "ids": ids, **({"assistants": named} if named else {})}
        )
    lines = b"".join(dumps(row) + b"\n" for row in rows)
    first = PlanHeader(
        export_id=export_id,
        number=number,
        source=header.source,
        assistant_id=header.assistant_id,
        flat=header.flat,
        include=header.include,
        shards=len(rows),
        ids=sum(len(row["ids"]) for row in rows),
        sha256=sha256(lines).hexdigest(),
    )
    return dumps(msgspec.to_builtins(first)) + b"\n" + lines


def decode_plan(content: bytes, place: str) -> PlanObject:
    """Read an object of a plan.

    Args:
        content: of the object.
        place: its name, for errors.

    Raises:
        OutputUnusable: it is none, or it is damaged.
    """
    first, _, lines = content.partition(b"\n")
    header = _decoded(first, PlanHeader, place)
    if sha256(lines).hexdigest() != header.sha256 or not lines.endswith(b"\n"):
        raise _no_plan(place, "it was cut off or changed")
    rows = [_decoded(line, _Row, place) for line in lines.split(b"\n")[:-1]]
    shards = tuple(PlannedShard(header.export_id, header.of, row.ids, row.assistants) for row in rows)
    if [row.name for row in rows] != [shard.name for shard in shards]:
        raise _no_plan(place, "its shards are not those that their names say")
    if (header.shards, header.ids) != (len(rows), len({one for row in rows for one in row.ids})):
        raise _no_plan(place, "it does not have as many ids as it says, or one of them twice")
    return PlanObject(header, shards)


def _decoded(line: bytes, kind: Any, place: str) -> Any:
    try:
        return msgspec.convert(loads(line), kind)
    except ValueError as error:
        raise _no_plan(place, str(error)) from None


def _no_plan(place: str, why: str) -> ObjectDamaged:
    return ObjectDamaged(f"{place} is no plan of threadkeep, or damaged: {why}. {RESTORE}")


Damaged: TypeAlias = Callable[[str, ObjectDamaged], None]
"""Takes the name of an object of a plan that is missing or damaged, and the error that says why."""


def _refuse_damaged(_name: str, error: ObjectDamaged) -> None:
    raise error


def read_plan(store: ObjectStore, on_damaged: Damaged = _refuse_damaged) -> Iterator[PlanObject]:
    """Yield the objects of a plan, in their order.

    Args:
        store: where they are.
        on_damaged: receives those that are missing or damaged, or are not of this export or not of this place. If it
            returns, the next objects are read.

    Raises:
        ObjectDamaged: there is such an object, and ``on_damaged`` was not given.
        OutputUnusable: the store refuses.
    """
    numbers = {int(found[1]) for name in store.names("plan") if (found := _OBJECT.fullmatch(name)) is not None}
    first: PlanHeader | None = None
    for number in range(1, max(numbers, default=0) + 1):
        try:
            planned = _planned(store, number)
            if planned is None:
                raise ObjectMissing(f"{store.url}/{_name(number)} is missing, and later ones are there. {RESTORE}")
            _refuse_misplaced(planned.header, number, first or planned.header, store)
        except ObjectDamaged as error:
            on_damaged(_name(number), error)
            continue
        first = first or planned.header
        yield planned


def _planned(store: ObjectStore, number: int) -> PlanObject | None:
    content = store.get(_name(number))
    return None if content is None else decode_plan(content, f"{store.url}/{_name(number)}")


def _refuse_misplaced(header: PlanHeader, number: int, first: PlanHeader, store: ObjectStore) -> None:
    if (header.number, header.export_id, header.of) != (number, first.export_id, first.of):
        raise ObjectDamaged(f"{store.url}/{_name(number)} is of another export, or of another place. {RESTORE}")


def is_planned(folder: Folder) -> bool:
    """Return whether a folder holds a plan, or what is left of an export in shards."""
    return any((folder.path / name).is_dir() for name in ("plan", "shards"))


def planned_header(store: ObjectStore) -> PlanHeader:
    """Return the header of the first object of the plan. What comes behind it is not read.

    Raises:
        ObjectMissing: there is no plan.
        OutputUnusable: it is damaged; or the store refuses.
    """
    first = b""
    try:
        for piece in store.stream(_name(1)):
            first += piece
            if b"\n" in piece:
                break
    except ObjectMissing:
        raise ObjectMissing(
            f"{store.url} has no plan of threadkeep, {_name(1)}: nothing was exported there, or the plan was removed."
        ) from None
    header: PlanHeader = _decoded(first.partition(b"\n")[0], PlanHeader, f"{store.url}/{_name(1)}")
    return header


def read_plan_of_once(store: ObjectStore, on_damaged: Damaged = _refuse_damaged) -> Iterator[PlanObject]:
    """Yield the objects of a plan as `read_plan` does. One that plans an id once more is damaged, too."""
    with _Lists.opened() as lists:
        for planned in read_plan(store, on_damaged):
            try:
                lists.know(planned, store)
            except ObjectDamaged as error:
                on_damaged(_name(planned.header.number), error)
                continue
            yield planned


def planned_ids(store: ObjectStore) -> Iterator[str]:
    """Yield all ids in the order of the plan.

    Raises:
        ObjectDamaged, OutputUnusable: as `read_plan`; or an id is planned twice.
    """
    for planned in read_plan_of_once(store):
        for shard in planned.shards:
            yield from shard.ids


def unplanned(store: ObjectStore, names: Iterable[str], on_damaged: Damaged = _refuse_damaged) -> list[str]:
    """Return the names of shards that no object of the plan has, in order.

    Args:
        store: where they are.
        names: of shards. They were listed before the plan is read here: whoever puts a shard has planned it.
        on_damaged: as of `read_plan`.

    Raises:
        ObjectDamaged, OutputUnusable: as `read_plan`.
    """
    left = {*names}
    for planned in read_plan(store, on_damaged) if left else ():
        left.difference_update(shard.name for shard in planned.shards)
    return sorted(left)


def refuse_unplanned(store: ObjectStore, names: Iterable[str]) -> None:
    """Refuse shards without a plan: one is lost, and another must not be put in its place.

    Args:
        store: where they are.
        names: as of `unplanned`.

    Raises:
        OutputUnusable: there are some; or as `read_plan`.
    """
    if left := unplanned(store, names):
        named = ", ".join(f"shards/{name}" for name in left[:_MOST_NAMED])
        raise OutputUnusable(
            f"{store.url}: {len(left):,} shards are in no plan, such as {named}. Restore the objects of plan/ from a"
            " backup. If these shards are of another export, move them away."
        )


def make_plan(store: ObjectStore, header: IndexHeader, wanted: ThreadList, workers: int) -> Planned:
    """Put the shards of those threads that no earlier run has planned.

    Args:
        store: where the export goes.
        header: what it is of.
        wanted: which threads the run is for.
        workers: how many there are.

    Raises:
        OtherExport: the plan that is there is for something else.
        OutputUnusable: something that is no export is there, or the plan is damaged; or the store refuses, or does not
            refuse to write over an object.
        UnreadableIds: the list cannot be read.
    """
    with _Lists.opened() as lists:
        listed = lists.fill(wanted)
        first: PlanHeader | None = None
        number = 1
        for planned in read_plan(store):
            first = first or planned.header
            refuse_other(planned.header.of, header, store.url)
            lists.know(planned, store)
            number += 1
        added = lists.left()
        if added:
            _refuse_unusable(store, is_new=first is None)
        export_id = os.urandom(16).hex() if first is None else first.export_id
        size = shard_size(added, workers)
        while found := lists.next(size * _SHARDS):
            ids = [thread_id for thread_id, _ in found]
            shards = [tuple(ids[at : at + size]) for at in range(0, len(ids), size)]
            named = {thread_id: one for thread_id, one in found if one is not None and header.assistant_id == AUTO}
            planned = _put(store, number, encode_plan(export_id, number, header, shards, named))
            refuse_other(planned.header.of, header, store.url)
            first = first or planned.header
            _refuse_misplaced(planned.header, number, first, store)
            export_id = first.export_id
            lists.know(planned, store)
            number += 1
    return attrs.evolve(listed, added=added)


def _put(store: ObjectStore, number: int, content: bytes) -> PlanObject:
    """Create an object of a plan, and read it back: it is that of another run if that was first."""
    store.create(_name(number), content)
    planned = _planned(store, number)
    if planned is None:
        raise OutputUnusable(f"{store.url}/{_name(number)} was put and is not there. Check the store.")
    return planned


def _refuse_unusable(store: ObjectStore, *, is_new: bool) -> None:
    """Refuse a store before something is planned there: one that has something else, or writes over objects."""
    found = (_SHARD_OBJECT.fullmatch(name) for name in store.names("shards"))
    refuse_unplanned(store, {one[1] for one in found if one is not None})
    if is_new and any(not name.startswith(("plan/", "shards/")) for name in store.names()):
        raise OutputUnusable(f"{store.url} is not empty, and no export of shards: choose another prefix.")
    # Each run of the two below is the first to create the object, or meets one of other bytes.
    name = "plan/create-only"
    store.create(name, os.urandom(16).hex().encode())
    if store.create(name, os.urandom(16).hex().encode()):
        raise OutputUnusable(
            f"{store.url} writes over an object that is to be created only once, so two runs could lose the threads of"
            " each other. It must understand the header If-None-Match: choose another store, or update it."
        )


def _name(number: int) -> str:
    return f"plan/{number:06}.ndjson"


class _Lists:
    """The ids that are listed and those that are planned, in a database: there may be many millions."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.execute("CREATE TABLE listed(place INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, assistant_id BLOB)")
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
        insert = (
            "INSERT OR IGNORE INTO listed(id, assistant_id) SELECT :id, :assistant_id"
            " WHERE NOT EXISTS (SELECT 1 FROM done WHERE id = :id)"
        )
        ids = invalid.passed_over(wanted.ids, wanted.shard)
        self._db.executemany(
            insert, ({"id": _key(one), "assistant_id": assistant and _key(assistant)} for one, assistant in ids)
        )
        if wanted.limit is not None:
            cut = "DELETE FROM listed WHERE place > (SELECT place FROM listed ORDER BY place LIMIT 1 OFFSET ?)"
            self._db.execute(cut, (wanted.limit - 1,))
        return Planned(
            listed=self._one("SELECT count(*) FROM listed"),
            added=0,
            invalid=tuple(invalid.examples),
            invalid_count=invalid.count,
        )

    def know(self, planned: PlanObject, store: ObjectStore) -> None:
        """Take out of the list what is planned; refuse an id that is planned twice."""
        keys = ((_key(one),) for shard in planned.shards for one in shard.ids)
        try:
            self._db.executemany("INSERT INTO known VALUES (?)", keys)
        except sqlite3.IntegrityError:
            place = f"{store.url}/{_name(planned.header.number)}"
            raise _no_plan(place, "an id is planned twice, here and before") from None

    def left(self) -> int:
        """Return how many listed ids are not planned."""
        return int(self._one("SELECT count(*) FROM listed WHERE id NOT IN known"))

    def next(self, most: int) -> list[tuple[str, str | None]]:
        """Return the first listed ids that are not planned, with their assistants."""
        query = "SELECT id, assistant_id FROM listed WHERE id NOT IN known ORDER BY place LIMIT ?"
        rows = self._db.execute(query, (most,))
        return [(_text(thread_id), None if one is None else _text(one)) for thread_id, one in rows]

    def _one(self, query: str) -> Any:
        return self._db.execute(query).fetchone()[0]


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")


def _key(thread_id: str) -> bytes:
    """An id may hold a lone surrogate, which SQLite takes for no text."""
    return thread_id.encode("utf-8", "surrogatepass")
