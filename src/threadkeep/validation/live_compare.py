"""What the export has of a thread, held against what the API gives of it. Pure.

New messages stand behind all others, since the server's order is that of insertion (recorded). So what the API has
*before* a message that was exported was there when that was, and is lost; what stands behind the last one is new.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from threadkeep.records.content import is_poorer
from threadkeep.records.mapping import flat_values
from threadkeep.serialization.json_diff import ABSENT, below, differences
from threadkeep.serialization.lossless_json import loads
from threadkeep.serialization.text_files import BYTE_ORDER_MARK
from threadkeep.validation.findings import Finding, finding

__all__ = ["Change", "ExportedMessage", "change", "compare", "read_line"]


@attrs.frozen
class ExportedMessage:
    """A message of the export, in few bytes, since a thread may have a hundred thousand.

    Attributes:
        line: the number of its line, from 1.
        start: the byte at which the line begins.
        size: of the line, without its newline.
        digest: of the same bytes.
    """

    message_id: str
    line: int
    start: int = 0
    size: int = 0
    digest: bytes = b""


@attrs.frozen
class Change:
    """How the API gives a message differently: the code of the finding, and where in the line."""

    code: str
    path: str


def compare(
    thread_id: str,
    exported: Iterable[ExportedMessage],
    live: Sequence[str],
    changed: Mapping[str, Change],
    *,
    file: str,
    last_id: str | None = None,
) -> Iterator[Finding]:
    """Say what is different in a thread.

    Args:
        thread_id: its id.
        exported: the messages of its lines, in their order. Of two with one id the first counts.
        live: the ids of all its messages, in the API's order.
        changed: what `change` said, by message id.
        file: the name of the export.
        last_id: of the last message that the journal vouches for, where there is one. What stands before it was there
            too, though its lines may be gone.
    """
    here = {row.message_id: row for row in reversed(list(exported))}
    rows = sorted(here.values(), key=lambda row: row.line)
    there = {message_id: position for position, message_id in enumerate(live)}
    common = [row for row in rows if row.message_id in there]
    yield from _order(thread_id, common, [message_id for message_id in there if message_id in here], file)
    for row in rows:
        where = {"file": file, "line": row.line, "thread_id": thread_id, "message_id": row.message_id}
        if row.message_id not in there:
            yield finding("deleted_message", "the API does not have the message any more", **where)
        elif (change := changed.get(row.message_id)) is not None:
            yield finding(change.code, _WORDS[change.code], path=change.path, **where)
    old = max((there[message_id] for message_id in (*here, last_id) if message_id in there), default=-1)
    for message_id, position in there.items():
        if message_id not in here:
            code = "lost_message" if position <= old else "new_message"
            yield finding(code, _WORDS[code], thread_id=thread_id, message_id=message_id)


_WORDS = {
    "changed_message": "the API gives the message in another form",
    "deleted_message": "the API gives the message with less in it than the export has",
    "changed_metadata": "the metadata of the message were changed",
    "lost_message": "the API has the message, before others that were exported, and the export has not",
    "new_message": "the message came after the export",
}


def _order(thread_id: str, rows: Sequence[ExportedMessage], live: Sequence[str], file: str) -> Iterator[Finding]:
    """The first place at which the messages that both have differ."""
    for row, message_id in zip(rows, live, strict=True):
        if row.message_id != message_id:
            what = f"the API gives {message_id} in the place of this message"
            where = {"file": file, "line": row.line, "thread_id": thread_id, "message_id": row.message_id}
            yield finding("order_mismatch", what, **where)
            return


def read_line(line: bytes) -> Mapping[str, Any] | None:
    """Read a line of the export that may be damaged; None for one that cannot be read or says of no message."""
    try:
        value = loads(line.removeprefix(BYTE_ORDER_MARK))
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("message_id"), str) else None


def change(said: Mapping[str, Any], raw: Mapping[str, Any]) -> Change | None:
    """Say how the API's message is another than that of a line; None when it is the same.

    The order of keys does not count; the types of numbers do. A full line is held against the message alone: what
    stands beside it is for `threadkeep.records.ndjson.line_faults`. The assistant is the caller's word, not the API's.

    Args:
        said: a line, as `read_line` gives it.
        raw: the message, as the API gives it.
    """
    if "message" not in said:
        flat = flat_values(raw, assistant_id="")
        del flat["assistant_id"]
        path = _first_difference({key: said.get(key, ABSENT) for key in flat}, flat, "$")
        if path == "$.text" and not flat["text"].strip():
            return Change("deleted_message", path)
        return None if path is None else Change("changed_message", path)
    message, path = said["message"], "$.message"
    if not isinstance(message, dict):
        return Change("changed_message", path)
    other = _first_difference(_without_metadata(message), _without_metadata(raw), path)
    if other is not None:
        return Change("deleted_message" if is_poorer(raw, message) else "changed_message", other)
    metadata = _first_difference(message.get(_METADATA, ABSENT), raw.get(_METADATA, ABSENT), path)
    return None if metadata is None else Change("changed_metadata", below(path, _METADATA))


_METADATA = "metadata"


def _without_metadata(message: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != _METADATA}


def _first_difference(one: Any, other: Any, path: str) -> str | None:
    return next(differences(one, other, path, into_lists=True), None)
