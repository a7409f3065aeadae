"""One line of an export by itself: everything that can be said of it."""

from collections.abc import Iterator, Mapping, Set
from typing import Any

import attrs

from threadkeep.records.ndjson import FLAT_KEYS, line_faults
from threadkeep.serialization.json_diff import below
from threadkeep.serialization.lossless_json import text_or_none
from threadkeep.serialization.strict_json import strict
from threadkeep.serialization.text_files import BYTE_ORDER_MARK
from threadkeep.validation.content_check import about, is_odd_time
from threadkeep.validation.fast_line_check import as_exported

__all__ = ["NOWHERE", "Fault", "Row", "check_line"]


Row = tuple[str | None, str | None, str | None, int | None, bool | None]
"""What a line says of its place: thread_id, assistant_id, message_id, created_at, and whether it is flat.

None for what cannot be told.
"""

NOWHERE: Row = (None, None, None, None, None)
"""What a line that cannot be read says of its place."""


@attrs.frozen
class Fault:
    """One thing to say of a line: a code of `findings`, words, and where; no path where there is no JSON."""

    code: str
    what: str
    path: str | None = None


def check_line(line: bytes, number: int, *, now: int, saved: Set[str]) -> tuple[Row, list[Fault]]:
    """Read a line and say everything that can be said of it by itself, notes included.

    Args:
        line: with its newline.
        number: of the line, from 1.
        now: seconds since the epoch.
        saved: the ids of the files that were downloaded.
    """
    known = as_exported(line)
    if known is not None:  # then there are only notes, and most lines that are looked at have one
        return _row(known), list(_notes(known, now, saved))
    faults = list(_faults_of_bytes(line, number))
    text = line.removesuffix(b"\n").removesuffix(b"\r")
    text = text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text
    if not text.strip():
        return NOWHERE, [*faults, Fault("blank_line", "the line is blank")]
    value, troubles = strict(text)
    faults += [Fault(trouble.code, trouble.what, trouble.path) for trouble in troubles]
    if any(trouble.code in ("not_utf8", "malformed_line") for trouble in troubles):
        return NOWHERE, faults
    faults += _faults_of_keys(value)
    row = _row(value)
    if row is not NOWHERE:
        faults += _notes(value, now, saved)
    return row, faults


def _faults_of_bytes(line: bytes, number: int) -> Iterator[Fault]:
    if number == 1 and line.startswith(BYTE_ORDER_MARK):
        yield Fault("byte_order_mark", "the file begins with a byte order mark")
    if line.endswith(b"\r\n"):
        yield Fault("crlf", "the line ends with CR and LF")


def _faults_of_keys(value: Any) -> Iterator[Fault]:
    yield from (Fault(one.code, one.what, one.path) for one in line_faults(value))
    if isinstance(value, dict):
        for key in (key for key in value if key not in _KEYS):
            yield Fault("unknown_key", f"the line has a key {key!r}, which the format has not", below("$", key))
        for key in _IDS:
            if value.get(key) == "":
                yield Fault("wrong_type", f"{key!r} is empty", f"$.{key}")


def _row(value: Any) -> Row:
    if not isinstance(value, dict):
        return NOWHERE
    created_at = value.get("created_at")
    thread_id, assistant_id, message_id = (text_or_none(value.get(key)) or None for key in _IDS)
    when = created_at if isinstance(created_at, int) and not isinstance(created_at, bool) else None
    return thread_id, assistant_id, message_id, when, "message" not in value


_KEYS = frozenset({*FLAT_KEYS, "message"})
_IDS = ("thread_id", "assistant_id", "message_id")


def _notes(value: Mapping[str, Any], now: int, saved: Set[str]) -> Iterator[Fault]:
    message = value.get("message")
    if is_odd_time(value.get("created_at"), now):
        what = f"the time {value.get('created_at')} is none at which the API can have made a message"
        yield Fault("odd_timestamp", what, "$.created_at")
    if isinstance(message, dict):
        for note in about(message, saved):
            yield Fault(note.code, note.what, f"$.message{note.path.removeprefix('$')}")
    elif value.get("text") == "":
        what = "the line has no text, and a flat line does not carry what else the message held"
        yield Fault("empty_message", what, "$.text")
