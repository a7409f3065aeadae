"""Lines that hold nothing but what their format says, and are written as the exporter writes them.

What is read and written back byte for byte holds nothing else: no key twice, none missing or beyond those here, no
value of another type. The types are the quick way, of messages as the API gives them over REST: fields stand in the
API's order (recorded; those of images, refusals and file paths as its reference has them).

A glance at one line of an export, which is enough for nearly all of them.

What the glance lets pass, `threadkeep.validation.line_check.check_line` has nothing to say of: a test holds them to
that. The glance is what validating a million lines costs.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
import orjson

from threadkeep.errors import MalformedMessage
from threadkeep.records.ndjson import encode_message
from threadkeep.validation.content_check import (
    EXISTS_SINCE,
    about,
    is_inside,
    is_odd_time,
    may_hold_markers,
    unresolved,
)

__all__ = [
    "FLAT",
    "FULL",
    "FlatLine",
    "FullLine",
    "ImagePart",
    "LineSummary",
    "Part",
    "Text",
    "TextPart",
    "as_exported",
    "as_written",
    "fast_check_flat",
    "fast_check_full",
]

_Role = Literal["user", "assistant"]
_Seldom: TypeAlias = str | msgspec.UnsetType | None


class _Cited(msgspec.Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    file_id: str
    quote: _Seldom = msgspec.UNSET


class _Citation(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="type", tag="file_citation"):
    text: str
    start_index: int
    end_index: int
    file_citation: _Cited


class _Path(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="type", tag="file_path"):
    text: str
    start_index: int
    end_index: int
    file_path: _Cited


class Text(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What a text part holds."""

    value: str
    annotations: list[_Citation | _Path]


class TextPart(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """A part that is a text."""

    text: Text


class _Image(msgspec.Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    file_id: str
    detail: _Seldom = msgspec.UNSET


class ImagePart(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="type", tag="image_file"):
    """A part that is an image in a file."""

    image_file: _Image


class _Address(msgspec.Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    url: str
    detail: _Seldom = msgspec.UNSET


class _AddressPart(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="type", tag="image_url"):
    image_url: _Address


class _RefusalPart(msgspec.Struct, gc=False, forbid_unknown_fields=True, tag_field="type", tag="refusal"):
    refusal: str


Part: TypeAlias = TextPart | ImagePart | _AddressPart | _RefusalPart
"""A part of a message."""


class _Tool(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    type: str


class _Attachment(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    file_id: str
    tools: list[_Tool]


class _Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    id: str
    object: Literal["thread.message"]
    created_at: int
    assistant_id: str | None
    thread_id: str
    run_id: str | None
    role: _Role
    content: list[Part]
    attachments: list[_Attachment]
    metadata: dict[str, str]


class FlatLine(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A flat line."""

    thread_id: str
    assistant_id: str
    message_id: str
    role: _Role
    text: str
    created_at: int


class FullLine(FlatLine, gc=False, forbid_unknown_fields=True):
    """A full line."""

    message: _Message


FLAT = msgspec.json.Decoder(FlatLine).decode
FULL = msgspec.json.Decoder(FullLine).decode
_encode_into = msgspec.json.Encoder().encode_into
_NEWLINE = 10
_Line = TypeVar("_Line", FlatLine, FullLine)


def as_written(decode: Callable[[bytes], _Line], line: bytes, buffer: bytearray) -> _Line | None:
    """Read a line that is of a shape, and as it would be written. None for any other.

    Args:
        decode: `FULL` or `FLAT`.
        line: any bytes.
        buffer: to write into; what it holds does not matter.
    """
    try:
        value = decode(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    _encode_into(value, buffer)
    buffer.append(_NEWLINE)
    return value if buffer == line else None


def as_exported(line: bytes) -> Mapping[str, Any] | None:
    """Read a full line, of whatever message, that is as the exporter writes that message. None for any other."""
    try:
        value = orjson.loads(line)
        assistant_id, message = value["assistant_id"], value["message"]
        if isinstance(assistant_id, str) and encode_message(message, assistant_id=assistant_id) + b"\n" == line:
            return value if assistant_id else None
    except (ValueError, LookupError, TypeError, RecursionError, MalformedMessage):
        pass
    return None


LineSummary = tuple[str, str, int]
"""What is told of a line of which there is nothing to say: thread_id, message_id, created_at.

A bare tuple, since one is made for each line.
"""


def fast_check_full(
    line: bytes, assistant_id: str | None, now: int, saved: Set[str], buffer: bytearray
) -> LineSummary | None:
    """Read a full line of which there is nothing to say. None for any other, and for some that are merely less plain.

    Args:
        line: with its newline.
        assistant_id: that must stand on it; None where that is not known yet, and no line is plain.
        now: seconds since the epoch.
        saved: the ids of the files that were downloaded.
        buffer: room to write in.
    """
    known = as_written(FULL, line, buffer)
    if known is None:
        return _fast_check_other(line, assistant_id, now, saved)
    message, text = known.message, known.text
    thread_id, message_id, created_at, content = message.thread_id, message.id, message.created_at, message.content
    if known.thread_id != thread_id or known.message_id != message_id or known.created_at != created_at:
        return None
    if known.assistant_id != assistant_id or known.role != message.role or not EXISTS_SINCE <= created_at <= now:
        return None
    part = content[0] if len(content) == 1 else None
    if type(part) is TextPart and not part.text.annotations:
        is_quiet = part.text.value == text and not (not text or text.isspace() or may_hold_markers(text))
    else:
        is_quiet = _are_quiet(content, text, saved)
    return (thread_id, message_id, created_at) if is_quiet and thread_id and message_id and assistant_id else None


def _are_quiet(content: Sequence[Part], text: str, saved: Set[str]) -> bool:
    """Whether parts are those of a text, and there is nothing to note of them."""
    values = []
    for part in content:
        if isinstance(part, TextPart):
            if not _is_quiet(part.text):
                return False
            values.append(part.text.value)
        elif isinstance(part, ImagePart) and part.image_file.file_id not in saved:
            return False
    is_empty = len(values) == len(content) and not text.strip()
    return not is_empty and "\n".join(values) == text


def _is_quiet(text: Text) -> bool:
    value, annotations = text.value, text.annotations
    for one in annotations:
        if not is_inside(one.start_index, one.end_index, value):
            return False
    return not any(unresolved(value, [one.text for one in annotations]))


def _fast_check_other(line: bytes, assistant_id: str | None, now: int, saved: Set[str]) -> LineSummary | None:
    """Do the same for the full lines of a server whose messages have other keys, or the same in another order."""
    value = as_exported(line)
    if value is None or value["assistant_id"] != assistant_id or is_odd_time(value["created_at"], now):
        return None
    if any(about(value["message"], saved)):
        return None
    return value["thread_id"], value["message_id"], value["created_at"]


def fast_check_flat(
    line: bytes, assistant_id: str | None, now: int, _saved: Set[str], buffer: bytearray
) -> LineSummary | None:
    """Do the same for a flat line."""
    known = as_written(FLAT, line, buffer)
    if known is None or known.assistant_id != assistant_id or not EXISTS_SINCE <= known.created_at <= now:
        return None
    if not (known.text and known.thread_id and known.message_id and assistant_id):
        return None
    return known.thread_id, known.message_id, known.created_at
