"""Read lines of an export that hold nothing but what their format says, at little cost: nearly all of them do.

A line is read into typed values and written back. If the bytes are the same, it holds nothing else: no key twice, none
missing or unknown, no value of another type. The types have the keys of a message in the API's order (recorded).

`threadkeep.validation.line_check.check_line` looks at every other line, and has nothing else to report of these: a test
holds the two against each other.
"""

from collections.abc import Iterator, Sequence, Set
from typing import Any, TypeAlias, TypeVar

import msgspec
import orjson

from threadkeep.errors import MalformedMessage
from threadkeep.records.ndjson import encode_message
from threadkeep.serialization.strict_json import Fault
from threadkeep.validation.content_check import EXISTS_SINCE, about, is_odd_time, may_hold_markers

__all__ = ["LineSummary", "summaries"]


class _Text(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    value: str
    annotations: list[Any]


class _TextPart(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="type", tag="text"):
    text: _Text


class _ImagePart(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="type", tag="image_file"):
    image_file: dict[str, Any]


class _Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    id: str
    object: str
    created_at: int
    assistant_id: str | None
    thread_id: str
    run_id: str | None
    role: str
    content: list[_TextPart | _ImagePart]
    attachments: list[Any]
    metadata: dict[str, Any]


class _FlatLine(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    thread_id: str
    assistant_id: str | None
    message_id: str
    role: str
    text: str
    created_at: int


class _FullLine(_FlatLine, gc=False, forbid_unknown_fields=True):
    message: _Message


_FLAT = msgspec.json.Decoder(_FlatLine)
_FULL = msgspec.json.Decoder(_FullLine)
_encode_lines = msgspec.json.Encoder().encode_lines
_Line = TypeVar("_Line", _FlatLine, _FullLine)


LineSummary: TypeAlias = tuple[str, str, int, Sequence[Fault]]
"""The thread_id, message_id and created_at of a line without a fault, and what is to be noted of it.

A bare tuple, since one is made for each line.
"""


def summaries(
    content: bytes, *, is_flat: bool, assistant_id: object, now: int, saved: Set[str]
) -> Iterator[LineSummary | None]:
    """Read lines, and yield a summary of each without a fault; None for any other, and for some only less plain.

    Args:
        content: complete lines.
        is_flat: the form that they should have.
        assistant_id: the one that they must have; no line is plain where that is no str and not None.
        now: seconds since the epoch.
        saved: the ids of the files that were downloaded.
    """
    if is_flat and (flat := _as_written(_FLAT, content)) is not None:
        for line in flat:
            yield _of_flat(line, assistant_id, now)
    elif not is_flat and (full := _as_written(_FULL, content)) is not None:
        for line in full:
            yield _of_full(line, assistant_id, now, saved)
    elif content.count(b"\n") > 1:
        for text in content.split(b"\n")[:-1]:
            yield from summaries(text + b"\n", is_flat=is_flat, assistant_id=assistant_id, now=now, saved=saved)
    else:
        yield None if is_flat else _of_other(content.removesuffix(b"\n"), assistant_id, now, saved)


def _as_written(decoder: msgspec.json.Decoder[_Line], content: bytes) -> list[_Line] | None:
    """The values of lines that are all exactly as they would be written."""
    try:
        lines = decoder.decode_lines(content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return lines if _encode_lines(lines) == content else None


def _of_full(line: _FullLine, assistant_id: object, now: int, saved: Set[str]) -> LineSummary | None:
    message, text = line.message, line.text
    thread_id, message_id, created_at, content = message.thread_id, message.id, message.created_at, message.content
    if line.thread_id != thread_id or line.message_id != message_id or line.created_at != created_at:
        return None
    if line.assistant_id != assistant_id or line.role != message.role or not EXISTS_SINCE <= created_at <= now:
        return None
    if not (thread_id and message_id) or assistant_id == "":
        return None
    part = content[0] if len(content) == 1 else None
    if type(part) is _TextPart and not part.text.annotations and part.text.value == text:
        if text and not text.isspace() and not may_hold_markers(text):
            return thread_id, message_id, created_at, ()
    elif "\n".join([part.text.value for part in content if isinstance(part, _TextPart)]) != text:
        return None
    return thread_id, message_id, created_at, list(about(msgspec.to_builtins(message), saved))


def _of_other(line: bytes, assistant_id: object, now: int, saved: Set[str]) -> LineSummary | None:
    """Do the same for a full line of a server whose messages have other keys, or the same in another order."""
    if not isinstance(assistant_id, str | None) or assistant_id == "":
        return None
    try:
        value = orjson.loads(line)
        message = value["message"]
        if encode_message(message, assistant_id=assistant_id) != line or is_odd_time(value["created_at"], now):
            return None
    except (ValueError, LookupError, TypeError, RecursionError, MalformedMessage):
        return None
    return value["thread_id"], value["message_id"], value["created_at"], list(about(message, saved))


def _of_flat(line: _FlatLine, assistant_id: object, now: int) -> LineSummary | None:
    if line.assistant_id != assistant_id or not EXISTS_SINCE <= line.created_at <= now:
        return None
    if not (line.text and line.thread_id and line.message_id) or assistant_id == "":
        return None
    return line.thread_id, line.message_id, line.created_at, ()
