"""One line of an export by itself: a glance at it, which is enough for nearly all, and a look, which says everything.

What the glance lets pass, the look has nothing to say of: a test holds them to that. The glance is what validating a
million lines costs.
"""

from collections.abc import Iterator, Mapping, Set
from typing import Any

import attrs
import orjson

from threadkeep.codec import FLAT_KEYS, line_faults
from threadkeep.jsonpath import below
from threadkeep.notes import EXISTS_SINCE, about, is_odd_time, may_hold_markers
from threadkeep.shapes import flat_line, full_line
from threadkeep.strictjson import strict

__all__ = ["NOWHERE", "Fault", "Glimpse", "Row", "glance_flat", "glance_full", "look"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_WITH_NEWLINE = orjson.OPT_APPEND_NEWLINE
_ROLES = ("user", "assistant")
_MESSAGE = b',"message":'


Glimpse = tuple[str, str, int]
"""What is told of a line of which there is nothing to say: thread_id, message_id, created_at.

A bare tuple, since one is made for each line.
"""

Row = tuple[str | None, str | None, str | None, int | None, bool | None]
"""What a line says of its place: thread_id, assistant_id, message_id, created_at, and whether it is flat.

None for what cannot be told.
"""

NOWHERE: Row = (None, None, None, None, None)
"""What a line that cannot be read says of its place."""


def glance_full(line: bytes, assistant_id: str | None, now: int, buffer: bytearray) -> Glimpse | None:
    """Read a full line of which there is nothing to say. None for any other, and for some that are merely less plain.

    Args:
        line: with its newline.
        assistant_id: that must stand on it; None where that is not known yet, and no line is plain.
        now: seconds since the epoch.
        buffer: room to write in.
    """
    known = full_line(line, buffer)
    if known is None:
        return _glance_other(line, assistant_id, now)
    message, text = known.message, known.text
    thread_id, message_id, created_at = message.thread_id, message.id, message.created_at
    if known.thread_id != thread_id or known.message_id != message_id or known.created_at != created_at:
        return None
    if message.content[0].text.value != text or known.assistant_id != assistant_id or known.role != message.role:
        return None
    if not (text and thread_id and message_id and assistant_id) or text.isspace() or "†" in text or "sandbox:" in text:
        return None
    return (thread_id, message_id, created_at) if EXISTS_SINCE <= created_at <= now else None


def glance_flat(line: bytes, assistant_id: str | None, now: int, buffer: bytearray) -> Glimpse | None:
    """Do the same for a flat line."""
    known = flat_line(line, buffer)
    if known is None or known.assistant_id != assistant_id or not EXISTS_SINCE <= known.created_at <= now:
        return None
    if not (known.text and known.thread_id and known.message_id and assistant_id):
        return None
    return known.thread_id, known.message_id, known.created_at


def _glance_other(line: bytes, assistant_id: str | None, now: int) -> Glimpse | None:
    """Do the same for the full lines of a server whose messages have other keys.

    The line is written anew from its message, and must be the same: then no key stands twice, none is missing or
    beyond those of the format, and all that stands beside the message is what it says. So only the message is read.
    """
    try:
        message = orjson.loads(line[line.index(_MESSAGE) + len(_MESSAGE) : -2])
        thread_id, message_id, created_at = message["thread_id"], message["id"], message["created_at"]
        (part,), role = message["content"], message["role"]
        body = part["text"]
        text = body["value"]
        again = dict(zip(FLAT_KEYS, (thread_id, assistant_id, message_id, role, text, created_at), strict=True))
        again["message"] = message
        if orjson.dumps(again, None, _WITH_NEWLINE) != line or part["type"] != "text" or body["annotations"]:
            return None
        if not (text and thread_id and message_id and assistant_id) or text.isspace() or may_hold_markers(text):
            return None
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    if role not in _ROLES or type(created_at) is not int or not EXISTS_SINCE <= created_at <= now:
        return None
    return (thread_id, message_id, created_at) if type(thread_id) is type(message_id) is str else None


@attrs.frozen
class Fault:
    """One thing to say of a line: a code of `threadkeep.findings`, words, and where; no path where there is no JSON."""

    code: str
    what: str
    path: str | None = None


def look(line: bytes, number: int, *, now: int, saved: Set[str]) -> tuple[Row, list[Fault]]:
    """Read a line and say everything that can be said of it by itself, notes included.

    Args:
        line: with its newline.
        number: of the line, from 1.
        now: seconds since the epoch.
        saved: the ids of the files that were downloaded.
    """
    faults = list(_faults_of_bytes(line, number))
    text = line.removesuffix(b"\n").removesuffix(b"\r")
    text = text.removeprefix(_BYTE_ORDER_MARK) if number == 1 else text
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
    if number == 1 and line.startswith(_BYTE_ORDER_MARK):
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
    thread_id, assistant_id, message_id = (_text_or_none(value.get(key)) for key in _IDS)
    when = created_at if isinstance(created_at, int) and not isinstance(created_at, bool) else None
    return thread_id, assistant_id, message_id, when, "message" not in value


_KEYS = frozenset({*FLAT_KEYS, "message"})
_IDS = ("thread_id", "assistant_id", "message_id")


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


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
