"""The working store of an export: one SQLite database that holds what has been fetched since OUT was written.

SQLite gives what an export needs of a disk: transactions that a kill or a power cut leaves complete or undone, and
recovery when the database is opened again. The journal mode is TRUNCATE, since it works on every file system, a reader
of a short query waits only for a commit, and no file is left next to the database but one of no bytes.

Everything here is synchronous and meant for one thread.
"""

import contextlib
import os
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import attrs
import msgspec

from threadkeep.errors import OutputUnusable
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.storage.index import DownloadRow, IndexHeader, Outcome, Span, decode_download, encode_line
from threadkeep.storage.paths import Paths, new
from threadkeep.storage.private_files import create, on_disk, refuse_irregular, sync_folder

__all__ = [
    "MESSAGES",
    "Change",
    "DamagedPage",
    "DamagedStore",
    "Page",
    "Plan",
    "PlannedThread",
    "Progress",
    "Restart",
    "Settled",
    "Store",
    "StoreFacts",
    "StoredThread",
    "Walked",
    "read_facts",
]

MESSAGES = "messages"
"""The kind of a page of messages; the others are those of `threadkeep.storage.paths.SIDECAR_KINDS`."""

_APPLICATION_ID = 0x74686B70
_VERSION = 1

# Seconds that a commit waits for the reader of a short query.
_BUSY_SECONDS = 60.0

# The ids in the order in which they were first wanted. `ask` is 1 for a thread to be asked for, 2 for a listed one that
# needs no request, and -1 in a row that does not count, since an earlier one has the same id.
_VOID = -1
_IDS = """CREATE TABLE ids(
    seq INTEGER PRIMARY KEY, thread_id TEXT NOT NULL, origin INTEGER NOT NULL, old TEXT, old_reason TEXT,
    ask INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0, assistant_id TEXT)"""
# Built when the rows are in: sorting five million ids takes a fraction of inserting them one by one.
_IDS_BY_ID = "CREATE INDEX ids_by_id ON ids(thread_id, origin)"
_WANTED = "CREATE VIEW wanted AS SELECT * FROM ids WHERE ask>=0"

_SCHEMA = f"""
CREATE TABLE meta(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
{_IDS};
{_IDS_BY_ID};
{_WANTED};
CREATE TABLE fetched(
    id INTEGER PRIMARY KEY, thread_id TEXT NOT NULL UNIQUE, outcome TEXT, reason TEXT, pages TEXT
);
CREATE TABLE pages(
    id INTEGER PRIMARY KEY, thread INTEGER NOT NULL, kind TEXT NOT NULL, seq INTEGER NOT NULL, crc INTEGER NOT NULL,
    about BLOB NOT NULL, lines BLOB NOT NULL, UNIQUE(thread, kind, seq)
);
CREATE TABLE downloads(file_id BLOB PRIMARY KEY, row BLOB NOT NULL);
CREATE TABLE lost(
    row INTEGER NOT NULL, thread_id TEXT NOT NULL, name TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
    start INTEGER, PRIMARY KEY(row, name)) WITHOUT ROWID;
CREATE INDEX lost_by_id ON lost(thread_id);
CREATE TABLE salvaged(
    seq INTEGER PRIMARY KEY, thread_id TEXT NOT NULL, origin INTEGER NOT NULL, crc INTEGER NOT NULL, line BLOB NOT NULL
);
CREATE INDEX salvaged_by_id ON salvaged(thread_id);
"""

_MARKS = f"PRAGMA application_id={_APPLICATION_ID};PRAGMA user_version={_VERSION};"

# Where a line in `salvaged` comes from: damaged bytes of OUT or of the partial file, those of a sidecar, or pages of a
# walk that began anew since.
_DAMAGE, _SIDECAR, _WALKED = range(3)

# Where an id in `wanted` comes from, in the order in which ids were first wanted.
_INDEX, _BEFORE, _SALVAGED, _LISTED = range(4)


class DamagedStore(Exception):
    """SQLite calls the store damaged, or it is no store of this version."""


class DamagedPage(Exception):
    """A stored page does not have its checksum any more."""

    def __init__(self, thread_id: str) -> None:
        super().__init__(thread_id)
        self.thread_id = thread_id


@attrs.frozen(kw_only=True)
class Page:
    """A page of a thread, to be stored.

    Attributes:
        kind: `MESSAGES`, or a kind of sidecar.
        seq: its number among those of its kind, from 0.
        ids: of its rows.
        lines: with their newlines. Of an "auto" export their assistant id is null: the writer puts it in.
        files: the ids of the files that its rows refer to.
        assistant_id: of the newest assistant message in it.
    """

    thread_id: str
    kind: str
    seq: int
    ids: Sequence[str]
    lines: bytes
    files: Sequence[str] = ()
    assistant_id: str | None = None


@attrs.frozen(kw_only=True)
class Settled:
    """What became of a thread."""

    thread_id: str
    outcome: Outcome
    reason: str | None = None


@attrs.frozen
class Restart:
    """A thread is walked from its beginning again, or a sidecar list of it.

    Pages of messages are kept as salvaged lines, since the server may have lost them by now. Other pages are forgotten.

    Attributes:
        kind: of sidecar; None for the complete thread.
    """

    thread_id: str
    kind: str | None = None


@attrs.frozen(kw_only=True)
class Progress:
    """The counts of a run, for ``status``."""

    threads: int = 0
    already_complete: int = 0
    complete: int = 0
    not_complete: int = 0
    messages: int = 0
    files: int = 0


class StoreFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a store says of its run.

    Attributes:
        header: what the export is of.
        started_at: ISO 8601, UTC.
        begun_fresh: it was begun with ``--fresh``.
        fresh: the files that are there do not count, and are kept under another name.
        kept_as: the N of that name; None before it is chosen.
    """

    header: IndexHeader
    started_at: str
    begun_fresh: bool = False
    fresh: bool = False
    kept_as: int | None = None
    progress: Progress = Progress()


Change: TypeAlias = Page | Settled | Restart | DownloadRow


@attrs.frozen
class PlannedThread:
    """A row of the index that the run begins with. ``old`` is its outcome, or a word of `threadkeep.storage.damage`."""

    thread_id: str
    old: str
    reason: str | None


@attrs.frozen(kw_only=True)
class Plan:
    """What a run is to do.

    Attributes:
        listed: how many distinct ids the list has, without those that are done, dropped or beyond the limit.
        ask: how many threads are to be asked for. The others are complete, or what became of them is in the store.
        already_complete: how many listed threads were complete in OUT, and are not to be refreshed.
        left_over: how many threads of earlier runs are not complete, and not in the list.
        complete_dropped: how many of the ids to be dropped are complete, and stay.
    """

    listed: int
    ask: int
    already_complete: int
    left_over: int
    complete_dropped: int


@attrs.frozen
class Walked:
    """The part of a list that is in the store: the ids of its rows, in order, and the number of its pages."""

    ids: tuple[str, ...] = ()
    pages: int = 0


@attrs.frozen(kw_only=True)
class StoredThread:
    """A wanted thread, with what the store has of it.

    Attributes:
        row: its number in the index that the run began with, from 1; None when that does not name it.
        old: see `PlannedThread`; None likewise.
        assistant_id: that a list has named; None if none did.
        fetched: the number by which its pages are found; None when nothing of it was fetched.
        outcome, reason: what became of it; None when nothing did.
        pages: how many of each kind it had then: a page that is lost has no checksum.
    """

    thread_id: str
    row: int | None
    old: str | None
    dropped: bool
    assistant_id: str | None
    fetched: int | None
    outcome: Outcome | None
    reason: str | None
    pages: Mapping[str, int]


class Store:
    """A working store that is open.

    Attributes:
        path: of the database.
        facts: what it says of its run, but for ``progress``, which is as it was when it was opened.
        is_damaged: SQLite has found it damaged while it was in use.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, facts: StoreFacts) -> None:
        self.path = path
        self._db = connection
        self.facts = facts
        self.is_damaged = False

    @classmethod
    def create(cls, paths: Paths, facts: StoreFacts) -> "Store":
        """Create a store. It takes its name when it is usable, so a kill leaves none or a complete one.

        Raises:
            OutputUnusable: the disk reports an error, or something else has the name.
        """
        draft = new(paths.store)
        with on_disk(paths.store):
            refuse_irregular(paths.store)
            for path in paths.store_files[1:]:
                path.unlink(missing_ok=True)  # SQLite would take it for a part of the new store
        try:
            with on_disk(paths.store):
                create(draft).close()  # SQLite would follow a link, and make the file readable to all
            store = cls(paths.store, _connect(draft, journal="OFF"), facts)  # a draft that a kill leaves is removed
            with contextlib.closing(store._db), store._errors_named(), store._db as db:
                db.executescript(f"BEGIN;{_SCHEMA}{_MARKS}")
                store._put(**msgspec.structs.asdict(facts))
            with on_disk(paths.store):
                os.rename(draft, paths.store)
                sync_folder(paths.store.parent)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        store._db = _connect(paths.store)
        return store

    @classmethod
    def open(cls, paths: Paths) -> "Store":
        """Open a store that a run left behind.

        Raises:
            DamagedStore: it cannot be used.
            OutputUnusable: the disk reports an error.
        """
        with on_disk(paths.store):
            refuse_irregular(paths.store, rewritten=True)
        try:
            with contextlib.ExitStack() as opened:
                db = opened.enter_context(contextlib.closing(_connect(paths.store)))
                _refuse_damaged(db)
                store = cls(paths.store, db, read_facts(db))
                opened.pop_all()
        except sqlite3.DatabaseError as error:
            if _says_damaged(error) or getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_ERROR:  # a lost column
                raise DamagedStore(str(error)) from None
            raise OutputUnusable(_words(paths.store, error)) from None
        return store

    def close(self) -> None:
        """Close the database."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    # --- facts

    @property
    def header(self) -> IndexHeader:
        """What the export is of."""
        return self.facts.header

    def remember(self, **facts: Any) -> None:
        """Change facts; see `StoreFacts`."""
        with self._transaction():
            self._put(**facts)
        self.facts = msgspec.structs.replace(self.facts, **facts)

    @property
    def has_content(self) -> bool:
        """Whether anything was fetched; a failure is nothing."""
        return bool(
            self._one(
                "SELECT EXISTS(SELECT 1 FROM fetched f WHERE f.outcome IS NOT 'failed' OR EXISTS("
                "SELECT 1 FROM pages p WHERE p.thread=f.id)) OR EXISTS(SELECT 1 FROM downloads)"
                f" OR EXISTS(SELECT 1 FROM salvaged WHERE origin={_WALKED})"
            )
        )

    # --- the plan

    def plan(
        self,
        exported: Iterable[PlannedThread],
        listed: Iterable[tuple[str, str | None]],
        *,
        done: Iterable[str] = (),
        drop: Iterable[str] = (),
        limit: int | None = None,
        refresh: bool = False,
    ) -> Plan:
        """Work out which threads are wanted, in which order, and which of them are to be asked for.

        Args:
            exported: the rows of the index, in order.
            listed: the ids of today's list, with the assistants that it names; read once, and never held together.
            done: ids to be left out of it.
            drop: ids that are not wanted any more.
            limit: how many of the list to take; None for all.
            refresh: ask for complete threads too.

        Raises:
            OutputUnusable: the disk reports an error.
        """
        with self._transaction() as db:
            db.execute("PRAGMA cache_size=-32768")  # ids are sorted
            self._stage("done", done)
            self._stage("to_drop", drop)
            db.execute("DROP INDEX ids_by_id")
            db.execute("DROP VIEW wanted")
            db.execute("ALTER TABLE ids RENAME TO before")
            db.execute(_IDS)
            db.executemany(
                f"INSERT INTO ids(seq, thread_id, origin, old, old_reason, dropped) VALUES(?,?,{_INDEX},?,?,?)",
                (
                    (number, row.thread_id, row.old, _text(row.reason), row.old == Outcome.DROPPED)
                    for number, row in enumerate(exported, 1)
                ),
            )
            db.execute(
                "INSERT INTO ids(thread_id, origin, dropped, assistant_id)"
                f" SELECT thread_id, {_BEFORE}, dropped, assistant_id FROM before WHERE ask<>{_VOID} ORDER BY seq"
            )
            db.execute("DROP TABLE before")
            db.execute(
                f"INSERT INTO ids(thread_id, origin) SELECT thread_id, {_SALVAGED} FROM salvaged GROUP BY thread_id"
                " ORDER BY min(seq)"
            )
            db.executemany(
                f"INSERT INTO ids(thread_id, origin, ask, assistant_id) VALUES(?,{_LISTED},1,?)",
                ((thread_id, _text(assistant_id)) for thread_id, assistant_id in listed),
            )
            db.execute(_IDS_BY_ID)
            if self._one("SELECT EXISTS(SELECT 1 FROM done)"):
                db.execute(f"DELETE FROM ids WHERE origin={_LISTED} AND thread_id IN (SELECT thread_id FROM done)")
            if limit is not None:
                self._cut_list(limit)
            self._fold_repeated()
            self._choose(refresh=refresh)
            db.execute(_WANTED)
            plan = Plan(
                listed=self._one("SELECT count(*) FROM wanted WHERE ask>0"),
                ask=self._one(f"SELECT count(*) FROM ({_TO_ASK})", 0),
                already_complete=self._one("SELECT count(*) FROM wanted WHERE ask=2"),
                left_over=self._one(_LEFT_OVER),
                complete_dropped=self._one(
                    "SELECT count(*) FROM wanted JOIN to_drop USING(thread_id) WHERE old='complete'"
                ),
            )
            db.execute("DROP TABLE done")
            db.execute("DROP TABLE to_drop")
            db.execute("PRAGMA cache_size=-4096")
        return plan

    def _stage(self, table: str, ids: Iterable[str]) -> None:
        self._db.execute(f"CREATE TEMP TABLE {table}(thread_id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._db.executemany(f"INSERT OR IGNORE INTO {table} VALUES(?)", ((one,) for one in ids))

    def _cut_list(self, limit: int) -> None:
        first_out = self._one(
            f"SELECT seq FROM (SELECT min(seq) AS seq FROM ids WHERE origin={_LISTED} GROUP BY thread_id)"
            " ORDER BY seq LIMIT 1 OFFSET ?",
            limit,
        )
        if first_out is not None:
            self._db.execute(f"DELETE FROM ids WHERE origin={_LISTED} AND seq>=?", (first_out,))

    def _fold_repeated(self) -> None:
        """Let the first row of each id count, and ask if any of them does.

        The others stay as rows that do not count: deleting a million of them takes longer than all else.
        """
        db = self._db
        db.execute(
            "CREATE TEMP TABLE repeated(seq INTEGER PRIMARY KEY, origin INTEGER, first INTEGER, dropped INTEGER,"
            " assistant_id TEXT)"
        )
        db.execute(
            "INSERT INTO repeated SELECT r.seq, r.origin, r.first, w.dropped, w.assistant_id FROM"
            " (SELECT seq, origin, min(seq) OVER (PARTITION BY thread_id) AS first FROM ids) r"
            " JOIN ids w USING(seq) WHERE r.seq<>r.first ORDER BY r.seq"
        )
        for dropped in (0, 1):  # a run that was cut off has had the last word
            db.execute(
                f"UPDATE ids SET dropped={dropped} WHERE seq IN"
                f" (SELECT first FROM repeated WHERE origin={_BEFORE} AND dropped={dropped})"
            )
        db.execute(f"UPDATE ids SET ask=1, dropped=0 WHERE seq IN (SELECT first FROM repeated WHERE origin={_LISTED})")
        named = "SELECT first, assistant_id, max(seq) FROM repeated WHERE assistant_id IS NOT NULL GROUP BY first"
        db.execute(f"UPDATE ids SET assistant_id=n.assistant_id FROM ({named}) n WHERE ids.seq=n.first")
        db.execute(f"UPDATE ids SET ask={_VOID} WHERE seq IN (SELECT seq FROM repeated)")
        db.execute("DROP TABLE repeated")

    def _choose(self, *, refresh: bool) -> None:
        db = self._db
        if self._one("SELECT EXISTS(SELECT 1 FROM to_drop)"):
            db.execute(
                "UPDATE ids SET ask=0, dropped=1 WHERE ask>=0 AND (old IS NULL OR old<>'complete')"
                " AND thread_id IN (SELECT thread_id FROM to_drop)"
            )
        if not refresh:
            db.execute("UPDATE ids SET ask=2 WHERE ask=1 AND old='complete'")

    def to_ask(self, after: int, most: int) -> list[tuple[int, str]]:
        """Return the next threads to be asked for, in order, as (seq, thread_id), behind a seq that was returned."""
        return list(self._each(f"{_TO_ASK} ORDER BY w.seq LIMIT ?", after, most))

    def failed(self, after: int, most: int) -> list[tuple[int, str]]:
        """Return the next threads that failed in this run, likewise."""
        return list(
            self._each(
                "SELECT w.seq, w.thread_id FROM wanted w JOIN fetched f USING(thread_id)"
                " WHERE w.seq>? AND w.ask=1 AND f.outcome='failed' ORDER BY w.seq LIMIT ?",
                after,
                most,
            )
        )

    def has_news(self) -> bool:
        """Whether what was fetched, or wanted, is other than what the index says."""
        return bool(self._one(_NEWS))

    # --- fetching

    def apply(self, changes: Iterable[Change], progress: Progress | None = None) -> None:
        """Commit changes in one transaction.

        Raises:
            OutputUnusable: the disk reports an error; nothing of them is stored then.
        """
        with self._transaction():
            for change in changes:
                self._apply(change)
            if progress is not None:
                self._put(progress=progress)

    def _apply(self, change: Change) -> None:
        db = self._db
        match change:
            case Page():
                if change.seq == 0:
                    db.execute("INSERT OR IGNORE INTO fetched(thread_id) VALUES(?)", (change.thread_id,))
                about = dumps([list(change.ids), list(change.files), change.assistant_id])
                db.execute(
                    "INSERT INTO pages(thread, kind, seq, crc, about, lines)"
                    " VALUES((SELECT id FROM fetched WHERE thread_id=?),?,?,?,?,?)",
                    (
                        change.thread_id,
                        change.kind,
                        change.seq,
                        _checksum(change.thread_id, change.kind, change.seq, about, change.lines),
                        about,
                        change.lines,
                    ),
                )
            case Settled():
                db.execute(
                    "INSERT INTO fetched(thread_id, outcome, reason) VALUES(?,?,?) ON CONFLICT(thread_id)"
                    " DO UPDATE SET outcome=excluded.outcome, reason=excluded.reason",
                    (change.thread_id, change.outcome, _text(change.reason)),
                )
                db.execute(
                    "UPDATE fetched SET pages=(SELECT json_group_object(kind, number) FROM"
                    " (SELECT kind, count(*) AS number FROM pages WHERE thread=fetched.id GROUP BY kind))"
                    " WHERE thread_id=?",
                    (change.thread_id,),
                )
            case Restart():
                self._restart(change.thread_id, change.kind)
            case _:
                row = (dumps(change.file_id), encode_line(change))
                db.execute("INSERT OR REPLACE INTO downloads VALUES(?,?)", row)

    def _restart(self, thread_id: str, kind: str | None) -> None:
        db = self._db
        thread = self._one("SELECT id FROM fetched WHERE thread_id=?", thread_id)
        if kind is not None:
            db.execute("DELETE FROM pages WHERE thread=? AND kind=?", (thread, kind))
            return
        query = "SELECT crc, seq, about, lines FROM pages WHERE thread=? AND kind=? ORDER BY seq"
        for crc, seq, about, lines in db.execute(query, (thread, MESSAGES)):
            if crc == _checksum(thread_id, MESSAGES, seq, about, lines):
                for line in lines.split(b"\n")[:-1]:
                    self._keep(thread_id, _WALKED, line + b"\n")
        db.execute("DELETE FROM pages WHERE thread=?", (thread,))
        db.execute("UPDATE fetched SET outcome=NULL, reason=NULL WHERE id=?", (thread,))

    def walked(self, thread_id: str) -> Walked:
        """Return how far the messages of a thread have been stored.

        Raises:
            DamagedPage: a page does not have its checksum.
        """
        fetched = self._one("SELECT id FROM fetched WHERE thread_id=?", thread_id)
        pages = [ids for ids, _, _ in self._pages(fetched, thread_id, MESSAGES)]
        return Walked(tuple(row_id for ids in pages for row_id in ids), len(pages))

    def downloads(self) -> dict[str, DownloadRow]:
        """Return what became of the files of this run."""
        found = {}
        for (line,) in self._each("SELECT row FROM downloads"):
            with contextlib.suppress(ValueError, TypeError):  # what is not as it was stored is not known
                row = decode_download(line)
                found[row.file_id] = row
        return found

    def files_of_complete(self) -> Iterator[str]:
        """Yield the ids of the files that complete threads of this run refer to, thread by thread, with repeats."""
        for (about,) in self._each(
            "SELECT p.about FROM wanted w JOIN fetched f USING(thread_id) JOIN pages p ON p.thread=f.id"
            " WHERE f.outcome='complete' ORDER BY w.seq, p.kind, p.seq"
        ):
            with contextlib.suppress(ValueError, TypeError):  # a damaged page is noticed when OUT is written
                yield from loads(about)[1]

    # --- damage

    @contextlib.contextmanager
    def looking_for_damage(self) -> Iterator[None]:
        """Forget what an earlier look at damaged files has found, and commit what this one finds: all or nothing."""
        with self._transaction() as db:
            db.execute("DELETE FROM lost")
            db.execute(f"DELETE FROM salvaged WHERE origin<>{_WALKED}")
            yield

    def lose(self, row: int, thread_id: str, name: str, span: Span) -> None:
        """Note that lines of a thread are not where its row, by its number, says in the file of a name like "out"."""
        values = (row, thread_id, name, span.bytes, span.sha256)
        self._one("INSERT OR IGNORE INTO lost VALUES(?,?,?,?,?,NULL)", *values)

    def find(self, thread_id: str, name: str, start: int, size: int, sha256: str) -> bool:
        """Note that lines of a thread are at another place, if they are those that were lost."""
        query = "UPDATE lost SET start=? WHERE thread_id=? AND name=? AND bytes=? AND sha256=? AND start IS NULL"
        with self._errors_named():
            return self._db.execute(query, (start, _text(thread_id), name, size, sha256)).rowcount == 1

    def salvage(self, thread_id: str, line: bytes = b"", *, has_messages: bool = True) -> None:
        """Keep a full line that was found in damaged bytes; without one, remember that lines of the thread are there.

        The thread is wanted then, whether the index knows it or not.
        """
        with self._errors_named():
            self._keep(thread_id, _DAMAGE if has_messages else _SIDECAR, line)

    def _keep(self, thread_id: str, origin: int, line: bytes) -> None:
        row = (_text(thread_id), origin, zlib.crc32(line), line)
        self._db.execute("INSERT INTO salvaged(thread_id, origin, crc, line) VALUES(?,?,?,?)", row)

    def lost(self, row: int) -> dict[str, int | None]:
        """Return which lines of a row are not where it says: where they begin, or None, by file."""
        return dict(self._each("SELECT name, start FROM lost WHERE row=?", row))

    def salvaged(self, thread_id: str) -> list[bytes]:
        """Return the lines of a thread that were found in damaged bytes, or fetched by a walk that began anew since."""
        query = "SELECT crc, line FROM salvaged WHERE thread_id=? AND line<>x'' ORDER BY seq"
        found = self._each(query, thread_id)
        return [line for crc, line in found if isinstance(line, bytes) and zlib.crc32(line) == crc]

    def is_in_damage(self, thread_id: str) -> bool:
        """Whether damaged bytes have messages of a thread."""
        query = f"SELECT EXISTS(SELECT 1 FROM salvaged WHERE thread_id=? AND origin={_DAMAGE})"
        return bool(self._one(query, thread_id))

    def damaged(self, most: int) -> tuple[int, list[str]]:
        """Return how many wanted threads are damaged, or have lost their row, and the first of them."""
        query = (
            "FROM wanted w WHERE w.old IN ('damaged', 'lacking') OR (w.old IS NULL AND EXISTS("
            f"SELECT 1 FROM salvaged s WHERE s.thread_id=w.thread_id AND s.origin<>{_WALKED}))"
        )
        examples = self._each(f"SELECT thread_id {query} ORDER BY seq LIMIT ?", most)
        return self._one(f"SELECT count(*) {query}"), [thread_id for (thread_id,) in examples]

    @property
    def has_damage(self) -> bool:
        """Whether anything was lost, or salvaged from damaged bytes."""
        query = f"SELECT EXISTS(SELECT 1 FROM lost) OR EXISTS(SELECT 1 FROM salvaged WHERE origin<>{_WALKED})"
        return bool(self._one(query))

    @property
    def has_salvage(self) -> bool:
        """Whether `salvaged` or `lost` has anything of any thread."""
        return bool(self._one("SELECT EXISTS(SELECT 1 FROM lost) OR EXISTS(SELECT 1 FROM salvaged)"))

    def not_refreshed(self, most: int) -> tuple[int, list[tuple[str, str | None]]]:
        """Return how many complete threads were to be refreshed and were not, and the first of them with reasons."""
        query = (
            "FROM wanted w LEFT JOIN fetched f USING(thread_id)"
            " WHERE w.ask=1 AND w.old='complete' AND f.outcome IS NOT 'complete'"
        )
        rows = list(self._each(f"SELECT w.thread_id, f.reason {query} ORDER BY w.seq LIMIT ?", most))
        return self._one(f"SELECT count(*) {query}"), rows

    def outcomes(self) -> dict[str, int]:
        """Return how many wanted threads have each outcome, with what was fetched."""
        return dict(self._each(f"SELECT {_OUTCOME} AS o, count(*) {_OF_WANTED} GROUP BY o"))

    def problems(self, most: int) -> list[tuple[str, str, str | None]]:
        """Return the first wanted threads that are not complete, in the order of the list: id, outcome and reason."""
        query = f"SELECT w.thread_id, {_OUTCOME} AS o, f.reason {_OF_WANTED} WHERE o NOT IN ('complete','dropped')"
        return list(self._each(f"{query} ORDER BY w.seq LIMIT ?", most))

    # --- writing

    def threads(self) -> Iterator[StoredThread]:
        """Yield every wanted thread, in the order in which the ids were first wanted."""
        for seq, origin, thread_id, old, dropped, assistant_id, fetched, outcome, reason, pages in self._each(
            "SELECT w.seq, w.origin, w.thread_id, w.old, w.dropped, w.assistant_id, f.id, f.outcome, f.reason, f.pages"
            " FROM wanted w LEFT JOIN fetched f USING(thread_id) ORDER BY w.seq"
        ):
            yield StoredThread(
                thread_id=thread_id,
                row=seq if origin == _INDEX else None,
                old=old,
                dropped=bool(dropped),
                assistant_id=assistant_id,
                fetched=fetched,
                outcome=_OUTCOMES.get(outcome),
                reason=reason,
                pages=_counts(pages),
            )

    def newest_assistant(self, fetched: int | None, thread_id: str) -> str | None:
        """Return the assistant of the newest assistant message that is in the store."""
        query = "SELECT about FROM pages WHERE thread=? AND kind=? ORDER BY seq DESC"
        for (about,) in self._each(query, fetched, MESSAGES):
            try:
                _, _, assistant_id = loads(about)
            except (ValueError, TypeError):
                raise DamagedPage(thread_id) from None
            if assistant_id is not None:
                return str(assistant_id)
        return None

    def pages(self, thread: StoredThread, kind: str) -> Iterator[tuple[list[str], list[str], bytes]]:
        """Yield the pages of a list: the ids of the rows, the ids of the files that they refer to, and the lines.

        Raises:
            DamagedPage: a page does not have its checksum, is not where it was, or is lost.
        """
        count = 0
        for count, page in enumerate(self._pages(thread.fetched, thread.thread_id, kind), 1):  # noqa: B007
            yield page
        if thread.outcome is Outcome.COMPLETE and count != thread.pages.get(kind, 0):
            raise DamagedPage(thread.thread_id)

    def _pages(self, fetched: int | None, thread_id: str, kind: str) -> Iterator[tuple[list[str], list[str], bytes]]:
        query = "SELECT crc, about, lines FROM pages WHERE thread=? AND kind=? ORDER BY seq"
        for seq, (crc, about, lines) in enumerate(self._each(query, fetched, kind)):
            if _checksum(thread_id, kind, seq, about, lines) != crc:
                raise DamagedPage(thread_id)
            ids, files, _ = loads(about)
            yield ids, files, lines

    def _put(self, **facts: Any) -> None:
        rows = ((name, dumps(msgspec.to_builtins(value)).decode()) for name, value in facts.items())
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES(?,?)", rows)

    def _each(self, query: str, *values: object) -> Iterator[Any]:
        try:
            yield from self._db.execute(query, values)
        except sqlite3.Error as error:
            raise self._named(error) from error

    def _one(self, query: str, *values: object) -> Any:
        return next((row[0] for row in self._each(query, *values)), None)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors_named(), self._db as db:
            db.execute("BEGIN IMMEDIATE")
            yield db

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._named(error) from error

    def _named(self, error: sqlite3.Error) -> OutputUnusable:
        self.is_damaged = self.is_damaged or _says_damaged(error)
        return OutputUnusable(_words(self.path, error))


# Threads that were settled in this run are asked again only if they failed; a refresh of one that is stored too.
_TO_ASK = (
    "SELECT w.seq, w.thread_id FROM wanted w LEFT JOIN fetched f USING(thread_id) WHERE w.seq>? AND w.ask=1"
    " AND (f.outcome IS NULL OR f.outcome NOT IN ('complete', 'missing'))"
)

_LEFT_OVER = (
    "SELECT count(*) FROM wanted w LEFT JOIN fetched f USING(thread_id) WHERE w.ask=0 AND NOT w.dropped"
    " AND w.old IS NOT 'complete' AND f.outcome IS NOT 'complete'"
)

_OUTCOME = (
    "CASE WHEN f.outcome='complete' OR w.old IN ('complete','lacking') THEN 'complete'"
    " WHEN w.dropped THEN 'dropped' WHEN EXISTS(SELECT 1 FROM pages p WHERE p.thread=f.id) THEN 'partial'"
    " WHEN f.outcome IS NOT NULL THEN f.outcome"
    " WHEN w.old IN ('missing','failed','partial') THEN w.old ELSE 'unfinished' END"
)
_OF_WANTED = "FROM wanted w LEFT JOIN fetched f USING(thread_id)"

_NEWS = (
    "SELECT EXISTS(SELECT 1 FROM downloads) OR EXISTS("
    "SELECT 1 FROM wanted w LEFT JOIN fetched f USING(thread_id) WHERE w.old IS NULL OR f.outcome='complete'"
    " OR (w.dropped AND w.old<>'dropped') OR (w.old='dropped' AND NOT w.dropped)"
    " OR EXISTS(SELECT 1 FROM pages p WHERE p.thread=f.id)"
    " OR (f.outcome IS NOT NULL AND w.old<>'complete' AND (f.outcome<>w.old OR f.reason IS NOT w.old_reason)))"
)


_OUTCOMES = {str(outcome): outcome for outcome in Outcome}


_COUNTS = msgspec.json.Decoder(dict[str, int])


def _counts(pages: str | None) -> Mapping[str, int]:
    with contextlib.suppress(ValueError, TypeError):  # damaged: the number of no page
        return _COUNTS.decode(pages or "{}")
    return {}


def _checksum(thread_id: str, kind: str, seq: int, about: bytes, lines: bytes) -> int | None:
    with contextlib.suppress(TypeError):  # a damaged column may have another type
        return zlib.crc32(lines, zlib.crc32(about, zlib.crc32(f"{thread_id} {kind} {seq}".encode())))
    return None


def _connect(path: Path, journal: str = "TRUNCATE") -> sqlite3.Connection:
    # The name as it is: sqlite3 would make a new database at a name that is not there.
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        db.execute("PRAGMA page_size=16384")  # the pages of a thread are long; 65536 would waste most of a short one
        db.execute(f"PRAGMA journal_mode={journal}")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA temp_store=FILE")
        db.execute("PRAGMA cache_size=-4096")  # in KiB: pages are written once, and read once
    except sqlite3.Error:
        db.close()
        raise
    return db


# Pages of a thread that is not there, and threads that were fetched and are not wanted.
_ORPHANS = (
    "SELECT 1 FROM pages p LEFT JOIN fetched f ON f.id=p.thread WHERE f.id IS NULL",
    "SELECT 1 FROM fetched f LEFT JOIN ids w USING(thread_id) WHERE w.thread_id IS NULL",
)


def _refuse_damaged(db: sqlite3.Connection) -> None:
    """Raise `DamagedStore` if a database has not the marks and tables of a store, or SQLite finds fault with it."""
    of_store = sqlite3.connect(":memory:")
    with contextlib.closing(of_store):
        of_store.executescript(f"BEGIN;{_SCHEMA}{_MARKS}COMMIT;")
        for query in ("PRAGMA application_id", "PRAGMA user_version", "SELECT type, name, sql FROM sqlite_master"):
            if set(db.execute(query)) != set(of_store.execute(query)):
                raise DamagedStore("it is no store of this version")
    for query in _ORPHANS:
        if db.execute(f"SELECT EXISTS({query})").fetchone() != (0,):
            raise DamagedStore("some of its rows are lost")
    (trouble,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if trouble != "ok":
        raise DamagedStore(str(trouble).splitlines()[0])


def _says_damaged(error: sqlite3.Error) -> bool:
    damaged = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in damaged or isinstance(error, sqlite3.IntegrityError)


def read_facts(db: sqlite3.Connection) -> StoreFacts:
    """Read what a store says of its run.

    Raises:
        DamagedStore: it says something else.
    """
    rows = db.execute("SELECT name, value FROM meta").fetchall()
    try:
        facts = msgspec.convert({name: loads(value.encode()) for name, value in rows}, StoreFacts)
        datetime.fromisoformat(facts.started_at)
    except (ValueError, AttributeError):
        raise DamagedStore("it does not say what its run is of") from None
    return facts


def _text(value: str | None) -> str | None:
    """What SQLite takes: a text of the server, or of a damaged line, may hold lone surrogates."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()


_DAMAGED_WORDS = (
    "it is damaged, and is kept under another name. Run the same command again: what it had fetched is fetched again"
)


def _words(path: Path, error: BaseException) -> str:
    words = {
        **dict.fromkeys((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT), _DAMAGED_WORDS),
        sqlite3.SQLITE_FULL: "the disk is full. Free some space, and run the same command again",
        sqlite3.SQLITE_BUSY: "another program uses the working store. Close it and run the same command again",
        sqlite3.SQLITE_READONLY: "it cannot be written to. Check its permissions",
        sqlite3.SQLITE_IOERR: "the disk reports an error. Free some space, or choose another OUT",
        sqlite3.SQLITE_CANTOPEN: "it cannot be opened. Check its permissions",
    }
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return f"{path}: {words.get(code, 'SQLite reports an error')} ({error})"
