"""NDJSON: one record, one line.

A full line has six keys that scripts read and, under ``message``, the message as the API gave it. A flat line has the
six keys only. Lines are UTF-8 and hold no raw newline. Split a file on ``\\n`` only: U+2028 and the like may be raw in
a text.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from threadkeep.arguments import wrong_type
from threadkeep.errors import MalformedLine, MalformedMessage
from threadkeep.records.mapping import flat_values, from_plain_json, to_message_json
from threadkeep.records.model import MessageRecord, TextPart
from threadkeep.serialization.lossless_json import dumps, loads, refuse_nan
from threadkeep.serialization.strict_json import Fault

__all__ = [
    "FLAT_KEYS",
    "decode",
    "encode",
    "encode_message",
    "flat_lines",
    "line_faults",
    "to_flat",
    "with_assistant",
]

_KEY_TYPES: dict[str, tuple[type, ...]] = {
    "thread_id": (str,),
    "assistant_id": (str, type(None)),
    "message_id": (str,),
    "role": (str, type(None)),
    "text": (str,),
    "created_at": (int, type(None)),
}

FLAT_KEYS = tuple(_KEY_TYPES)


def to_flat(record: MessageRecord) -> dict[str, Any]:
    """Return the six flat keys with their values, in the order of a line.

    Args:
        record: any record.

    Raises:
        TypeError: it is no record.
    """
    if not isinstance(record, MessageRecord):
        raise wrong_type("record", "a MessageRecord", record)
    return {key: getattr(record, key) for key in FLAT_KEYS}


def encode(record: MessageRecord, *, flat: bool = False) -> bytes:
    """Encode a record as one line, without a newline at its end.

    Args:
        record: a record that was read from a flat line can only be encoded flat.
        flat: write the six keys only.

    Returns:
        UTF-8 bytes.

    Raises:
        ValueError: the message holds something that JSON cannot (NaN, or a nesting too deep to write).
        FlatRecord: a full line is asked for, and the record does not carry its message.
        TypeError: it is no record.
    """
    line = to_flat(record)
    if not flat:
        line["message"] = to_message_json(record)
        refuse_nan(line["message"])
    return dumps(line)


def encode_message(raw: Mapping[str, Any], *, assistant_id: str | None, flat: bool = False) -> bytes:
    """Encode a message that was read from JSON: the bytes of ``encode(from_plain_json(raw, ...))``.

    No record is made. Its parts and annotations would be three quarters of the work, and a line does not show them.

    Raises:
        ValueError: the message is nested too deeply to write.
        MalformedMessage: the message has no id or no thread_id.
    """
    line = flat_values(raw, assistant_id=assistant_id)
    if not flat:
        line["message"] = raw
    return dumps(line)


def with_assistant(lines: bytes, thread_id: str, assistant_id: str | None) -> bytes:
    """Give an assistant id to lines of `encode_message` without one, all of one thread and each with its newline."""
    # A line holds no newline, so this finds the beginnings of lines and nothing else.
    beginning = b'\n{"thread_id":' + dumps(thread_id) + b',"assistant_id":'
    return (b"\n" + lines).replace(beginning + b"null", beginning + dumps(assistant_id))[1:]


def flat_lines(lines: bytes) -> bytes:
    """Cut full lines, as `encode_message` writes them and each with its newline, to flat ones."""
    # A quote in a string is escaped, so the first such bytes are the key, and not a text.
    return b"".join(line[: line.index(b',"message":')] + b"}\n" for line in lines.split(b"\n")[:-1])


def decode(line: bytes | str) -> MessageRecord:
    """Decode one line, full or flat, with or without its newline. For a full line ``decode(encode(record)) == record``.

    The record of a flat line has at most one text part and an empty ``raw``: such a line does not carry the message.

    Args:
        line: UTF-8 bytes, or a str.

    Returns:
        The record that was written.

    Raises:
        MalformedLine: the line is not an export record.
        TypeError: it is neither bytes nor a str.
    """
    if not isinstance(line, bytes | bytearray | str):
        raise wrong_type("line", "bytes or a str", line)
    try:
        value = loads(line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line)
    except UnicodeDecodeError as error:
        raise MalformedLine("not_utf8", f"not UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise MalformedLine("malformed_line", f"not JSON: {error}") from None
    for fault in line_faults(value):
        raise MalformedLine(fault.code, fault.what, fault.path)
    if "message" in value:
        return from_plain_json(value["message"], assistant_id=value["assistant_id"])
    parts = (TextPart(value["text"]),) if value["text"] else ()
    return MessageRecord(**{key: value[key] for key in FLAT_KEYS}, parts=parts, raw={})


def line_faults(value: object) -> Iterator[Fault]:
    """Yield everything that keeps a parsed line from being an export record.

    Codes: ``not_an_object``, ``missing_key``, ``wrong_type``, ``malformed_message``, ``text_mismatch`` (the text is not
    that of the message's parts), ``foreign_message`` (it belongs to another thread), ``key_mismatch`` (another key
    contradicts the message).
    """
    if not isinstance(value, dict):
        yield Fault("not_an_object", f"a line must hold an object, not {type(value).__name__}", "$")
        return
    faulty = set[str]()
    for key, types in _KEY_TYPES.items():
        if key not in value:
            faulty.add(key)
            yield Fault("missing_key", f"the key {key!r} is missing", f"$.{key}")
        elif not isinstance(value[key], types) or isinstance(value[key], bool):
            faulty.add(key)
            yield Fault("wrong_type", f"{key!r} is {type(value[key]).__name__}", f"$.{key}")
    if "message" not in value:
        return
    try:
        expected = flat_values(value["message"], assistant_id=value.get("assistant_id"))
    except MalformedMessage as error:
        yield Fault("malformed_message", f"the message has no id or no thread_id: {error}", "$.message")
        return
    for key in expected:
        if key not in faulty and value[key] != expected[key]:
            default = Fault("key_mismatch", f"{key!r} contradicts the message", f"$.{key}")
            yield _MISMATCHES.get(key, default)


_MISMATCHES = {
    "text": Fault("text_mismatch", "'text' is not that of the message's parts", "$.text"),
    "thread_id": Fault("foreign_message", "the message belongs to another thread", "$.message.thread_id"),
}
