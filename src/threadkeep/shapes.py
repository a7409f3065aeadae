"""The lines that nearly all lines look like, as types: a text of a user or an assistant, as the API gives it over REST.

What is read into these and written back byte for byte holds nothing else: no key twice, none missing or beyond those
here, no value of another type. Fields stand in the API's order (recorded).
"""

from typing import Literal

import msgspec

__all__ = ["FlatLine", "FullLine", "flat_line", "full_line"]

_Role = Literal["user", "assistant"]


class _Body(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    value: str
    annotations: list[None]


class _Part(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    type: Literal["text"]
    text: _Body


class _Message(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    id: str
    object: Literal["thread.message"]
    created_at: int
    assistant_id: str | None
    thread_id: str
    run_id: str | None
    role: _Role
    content: tuple[_Part]
    attachments: list[None]
    metadata: dict[str, str]


class FlatLine(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A flat line."""

    thread_id: str
    assistant_id: str
    message_id: str
    role: _Role
    text: str
    created_at: int


class FullLine(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A full line whose message is one text, without annotations or attachments."""

    thread_id: str
    assistant_id: str
    message_id: str
    role: _Role
    text: str
    created_at: int
    message: _Message


_decode_flat = msgspec.json.Decoder(FlatLine).decode
_decode_full = msgspec.json.Decoder(FullLine).decode
_encode_into = msgspec.json.Encoder().encode_into


def full_line(line: bytes, buffer: bytearray) -> FullLine | None:
    """Read a full line, newline included, that is of this shape, and as it would be written. None for any other.

    Args:
        line: any bytes.
        buffer: to write into; what it holds does not matter.
    """
    try:
        value = _decode_full(line)
    except (msgspec.DecodeError, ValueError):
        return None
    _encode_into(value, buffer)
    return value if buffer == line[:-1] else None


def flat_line(line: bytes, buffer: bytearray) -> FlatLine | None:
    """Do the same for a flat line."""
    try:
        value = _decode_flat(line)
    except (msgspec.DecodeError, ValueError):
        return None
    _encode_into(value, buffer)
    return value if buffer == line[:-1] else None
