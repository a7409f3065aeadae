"""Check one line of an export by itself, whatever it holds."""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from threadkeep.records.ndjson import FLAT_KEYS, line_faults
from threadkeep.serialization.json_diff import child_path
from threadkeep.serialization.lossless_json import text_or_none
from threadkeep.serialization.strict_json import Fault, loads_strict
from threadkeep.serialization.text_files import BYTE_ORDER_MARK
from threadkeep.validation.content_check import about, is_odd_time

__all__ = ["NO_ID", "UNREADABLE", "Read", "Row", "check_line"]

NO_ID = object()
"""In the place of an assistant id that a line does not have; None is one that it has."""

Row = tuple[str | None, object, str | None, int | None, bool | None]
"""The thread_id, assistant_id, message_id and created_at of a line, and whether it is flat. None for what is not known.
"""

Read = tuple[Row, Sequence[Fault]]
"""A line that was read, and everything that was found in it by itself, notes included."""

UNREADABLE: Row = (None, NO_ID, None, None, None)
"""The row of a line that cannot be read."""


def check_line(line: bytes, number: int, *, now: int, saved: Set[str]) -> Read:
    """Read a line, without its newline.

    Args:
        line: any bytes.
        number: of the line, from 1.
        now: seconds since the epoch.
        saved: the ids of the files that were downloaded.
    """
    faults = list(_faults_of_bytes(line, number))
    text = line.removesuffix(b"\r")
    text = text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text
    if not text.strip():
        return UNREADABLE, [*faults, Fault("blank_line", "the line is blank", "$")]
    value, troubles = loads_strict(text)
    faults += troubles
    if any(trouble.code in ("not_utf8", "malformed_line") for trouble in troubles):
        return UNREADABLE, faults
    faults += _faults_of_keys(value)
    row = _row(value)
    if row is not UNREADABLE:
        faults += _notes(value, now, saved)
    return row, faults


def _faults_of_bytes(line: bytes, number: int) -> Iterator[Fault]:
    if number == 1 and line.startswith(BYTE_ORDER_MARK):
        yield Fault("byte_order_mark", "the file begins with a byte order mark", "$")
    if line.endswith(b"\r"):
        yield Fault("crlf", "the line ends with CR and LF", "$")


def _faults_of_keys(value: Any) -> Iterator[Fault]:
    yield from line_faults(value)
    if isinstance(value, dict):
        for key in (key for key in value if key not in _KEYS):
            yield Fault(
                "unknown_key", f"the line has a key {key!r}, which the format does not have", child_path("$", key)
            )
        for key in _IDS:
            if value.get(key) == "":
                yield Fault("wrong_type", f"{key!r} is empty", f"$.{key}")


def _row(value: Any) -> Row:
    if not isinstance(value, dict):
        return UNREADABLE
    created_at, assistant_id = value.get("created_at"), value.get("assistant_id", NO_ID)
    thread_id, message_id = (text_or_none(value.get(key)) or None for key in ("thread_id", "message_id"))
    when = created_at if isinstance(created_at, int) and not isinstance(created_at, bool) else None
    if not isinstance(assistant_id, str | None) or assistant_id == "":
        assistant_id = NO_ID
    return thread_id, assistant_id, message_id, when, "message" not in value


_KEYS = frozenset({*FLAT_KEYS, "message"})
_IDS = ("thread_id", "assistant_id", "message_id")


def _notes(value: Mapping[str, Any], now: int, saved: Set[str]) -> Iterator[Fault]:
    message = value.get("message")
    if is_odd_time(value.get("created_at"), now):
        what = f"the time {value.get('created_at')} is none at which the API can have made a message"
        yield Fault("odd_timestamp", what, "$.created_at")
    if isinstance(message, dict):
        yield from about(message, saved)
    elif value.get("text") == "":
        what = "the line has no text, and a flat line does not carry what else the message held"
        yield Fault("empty_message", what, "$.text")
