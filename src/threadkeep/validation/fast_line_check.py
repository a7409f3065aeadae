"""Read lines of an export that hold nothing but what their format says, at little cost: nearly all of them do.

A line is read into typed values and written back. If the bytes are the same, it holds nothing else: no key twice, none
missing or unknown, no value of another type. The types have the keys of a message in the API's order (recorded).

`threadkeep.validation.line_check.check_line` looks at every other line, and has nothing else to report of these: a test
holds the two against each other.
"""

from collections.abc import Iterator, Sequence, Set
from typing import Any, TypeAlias

import msgspec
import orjson

from threadkeep.errors import MalformedMessage
from threadkeep.records.ndjson import encode_message
from threadkeep.serialization.strict_json import Fault
from threadkeep.validation.line_check import EXISTS_SINCE, about, by_other, is_odd_time, may_hold_markers

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


class _Line(msgspec.Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    thread_id: str
    assistant_id: str | None
    message_id: str
    role: str
    text: str
    created_at: int
    message: _Message | None = None  # of a flat line


_decode_lines = msgspec.json.Decoder(_Line).decode_lines
_encode_lines = msgspec.json.Encoder().encode_lines

LineSummary: TypeAlias = tuple[str, str, int, str | None, bool, Sequence[Fault]]
"""A `threadkeep.validation.line_check.Read` of a line without a fault. What was found in it are notes."""


def summaries(
    content: bytes, *, is_flat: bool, assistant_id: object, now: int, saved: Set[str]
) -> Iterator[LineSummary | None]:
    """Read lines, and yield a summary of each without a fault; None for any other, and for some only less plain.

    Args:
        content: complete lines.
        is_flat: the form that they should have.
        assistant_id: the one that they must have; no line is plain where that is no id and not None.
        now: seconds since the epoch.
        saved: the ids of the files that were downloaded.
    """
    if not isinstance(assistant_id, str | None) or assistant_id == "":
        yield from [None] * (content.count(b"\n") or 1)
    elif (lines := _as_written(content)) is not None:
        for line in lines:
            yield _summary(line, is_flat, assistant_id, now, saved)
    elif content.count(b"\n") > 1:
        for text in content.split(b"\n")[:-1]:
            yield from summaries(text + b"\n", is_flat=is_flat, assistant_id=assistant_id, now=now, saved=saved)
    else:
        yield None if is_flat else _of_other_form(content.removesuffix(b"\n"), assistant_id, now, saved)


def _as_written(content: bytes) -> list[_Line] | None:
    """The values of lines that are all exactly as they would be written."""
    try:
        lines = _decode_lines(content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return lines if _encode_lines(lines) == content else None


def _summary(line: _Line, is_flat: bool, assistant_id: str | None, now: int, saved: Set[str]) -> LineSummary | None:
    thread_id, message_id, created_at, message = line.thread_id, line.message_id, line.created_at, line.message
    if line.assistant_id != assistant_id or not (thread_id and message_id and EXISTS_SINCE <= created_at <= now):
        return None
    if message is None:
        return (thread_id, message_id, created_at, assistant_id, True, ()) if is_flat and line.text else None
    if thread_id != message.thread_id or message_id != message.id or created_at != message.created_at:
        return None
    if is_flat or line.role != message.role:
        return None
    text, content = line.text, message.content
    part = content[0] if len(content) == 1 else None
    if type(part) is _TextPart and not part.text.annotations and part.text.value == text:
        if text and not text.isspace() and not may_hold_markers(text):
            author = message.assistant_id
            is_own = author is None or author == assistant_id
            by_others = () if is_own else tuple(by_other({"role": message.role, "assistant_id": author}, assistant_id))
            return thread_id, message_id, created_at, assistant_id, False, by_others
    elif "\n".join([part.text.value for part in content if isinstance(part, _TextPart)]) != text:
        return None
    value = msgspec.to_builtins(message)
    notes = [*by_other(value, assistant_id), *about(value, saved)]
    return thread_id, message_id, created_at, assistant_id, False, notes


def _of_other_form(line: bytes, assistant_id: str | None, now: int, saved: Set[str]) -> LineSummary | None:
    """Do the same for a full line of a server whose messages have other keys, or the same in another order."""
    try:
        value = orjson.loads(line)
        message = value["message"]
        if encode_message(message, assistant_id=assistant_id) != line or is_odd_time(value["created_at"], now):
            return None
    except (ValueError, LookupError, TypeError, RecursionError, MalformedMessage):
        return None
    notes = [*by_other(message, assistant_id), *about(message, saved)]
    return value["thread_id"], value["message_id"], value["created_at"], assistant_id, False, notes
