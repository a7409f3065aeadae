"""A row for each message: what the formats that are tables have in common.

Nearly all messages are one text. Their rows are made without a record, at a fifth of the cost.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from threadkeep.conversion.content import Footnotes, data_url, file_url, with_footnotes, without_markers
from threadkeep.conversion.job import Options
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.source import PlainMessage, Thread
from threadkeep.errors import OutputUnusable
from threadkeep.records.content import text_body
from threadkeep.records.model import ImageFilePart, ImageUrlPart, MessageRecord, RefusalPart, TextPart
from threadkeep.records.ndjson import decode
from threadkeep.serialization.lossless_json import dumps, text_or_none

__all__ = ["SURROGATES", "MessageRow", "escaped", "loss_without_rows", "lost_of_columns", "message_rows"]

_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799  # of the years 1 to 9999


class MessageRow(msgspec.Struct, gc=False, omit_defaults=True):
    """A message as a row. What is empty is None; every str is valid Unicode.

    Attributes:
        position: of the message in its thread, from 0.
        text: of all its text parts, joined by newlines.
        created_at: seconds since the epoch, of the years 1 to 9999.
        images, refusals, annotations, attachments, metadata: JSON.
        thread_metadata: JSON, the same in all rows of a thread; None where the thread object was not saved.
        content: JSON, as the API gave it; None where it is one text without annotations, and ``text`` is that.
        raw: the message as JSON, as the API gave it; None of a flat line.
    """

    thread_id: str
    position: int
    message_id: str
    role: str | None
    created_at: int | None
    text: str
    assistant_id: str | None
    run_id: str | None = None
    status: str | None = None
    images: str | None = None
    refusals: str | None = None
    annotations: str | None = None
    attachments: str | None = None
    metadata: str | None = None
    thread_metadata: str | None = None
    content: str | None = None
    raw: str | None = None


def message_rows(thread: Thread, options: Options) -> Iterator[tuple[MessageRow, MessageRecord | None]]:
    """Yield the row of each message; with its record, unless it is a plain text that the row holds unchanged.

    Raises:
        MalformedLine, OutputUnusable: as reading the thread does.
    """
    thread_metadata = _json((thread.thread or {}).get("metadata"))
    for position, (line, turn) in enumerate(thread.lines()):
        record, row = None, _plain_row(line, turn, position) if isinstance(turn, PlainMessage) else None
        if row is None:
            record = decode(line) if isinstance(turn, PlainMessage) else turn
            row = _row(record, position, options, thread.files)
        row.thread_metadata = thread_metadata
        yield row, record


def lost_of_columns(row: MessageRow, record: MessageRecord) -> Iterator[Loss]:
    """Yield what the columns do not hold as it is, of those that ``content`` does not repeat."""
    raw = record.raw
    values = {
        "thread_id": record.thread_id,
        "message_id": record.message_id,
        "assistant_id": record.assistant_id,
        "role": raw.get("role", record.role),
        "created_at": raw.get("created_at", record.created_at),
        "run_id": raw.get("run_id"),
        "status": raw.get("status"),
    }
    for name, value in values.items():
        if value != getattr(row, name):
            why = _NO_TIME if name == "created_at" else SURROGATES if isinstance(value, str) else "it is no string"
            yield Loss(record.thread_id, record.message_id, name, why)


SURROGATES = "a lone surrogate is no text: it became a JSON escape"
_NO_TIME = "it is no second of the years 1 to 9999"


def loss_without_rows(thread: Thread) -> Iterator[Loss]:
    """Yield the loss of a thread that has been read and has no messages, since it has no row."""
    if not thread.messages:
        yield Loss(thread.thread_id, None, "thread", "it has no messages, and there is a row only for a message")


# --- plain messages


class _Fields(msgspec.Struct, gc=False):
    run_id: str | None = None
    status: str | None = None


_fields = msgspec.json.Decoder(_Fields).decode
_NO_FIELDS = _Fields()
_KEY = b',"message":'


def _plain_row(line: bytes, turn: PlainMessage, position: int) -> MessageRow | None:
    """Return the row of a plain message; None if its run, status or time is not what it should be."""
    created_at, fields, raw = turn.created_at, _NO_FIELDS, None
    if created_at is not None and not _FIRST_SECOND <= created_at <= _LAST_SECOND:
        return None
    if turn.message is not msgspec.UNSET:
        # In a string, quotes are escaped: these bytes are a key. What follows is that of the line if it is one value.
        raw = line[line.find(_KEY) + len(_KEY) : -1]
        try:
            fields = _fields(raw)
        except msgspec.DecodeError:
            return None
    return MessageRow(
        turn.thread_id,
        position,
        turn.message_id,
        turn.role,
        created_at,
        turn.text,
        turn.assistant_id,
        fields.run_id,
        fields.status,
        raw=None if raw is None else raw.decode(),
    )


# --- all others


def _row(record: MessageRecord, position: int, options: Options, files: Mapping[str, Path]) -> MessageRow:
    raw, text, created_at = record.raw, _text(record, options, files), record.created_at
    is_time = created_at is not None and _FIRST_SECOND <= created_at <= _LAST_SECOND
    return MessageRow(
        thread_id=escaped(record.thread_id),
        position=position,
        message_id=escaped(record.message_id),
        role=_escaped_or_none(record.role),
        created_at=created_at if is_time else None,
        text=escaped(text),
        assistant_id=_escaped_or_none(record.assistant_id),
        run_id=_escaped_or_none(raw.get("run_id")),
        status=_escaped_or_none(raw.get("status")),
        images=_json([_image(part, options, files) for part in record.images]),
        refusals=_json([part.refusal for part in record.parts if isinstance(part, RefusalPart)]),
        annotations=_json(_annotations(raw.get("content"))),
        attachments=_json(raw.get("attachments")),
        metadata=_json(raw.get("metadata")),
        content=_content(record, text),
        raw=dumps(raw).decode() if raw else None,
    )


def escaped(value: str) -> str:
    """Return a text with its lone surrogates as JSON escapes."""
    return value.encode("utf-8", "backslashreplace").decode()


def _escaped_or_none(value: object) -> str | None:
    text = text_or_none(value)
    return None if text is None else escaped(text)


def _json(value: Any) -> str | None:
    return dumps(value).decode() if value else None


def _text(record: MessageRecord, options: Options, files: Mapping[str, Path]) -> str:
    if options.citations == "keep" or not any(isinstance(part, TextPart) and part.annotations for part in record.parts):
        return record.text
    footnotes, texts = Footnotes(files), []
    for part in record.parts:
        if not isinstance(part, TextPart):
            unknown = getattr(part, "raw", None)
            texts += [unknown["text"]] if isinstance(unknown, dict) and isinstance(unknown.get("text"), str) else []
        elif options.citations == "strip":
            texts.append(without_markers(part.value, part.annotations))
        else:
            texts.append(with_footnotes(part.value, part.annotations, footnotes)[0])
    return "\n".join(texts)


def _image(part: ImageFilePart | ImageUrlPart, options: Options, files: Mapping[str, Path]) -> dict[str, str]:
    if isinstance(part, ImageUrlPart):
        image = {"type": "image_url", "url": part.url, "detail": part.detail}
    else:
        image = {
            "type": "image_file",
            "file_id": part.file_id,
            "url": _url(part, options, files),
            "detail": part.detail,
        }
    return {key: value for key, value in image.items() if value is not None}


def _url(part: ImageFilePart, options: Options, files: Mapping[str, Path]) -> str | None:
    """An image that cannot be read has no URL; it is carried by its id."""
    path = files.get(part.file_id)
    if options.files_url is not None:
        return file_url(options.files_url, part.file_id if path is None else path.name)
    if not options.inline_images or path is None:
        return None
    try:
        return data_url(path)
    except (OSError, OutputUnusable):
        return None


def _annotations(content: Any) -> list[Any]:
    """Return the annotations of all texts, each as the API gave it."""
    found: list[Any] = []
    for part in content if isinstance(content, list) else ():
        annotations = (text_body(part) or {}).get("annotations")
        if annotations:
            found += annotations if isinstance(annotations, list) else [annotations]
    return found


def _content(record: MessageRecord, text: str) -> str | None:
    if record.parts == (TextPart(text),) and text == escaped(text):
        return None
    if record.raw:
        content = record.raw.get("content")
        return None if content is None else dumps(content).decode()
    return dumps([{"type": "text", "text": {"value": text, "annotations": []}}]).decode() if text else None
