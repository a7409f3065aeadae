"""From a file's bytes to a state: a state file (JSON), or a full export (NDJSON), one line a message."""

from collections.abc import Iterator
from typing import Any

from fake_assistants.badinput import BadInput
from fake_assistants.jsontext import OBJECT_LEVELS, MalformedJson, loads
from fake_assistants.shelf import Obj
from fake_assistants.state import State, empty


def read(text: bytes) -> Any:
    """The state that a file holds. Raises BadInput with the path or the line.

    An export's first line is a JSON object with a `thread_id`; anything else is read as one JSON state.
    """
    if _is_export(text):
        return _from_export(text)
    try:
        return loads(text)
    except MalformedJson as error:
        raise BadInput(f"neither a state (JSON) nor an export (NDJSON): {error}") from None


def _is_export(text: bytes) -> bool:
    first = text.lstrip().partition(b"\n")[0]
    if not first:
        return True  # the export of no thread has no lines
    try:
        line = loads(first)
    except MalformedJson:
        return False
    return isinstance(line, dict) and "thread_id" in line


def _from_export(text: bytes) -> State:
    state = empty()
    threads: dict[str, Obj] = {}
    for message in _messages(text):
        thread_id = message["thread_id"]
        if thread_id not in threads:
            threads[thread_id] = _thread(thread_id, message)
        state["messages"].append(message)
    state["threads"] = list(threads.values())
    return state


def _messages(text: bytes) -> Iterator[Obj]:
    # On b"\n" only: splitlines() would break a line at U+2028 and U+0085, which stand in messages raw.
    for number, line in enumerate(text.split(b"\n"), start=1):
        if line.strip():
            yield _message(line, f"line {number}")


def _message(line: bytes, where: str) -> Obj:
    try:
        row = loads(line, levels=OBJECT_LEVELS + 1)  # the message stands in its line
    except MalformedJson as error:
        raise BadInput(f"not JSON: {error}", where) from None
    if not isinstance(row, dict):
        raise BadInput("expected an object", where)
    if "message" not in row:
        raise BadInput("no raw message: flat lines cannot be served again, a full export is needed", where)
    message = row["message"]
    if not isinstance(message, dict) or not isinstance(message.get("id"), str):
        raise BadInput("expected a message with a string id", where)
    thread_id = row.get("thread_id")
    if not isinstance(thread_id, str) or message.get("thread_id") != thread_id:
        raise BadInput("the line and its message must name the same thread_id", where)
    return message


def _thread(thread_id: str, first: Obj) -> Obj:
    """An export has no threads, so one is made up for each: as old as its first message."""
    return {
        "id": thread_id,
        "object": "thread",
        "created_at": first.get("created_at", 0),
        "metadata": {},
        "tool_resources": {},
    }
