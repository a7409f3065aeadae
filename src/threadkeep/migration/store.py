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
from threadkeep.migration.conversations.items import FileAtTarget
from threadkeep.migration.conversations.metadata import decode_times, without_times
from threadkeep.migration.engramia.pattern_store import PATTERN_SCHEMA, PatternStore
from threadkeep.serialization.lossless_json import loads
from threadkeep.storage.private_files import create, on_disk, open_regular, refuse_irregular, sync_folder

__all__ = ["PushStore", "State", "StoredFile", "StoredThread", "ThreadPlan"]

_APPLICATION_ID = int.from_bytes(b"tkpu", "big")
_VERSION = 1

# The header of a database (documented).
_HEAD_BYTES = 100

_IN_MEMORY = "the plan of the push"

_SCHEMA = (
    """
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE choices(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE threads(
    thread_id TEXT PRIMARY KEY, place INTEGER NOT NULL, state TEXT NOT NULL,
    messages INTEGER NOT NULL,          -- of the export that have an item
    new_metadata INTEGER NOT NULL,      -- whether the conversation has other metadata
    digest BLOB NOT NULL,               -- over them
    pushed INTEGER NOT NULL DEFAULT 0,  -- how many of them the conversation had when it was complete
    pushed_digest BLOB,                 -- over those
    conversation_id TEXT, metadata TEXT,
    items INTEGER NOT NULL DEFAULT 0, times TEXT NOT NULL DEFAULT '', has_times INTEGER NOT NULL DEFAULT 1,
    verified INTEGER NOT NULL DEFAULT 0, reason TEXT,
    broken INTEGER NOT NULL DEFAULT 0,  -- whether the reason proves that the conversation is gone or not as it was sent
    behind INTEGER NOT NULL DEFAULT 0,  -- items of others that were behind ours when it was read back
    run INTEGER NOT NULL);
CREATE INDEX threads_by_place ON threads(place);
CREATE INDEX threads_by_conversation ON threads(conversation_id);
CREATE TABLE losses(
    id INTEGER PRIMARY KEY, thread_id TEXT NOT NULL, message_id TEXT, lost TEXT NOT NULL, why TEXT NOT NULL);
CREATE INDEX losses_by_thread ON losses(thread_id);
CREATE TABLE files(
    file_id TEXT PRIMARY KEY, path TEXT, is_image INTEGER NOT NULL, state TEXT NOT NULL, target_id TEXT);
CREATE TABLE lost_files(  -- of threads of which something was sent without them
    thread_id TEXT NOT NULL, file_id TEXT NOT NULL, why TEXT NOT NULL, PRIMARY KEY (thread_id, file_id)) WITHOUT ROWID;
CREATE TABLE leftovers(id INTEGER PRIMARY KEY, thread_id TEXT NOT NULL);
CREATE TABLE replaced(id INTEGER PRIMARY KEY, conversation_id TEXT NOT NULL);
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
        left_out: how many of its messages have no item.
        awaited: why it is not sent yet, if it needs a file that another export run may download.
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
    left_out: int = 0
    awaited: str | None = None


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
    times: Sequence[int | None]
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
        left_out: how many messages of the plan have no item.
        awaiting: how many threads of the plan are not sent yet, since they need a file that may still be downloaded.
        held: how many of these were sent before, and keep their conversation until then.
        replaced_now: the conversations of threads that the plan pushes anew.
    """

    def __init__(self, path: Path | None, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db
        self._db.row_factory = sqlite3.Row
        self._run = 0
        self.has_thread_objects = False
        self.left_out = self.awaiting = self.held = 0
        self.replaced_now: list[str] = []

    @classmethod
    def open(cls, path: Path, target: Mapping[str, str]) -> "PushStore":
        """Open a store, or create one.

        Args:
            path: of the database.
            target: where this push goes. A store belongs to one target.

        Raises:
            OutputUnusable: it is damaged, none of this version, or of another target, or the disk reports an error.
        """
        with on_disk(path):
            refuse_irregular(path, rewritten=True)
            if path.exists():
                _refuse_other(path)
            else:
                _create(path, target)
        store = cls(path, _connected(path))
        try:
            _refuse_other_target(path, store._target(path), target)
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
        with on_disk(path):
            refuse_irregular(path)
            is_there = path.exists()
            if is_there:
                _refuse_other(path)
        db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        store = cls(None, db)
        if not is_there:
            _fill(db, target)
            return store
        try:
            # Not mode=ro: a commit that a kill has cut off is rolled back first.
            address = f"{path.absolute().as_uri()}?mode=rw"
            with _named(path), contextlib.closing(sqlite3.connect(address, uri=True)) as old:
                old.backup(db)
            _refuse_other_target(path, store._target(path), target)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close the database."""
        with contextlib.suppress(sqlite3.Error, ValueError):
            if self.path is not None:
                self._db.execute("PRAGMA journal_mode=DELETE")  # removes the file next to it
        self._db.close()

    def _target(self, path: Path) -> dict[str, str]:
        """Return the target that the store belongs to, if it is not damaged. ``path`` is where it was read from."""
        with _named(path):
            if self._db.execute("PRAGMA integrity_check(1)").fetchone()[0] != "ok":
                raise sqlite3.DatabaseError("database disk image is malformed")
            return dict(map(tuple, self._db.execute("SELECT name, value FROM meta")))

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

    def _threads(self, query: str, *values: object) -> list[StoredThread]:
        with _named(self.path):
            return [_stored(row) for row in self._db.execute(query, values)]

    def _number(self, query: str, *values: object) -> int:
        return int(self._rows(query, *values)[0][0])

    @property
    def patterns(self) -> PatternStore:
        """The patterns that were sent."""
        return PatternStore(self._changes, self._rows)

    # --- choices

    def choose(self, asked: Mapping[str, str], allowed: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Remember how items are made, and return that, as `choices` does."""
        chosen = self.choices(asked, allowed)
        with self._changes() as db:
            db.executemany("INSERT OR REPLACE INTO choices VALUES (?, ?)", chosen.items())
        return chosen

    def choices(self, asked: Mapping[str, str], allowed: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Return how items are made: what an earlier push has said counts for all later ones.

        Args:
            asked: the choices of this push, by their names; those that it leaves open are left out.
            allowed: what each may be; the first is the default.

        Raises:
            OutputUnusable: a choice is another one than that with which something was sent. Whether files are uploaded
                may change: what was sent without a file stays without it.
        """
        with _named(self.path):
            known: dict[str, str] = dict(map(tuple, self._db.execute("SELECT name, value FROM choices")))
            if any(value not in allowed.get(name, ()) for name, value in known.items()):
                raise ValueError("a choice is none")
        is_first = self.is_blank()
        other = [name for name, value in asked.items() if known.get(name, value) != value and name != "upload_files"]
        if other and not is_first:
            before = " and ".join(_choice_in_words(name, known[name]) for name in other)
            raise OutputUnusable(
                f"{self._name} says that OUT was pushed {before}, and what was sent stays as it is. Leave these options"
                " out: those of the first push count."
            )
        first = {name: values[0] for name, values in allowed.items()}
        return {**first, **({} if is_first else known), **asked}

    @property
    def _name(self) -> str:
        return _IN_MEMORY if self.path is None else self.path.name

    # --- the plan

    def pushed_of(self, thread_id: str) -> int:
        """Return how many messages of a thread were sent when it was complete last; 0 if it never was."""
        return self._number("SELECT coalesce(max(pushed), 0) FROM threads WHERE thread_id=?", thread_id)

    def begin_plan(self) -> None:
        """Begin a new plan. Threads of earlier runs that it does not have keep what became of them."""
        self._run = self._number("SELECT coalesce(max(run), 0) + 1 FROM threads")

    def plan(self, plans: Iterable[tuple[int, ThreadPlan]], anew: bool = False) -> None:
        """Store what is to be sent of threads, each with its place in the export.

        Args:
            plans: of the threads.
            anew: forget the conversations that are gone or not as they were sent, or of whose threads the export has
                other items now, so that their threads are pushed anew. Of patterns it is forgotten that they are there:
                those that still are will be found in the list.
        """
        with self._changes() as db:
            for place, plan in plans:
                self.has_thread_objects |= plan.has_thread_object
                self.left_out += plan.left_out
                found = self._found(plan.thread_id)
                state, held = _state(plan, found), None
                if state is State.CHANGED or (anew and found.is_broken and state in (State.DONE, State.SENDING)):
                    held = plan.awaited  # what is there stays until there is something better
                    if anew and held is None and self.patterns.can_be_found(plan.thread_id):
                        self._forget(db, plan.thread_id, found.conversation_id)
                        found = self._found(plan.thread_id)
                        state = _state(plan, found)
                if state is State.DONE and self._new_losses(db, plan):
                    state = State.SENDING  # no items, but the report is to have them
                self._put(db, place, plan, state, found, held)

    def _found(self, thread_id: str) -> "_Found":
        """Return what is known of a thread before it is planned."""
        rows = self._rows(
            "SELECT state, pushed, pushed_digest, metadata, conversation_id, broken FROM threads WHERE thread_id=?",
            thread_id,
        )
        return _Found(*rows[0]) if rows else _Found()

    def _forget(self, db: sqlite3.Connection, thread_id: str, conversation_id: str | None) -> None:
        db.execute(
            "UPDATE threads SET state='planned', conversation_id=NULL, metadata=NULL, pushed=0, items=0,"
            " pushed_digest=NULL, verified=0, behind=0, broken=0, reason=NULL WHERE thread_id=?",
            (thread_id,),
        )
        db.execute("DELETE FROM lost_files WHERE thread_id=?", (thread_id,))
        if conversation_id is not None:
            db.execute("INSERT INTO replaced(conversation_id) VALUES (?)", (conversation_id,))
            self.replaced_now.append(conversation_id)
        self.patterns.forget(db, thread_id)

    def _put(
        self, db: sqlite3.Connection, place: int, plan: ThreadPlan, state: State, found: "_Found", held: str | None
    ) -> None:
        """Store the plan of a thread; ``held`` is why what was sent of it before is not replaced."""
        is_over = state in (State.DONE, State.CHANGED, State.EMPTY)
        self.held += held is not None
        self.awaiting += held is not None or (plan.awaited is not None and not is_over)
        db.execute(
            "INSERT INTO threads(thread_id, place, state, messages, new_metadata, digest, run)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET place=excluded.place, state=excluded.state, messages=excluded.messages,"
            " new_metadata=excluded.new_metadata, digest=excluded.digest, run=excluded.run,"
            # What a verification has found stays true until the next one.
            " reason=coalesce(?, CASE WHEN excluded.state='done' THEN reason END)",
            (
                plan.thread_id,
                place,
                state,
                plan.messages,
                _has_new_metadata(plan, found),
                plan.digest,
                self._run,
                _text(held),
            ),
        )
        if state not in (State.DONE, State.CHANGED):  # of those the losses are as they were
            if found.conversation_id is None:
                self._put_losses(db, plan.thread_id, plan.losses)
            else:  # what was lost of the items that are there stays known until all are sent
                self._add_losses(db, self._new_losses(db, plan))
            db.executemany(
                "INSERT INTO files VALUES (?1, ?2, ?3, 'wanted', NULL) ON CONFLICT DO UPDATE SET"
                " path=coalesce(?2, path), is_image=max(is_image, ?3)",
                [(file_id, plan.paths.get(file_id), image) for file_id, image in plan.files.items()],
            )

    def _new_losses(self, db: sqlite3.Connection, plan: ThreadPlan) -> list[Loss]:
        """Return what a thread loses and is not recorded: a new message may have no item at all."""
        rows = db.execute("SELECT message_id, lost, why FROM losses WHERE thread_id=?", (plan.thread_id,))
        known, new = Counter(map(tuple, rows)), list[Loss]()
        for one in plan.losses:
            row = (_text(one.message_id), _text(one.lost), _text(one.why))
            known[row] -= 1
            if known[row] < 0:
                new.append(one)
        return new

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

    def settle_file(self, file_id: str, target_id: str | None) -> None:
        """Record which id a file has at the target, or that it has none."""
        with self._changes() as db:
            db.execute("UPDATE files SET state='settled', target_id=? WHERE file_id=?", (target_id, file_id))

    def lost_files(self, thread_id: str) -> dict[str, FileAtTarget]:
        """Return the files without which a thread is sent."""
        rows = self._rows("SELECT file_id, why FROM lost_files WHERE thread_id=?", thread_id)
        return {row["file_id"]: FileAtTarget(None, row["why"]) for row in rows}

    def lose_files(self, thread_id: str, files: Mapping[str, FileAtTarget]) -> None:
        """Record the files without which a thread is sent, in the place of those that were recorded before."""
        with self._changes() as db:
            db.execute("DELETE FROM lost_files WHERE thread_id=?", (thread_id,))
            db.executemany(
                "INSERT INTO lost_files VALUES (?, ?, ?)",
                [(thread_id, file_id, _text(one.why)) for file_id, one in files.items()],
            )

    # --- threads

    def thread(self, thread_id: str) -> StoredThread:
        """Return a thread."""
        return self._threads("SELECT * FROM threads WHERE thread_id=?", thread_id)[0]

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
                " verified=?, broken=0, reason=NULL WHERE thread_id=?",
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

    def failed(self, thread_id: str, reason: str, broken: bool = False) -> None:
        """Record why a thread is not complete, and whether that proves its conversation to be broken."""
        with self._changes() as db:
            db.execute("UPDATE threads SET reason=?, broken=? WHERE thread_id=?", (_text(reason), broken, thread_id))

    def begin_verification(self) -> int:
        """Forget which conversations of this plan were verified before, and return how many are to be."""
        with self._changes() as db:
            return db.execute("UPDATE threads SET verified=0 WHERE run=? AND state='done'", (self._run,)).rowcount

    def verified(self, thread_id: str, problem: str | None, behind: int = 0, broken: bool = True) -> None:
        """Record whether a conversation is as it was sent.

        Args:
            thread_id: of its thread.
            problem: what is not; None if all is.
            behind: how many items of others are behind it.
            broken: whether the problem proves that it is gone or not as it was sent.
        """
        with self._changes() as db:
            db.execute(
                "UPDATE threads SET verified=?, reason=?, behind=?, broken=? WHERE thread_id=?",
                (problem is None, _text(problem), behind, problem is not None and broken, thread_id),
            )

    def unanswered(self) -> list[StoredThread]:
        """Return the threads of this run of whose creation there was no answer yet."""
        query = "SELECT * FROM threads WHERE state='creating' AND run=? ORDER BY place"
        return self._threads(query, self._run)

    def is_known(self, conversation_id: str) -> bool:
        """Return whether a conversation is one of a thread."""
        known = "SELECT 1 FROM threads WHERE conversation_id=?1 UNION SELECT 1 FROM replaced WHERE conversation_id=?1"
        return bool(self._rows(known, conversation_id))

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

    def totals(self) -> Mapping[str, int]:
        """Return numbers of the conversations of this plan that have had all their items.

        They are: how many there are ("pushed"), their items of ours ("items"), the messages that were planned and of
        which nothing was left ("left_out"), how many are verified ("verified"), and how many have items of others
        behind ours ("continued").
        """
        query = (
            "SELECT count(*) pushed, coalesce(sum(items), 0) items, coalesce(sum(messages - items), 0) left_out,"
            " coalesce(sum(verified), 0) verified, coalesce(sum(behind > 0), 0) continued FROM threads"
            " WHERE run=? AND state='done'"
        )
        return {name: int(value) for name, value in dict(self._rows(query, self._run)[0]).items()}

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
        """Yield all threads whose conversation had all their items once, of earlier plans too, in order."""
        done = "SELECT * FROM threads WHERE state IN ('done', 'changed') OR pushed > 0 ORDER BY place, thread_id"
        with _named(self.path):
            for row in self._db.execute(done):
                yield _stored(row)

    def problems(self, most: int) -> list[StoredThread]:
        """Return the first threads of this plan that are not complete, or not as they were sent."""
        query = (
            "SELECT * FROM threads WHERE run=? AND (state NOT IN ('done', 'empty') OR reason IS NOT NULL)"
            " ORDER BY place LIMIT ?"
        )
        return self._threads(query, self._run, most)

    def count_problems(self) -> int:
        """Return how many there are."""
        query = "SELECT count(*) FROM threads WHERE run=? AND (state NOT IN ('done', 'empty') OR reason IS NOT NULL)"
        return self._number(query, self._run)

    def count_broken(self) -> int:
        """Return how many conversations of this plan are gone or not as they were sent, or not as the thread is now."""
        return self._number(
            "SELECT count(*) FROM threads WHERE run=? AND"
            " (state='changed' OR (state IN ('done', 'sending') AND broken))",
            self._run,
        )

    def count_unverified(self) -> int:
        """Return how many conversations of this plan had all items, and are not as they were sent or not readable."""
        return self._number(
            "SELECT count(*) FROM threads WHERE run=? AND state='done' AND reason IS NOT NULL", self._run
        )

    def count_in_map_only(self) -> int:
        """Return how many conversations of this plan have not the times of their items."""
        return self._number("SELECT count(*) FROM threads WHERE run=? AND state='done' AND NOT has_times", self._run)

    def replaced(self) -> list[str]:
        """Return the conversations whose threads were pushed anew since: they are in no map any more."""
        return [row[0] for row in self._rows("SELECT conversation_id FROM replaced ORDER BY id")]

    def leftovers(self) -> list[str]:
        """Return the threads for which an empty conversation may be left over, once for each of these."""
        return [row[0] for row in self._rows("SELECT thread_id FROM leftovers ORDER BY id")]


@attrs.frozen
class _Found:
    """What is known of a thread before it is planned."""

    state: str = State.PLANNED
    pushed: int = 0
    pushed_digest: bytes | None = None
    metadata: str | None = None
    conversation_id: str | None = None
    is_broken: bool = False


def _state(plan: ThreadPlan, found: _Found) -> State:
    """Return what is to be done with a thread of which this is known."""
    if found.state in (State.PLANNED, State.EMPTY):
        return State.PLANNED if plan.messages else State.EMPTY
    if found.state in (State.CREATING, State.SENDING):
        return State(found.state)
    if plan.messages < found.pushed or plan.pushed_digest != found.pushed_digest:
        return State.CHANGED
    is_same = plan.messages == found.pushed and not (plan.has_thread_object and _has_other_pairs(plan, found.metadata))
    return State.DONE if is_same else State.SENDING


def _has_new_metadata(plan: ThreadPlan, found: _Found) -> bool:
    return _sent(found.metadata) not in (None, plan.metadata)


def _has_other_pairs(plan: ThreadPlan, metadata: str | None) -> bool:
    """Return whether the thread has other pairs than were sent. The times depend on what of it the target takes."""
    sent = _sent(metadata)
    return sent is not None and without_times(sent) != without_times(plan.metadata)


def _sent(metadata: str | None) -> dict[str, str] | None:
    if not isinstance(metadata, str | None):  # damaged: SQLite gives what is there, whatever the schema says
        raise ValueError("a value is no text")
    return None if metadata is None else loads(metadata.encode())


def _stored(row: sqlite3.Row) -> StoredThread:
    values: dict[str, Any] = {field.name: row[field.name] for field in attrs.fields(StoredThread)}
    if not all(isinstance(values[name], str | None) for name in ("thread_id", "conversation_id", "metadata", "reason")):
        raise ValueError("a value is no text")
    _sent(values["metadata"])  # what is no JSON is damaged
    values |= {"state": State(values["state"]), "times": decode_times(values["times"])}
    values |= {name: bool(values[name]) for name in ("has_times", "verified")}
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


def _refuse_other(path: Path) -> None:
    """Refuse another file than such a store by its first bytes: SQLite changes some of those that it opens."""
    with open_regular(path) as file:
        head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES or not head.startswith(b"SQLite format 3\0"):
        raise _damaged(path)
    version, application_id = (int.from_bytes(head[start : start + 4], "big") for start in (60, 68))
    if (version, application_id) != (_VERSION, _APPLICATION_ID):
        raise OutputUnusable(f"{path} is no store of a push of this version. Move it away, or choose another OUT.")


def _connected(path: Path) -> sqlite3.Connection:
    with _named(path):
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode=TRUNCATE")
            db.execute("PRAGMA synchronous=FULL")
        except BaseException:
            db.close()
            raise
    return db


@contextlib.contextmanager
def _named(path: Path | None) -> Iterator[None]:
    """Name the store in an error of SQLite, or of a value that is none of its own."""
    try:
        yield
    except UnicodeEncodeError:  # of a value that was to be stored
        raise
    except (ValueError, LookupError):
        raise _damaged(path) from None
    except sqlite3.DatabaseError as error:
        if "malformed" in str(error) or "not a database" in str(error):
            raise _damaged(path) from None
        raise OutputUnusable(f"{path or _IN_MEMORY}: {error}.") from None


def _damaged(path: Path | None) -> OutputUnusable:
    return OutputUnusable(
        f"{path or _IN_MEMORY} is damaged, and it alone says which conversations were created. Restore it from a copy,"
        " or move it away and look for those conversations by their metadata first: without it, all threads are pushed"
        " again."
    )


def _text(value: str | None) -> str | None:
    """Return a text as SQLite takes it: in Unicode."""
    return None if value is None else value.encode("utf-8", "replace").decode()


def _choice_in_words(name: str, value: str) -> str:
    option = f"--{name.replace('_', '-')}"
    return {"yes": f"with {option}", "no": f"without {option}"}.get(value, f"with {option} {value}")


def _refuse_other_target(path: Path, known: Mapping[str, str], target: Mapping[str, str]) -> None:
    if known != dict(target):
        raise OutputUnusable(
            f"{path.name} says that OUT was pushed to {_target_in_words(known)}, and not to {_target_in_words(target)}."
            f" Push there, or copy OUT with all files whose names begin like it to another folder, without {path.name},"
            " and push the copy."
        )


def _target_in_words(target: Mapping[str, str]) -> str:
    user = " for one end user (--user-identity)" if "user" in target else ""
    return f"{target.get('to')} at {target.get('address')}{user}"
