"""A history of many sessions in one file to which lines are only added.

A line is what one call did::

    {"session_id": "default", "time": "2026-11-29T12:00:00Z", "add": [ITEM, ...], "line": 1}
    {"session_id": "default", "time": ..., "pop": {"line": 1, "keep": 0}, "line": 2}
    {"session_id": "default", "time": ..., "clear": true, "line": 3}

So a call is in the file, or it is not. The number of a line is at its end: the next one is known from the last bytes of
the file, and a line that was removed, doubled or moved is noticed. ``pop`` says how many items of which line stay.
A last line without its end is what a kill leaves: it was never acknowledged, and it costs nothing but itself.
"""

import contextlib
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from threadkeep.clock import now
from threadkeep.errors import HistoryUnusable
from threadkeep.history.items import Item, decode_item
from threadkeep.history.kinds.files import (
    create_private,
    is_there,
    locked,
    named,
    open_file,
    read_file,
    replace_file,
    resolved,
    set_aside,
    store_path,
    take_aside,
)
from threadkeep.history.kinds.salvage import salvage
from threadkeep.history.session import SessionInfo
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.storage.private_files import sync_folder

__all__ = ["KEEPS_METADATA", "MANY_SESSIONS", "delete_session", "list_sessions", "open_store", "recover"]

MANY_SESSIONS = True
KEEPS_METADATA = True

_LAST_NUMBER = re.compile(rb',"line":([1-9][0-9]*)\}\n\Z')
_LONGEST_NUMBER = 40
_KEYS = {"session_id", "time", "line", "add", "pop", "clear"}
_GLUED = re.compile(rb'(,"line":[0-9]+\})(?=\{"session_id":)')
# What can be found in a damaged line. Its items are behind the key "add", or behind the time if the key is damaged.
_NUMBER = re.compile(r',"line":([0-9]{1,18})\}\s*\Z')
_SESSION = re.compile(r'\A\{[^:]{0,30}:("(?:[^"\\]|\\.)*")')
_ADD = re.compile(r'"add":(?=\[)|"time":"[^{]{24,36}?(?=\[\{)')
_POP = re.compile(r'"pop":\{"line":([0-9]{1,18}),"keep":([0-9]{1,18})\}')
_CLEAR = '"clear":true'


@attrs.define
class _Session:
    """The items that a session has, each with the number and the time of its line."""

    metadata: Mapping[str, Any] | None = None
    rows: list[tuple[int, datetime, Item]] = attrs.field(factory=list)


@attrs.define
class _Log:
    """What the lines of a file come to. ``torn`` is a last line without its end."""

    sessions: dict[str, _Session] = attrs.field(factory=dict)
    lines: list[dict[str, Any]] = attrs.field(factory=list)
    torn: bytes = b""

    def rows(self, session_id: str) -> list[tuple[int, datetime, Item]]:
        session = self.sessions.get(session_id)
        return session.rows if session else []


@attrs.frozen
class _JsonlFile:
    path: Path
    session_id: str
    metadata: Mapping[str, Any] | None

    def read(self, limit: int | None) -> list[Item]:
        """See `threadkeep.history.session.Store`."""
        rows = _read(self.path).rows(self.session_id)
        return [item for _, _, item in (rows if limit is None else rows[-limit:])]

    def append(self, items: Sequence[Item]) -> None:
        """See `threadkeep.history.session.Store`."""
        with locked(self.path), _opened(self.path) as file:
            number = _last_number(file)
            if number is None:
                number = len(_log_of_writer(self.path, file).lines)
            # In each line: that of a session's first one counts, and which is the first is not known here.
            metadata = {} if self.metadata is None else {"metadata": self.metadata}
            _write(self.path, file, number + 1, self.session_id, metadata | {"add": list(items)})

    def pop(self) -> Item | None:
        """See `threadkeep.history.session.Store`."""
        if not is_there(self.path):  # not even a lock is created then
            return None
        with locked(self.path), _opened(self.path) as file:
            log = _log_of_writer(self.path, file)
            rows = log.rows(self.session_id)
            if not rows:
                return None
            line, _, item = rows[-1]
            keep = sum(number == line for number, _, _ in rows) - 1
            operation = {"pop": {"line": line, "keep": keep}}
            _write(self.path, file, len(log.lines) + 1, self.session_id, operation)
            return item

    def clear(self) -> None:
        """See `threadkeep.history.session.Store`."""
        if not is_there(self.path):
            return
        with locked(self.path), _opened(self.path) as file:
            log = _log_of_writer(self.path, file)
            if self.session_id in log.sessions:
                _write(self.path, file, len(log.lines) + 1, self.session_id, {"clear": True})

    def close(self) -> None:
        """Nothing is open."""


def open_store(url: str, session_id: str, metadata: Mapping[str, Any] | None) -> _JsonlFile:
    """Open one session of a file."""
    return _JsonlFile(store_path(url), session_id, metadata)


def list_sessions(url: str) -> list[SessionInfo]:
    """Return the sessions that have items."""
    sessions = [(session_id, session) for session_id, session in _read(resolved(url)).sessions.items() if session.rows]
    sessions.sort(key=lambda entry: entry[1].rows[0][0])  # by the lines of their first items
    return [
        SessionInfo(
            session_id=session_id,
            items=len(session.rows),
            first_at=session.rows[0][1],
            last_at=session.rows[-1][1],
            metadata=session.metadata,
        )
        for session_id, session in sessions
    ]


def delete_session(url: str, session_id: str) -> None:
    """Write the file anew without the lines of a session; remove it if none is left."""
    path = resolved(url)
    if read_file(path) is None:
        return
    with locked(path), _opened(path) as file:
        lines = _log_of_writer(path, file).lines
        kept = [line for line in lines if line["session_id"] != session_id]
        numbers = {line["line"]: number for number, line in enumerate(kept, start=1)}
        for line in kept:
            line["line"] = numbers[line["line"]]
            if "pop" in line:
                line["pop"]["line"] = numbers[line["pop"]["line"]]
        if kept:
            replace_file(path, b"".join(dumps(line) + b"\n" for line in kept))
        else:
            with named(path):
                path.unlink(missing_ok=True)
                sync_folder(path.parent)


def recover(url: str, session_id: str | None) -> list[Item]:
    """Return the items of undamaged lines, and the undamaged items of damaged ones."""
    content = read_file(resolved(url))
    if content is None:
        raise HistoryUnusable(f"{url} does not exist.")
    found = _recovered(content)
    if not found and not (encoding := json.detect_encoding(content)).startswith("utf-8"):
        found = _recovered(content.decode(encoding, "replace").encode("utf-8", "replace"))
    return [item for session, _, item in found if session_id is None or session == session_id]


def _recovered(content: bytes) -> list[tuple[str | None, int | None, Item]]:
    """Carry out what can be read of a damaged file. Returns the items with their sessions and lines."""
    found: list[tuple[str | None, int | None, Item]] = []
    for row in _in_order(content):
        session, number = row["session_id"], row["line"]
        if "add" in row:
            found += [(session, number, item) for item in row["add"]]
        elif "pop" in row:
            line, keep = (row["pop"]["line"], row["pop"]["keep"]) if row["pop"] else (None, 0)
            places = [at for at, entry in enumerate(found) if (entry[1] == line if line else entry[0] == session)]
            if len(places) > keep:  # else the item that was popped is one that was damaged
                del found[places[-1]]
        elif session is not None:
            found = [entry for entry in found if entry[0] != session]
    return found


def _read(path: Path) -> _Log:
    """Read a file without waiting; under the lock only if something seems damaged."""
    with contextlib.suppress(ValueError):
        log = _replayed(read_file(path))
        if not log.torn:
            return log
    with locked(path, for_reading=True):
        log = _replayed_or_set_aside(path)
    if log.torn:
        _warn(path, log.torn, "It is left out.")
    return log


def _replayed_or_set_aside(path: Path) -> _Log:
    try:
        return _replayed(read_file(path))
    except ValueError as error:
        raise set_aside(path, str(error), lambda aside: len(recover(str(aside), None)), many_sessions=True) from None


def _replayed(content: bytes | None) -> _Log:
    """Carry out the lines of a file.

    Raises:
        ValueError: a line is damaged. The message says which.
    """
    log = _Log()
    if content is None:
        return log
    if not content:
        raise ValueError("it is empty")
    *lines, last = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            _carry_out(log, _row(line), number)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    if last:
        try:
            _carry_out(log, _row(last), len(lines) + 1)
        except ValueError:
            if not lines:  # a file begins with a complete line, since it is put in place complete
                raise ValueError("it has no complete line") from None
            log.torn = last
    return log


def _row(line: bytes) -> dict[str, Any]:
    """Read a line.

    Raises:
        ValueError: it is not one of the three.
    """
    row: dict[str, Any] = decode_item(line)
    match row:
        case {"session_id": str(), "time": str(), "line": int(), "add": [_, *_] as items}:
            is_known = all(isinstance(item, dict) for item in items)
        case {"session_id": str(), "time": str(), "line": int(), "pop": {"line": int(), "keep": int()}}:
            is_known = True
        case {"session_id": str(), "time": str(), "line": int(), "clear": True}:
            is_known = True
        case _:
            is_known = False
    if not is_known:
        raise ValueError("it is not a line of a history")
    return row


def _carry_out(log: _Log, row: dict[str, Any], number: int) -> None:
    if row["line"] != number:
        raise ValueError(f"it has the number {row['line']}, so lines were removed, added or moved")
    time = datetime.fromisoformat(row["time"])
    session_id = row["session_id"]
    if "add" in row:
        session = log.sessions.setdefault(session_id, _Session(row.get("metadata")))
        session.rows += [(number, time, item) for item in row["add"]]
    elif "pop" in row:
        rows = log.rows(session_id)
        of_line = [at for at, (line, _, _) in enumerate(rows) if line == row["pop"]["line"]]
        if len(of_line) != row["pop"]["keep"] + 1 or of_line[-1] != len(rows) - 1:
            raise ValueError("it takes back an item that is not the last one")
        rows.pop()
        if not rows:  # when it has items again, it is listed as a new session
            log.sessions.pop(session_id)
    else:
        log.sessions.pop(session_id, None)
    log.lines.append(row)


def _in_order(content: bytes) -> list[dict[str, Any]]:
    """Return the lines of a damaged file by their numbers, each once; one without a number behind the one before."""
    rows: list[dict[str, Any]] = []
    for line in dict.fromkeys(_GLUED.sub(rb"\1\n", content).split(b"\n")):
        try:
            rows.append(_row(line))
        except ValueError:
            rows.append(_row_of_damaged(line))
    numbers = {row["line"] for row in rows}
    placed: list[tuple[int, dict[str, Any]]] = []
    number = 0
    for row in rows:
        if row["line"] is None and number + 1 not in numbers:  # only its own number is missing there
            row["line"] = number + 1
            numbers.add(number + 1)
        number = number if row["line"] is None else row["line"]
        placed.append((number, row))
    placed.sort(key=lambda entry: entry[0])
    return [row for _, row in placed]


def _row_of_damaged(line: bytes) -> dict[str, Any]:
    """Return what can be read of a damaged line; its session and its number are None if they cannot.

    An object that has little of a line is an item itself.
    """
    with contextlib.suppress(ValueError):
        item = decode_item(line)
        if len(item.keys() & _KEYS) < 3:
            return {"session_id": None, "line": None, "add": [item]}
    text = line.decode("utf-8", "surrogateescape")
    head, items = text, "[]"
    if found := _ADD.search(text):
        head, items = text[: found.end()], text[found.end() :]
    row: dict[str, Any] = {"session_id": None, "line": None}
    if named_in := _SESSION.search(head):
        with contextlib.suppress(ValueError):
            row["session_id"] = loads(named_in[1].encode("utf-8", "surrogateescape"))
    if number := _NUMBER.search(text):
        row["line"] = int(number[1])
    if not found and '"pop":' in text:  # without its numbers, it is the last item of the session
        popped = _POP.search(text)
        return row | {"pop": {"line": int(popped[1]), "keep": int(popped[2])} if popped else None}
    if not found and _CLEAR in text:
        return row | {"clear": True}
    return row | {"add": salvage(_NUMBER.sub("", items))}


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """Open a file to be added to; None if there is none."""
    file = open_file(path, os.O_RDWR)
    try:
        yield file
    finally:
        if file is not None:
            os.close(file)


def _last_number(file: int | None) -> int | None:
    """Return the number of the last line, or None if the end of the file does not say it."""
    if file is None:
        return 0
    size = os.fstat(file).st_size
    found = _LAST_NUMBER.search(os.pread(file, _LONGEST_NUMBER, max(0, size - _LONGEST_NUMBER)))
    return int(found[1]) if found else None


def _log_of_writer(path: Path, file: int | None) -> _Log:
    """Read the file before it is added to, and make its last line end. What is torn is moved to a file of its own."""
    log = _replayed_or_set_aside(path)
    if file is None:
        return log
    with named(path):
        size = os.fstat(file).st_size
        if log.torn:
            new = path.with_name(f"{path.name}.new")
            with os.fdopen(create_private(new), "wb") as torn:
                torn.write(log.torn)
                torn.flush()
                os.fsync(torn.fileno())
            aside = take_aside(new, path.name)
            os.ftruncate(file, size - len(log.torn))
            _warn(path, log.torn, f"It was moved to {aside}.")
        elif os.pread(file, 1, size - 1) != b"\n":
            os.pwrite(file, b"\n", size)
    return log


def _write(path: Path, file: int | None, number: int, session_id: str, operation: Mapping[str, Any]) -> None:
    """Add one line, and bring it to the disk. If the disk reports an error, the file is as before."""
    time = now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = dumps({"session_id": session_id, "time": time, **operation, "line": number}) + b"\n"
    if file is None:
        replace_file(path, line)
        return
    with named(path):
        size = os.fstat(file).st_size
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(file, line[written:], size + written)
            os.fdatasync(file)
        except BaseException:
            os.ftruncate(file, size)
            raise


def _warn(path: Path, torn: bytes, what: str) -> None:
    warnings.warn(
        f"{path}: the last line is cut off after {len(torn)} bytes, as by the end of the process that wrote it. {what}",
        stacklevel=2,
    )
