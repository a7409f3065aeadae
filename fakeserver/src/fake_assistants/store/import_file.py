"""Read a file into a staged state: a state file (JSON), or a file of a full export (NDJSON).

A line of an export has one object: a message, a thread, or a run with its steps. Each kind is in a file of its own.
"""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any, BinaryIO

from fake_assistants.http.lossless_json import OBJECT_LEVELS, MalformedJson, Obj, dumps_to_keep, loads
from fake_assistants.store.kinds import MESSAGES, RUN_STEPS, RUNS, THREADS
from fake_assistants.store.snapshot import Staged, checked
from fake_assistants.user_input import BadInput


def read(file: BinaryIO) -> Staged:
    """Read the state of a binary file. Raises BadInput with the path or the line.

    If the first line is a JSON object with a `thread_id`, the file is read as an export, line by line; any other file
    is read as one JSON state.
    """
    head = list(_head(file))  # lines end at b"\n" only: messages contain U+2028 and U+0085 unescaped
    if _is_export(head[-1] if head else b""):
        return _from_export(chain(head, file))
    head.append(file.read())
    return checked(_state(b"".join(head)))


def _head(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines up to the first that is not blank."""
    for line in file:
        yield line
        if line.strip():
            return


def _is_export(first: bytes) -> bool:
    if not first.strip():
        return True  # an export without threads has no lines
    try:
        line = loads(first)
    except MalformedJson:
        return False
    return isinstance(line, dict) and "thread_id" in line


def _state(text: bytes) -> Any:
    try:
        return loads(text)
    except MalformedJson as error:
        raise BadInput(f"neither a state (JSON) nor an export (NDJSON): {error}") from None


def _from_export(lines: Iterable[bytes]) -> Staged:
    staged = Staged()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            _take(staged, line, f"line {number}")
    return staged


# The kinds of object in the lines of an export, by the key that has them.
_EXPORTED = {"message": MESSAGES, "thread": THREADS, "run": RUNS}


def _take(staged: Staged, line: bytes, where: str) -> None:
    row = _row(line, where)
    key = next((key for key in _EXPORTED if key in row), None)
    if key is None:
        raise BadInput("no raw message: flat lines cannot be served again, a full export is needed", where)
    value = _object(row, key, where)
    try:
        if key != "thread" and value["thread_id"] not in staged.made_up:
            staged.made_up.add(value["thread_id"])
            thread = _thread(value)
            staged.add(THREADS, thread, dumps_to_keep(thread))
        staged.add(_EXPORTED[key], value, dumps_to_keep(value))
        for step in _steps(row, value) if key == "run" else ():
            staged.add(RUN_STEPS, step, dumps_to_keep(step))
    except BadInput as error:
        raise BadInput(error.reason, where) from None


def _row(line: bytes, where: str) -> Obj:
    try:
        row = loads(line, levels=OBJECT_LEVELS + 1)  # the object is nested in its line
    except MalformedJson as error:
        reason = str(error).replace("line 1 column", "column")  # the reader gets one line at a time
        raise BadInput(f"not JSON: {reason}", where) from None
    if not isinstance(row, dict):
        raise BadInput("expected an object", where)
    return row


def _object(row: Obj, key: str, where: str) -> Obj:
    value, thread_id = row[key], row.get("thread_id")
    if not isinstance(value, dict) or not isinstance(value.get("id"), str):
        raise BadInput(f"expected a {key} with a string id", where)
    name = "id" if key == "thread" else "thread_id"
    if not isinstance(thread_id, str) or value.get(name) != thread_id:
        raise BadInput(f"the line and its {key} must name the same thread_id", where)
    return value


def _steps(row: Obj, run: Obj) -> list[Obj]:
    """Return the steps of a run. Raises BadInput if they are not its own."""
    steps = row.get("steps", [])
    if not isinstance(steps, list) or any(not isinstance(one, dict) or one.get("run_id") != run["id"] for one in steps):
        raise BadInput("expected the steps of the run", "")
    return steps


def _thread(first: Obj) -> Obj:
    """Return a placeholder thread, which has the time of the first object in it: its file has no threads."""
    return {
        "id": first["thread_id"],
        "object": "thread",
        "created_at": first.get("created_at", 0),
        "metadata": {},
        "tool_resources": {},
    }


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the cyclic garbage collector: JSON has no cycles, and 300,000 messages are loaded twice as fast."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
