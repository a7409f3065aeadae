"""Lines that hold nothing but what their format says, and are written as the exporter writes them.

What is read and written back byte for byte holds nothing else: no key twice, none missing or beyond those here, no
value of another type. The types are the quick way, of messages as the API gives them over REST: fields stand in the
API's order (recorded; those of images, refusals and file paths as its reference has them).
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
import orjson

from threadkeep.errors import MalformedMessage
from threadkeep.records.ndjson import encode_message

__all__ = ["FLAT", "FULL", "FlatLine", "FullLine", "ImagePart", "Part", "Text", "TextPart", "as_exported", "as_written"]

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
