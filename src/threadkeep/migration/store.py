"""The store of a push, ``OUT.push``: what was sent of each thread, and where to. SQLite; it stays.

A row says what is about to be created before the request is sent, and the id of it as soon as there is one. So whatever
ends a push, the next one knows which threads have a conversation, and which ones may have one.
"""

import contextlib
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs

from threadkeep.conversion.losses import Loss
from threadkeep.errors import OutputUnusable
from threadkeep.migration.items import FileAtTarget
from threadkeep.migration.metadata import without_times
from threadkeep.migration.pattern_store import PATTERN_SCHEMA, PatternStore
from threadkeep.serialization.lossless_json import loads
from threadkeep.storage.private_files import create, on_disk, refuse_irregular, sync_folder

__all__ = ["PushStore", "State", "StoredFile", "StoredThread", "ThreadPlan"]

_APPLICATION_ID = int.from_bytes(b"tkpu", "big")
_VERSION = 1

_SCHEMA = (
    """
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE threads(
    thread_id TEXT PRIMARY KEY, place INTEGER NOT NULL, state TEXT NOT NULL,
    messages INTEGER NOT NULL,          -- of the export that have an item
    new_metadata INTEGER NOT NULL,      -- whether the conversation has other metadata
    digest BLOB NOT NULL,               -- over them
    pushed INTEGER NOT NULL DEFAULT 0,  -- how many of them the conversation had when it was complete
    pushed_digest BLOB,                 -- over those
    conversation_id TEXT, metadata TEXT,
    items INTEGER NOT NULL DEFAULT 0, times TEXT NOT NULL DEFAULT '', has_times INTEGER NOT NULL DEFAULT 1,
    verified INTEGER NOT NULL DEFAULT 0, reason TEXT, run INTEGER NOT NULL);
CREATE INDEX threads_by_place ON threads(place);
CREATE TABLE losses(
    id INTEGER PRIMARY KEY, thread_id TEXT NOT NULL, message_id TEXT, lost TEXT NOT NULL, why TEXT NOT NULL);
CREATE INDEX losses_by_thread ON losses(thread_id);
CREATE TABLE files(
    file_id TEXT PRIMARY KEY, path TEXT, is_image INTEGER NOT NULL, state TEXT NOT NULL, target_id TEXT, why TEXT);
CREATE TABLE leftovers(id INTEGER PRIMARY KEY, thread_id TEXT NOT NULL);
"""
    + PATTERN_SCHEMA
)


class State(StrEnum):
    """What became of a thread."""

    EMPTY = "empty"
    """It has nothing to send."""
    PLANNED = "planned"
    """Nothing was sent."""
    CREATING = "creating"
    """A request was sent that must not be repeated, and there was no answer yet: the creation of its conversation."""
    SENDING = "sending"
    """It was begun, and may lack items."""
    DONE = "done"
    """All items were sent."""
    CHANGED = "changed"
    """All were sent, and the export has other ones since."""


@attrs.frozen(kw_only=True)
class ThreadPlan:
    """A thread of the export, as it is to be sent.

    Attributes:
        messages: how many of its messages have an item.
        digest: over these items.
        pushed_digest: the digest over as many as were sent before, if it has so many.
        losses: what they do not carry.
        files: whether each file that they refer to is an image, by its id.
        paths: where files were downloaded to, likewise.
        has_thread_object: whether the export has the thread object.
        metadata: of the conversation, as far as the target is not asked.
    """

    thread_id: str
    messages: int
    digest: bytes
    pushed_digest: bytes | None
    losses: Sequence[Loss]
    files: Mapping[str, bool]
    paths: Mapping[str, str]
    has_thread_object: bool
    metadata: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class StoredThread:
    """A thread, as the store has it."""

    thread_id: str
    state: State
    messages: int
    digest: bytes
    conversation_id: str | None
    metadata: str | None
    items: int
    times: str
    has_times: bool
    verified: bool
    reason: str | None


@attrs.frozen(kw_only=True)
class StoredFile:
    """A file that messages refer to.

    Attributes:
        path: where it was downloaded to.
        state: "wanted", "sending" when its upload has begun, or "settled".
        target_id: its id at the target; None if it is not there, as far as is known.
    """

    file_id: str
    path: str | None
    is_image: bool
    state: str
    target_id: str | None


class PushStore:
    """A store that is open.

    Attributes:
        path: of the database; None for one in memory.
        has_thread_objects: whether any thread of the plan has its thread object in the export.
    """

    def __init__(self, path: Path | None, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db
        self._db.row_factory = sqlite3.Row
        self._run = 0
        self.has_thread_objects = False

    @classmethod
    def open(cls, path: Path, target: Mapping[str, str]) -> "PushStore":
        """Open a store, or create one.

        Args:
            path: of the database.
            target: where this push goes. A store belongs to one target.

        Raises:
            OutputUnusable: it is damaged, none of this version, or of another target, or the disk refuses.
        """
        with on_disk(path):
            refuse_irregular(path, rewritten=True)
            if not path.exists():
                _create(path, target)
        store = cls(path, _connected(path))
        try:
            store._check(target)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def in_memory(cls, path: Path, target: Mapping[str, str]) -> "PushStore":
        """Copy a store into memory, where all changes stay; or create one there, if there is none.

        Raises:
            OutputUnusable: as `open`.
        """
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        store = cls(None, db)
        with on_disk(path):
            refuse_irregular(path)
            is_there = path.exists()
        if not is_there:
            _fill(db, target)
            return store
        # Not mode=ro: a commit that a kill has cut off is rolled back first.
        with _named(path), contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True)) as old:
            old.backup(db)
        store.path = path
        try:
            store._check(target)
        finally:
            store.path = None
        return store

    def close(self) -> None:
        """Close the database."""
        with contextlib.suppress(sqlite3.Error):
            if self.path is not None:
                self._db.execute("PRAGMA journal_mode=DELETE")  # removes the file next to it
            self._db.close()

    def _check(self, target: Mapping[str, str]) -> None:
        name = "" if self.path is None else self.path.name
        with _named(self.path):
            marks = [self._db.execute(f"PRAGMA {one}").fetchone()[0] for one in ("application_id", "user_version")]
            if marks != [_APPLICATION_ID, _VERSION]:
                raise OutputUnusable(
                    f"{name} is no store of a push of this version. Move it away, or choose another OUT."
                )
            if self._db.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("database disk image is malformed")
            known = dict(self._db.execute("SELECT name, value FROM meta"))
        if not known.items() >= target.items():
            raise OutputUnusable(
                f"{name} says that OUT was pushed to {_target_in_words(known)}, and not to {_target_in_words(target)}."
                " Push there, or push a copy of OUT under another name."
            )

    @contextlib.contextmanager
    def _changes(self) -> Iterator[sqlite3.Connection]:
        with _named(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _rows(self, query: str, *values: object) -> list[sqlite3.Row]:
        with _named(self.path):
            return self._db.execute(query, values).fetchall()

    def _number(self, query: str, *values: object) -> int:
        return int(self._rows(query, *values)[0][0])

    @property
    def patterns(self) -> PatternStore:
        """The patterns that were sent."""
        return PatternStore(self._changes, self._rows)

    # --- the plan

    def pushed_of(self, thread_id: str) -> int:
        """Return how many messages of a thread were sent when it was complete last; 0 if it never was."""
        return self._number("SELECT coalesce(max(pushed), 0) FROM threads WHERE thread_id=?", thread_id)

    def begin_plan(self) -> None:
        """Begin a new plan. Threads of earlier runs that it does not have keep what became of them."""
        self._run = self._number("SELECT coalesce(max(run), 0) + 1 FROM threads")

    def plan(self, plans: Iterable[tuple[int, ThreadPlan]]) -> None:
        """Store what is to be sent of threads, each with its place in the export."""
        with self._changes() as db:
            for place, plan in plans:
                self.has_thread_objects |= plan.has_thread_object
                found = db.execute(
                    "SELECT state, pushed, pushed_digest, metadata FROM threads WHERE thread_id=?", (plan.thread_id,)
                ).fetchone()
                state = _state(plan, *(found or (State.PLANNED, 0, None, None)))
                new_metadata = found is not None and _sent(found["metadata"]) not in (None, plan.metadata)
                db.execute(
                    "INSERT INTO threads(thread_id, place, state, messages, new_metadata, digest, run)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET place=excluded.place, state=excluded.state, messages=excluded.messages,"
                    " new_metadata=excluded.new_metadata, digest=excluded.digest, run=excluded.run, reason=NULL",
                    (plan.thread_id, place, state, plan.messages, new_metadata, plan.digest, self._run),
                )
                if state not in (State.DONE, State.CHANGED):  # of those the losses are as they were
                    self._put_losses(db, plan.thread_id, plan.losses)
                    db.executemany(
                        "INSERT INTO files VALUES (?1, ?2, ?3, 'wanted', NULL, NULL) ON CONFLICT DO UPDATE SET"
                        " path=coalesce(?2, path), is_image=max(is_image, ?3)",
                        [(file_id, plan.paths.get(file_id), image) for file_id, image in plan.files.items()],
                    )

    def _put_losses(self, db: sqlite3.Connection, thread_id: str, losses: Iterable[Loss]) -> None:
        db.execute("DELETE FROM losses WHERE thread_id=?", (thread_id,))
        self._add_losses(db, losses)

    def _add_losses(self, db: sqlite3.Connection, losses: Iterable[Loss]) -> None:
        db.executemany(
            "INSERT INTO losses(thread_id, message_id, lost, why) VALUES (?, ?, ?, ?)",
            [(one.thread_id, _text(one.message_id), _text(one.lost), _text(one.why)) for one in losses],
        )

    # --- files

    def file(self, file_id: str) -> StoredFile:
        """Return a file."""
        (row,) = self._rows("SELECT file_id, path, is_image, state, target_id FROM files WHERE file_id=?", file_id)
        return StoredFile(**{**row, "is_image": bool(row["is_image"])})

    def sending_file(self, file_id: str) -> None:
        """Record that a file is about to be uploaded."""
        with self._changes() as db:
            db.execute("UPDATE files SET state='sending' WHERE file_id=?", (file_id,))

    def settle_file(self, file_id: str, there: FileAtTarget) -> None:
        """Record which id a file has at the target, or why it has none."""
        with self._changes() as db:
            db.execute(
                "UPDATE files SET state='settled', target_id=?, why=? WHERE file_id=?",
                (there.file_id, _text(there.why), file_id),
            )

    # --- threads

    def thread(self, thread_id: str) -> StoredThread:
        """Return a thread."""
        return _stored(self._rows("SELECT * FROM threads WHERE thread_id=?", thread_id)[0])

    def pending(self, thread_id: str) -> bool:
        """Return whether something of a thread is to be sent."""
        pending = "SELECT 1 FROM threads WHERE thread_id=? AND state IN ('planned', 'sending')"
        return bool(self._rows(pending, thread_id))

    def creating(self, thread_id: str, metadata: str, losses: Sequence[Loss]) -> None:
        """Record that the conversation of a thread is about to be created, and what of the thread it does not carry."""
        with self._changes() as db:
            db.execute("UPDATE threads SET state='creating', metadata=? WHERE thread_id=?", (metadata, thread_id))
            self._put_losses(db, thread_id, losses)

    def not_created(self, thread_id: str, leftover: bool = False) -> None:
        """Record that a conversation was not created; or that one may be left over that nobody knows the id of."""
        with self._changes() as db:
            db.execute("UPDATE threads SET state='planned' WHERE thread_id=?", (thread_id,))
            if leftover:
                db.execute("INSERT INTO leftovers(thread_id) VALUES (?)", (thread_id,))

    def created(self, thread_id: str, conversation_id: str) -> None:
        """Record the conversation of a thread."""
        with self._changes() as db:
            db.execute(
                "UPDATE threads SET state='sending', conversation_id=? WHERE thread_id=?", (conversation_id, thread_id)
            )

    def extending(self, thread_id: str, metadata: str, losses: Sequence[Loss]) -> None:
        """Record new metadata of a conversation that is there, and what of the thread it does not carry."""
        with self._changes() as db:
            db.execute("UPDATE threads SET metadata=? WHERE thread_id=?", (metadata, thread_id))
            self._put_losses(db, thread_id, losses)

    def done(self, thread_id: str, items: int, times: str, has_times: bool, verified: bool) -> None:
        """Record that a conversation has all items of its thread."""
        with self._changes() as db:
            db.execute(
                "UPDATE threads SET state='done', pushed=messages, pushed_digest=digest, items=?, times=?, has_times=?,"
                " verified=?, reason=NULL WHERE thread_id=?",
                (items, times, has_times, verified, thread_id),
            )

    def empty(self, thread_id: str, losses: Sequence[Loss]) -> None:
        """Record that nothing is left of a thread to be sent."""
        with self._changes() as db:
            db.execute("UPDATE threads SET state='empty', reason=NULL WHERE thread_id=?", (thread_id,))
            self._put_losses(db, thread_id, losses)

    def found_lost(self, words: Sequence[str], losses: Iterable[Loss]) -> None:
        """Record losses that were found in what was read back, in the place of all earlier ones by these words."""
        with self._changes() as db:
            db.executemany("DELETE FROM losses WHERE lost=?", [(word,) for word in words])
            self._add_losses(db, losses)

    def failed(self, thread_id: str, reason: str) -> None:
        """Record why a thread is not complete."""
        with self._changes() as db:
            db.execute("UPDATE threads SET reason=? WHERE thread_id=?", (_text(reason), thread_id))

    def verified(self, thread_id: str, problem: str | None) -> None:
        """Record whether a conversation is as it was sent, and what is not."""
        with self._changes() as db:
            db.execute(
                "UPDATE threads SET verified=?, reason=? WHERE thread_id=?",
                (problem is None, _text(problem), thread_id),
            )

    def unanswered(self) -> list[StoredThread]:
        """Return the threads of this run of whose creation there was no answer yet."""
        query = "SELECT * FROM threads WHERE state='creating' AND run=? ORDER BY place"
        return [_stored(row) for row in self._rows(query, self._run)]

    def is_known(self, conversation_id: str) -> bool:
        """Return whether a conversation is one of a thread."""
        return bool(self._rows("SELECT 1 FROM threads WHERE conversation_id=?", conversation_id))

    # --- what it came to

    def is_blank(self) -> bool:
        """Return whether nothing was sent, for all that is known."""
        sent = "SELECT 1 FROM threads WHERE conversation_id IS NOT NULL OR state='creating' LIMIT 1"
        uploaded = "SELECT 1 FROM files WHERE target_id IS NOT NULL OR state='sending' LIMIT 1"
        others = ("SELECT 1 FROM leftovers LIMIT 1", "SELECT 1 FROM patterns LIMIT 1")
        return not any(map(self._rows, (sent, uploaded, *others)))

    def count(self) -> Counter[str]:
        """Return how many threads of this plan have each state."""
        rows = self._rows("SELECT state, count(*) FROM threads WHERE run=? GROUP BY state", self._run)
        return Counter(dict(map(tuple, rows)))

    def totals(self) -> tuple[int, int]:
        """Return how many items the conversations of this plan have, and how many of these are verified."""
        query = "SELECT coalesce(sum(items), 0), coalesce(sum(verified), 0) FROM threads WHERE run=? AND state='done'"
        items, verified = self._rows(query, self._run)[0]
        return int(items), int(verified)

    def to_send(self) -> list[tuple[bool, int]]:
        """Return of each thread that is to be sent whether it has a conversation, and how many items are left."""
        query = (
            "SELECT conversation_id IS NOT NULL, messages - max(pushed, items) FROM threads"
            " WHERE run=? AND state IN ('planned', 'creating', 'sending')"
        )
        return [(bool(row[0]), int(row[1])) for row in self._rows(query, self._run)]

    def count_new_metadata(self) -> int:
        """Return how many conversations are to get other metadata."""
        query = "SELECT count(*) FROM threads WHERE run=? AND state='sending' AND new_metadata"
        return self._number(query, self._run)

    def count_files(self) -> tuple[int, int]:
        """Return how many files messages refer to that the target may not have, and how many of these are here."""
        query = "SELECT count(*), count(path) FROM files WHERE target_id IS NULL"
        every, here = self._rows(query)[0]
        return int(every), int(here)

    def losses(self) -> Counter[str]:
        """Return how many losses the threads of this plan have, by what is lost."""
        rows = self._rows(
            "SELECT lost, count(*) FROM losses JOIN threads USING (thread_id) WHERE run=? GROUP BY lost ORDER BY lost",
            self._run,
        )
        return Counter(dict(map(tuple, rows)))

    def each_loss(self) -> Iterator[Loss]:
        """Yield the losses of all threads that the store knows, in the order of the export."""
        with _named(self.path):
            for row in self._db.execute(
                "SELECT l.thread_id, message_id, lost, why FROM losses l JOIN threads t USING (thread_id)"
                " ORDER BY place, l.thread_id, l.id"
            ):
                yield Loss(*tuple(row))

    def each_done(self) -> Iterator[StoredThread]:
        """Yield all threads whose conversation has all items, of earlier plans too, in the order of the export."""
        done = "SELECT * FROM threads WHERE state IN ('done', 'changed') ORDER BY place, thread_id"
        with _named(self.path):
            for row in self._db.execute(done):
                yield _stored(row)

    def problems(self, most: int) -> list[StoredThread]:
        """Return the first threads of this plan that are not complete, or not as they were sent."""
        query = (
            "SELECT * FROM threads WHERE run=? AND (state NOT IN ('done', 'empty') OR reason IS NOT NULL)"
            " ORDER BY place LIMIT ?"
        )
        return [_stored(row) for row in self._rows(query, self._run, most)]

    def count_problems(self) -> int:
        """Return how many there are."""
        query = "SELECT count(*) FROM threads WHERE run=? AND (state NOT IN ('done', 'empty') OR reason IS NOT NULL)"
        return self._number(query, self._run)

    def count_in_map_only(self) -> int:
        """Return how many conversations of this plan have not the times of their items."""
        return self._number("SELECT count(*) FROM threads WHERE run=? AND state='done' AND NOT has_times", self._run)

    def leftovers(self) -> list[str]:
        """Return the threads for which an empty conversation may be left over, once for each of these."""
        return [row[0] for row in self._rows("SELECT thread_id FROM leftovers ORDER BY id")]


def _state(plan: ThreadPlan, state: str, pushed: int, pushed_digest: bytes | None, metadata: str | None) -> State:
    """Return what is to be done with a thread whose state was this one."""
    if state in (State.PLANNED, State.EMPTY):
        return State.PLANNED if plan.messages else State.EMPTY
    if state in (State.CREATING, State.SENDING):
        return State(state)
    if plan.messages < pushed or plan.pushed_digest != pushed_digest:
        return State.CHANGED
    is_same = plan.messages == pushed and not (plan.has_thread_object and _has_other_pairs(plan, metadata))
    return State.DONE if is_same else State.SENDING


def _has_other_pairs(plan: ThreadPlan, metadata: str | None) -> bool:
    """Return whether the thread has other pairs than were sent. The times depend on what of it the target takes."""
    sent = _sent(metadata)
    return sent is not None and without_times(sent) != without_times(plan.metadata)


def _sent(metadata: str | None) -> dict[str, str] | None:
    return None if metadata is None else loads(metadata.encode())


def _stored(row: sqlite3.Row) -> StoredThread:
    values: dict[str, Any] = {field.name: row[field.name] for field in attrs.fields(StoredThread)}
    values |= {"state": State(values["state"])} | {name: bool(values[name]) for name in ("has_times", "verified")}
    return StoredThread(**values)


def _create(path: Path, target: Mapping[str, str]) -> None:
    draft = path.with_name(path.name + ".new")
    create(draft).close()  # SQLite would follow a link, and make the file readable to all
    with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as db, _named(path):
        db.execute("PRAGMA journal_mode=OFF")
        _fill(db, target)
    os.rename(draft, path)
    sync_folder(path.parent)


def _fill(db: sqlite3.Connection, target: Mapping[str, str]) -> None:
    db.executescript(f"BEGIN;{_SCHEMA}PRAGMA application_id={_APPLICATION_ID};PRAGMA user_version={_VERSION};")
    db.executemany("INSERT INTO meta VALUES (?, ?)", target.items())
    db.execute("COMMIT")


def _connected(path: Path) -> sqlite3.Connection:
    with _named(path):
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        db.execute("PRAGMA journal_mode=TRUNCATE")
        db.execute("PRAGMA synchronous=FULL")
    return db


@contextlib.contextmanager
def _named(path: Path | None) -> Iterator[None]:
    """Name the store in an error of SQLite."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        name = "the plan of the push" if path is None else str(path)
        what = f"{name}: {error}."
        if "malformed" in str(error) or "not a database" in str(error):
            what = (
                f"{name} is damaged, and it alone says which conversations were created. Restore it from a copy, or"
                " move it away and look for those conversations by their metadata first: without it, all threads are"
                " pushed again."
            )
        raise OutputUnusable(what) from None


def _text(value: str | None) -> str | None:
    """Return a text as SQLite takes it: in Unicode."""
    return None if value is None else value.encode("utf-8", "replace").decode()


def _target_in_words(target: Mapping[str, str]) -> str:
    return f"{target.get('to')} at {target.get('address')}"
