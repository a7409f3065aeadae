"""A history in an SQLite database, with the tables of the Agents SDK's SQLiteSession: each opens the other's file.

What that class leaves out without a word is an error here: a row that is no JSON object, a file that is no database, an
empty one. A connection is opened for each call: none is left in another thread or in a forked child.
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import attrs

from threadkeep.errors import HistoryDamaged, HistoryUnusable
from threadkeep.history.items import Item, decode_item, encode_item
from threadkeep.history.kinds.files import (
    create_private,
    is_there,
    locked,
    named,
    resolved,
    set_aside,
    store_path,
    take_aside,
)
from threadkeep.history.kinds.sqlite_pages import Row, rows_of_pages
from threadkeep.history.session import SessionInfo
from threadkeep.storage.private_files import sync_folder

__all__ = ["KEEPS_METADATA", "MANY_SESSIONS", "delete_session", "list_sessions", "open_store", "recover"]

_T = TypeVar("_T")

MANY_SESSIONS = True
KEEPS_METADATA = False

# A transaction takes milliseconds; another program may hold one for longer.
_SECONDS = 600
_LEAST_BYTES = 512  # the smallest page; SQLite takes a smaller file for an empty database
_MOST_ROWS = 2**63 - 1
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

# The tables as the Agents SDK creates them (SQLiteSession of openai-agents 0.24).
_TABLES = """
CREATE TABLE IF NOT EXISTS agent_sessions (
    session_id TEXT PRIMARY KEY,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS agent_messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL,
    message_data TEXT NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    FOREIGN KEY (session_id) REFERENCES agent_sessions (session_id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS idx_agent_messages_session_id ON agent_messages (session_id, id);
"""


@attrs.frozen
class _SqliteFile:
    url: str
    path: Path
    session_id: str

    def read(self, limit: int | None) -> list[Item]:
        """See `threadkeep.history.session.Store`."""

        def work(database: sqlite3.Connection) -> list[Item]:
            return [self._item(database, *row) for row in self._newest(database, limit)]

        return _on_database(self.path, work, missing=[])

    def append(self, items: Sequence[Item]) -> None:
        """See `threadkeep.history.session.Store`."""
        rows = [(self.session_id, encode_item(item).decode()) for item in items]

        def work(database: sqlite3.Connection) -> None:
            with _transaction(database):
                database.execute("INSERT OR IGNORE INTO agent_sessions (session_id) VALUES (?)", rows[0][:1])
                database.executemany("INSERT INTO agent_messages (session_id, message_data) VALUES (?, ?)", rows)
                database.execute(
                    "UPDATE agent_sessions SET updated_at = CURRENT_TIMESTAMP WHERE session_id = ?", rows[0][:1]
                )

        _create(self.path)
        _on_database(self.path, work, missing=None, creates_tables=True)

    def pop(self) -> Item | None:
        """See `threadkeep.history.session.Store`."""

        def work(database: sqlite3.Connection) -> Item | None:
            with _transaction(database):
                for number, data in self._newest(database, 1):
                    item = self._item(database, number, data)
                    database.execute("DELETE FROM agent_messages WHERE id = ?", (number,))
                    return item
            return None

        return _on_database(self.path, work, missing=None)

    def clear(self) -> None:
        """See `threadkeep.history.session.Store`."""

        def work(database: sqlite3.Connection) -> None:
            database.execute("PRAGMA secure_delete = ON")
            with _transaction(database):
                database.execute("DELETE FROM agent_messages WHERE session_id = ?", (self.session_id,))
                database.execute("DELETE FROM agent_sessions WHERE session_id = ?", (self.session_id,))

        _on_database(self.path, work, missing=None)

    def close(self) -> None:
        """Nothing is open."""

    def _newest(self, database: sqlite3.Connection, limit: int | None) -> list[tuple[int, Any]]:
        rows = database.execute(
            "SELECT id, message_data FROM agent_messages WHERE session_id = ? ORDER BY id DESC LIMIT ?",
            (self.session_id, -1 if limit is None else min(limit, _MOST_ROWS)),
        ).fetchall()
        rows.reverse()
        return rows

    def _item(self, database: sqlite3.Connection, number: int, data: Any) -> Item:
        try:
            return _decoded(data)
        except ValueError as error:
            count = sum(1 for _ in _good(self._newest(database, None)))
            raise HistoryDamaged(
                f"{self.path}: row {number} of agent_messages, of the session {self.session_id!r}, is damaged: {error}."
                f" Nothing was changed. threadkeep.recover({self.url!r}, {self.session_id!r}) returns the other"
                f" items ({count}); delete the row, or the session, to use it again.",
                place=self.url,
                recoverable=count,
            ) from None


def open_store(url: str, session_id: str, metadata: Mapping[str, Any] | None) -> _SqliteFile:
    """Open one session of a database."""
    if metadata is not None:
        raise ValueError("the tables of the Agents SDK keep no metadata. Use a .jsonl file for it.")
    return _SqliteFile(url, store_path(_path(url)), session_id)


def list_sessions(url: str) -> list[SessionInfo]:
    """Return the sessions that have items."""

    def work(database: sqlite3.Connection) -> list[SessionInfo]:
        rows = database.execute(
            "SELECT session_id, count(*), min(created_at), max(created_at) FROM agent_messages"
            " GROUP BY session_id ORDER BY min(id)"
        ).fetchall()
        return [
            SessionInfo(session_id=_text(name), items=count, first_at=_time(first), last_at=_time(last))
            for name, count, first, last in rows
        ]

    return _on_database(_path(url), work, missing=[])


def delete_session(url: str, session_id: str) -> None:
    """Remove a session; its pages are overwritten."""
    _SqliteFile(url, _path(url), session_id).clear()


def recover(url: str, session_id: str | None) -> list[Item]:
    """Return the items of every row that can be read, also from the pages of a database that cannot be opened."""
    path = _path(url) if url.startswith("sqlite:") else resolved(url)
    with named(path):
        os.stat(path)
    rows: dict[int, Row] = {}
    if not url.startswith("sqlite:") or not _read_all(path, rows):
        with tempfile.TemporaryDirectory() as folder, named(path):
            copy = Path(folder) / "copy"
            for ending in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(f"{path}{ending}", f"{copy}{ending}")
            if not _read_all(copy, rows):
                for row in rows_of_pages(path):
                    rows.setdefault(row.number, row)
    wanted = [rows[number] for number in sorted(rows) if session_id is None or rows[number].session_id == session_id]
    return [item for _, item in _good((row.number, row.data) for row in wanted)]


def _path(url: str) -> Path:
    """Return the file of an URL: three slashes and a relative path, or four and an absolute one."""
    name = url[len("sqlite:///") :]
    if not url.lower().startswith("sqlite:///") or name in ("", ":memory:") or "?" in name:
        raise ValueError(
            f"{url!r} names no database file. It is sqlite:///relative/path or sqlite:////absolute/path, without"
            " options; memory:// is a history in memory."
        )
    return resolved(name)


def _create(path: Path) -> None:
    """Create the database if there is none: under another name, and put in place when it is complete.

    SQLite itself creates an empty file first, and a kill would leave that.
    """
    if is_there(path):
        return
    with locked(path):
        if is_there(path):
            return
        new = path.with_name(f"{path.name}.new")
        with named(path):
            for ending in ("-wal", "-shm"):
                Path(f"{new}{ending}").unlink(missing_ok=True)
                if os.path.lexists(f"{path}{ending}"):  # without its database; SQLite would take it for one of the new
                    take_aside(Path(f"{path}{ending}"))
            os.close(create_private(new))
            try:
                with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as database:
                    database.execute("PRAGMA journal_mode = WAL")
                    database.executescript(_TABLES)
                _put_in_place(new, path)
            except sqlite3.Error as error:
                raise HistoryUnusable(f"{path} cannot be created: {error}.") from None
            finally:
                new.unlink(missing_ok=True)
            sync_folder(path.parent)


def _put_in_place(new: Path, path: Path) -> None:
    try:
        os.link(new, path)  # the SDK does not wait for our lock: never over a database of its own
    except FileExistsError:
        return
    except OSError:  # a file system without links
        os.rename(new, path)


def _on_database(
    path: Path, work: Callable[[sqlite3.Connection], _T], *, missing: _T, creates_tables: bool = False
) -> _T:
    """Do something with the database. A damaged one is set aside.

    Args:
        path: of the database.
        work: what is done, with an open connection.
        missing: what is returned if there is no database, or none of the tables in it.
        creates_tables: creates the tables if there are none.
    """
    while True:
        with named(path):
            try:
                before = os.stat(path)
            except (FileNotFoundError, NotADirectoryError):
                return missing
        try:
            if before.st_size < _LEAST_BYTES:
                raise sqlite3.DatabaseError(f"it has {before.st_size} bytes")
            with contextlib.closing(_connect(path)) as database:
                _check_size(database, path)
                if creates_tables:
                    _create_tables(database)
                return work(database) if _has_tables(database) else missing
        except UnicodeDecodeError:
            reason = "the names of its columns are not UTF-8"
        except sqlite3.Error as error:
            # An error without a code is our own, about the size of the file.
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF not in _DAMAGED:
                raise HistoryUnusable(f"{path}: {error}.{_hint(error)} Nothing was changed.") from None
            reason = str(error)
        with locked(path), contextlib.suppress(FileNotFoundError):
            # Meanwhile another process may have set it aside, and begun a new one.
            if os.path.samestat(os.stat(path), before):
                raise set_aside(
                    path, reason, lambda aside: len(recover(str(aside), None)), ("-wal", "-shm"), many_sessions=True
                )


def _check_size(database: sqlite3.Connection, path: Path) -> None:
    """Notice a file that was cut off, or in which bytes were added: SQLite reads zeros for the rest of a page.

    While there is a log, the last page may be one that was just being written. The file is not opened here: when it is
    closed again, the system takes away the locks that SQLite has on it in this process.

    Raises:
        sqlite3.DatabaseError: the file is not a number of pages.
    """
    page = database.execute("PRAGMA page_size").fetchone()[0]
    size = os.stat(path).st_size
    if size % page and not _has_log(path):
        raise sqlite3.DatabaseError(f"it has {size} bytes, which are no number of pages")


def _has_log(path: Path) -> bool:
    for ending in ("-wal", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            if os.stat(f"{path}{ending}").st_size:
                return True
    return False


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=_SECONDS, isolation_level=None, check_same_thread=False
    )
    database.text_factory = bytes  # text that is not UTF-8 is for us to refuse, with the number of its row
    return database


def _has_tables(database: sqlite3.Connection) -> bool:
    return database.execute("SELECT 1 FROM sqlite_master WHERE name = 'agent_messages'").fetchone() is not None


def _create_tables(database: sqlite3.Connection) -> None:
    if not _has_tables(database):
        database.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
    if database.execute("PRAGMA journal_mode").fetchone()[0] != b"wal":
        with contextlib.suppress(sqlite3.OperationalError):  # not while another connection is open; all else works
            database.execute("PRAGMA journal_mode = WAL")


@contextlib.contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if database.in_transaction:
            database.rollback()
        raise
    database.execute("COMMIT")


def _read_all(path: Path, rows: dict[int, Row]) -> bool:
    """Read all rows by SQLite. Returns whether that worked to the end."""
    try:
        with contextlib.closing(_connect(path)) as database:
            if not _has_tables(database):
                return False
            for number, session_id, data in database.execute(
                "SELECT id, session_id, message_data FROM agent_messages NOT INDEXED ORDER BY id"
            ):
                rows[number] = Row(number, _text(session_id), data)
    except (sqlite3.Error, UnicodeDecodeError, OSError):
        return False
    return True


def _good(rows: Any) -> Iterator[tuple[int, Item]]:
    for number, data in rows:
        with contextlib.suppress(ValueError):
            yield number, _decoded(data)


def _decoded(data: object) -> Item:
    if not isinstance(data, bytes):
        raise ValueError("it is no text")
    return decode_item(data)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _time(value: object) -> datetime | None:
    try:
        time = datetime.fromisoformat(_text(value))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _hint(error: sqlite3.Error) -> str:
    if "locked" in str(error):
        return f" Another program has held its lock for {_SECONDS} seconds; end it, and try again."
    return ""
