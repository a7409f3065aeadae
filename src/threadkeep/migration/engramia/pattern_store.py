"""What a push knows of the patterns that it sent to Engramia: a part of the store, ``OUT.push``."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TypeAlias

import attrs

__all__ = ["PATTERN_SCHEMA", "PatternStore", "Place", "StoredPattern"]

PATTERN_SCHEMA = """
CREATE TABLE patterns(
    thread_id TEXT NOT NULL, number INTEGER NOT NULL, fingerprint BLOB NOT NULL, task_hash TEXT NOT NULL,
    is_stored INTEGER NOT NULL DEFAULT 0,  -- of others it is not known
    PRIMARY KEY (thread_id, number)) WITHOUT ROWID;
CREATE INDEX patterns_by_task ON patterns(task_hash);
CREATE INDEX patterns_unknown ON patterns(thread_id) WHERE NOT is_stored;
CREATE TABLE patterns_before(key TEXT PRIMARY KEY) WITHOUT ROWID;  -- of others: they were there before the push
"""

Place: TypeAlias = tuple[str, int]
"""A thread, and the number of one of its patterns, from 0."""

# No pattern has this key: it is among those that were there before once they are all known.
_ALL = ""


@attrs.frozen(kw_only=True)
class StoredPattern:
    """A pattern that was sent.

    Attributes:
        place: in the export.
        fingerprint: of its line.
        task_hash: of its task.
        is_stored: the server has it; of others that is not known.
    """

    place: Place
    fingerprint: bytes
    task_hash: str
    is_stored: bool


@attrs.frozen
class PatternStore:
    """The tables of the patterns."""

    _changes: Callable[[], AbstractContextManager[sqlite3.Connection]]
    _rows: Callable[..., list[sqlite3.Row]]

    # --- what was there before

    def is_listed(self) -> bool:
        """Return whether it is known which patterns the server had before the push."""
        return bool(self._rows("SELECT 1 FROM patterns_before WHERE key=?", _ALL))

    def is_begun(self) -> bool:
        """Return whether a pattern was sent."""
        return bool(self._rows("SELECT 1 FROM patterns LIMIT 1"))

    def list_before(self, keys: Iterable[str]) -> None:
        """Record the keys of the patterns that the server has before the first one is sent."""
        with self._changes() as db:
            db.executemany("INSERT OR IGNORE INTO patterns_before VALUES (?)", [(key,) for key in (*keys, _ALL)])

    def before(self) -> set[str]:
        """Return these keys."""
        return {row[0] for row in self._rows("SELECT key FROM patterns_before")}

    # --- what was sent

    def sending(self, place: Place, fingerprint: bytes, task_hash: str) -> None:
        """Record that a pattern is about to be sent."""
        with self._changes() as db:
            db.execute(
                "INSERT INTO patterns(thread_id, number, fingerprint, task_hash) VALUES (?, ?, ?, ?)",
                (*place, fingerprint, task_hash),
            )
            db.execute("UPDATE threads SET state='creating' WHERE thread_id=?", place[:1])

    def stored(self, places: Sequence[Place]) -> None:
        """Record that the server has patterns."""
        with self._changes() as db:
            db.executemany("UPDATE patterns SET is_stored=1 WHERE thread_id=? AND number=?", places)
            db.executemany("UPDATE threads SET items=items + 1 WHERE thread_id=?", [place[:1] for place in places])
            self._settle(db, places)

    def not_stored(self, places: Sequence[Place]) -> None:
        """Record that the server has not got patterns: they are to be sent."""
        with self._changes() as db:
            db.executemany("DELETE FROM patterns WHERE thread_id=? AND number=?", places)
            self._settle(db, places)

    def can_be_found(self, thread_id: str) -> bool:
        """Return whether a list can show which patterns of a thread are there, if any were sent."""
        return self.is_listed() or not self.of_thread(thread_id)

    def forget(self, db: sqlite3.Connection, thread_id: str) -> None:
        """Forget that the patterns of a thread are there, so that it must be found out."""
        if db.execute("UPDATE patterns SET is_stored=0 WHERE thread_id=?", (thread_id,)).rowcount:
            db.execute("UPDATE threads SET state='creating' WHERE thread_id=?", (thread_id,))

    def _settle(self, db: sqlite3.Connection, places: Iterable[Place]) -> None:
        """Let threads be sent of which nothing is unknown any more."""
        db.executemany(
            "UPDATE threads SET state='sending' WHERE thread_id=? AND NOT EXISTS"
            " (SELECT 1 FROM patterns p WHERE p.thread_id=threads.thread_id AND NOT is_stored)",
            {place[:1] for place in places},
        )

    def resume(self) -> None:
        """Let all threads be sent that lack patterns, whatever is unknown of the others."""
        with self._changes() as db:
            db.execute(
                "UPDATE threads SET state='sending' WHERE state='creating' AND messages >"
                " (SELECT count(*) FROM patterns p WHERE p.thread_id=threads.thread_id)"
            )

    def of_thread(self, thread_id: str) -> dict[int, StoredPattern]:
        """Return the patterns of a thread that were sent, by their numbers."""
        rows = self._rows("SELECT * FROM patterns WHERE thread_id=?", thread_id)
        return {row["number"]: _pattern(row) for row in rows}

    def count_unknown(self, thread_id: str) -> int:
        """Return of how many patterns of a thread it is not known whether they are stored."""
        return int(self._rows("SELECT count(*) FROM patterns WHERE thread_id=? AND NOT is_stored", thread_id)[0][0])

    def unknown(self) -> list[tuple[str, int]]:
        """Return the same of all threads that have such patterns."""
        query = "SELECT thread_id, count(*) FROM patterns WHERE NOT is_stored GROUP BY thread_id"
        return [(row[0], row[1]) for row in self._rows(query)]

    def in_question(self) -> list[StoredPattern]:
        """Return the patterns that may be stored, and all others whose task has the same hash."""
        query = "SELECT * FROM patterns WHERE task_hash IN (SELECT task_hash FROM patterns WHERE NOT is_stored)"
        return [_pattern(row) for row in self._rows(query)]

    def count(self) -> int:
        """Return how many patterns were sent."""
        return int(self._rows("SELECT count(*) FROM patterns")[0][0])

    def part(self, number: int, parts: int) -> list[StoredPattern]:
        """Return all of one of so many parts, which are of about the same size; those of one task are in one part."""
        first, end = (f"{2**32 * each // parts:08x}" for each in (number, number + 1))
        query = "SELECT * FROM patterns WHERE task_hash >= ? AND task_hash < ?"
        return [_pattern(row) for row in self._rows(query, first, "g" if number + 1 == parts else end)]


def _pattern(row: sqlite3.Row) -> StoredPattern:
    place = (row["thread_id"], row["number"])
    values = {name: row[name] for name in ("fingerprint", "task_hash")}
    return StoredPattern(place=place, is_stored=bool(row["is_stored"]), **values)
