"""A SQLite database to query: docs/sqlite.md describes its tables and views.

Every row has what is asked for in columns, and tables of API objects have the object itself in ``raw``, as JSON.
Columns of text cannot hold everything that JSON strings can: see `_storable`. JSON has escapes for all of it.
"""

import contextlib
import errno
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from threadkeep.conversion.content import Footnotes, data_url, file_url, with_footnotes, without_markers
from threadkeep.conversion.job import Conversion, Options
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.source import Thread
from threadkeep.errors import OutputUnusable
from threadkeep.records.content import files_of
from threadkeep.records.model import (
    Annotation,
    FileCitation,
    ImageFilePart,
    ImageUrlPart,
    MessageRecord,
    Part,
    RefusalPart,
    TextPart,
    UnknownAnnotation,
)
from threadkeep.serialization.lossless_json import dumps, text_or_none

__all__ = ["DESCRIPTION", "NO_PLACE", "write"]

DESCRIPTION = "A SQLite database to query, with full-text search; opens in Datasette."
NO_PLACE = ("contents of files",)

_APPLICATION_ID = 0x74_68_6B_71  # "thkq"
_VERSION = 1

# Integers are keys, since nothing says that ids of messages, runs and steps are unique, and integers are smaller.
# Columns that are searched come before the long ones, which may be on pages of their own.
_TABLES = """
CREATE TABLE threads(
    thread INTEGER PRIMARY KEY, thread_id TEXT NOT NULL, assistant_id TEXT, created_at INTEGER, metadata TEXT, raw TEXT
);
CREATE TABLE files(file_id TEXT NOT NULL PRIMARY KEY, name TEXT);
CREATE TABLE runs(
    run INTEGER PRIMARY KEY, thread INTEGER NOT NULL REFERENCES threads(thread), position INTEGER NOT NULL,
    run_id TEXT, assistant_id TEXT, status TEXT, model TEXT,
    created_at INTEGER, started_at INTEGER, completed_at INTEGER,
    prompt_tokens INTEGER, completion_tokens INTEGER, total_tokens INTEGER, metadata TEXT, raw TEXT
);
CREATE TABLE steps(
    step INTEGER PRIMARY KEY, run INTEGER NOT NULL REFERENCES runs(run), position INTEGER NOT NULL,
    step_id TEXT, type TEXT, status TEXT, created_at INTEGER, completed_at INTEGER, raw TEXT
);
CREATE TABLE step_files(
    step INTEGER NOT NULL REFERENCES steps(step), file_id TEXT NOT NULL REFERENCES files(file_id)
);
CREATE TABLE messages(
    message INTEGER PRIMARY KEY, thread INTEGER NOT NULL REFERENCES threads(thread), position INTEGER NOT NULL,
    message_id TEXT NOT NULL, role TEXT, created_at INTEGER, month TEXT, assistant_id TEXT, run_id TEXT,
    run INTEGER REFERENCES runs(run), status TEXT, metadata TEXT, text TEXT NOT NULL, raw TEXT
);
CREATE TABLE parts(
    part INTEGER PRIMARY KEY, message INTEGER NOT NULL REFERENCES messages(message), position INTEGER NOT NULL,
    type TEXT, text TEXT, file_id TEXT REFERENCES files(file_id), url TEXT, detail TEXT, raw TEXT
);
CREATE TABLE annotations(
    annotation INTEGER PRIMARY KEY, part INTEGER NOT NULL REFERENCES parts(part), position INTEGER NOT NULL,
    type TEXT, text TEXT, file_id TEXT REFERENCES files(file_id), start_index INTEGER, end_index INTEGER, quote TEXT,
    raw TEXT
);
CREATE TABLE attachments(
    attachment INTEGER PRIMARY KEY, message INTEGER NOT NULL REFERENCES messages(message), position INTEGER NOT NULL,
    file_id TEXT REFERENCES files(file_id), tools TEXT, raw TEXT
);
"""
_INSERTS = {
    "threads": "INSERT INTO threads VALUES(?,?,?,?,?,?)",
    "files": "INSERT INTO files VALUES(?,?) ON CONFLICT(file_id) DO UPDATE SET name=coalesce(name, excluded.name)",
    "runs": "INSERT INTO runs VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
    "steps": "INSERT INTO steps VALUES(?,?,?,?,?,?,?,?,?)",
    "step_files": "INSERT INTO step_files VALUES(?,?)",
    "messages": "INSERT INTO messages VALUES(?,?,?,?,?,?6,strftime('%Y-%m', ?6, 'unixepoch'),?,?,?,?,?,?,?)",
    "parts": "INSERT INTO parts VALUES(?,?,?,?,?,?,?,?,?)",
    "annotations": "INSERT INTO annotations VALUES(?,?,?,?,?,?,?,?,?,?)",
    "attachments": "INSERT INTO attachments VALUES(?,?,?,?,?,?)",
}

# The views read these instead of the tables, whose rows are long.
_INDEXES = (
    "CREATE INDEX threads_by_id ON threads(thread_id)",
    "CREATE INDEX threads_by_assistant ON threads(assistant_id)",
    "CREATE INDEX runs_by_thread ON runs(thread, position)",
    "CREATE INDEX runs_by_id ON runs(run_id)",
    "CREATE INDEX runs_by_assistant ON runs(assistant_id)",
    "CREATE INDEX steps_by_run ON steps(run, position)",
    "CREATE INDEX step_files_by_step ON step_files(step)",
    "CREATE INDEX step_files_by_file ON step_files(file_id)",
    "CREATE INDEX messages_of_threads ON messages(thread, position, created_at)",
    "CREATE INDEX messages_by_id ON messages(message_id)",
    "CREATE INDEX messages_of_months ON messages(month, role)",
    "CREATE INDEX messages_by_time ON messages(created_at)",
    "CREATE INDEX messages_by_assistant ON messages(assistant_id) WHERE assistant_id IS NOT NULL",
    "CREATE INDEX messages_by_run ON messages(run) WHERE run IS NOT NULL",
    "CREATE INDEX parts_by_message ON parts(message, position)",
    "CREATE INDEX parts_by_file ON parts(file_id) WHERE file_id IS NOT NULL",
    "CREATE INDEX annotations_by_part ON annotations(part, position)",
    "CREATE INDEX annotations_by_file ON annotations(file_id)",
    "CREATE INDEX attachments_by_message ON attachments(message, position)",
    "CREATE INDEX attachments_by_file ON attachments(file_id)",
)

_SEARCH = """CREATE VIRTUAL TABLE messages_fts USING fts5(
    text, content="messages", content_rowid="message", tokenize="unicode61 remove_diacritics 2"
)"""
_AT_ONCE = 5_000  # rows: between two statements a signal is heard
_ADD_TO_SEARCH = (
    "INSERT INTO messages_fts(rowid, text) SELECT message, text FROM messages WHERE message>=? AND message<?"
)

_VIEWS = """
CREATE VIEW conversations AS
SELECT messages.message, threads.thread_id, messages.position, messages.message_id, messages.role,
    strftime('%Y-%m-%dT%H:%M:%SZ', messages.created_at, 'unixepoch') AS time, messages.text
FROM messages JOIN threads USING (thread);

CREATE VIEW transcripts AS
SELECT thread_id, (
    SELECT group_concat(coalesce(role, 'unknown') || ': ' || text, char(10, 10))
    FROM (SELECT role, text FROM messages WHERE messages.thread=threads.thread ORDER BY position)
) AS transcript
FROM threads;

CREATE VIEW messages_by_thread AS
SELECT threads.thread_id, threads.assistant_id, count(messages.message) AS messages,
    strftime('%Y-%m-%dT%H:%M:%SZ', min(messages.created_at), 'unixepoch') AS first_time,
    strftime('%Y-%m-%dT%H:%M:%SZ', max(messages.created_at), 'unixepoch') AS last_time
FROM threads LEFT JOIN messages USING (thread)
GROUP BY threads.thread, threads.thread_id;

CREATE VIEW messages_by_month AS
SELECT month, count(*) AS messages,
    count(CASE role WHEN 'user' THEN 1 END) AS user_messages,
    count(CASE role WHEN 'assistant' THEN 1 END) AS assistant_messages
FROM messages
GROUP BY month;

CREATE VIEW assistants AS
SELECT assistant_id, sum(threads) AS threads, sum(messages) AS messages, sum(runs) AS runs
FROM (
    SELECT assistant_id, count(*) AS threads, 0 AS messages, 0 AS runs FROM threads GROUP BY assistant_id
    UNION ALL
    SELECT assistant_id, 0, count(*), 0 FROM messages WHERE assistant_id IS NOT NULL GROUP BY assistant_id
    UNION ALL
    SELECT assistant_id, 0, 0, count(*) FROM runs GROUP BY assistant_id
)
WHERE assistant_id IS NOT NULL
GROUP BY assistant_id;

CREATE VIEW file_references AS
SELECT files.file_id, files.name, parts.type AS reference, threads.thread_id, messages.message_id,
    messages.role, messages.run_id, strftime('%Y-%m-%dT%H:%M:%SZ', messages.created_at, 'unixepoch') AS time
FROM parts JOIN files USING (file_id) JOIN messages USING (message) JOIN threads USING (thread)
UNION ALL
SELECT files.file_id, files.name, annotations.type, threads.thread_id, messages.message_id,
    messages.role, messages.run_id, strftime('%Y-%m-%dT%H:%M:%SZ', messages.created_at, 'unixepoch')
FROM annotations JOIN files USING (file_id) JOIN parts USING (part) JOIN messages USING (message)
    JOIN threads USING (thread)
UNION ALL
SELECT files.file_id, files.name, 'attachment', threads.thread_id, messages.message_id,
    messages.role, messages.run_id, strftime('%Y-%m-%dT%H:%M:%SZ', messages.created_at, 'unixepoch')
FROM attachments JOIN files USING (file_id) JOIN messages USING (message) JOIN threads USING (thread)
UNION ALL
SELECT files.file_id, files.name, 'step', threads.thread_id, NULL,
    NULL, runs.run_id, strftime('%Y-%m-%dT%H:%M:%SZ', steps.created_at, 'unixepoch')
FROM step_files JOIN files USING (file_id) JOIN steps USING (step) JOIN runs USING (run) JOIN threads USING (thread);

CREATE VIEW citations_by_file AS
SELECT annotations.file_id, files.name, count(*) AS citations, count(DISTINCT messages.message) AS messages,
    count(DISTINCT messages.thread) AS threads
FROM annotations JOIN files USING (file_id) JOIN parts USING (part) JOIN messages USING (message)
WHERE annotations.type='file_citation'
GROUP BY annotations.file_id;

CREATE VIEW run_times AS
SELECT threads.thread_id, runs.run_id, runs.assistant_id, runs.model, runs.status,
    strftime('%Y-%m-%dT%H:%M:%SZ', runs.created_at, 'unixepoch') AS created_time,
    strftime('%Y-%m-%dT%H:%M:%SZ', runs.started_at, 'unixepoch') AS started_time,
    strftime('%Y-%m-%dT%H:%M:%SZ', runs.completed_at, 'unixepoch') AS completed_time,
    runs.completed_at - runs.started_at AS seconds, runs.total_tokens
FROM runs JOIN threads USING (thread);
"""


def write(threads: Iterable[Thread], path: Path, conversion: Conversion) -> None:
    """Write the threads; indexes and the search follow when all rows are there, which is faster."""
    try:
        with contextlib.closing(_created(path)) as db:
            rows = _Rows(db)
            tables = _Tables(rows, conversion)
            for thread in threads:
                tables.add(thread)
            rows.flush()
            _finish(db)
    except sqlite3.Error as error:
        raise OSError(errno.EIO, f"SQLite cannot write it: {error}") from error


def _created(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA page_size=8192")
    # A draft that is cut off is thrown away, so that nothing is journaled, and nothing synced before the end.
    db.execute("PRAGMA journal_mode=OFF")
    db.execute("PRAGMA synchronous=OFF")
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    db.execute("PRAGMA secure_delete=OFF")
    db.execute("PRAGMA temp_store=FILE")
    db.execute("PRAGMA cache_size=-32768")  # in KiB; what is sorted is held in as much
    db.execute(f"PRAGMA application_id={_APPLICATION_ID}")
    db.execute(f"PRAGMA user_version={_VERSION}")
    db.executescript(_TABLES)
    db.execute("BEGIN")
    return db


def _finish(db: sqlite3.Connection) -> None:
    for index in _INDEXES:
        db.execute(index)
    db.execute(_SEARCH)
    (end,) = db.execute("SELECT coalesce(max(message), 0) + 1 FROM messages").fetchone()
    for first in range(1, end, _AT_ONCE):
        db.execute(_ADD_TO_SEARCH, (first, first + _AT_ONCE))
    db.execute("COMMIT")
    db.executescript(_VIEWS)


class _Rows:
    """Rows on their way into the database, of all tables, in batches."""

    _MOST_ROWS, _MOST_TEXT = 5_000, 4_000_000

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _INSERTS}
        self._count = self._size = 0

    def add(self, table: str, *values: Any) -> None:
        """Add a row."""
        self._rows[table].append(tuple(map(_storable, values)))
        self._count += 1
        self._size += sum(len(value) for value in values if isinstance(value, str))
        if self._count >= self._MOST_ROWS or self._size >= self._MOST_TEXT:
            self.flush()

    def flush(self) -> None:
        """Insert what there is."""
        for table, rows in self._rows.items():
            if rows:
                self._db.executemany(_INSERTS[table], rows)
                rows.clear()
        self._count = self._size = 0


class _Tables:
    """The rows of threads, with the keys that lead from one to the other."""

    def __init__(self, rows: _Rows, conversion: Conversion) -> None:
        self._row, self._lose, self._options = rows.add, conversion.lose, conversion.options
        self._keys = {table: count(1) for table in _INSERTS}

    def add(self, thread: Thread) -> None:
        """Add a thread, with all that belongs to it."""
        key, value = next(self._keys["threads"]), thread.thread or {}
        raw = self._raw(thread.thread, thread.thread_id)
        created_at, metadata = _integer(value.get("created_at")), _json(value.get("metadata"))
        self._row("threads", key, thread.thread_id, thread.assistant_id, created_at, metadata, raw)
        for file_id, path in thread.files.items():
            self._row("files", file_id, path.name)
        runs = dict(self._runs(thread, key))
        for position, record in enumerate(thread.records()):
            self._message(record, key, position, runs, thread.files)
            if not record.raw:
                self._lose(_changed(record, _IN_FLAT_LINES))
        has_id = thread.thread is not None or (thread.messages and not thread.is_flat)
        self._lose(_changed(thread, ("assistant_id",) if has_id else ("thread_id", "assistant_id")))

    # --- runs

    def _runs(self, thread: Thread, thread_key: int) -> Iterator[tuple[str, int]]:
        """Add the runs of a thread, and yield their ids with their keys."""
        for position, row in enumerate(thread.runs):
            run = _object(row.get("run"))
            key, usage = next(self._keys["runs"]), _object(run.get("usage"))
            run_id = text_or_none(row.get("run_id"))
            texts = (text_or_none(run.get(name)) for name in ("assistant_id", "status", "model"))
            times = (_integer(run.get(name)) for name in ("created_at", "started_at", "completed_at"))
            tokens = (_integer(usage.get(name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
            objects = (_json(run.get("metadata")), self._raw(row.get("run"), thread.thread_id))
            self._row("runs", key, thread_key, position, run_id, *texts, *times, *tokens, *objects)
            for step_position, step in enumerate(_list(row.get("steps"))):
                self._step(step, key, step_position, thread.thread_id)
            if run_id is not None:
                yield run_id, key

    def _step(self, value: Any, run_key: int, position: int, thread_id: str) -> None:
        key, step = next(self._keys["steps"]), _object(value)
        texts = (text_or_none(step.get(name)) for name in ("id", "type", "status"))
        times = (_integer(step.get(name)) for name in ("created_at", "completed_at"))
        self._row("steps", key, run_key, position, *texts, *times, self._raw(value, thread_id))
        for file_id in files_of(step):
            self._row("step_files", key, self._file(file_id))

    # --- messages

    def _message(
        self,
        record: MessageRecord,
        thread_key: int,
        position: int,
        runs: Mapping[str, int],
        files: Mapping[str, Path],
    ) -> None:
        key, value = next(self._keys["messages"]), record.raw
        assistant_id, run_id, status = (text_or_none(value.get(name)) for name in ("assistant_id", "run_id", "status"))
        run_key = None if run_id is None else runs.get(run_id)
        text = self._parts(record, key, files)
        objects = (_json(value.get("metadata")), text, self._raw(value or None, record.thread_id, record.message_id))
        own = (record.message_id, record.role, record.created_at, assistant_id, run_id, run_key, status)
        self._row("messages", key, thread_key, position, *own, *objects)
        for place, attached in enumerate(_list(value.get("attachments"))):
            self._attachment(attached, key, place)

    def _parts(self, record: MessageRecord, message_key: int, files: Mapping[str, Path]) -> str:
        """Add the parts of a message, and return its text."""
        footnotes, texts, is_changed = Footnotes(files), list[str](), False
        for position, part in enumerate(record.parts):
            key = next(self._keys["parts"])
            kind, text, file_id, url, detail, raw = _columns(part)
            if isinstance(part, TextPart) and part.annotations:
                text = _cited(part, self._options, footnotes)
                is_changed = is_changed or text != part.value
            elif isinstance(part, ImageFilePart):
                url = _image_url(part, self._options, files)
            texts += [text] if text is not None and kind != "refusal" else []
            self._row("parts", key, message_key, position, kind, text, self._file(file_id), url, detail, raw)
            for place, annotation in enumerate(getattr(part, "annotations", ())):
                self._annotation(annotation, key, place)
        return "\n".join(texts) if is_changed else record.text

    def _annotation(self, one: Annotation, part_key: int, position: int) -> None:
        values: tuple[Any, ...]
        if isinstance(one, UnknownAnnotation):
            values = (one.type, None, None, None, None, None, _dumped(one.raw))
        else:
            kind, quote = ("file_citation", one.quote) if isinstance(one, FileCitation) else ("file_path", None)
            values = (kind, one.text, self._file(one.file_id), one.start_index, one.end_index, quote, None)
        self._row("annotations", next(self._keys["annotations"]), part_key, position, *values)

    def _attachment(self, value: Any, message_key: int, position: int) -> None:
        attached = _object(value)
        file_id, tools = self._file(text_or_none(attached.get("file_id"))), _json(attached.get("tools"))
        key = next(self._keys["attachments"])
        self._row("attachments", key, message_key, position, file_id, tools, _dumped(value))

    # --- values

    def _file(self, file_id: str | None) -> str | None:
        """Return the id of a file that is referred to, when it has a row."""
        if file_id is not None:
            self._row("files", file_id, None)
        return file_id

    def _raw(self, value: Any, thread_id: str, message_id: str | None = None) -> str | None:
        """Return an object of the API as JSON; None if there is none, or with a loss if it cannot be written."""
        if value is None:
            return None
        raw = _dumped(value)
        if raw is None:
            word = "message" if message_id is not None else "thread"
            self._lose([Loss(thread_id, message_id, word, "its JSON is nested too deeply: it has no raw value")])
        return raw


_IN_FLAT_LINES = ("message_id", "role", "text", "created_at")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def _storable(value: Any) -> Any:
    """Return what SQLite can hold of a value.

    It has no lone surrogates, and no integers beyond 64 bits; most of its functions and its shell take NUL for the end
    of a text. Such characters become U+FFFD, such integers NULL.
    """
    if isinstance(value, str):
        return value if value.isascii() and "\0" not in value else _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return None
    return value


def _changed(owner: Thread | MessageRecord, names: Iterable[str]) -> Iterator[Loss]:
    """Yield a loss for each value that SQLite cannot hold, of what has no raw value."""
    for name in names:
        if _storable(getattr(owner, name)) != getattr(owner, name):
            ids = owner.thread_id, getattr(owner, "message_id", None)
            yield Loss(*ids, name, "SQLite cannot hold its value exactly, and the export has no other copy of it")


def _columns(part: Part) -> tuple[str | None, str | None, str | None, str | None, str | None, str | None]:
    """Return ``type, text, file_id, url, detail, raw`` of a part."""
    match part:
        case TextPart(value):
            return "text", value, None, None, None, None
        case ImageFilePart(file_id, detail):
            return "image_file", None, file_id, None, detail, None
        case ImageUrlPart(url, detail):
            return "image_url", None, None, url, detail, None
        case RefusalPart(refusal):
            return "refusal", refusal, None, None, None, None
    text = text_or_none(part.raw.get("text")) if isinstance(part.raw, dict) else None
    return part.type, text, None, None, None, _dumped(part.raw)


def _cited(part: TextPart, options: Options, footnotes: Footnotes) -> str:
    if options.citations == "strip":
        return without_markers(part.value, part.annotations)
    if options.citations == "footnotes":
        return with_footnotes(part.value, part.annotations, footnotes)[0]
    return part.value


def _image_url(part: ImageFilePart, options: Options, files: Mapping[str, Path]) -> str | None:
    """Return the URL of an image, where one is asked for; its id is carried all the same."""
    path = files.get(part.file_id)
    if options.files_url is not None:
        return file_url(options.files_url, part.file_id if path is None else path.name)
    if options.inline_images and path is not None:
        with contextlib.suppress(OSError, OutputUnusable):
            return data_url(path)
    return None


def _dumped(value: Any) -> str | None:
    """Return a value as JSON; None if it is nested too deeply."""
    try:
        return dumps(value).decode()
    except ValueError:
        return None


def _json(value: Any) -> str | None:
    return None if value is None else _dumped(value)


def _integer(value: Any) -> int | None:
    return value if type(value) is int else None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    """Return a list that should be one; what it is not counts as its only item."""
    return value if isinstance(value, list) else [value] if value else []
