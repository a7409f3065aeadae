"""Compare the lines of a thread with what the API gives of it. Pure.

New messages come behind all others, since the server's order is that of insertion (recorded). So what the API has
*before* a message that was exported was there at that time, and is lost; what comes behind the last one is new.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from threadkeep.records.content import has_lost_content
from threadkeep.records.mapping import flat_values
from threadkeep.serialization.json_diff import ABSENT, differences
from threadkeep.serialization.lossless_json import loads
from threadkeep.serialization.text_files import BYTE_ORDER_MARK
from threadkeep.validation.findings import Finding, finding

__all__ = ["Change", "ExportedMessage", "change", "compare", "read_line"]


class ExportedMessage(NamedTuple):
    """Where a message is in the export: the number of its line, from 1, its first byte, and its size in bytes."""

    line: int
    start: int = 0
    size: int = 0


class Change(NamedTuple):
    """A difference of a message: the code of the finding, and where in the line."""

    code: str
    path: str


def compare(
    thread_id: str,
    here: Mapping[str, ExportedMessage],
    live: Iterable[str],
    changed: Mapping[str, Change],
    *,
    file: str,
    last_id: str | None = None,
) -> Iterator[Finding]:
    """Yield the differences of a thread.

    Args:
        thread_id: its id.
        here: the messages of its lines, by their ids, in their order.
        live: the ids of all its messages, in the API's order.
        changed: what `change` returned, by message id.
        file: the name of the export.
        last_id: of its last message, by the index. What comes before it was there too, though its lines may be gone.
    """

    def found(code: str, what: str, message_id: str, path: str | None = None) -> Finding:
        where: dict[str, Any] = {"file": file, "line": here[message_id].line} if message_id in here else {}
        return finding(code, what, path=path, thread_id=thread_id, message_id=message_id, **where)

    there = {message_id: position for position, message_id in enumerate(live)}
    for own, other in zip(filter(there.__contains__, here), filter(here.__contains__, there), strict=True):
        if own != other:
            yield found("order_mismatch", f"the API gives {other} in the place of this message", own)
            break
    for message_id in here:
        if message_id not in there:
            yield found("deleted_message", "the API does not have the message any more", message_id)
        elif (change := changed.get(message_id)) is not None:
            yield found(change.code, _WORDS[change.code], message_id, change.path)
    old = max((there[message_id] for message_id in (*here, last_id) if message_id in there), default=-1)
    for message_id, position in there.items():
        if message_id not in here:
            code = "lost_message" if position <= old else "new_message"
            yield found(code, _WORDS[code], message_id)


_WORDS = {
    "changed_message": "the API gives the message in another form",
    "deleted_message": "the API gives the message with less in it than the export has",
    "changed_metadata": "the metadata of the message were changed",
    "lost_message": "the API has the message, before others that were exported, and the export has not",
    "new_message": "the message came after the export",
}


def read_line(line: bytes) -> Mapping[str, Any] | None:
    """Read a line of the export that may be damaged; None for one that cannot be read or has no message id."""
    try:
        value = loads(line.removeprefix(BYTE_ORDER_MARK))
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("message_id"), str) else None


def change(line: Mapping[str, Any], raw: Mapping[str, Any]) -> Change | None:
    """Return how the API's message ``raw`` differs from that of a line; None when it is the same.

    The order of keys does not count; the types of numbers do. Of a full line only the message is compared: its other
    keys are for `threadkeep.records.ndjson.line_faults`. The assistant is the caller's word, not the API's.
    """
    if "message" not in line:
        flat = flat_values(raw, assistant_id="")
        del flat["assistant_id"]
        path = next(differences({key: line.get(key, ABSENT) for key in flat}, flat), None)
        if path == "$.text" and not flat["text"].strip():
            return Change("deleted_message", path)
        return None if path is None else Change("changed_message", path)
    message, path = line["message"], "$.message"
    if not isinstance(message, dict):
        return Change("changed_message", path)
    one, other = ({key: value for key, value in each.items() if key != "metadata"} for each in (message, raw))
    if (found := next(differences(one, other, path), None)) is not None:
        return Change("deleted_message" if has_lost_content(raw, message) else "changed_message", found)
    is_other = any(differences(message.get("metadata", ABSENT), raw.get("metadata", ABSENT)))
    return Change("changed_metadata", f"{path}.metadata") if is_other else None
