"""One record, one NDJSON line.

A full line carries the six keys that people's scripts read and, under ``message``, the message as the API gave
it. A flat line carries the six keys only. Lines are UTF-8, without a raw newline in them and without one at the
end: split a file on ``\\n`` only, since U+2028 and its like may stand raw in a text.
"""

from collections.abc import Iterator, Mapping, Set
from typing import Any

import attrs

from threadkeep.errors import MalformedLine, MalformedMessage
from threadkeep.records.mapping import flat_values, from_message_json, to_message_json
from threadkeep.records.model import MessageRecord, TextPart
from threadkeep.serialization.lossless_json import dumps, loads, refuse_nan

__all__ = ["FLAT_KEYS", "LineFault", "decode", "encode", "encode_message", "line_faults", "parse", "to_flat"]

FLAT_KEYS = ("thread_id", "assistant_id", "message_id", "role", "text", "created_at")


def to_flat(record: MessageRecord) -> dict[str, Any]:
    """Give the six flat keys, in their order on the line."""
    return {key: getattr(record, key) for key in FLAT_KEYS}


def encode(record: MessageRecord, *, flat: bool = False) -> bytes:
    """Write a record as one line, without the newline that ends it.

    Args:
        record: any record; one that was read from a flat line can only be written flat.
        flat: write the six keys only.

    Raises:
        ValueError: the message holds what JSON cannot (NaN, or a nesting too deep to write).
        FlatRecord: a full line is asked for, and the record does not carry its message.
    """
    line = to_flat(record)
    if not flat:
        line["message"] = to_message_json(record)
        refuse_nan(line["message"])
    return dumps(line)


def encode_message(raw: Mapping[str, Any], *, assistant_id: str, flat: bool = False) -> bytes:
    """Write a message as one line: the bytes of ``encode(from_message_json(raw, ...))``, without the record.

    The exporter's way, for what `threadkeep.serialization.lossless_json.loads` has read. The record's parts and
    annotations would be three quarters of the work, and no line shows them.

    Raises:
        ValueError: the message holds what JSON cannot.
        MalformedMessage: there is no id or no thread_id.
    """
    line = flat_values(raw, assistant_id=assistant_id)
    if not flat:
        line["message"] = raw
    return dumps(line)


def decode(line: bytes | str) -> MessageRecord:
    """Read one line, full or flat. For a full line, ``decode(encode(record)) == record``.

    A flat line gives a record with at most one text part and an empty ``raw``: what else the message held is not
    in such a line.

    Args:
        line: with or without its newline.

    Raises:
        MalformedLine: what is wrong, and where in the line.
    """
    value = parse(line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line)
    for fault in line_faults(value):
        raise MalformedLine(fault.code, fault.what, fault.path)
    return _from_full(value) if "message" in value else _from_flat(value)


def parse(line: bytes) -> Any:
    """Read the JSON of a line, whatever it holds.

    Raises:
        MalformedLine: the bytes are not UTF-8, or not JSON.
    """
    try:
        return loads(line)
    except UnicodeDecodeError as error:
        raise MalformedLine("not_utf8", f"not UTF-8: {error.reason} at byte {error.start}") from None
    except ValueError as error:
        raise MalformedLine("malformed_line", f"not JSON: {error}") from None


@attrs.frozen
class LineFault:
    """One thing that is wrong with a line: the kind of trouble, words for a person, and where, as a JSON path."""

    code: str
    what: str
    path: str


def line_faults(value: object) -> Iterator[LineFault]:
    """Say everything that keeps a parsed line from being an export record.

    Codes: ``not_an_object``, ``missing_key``, ``wrong_type``, ``malformed_message``, ``text_mismatch`` (the text
    is not that of the message's parts), ``foreign_message`` (it belongs to another thread), ``key_mismatch`` (another
    key contradicts the message).
    """
    if not isinstance(value, dict):
        yield LineFault("not_an_object", f"a line must hold an object, not {type(value).__name__}", "$")
        return
    faults = list(_key_faults(value))
    yield from faults
    if "message" in value:
        yield from _message_faults(value, {fault.path for fault in faults})


_KEY_TYPES: dict[str, tuple[type, ...]] = {
    "thread_id": (str,),
    "assistant_id": (str,),
    "message_id": (str,),
    "role": (str, type(None)),
    "text": (str,),
    "created_at": (int, type(None)),
}


def _key_faults(line: Mapping[str, Any]) -> Iterator[LineFault]:
    for key, types in _KEY_TYPES.items():
        if key not in line:
            yield LineFault("missing_key", f"the key {key!r} is missing", f"$.{key}")
        elif not isinstance(line[key], types) or isinstance(line[key], bool):
            yield LineFault("wrong_type", f"{key!r} is {type(line[key]).__name__}", f"$.{key}")


def _message_faults(line: Mapping[str, Any], told: Set[str]) -> Iterator[LineFault]:
    """Hold the keys against the message, but for those that are wrong by themselves."""
    try:
        said = flat_values(line["message"], assistant_id=line.get("assistant_id", ""))
    except MalformedMessage as error:
        yield LineFault("malformed_message", f"the message has no place: {error}", "$.message")
        return
    for key, expected in said.items():
        if f"$.{key}" not in told and line[key] != expected:
            yield _MISMATCHES.get(key) or LineFault("key_mismatch", f"{key!r} is not what the message says", f"$.{key}")


_MISMATCHES = {
    "text": LineFault("text_mismatch", "'text' is not that of the message's parts", "$.text"),
    "thread_id": LineFault("foreign_message", "the message belongs to another thread", "$.message.thread_id"),
}


def _from_full(line: Mapping[str, Any]) -> MessageRecord:
    return from_message_json(line["message"], assistant_id=line["assistant_id"])


def _from_flat(line: Mapping[str, Any]) -> MessageRecord:
    parts = (TextPart(line["text"]),) if line["text"] else ()
    return MessageRecord(**{key: line[key] for key in FLAT_KEYS}, parts=parts, raw={})
