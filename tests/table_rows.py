"""What tests of tables expect of a message: the values of its row, made from the record and not from the code."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from strategies import identifiers, odd_messages
from threadkeep import MessageRecord, from_message_json
from threadkeep.records.model import ImageFilePart, ImageUrlPart, RefusalPart

__all__ = ["HOSTILE", "escaped", "expected_rows", "odd_threads", "time_of", "without_none"]

HOSTILE = (
    "",
    " padded ",
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "NA",
    "null",
    "007",
    'say "hi", twice""',
    "a,b;c\td",
    "one\ntwo\r\nthree\rfour",
    "\r",
    "\n",
    "nul\0inside",
    "\x01\x1f\x7f\x1b[31m",
    "\u2028\u2029\x85",
    "\ufeffmark",
    "שלום עולם",
    "\U0001f32e",
    "</script>",
    "\\u0041 \\n",
    "'; DROP TABLE x; --",
    "x" * 250_000,
)
"""Texts that a reader or writer of tables may change. All are Unicode."""


@st.composite
def odd_threads(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Messages of two threads, those of each together."""
    ids = draw(st.lists(identifiers("msg_"), min_size=1, max_size=6, unique=True))
    cut = draw(st.integers(0, len(ids)))
    return [
        {**draw(odd_messages()), "id": message_id, "thread_id": "thread_a" if place < cut else "thread_b"}
        for place, message_id in enumerate(ids)
    ]


def escaped(text: str | None) -> str | None:
    """A text with its lone surrogates as JSON escapes."""
    return None if text is None else "".join(f"\\u{ord(c):04x}" if "\ud800" <= c <= "\udfff" else c for c in text)


def time_of(seconds: int | None) -> datetime | None:
    """The time of a message in UTC; None where it has none that a calendar knows."""
    try:
        return None if seconds is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return None


def expected_rows(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The values of all rows, those that are JSON as values; None is what is empty."""
    positions = Counter[str]()
    rows = []
    for message in messages:
        record = from_message_json(message, assistant_id="asst_1")
        rows.append(_expected(record, positions[record.thread_id]))
        positions[record.thread_id] += 1
    return rows


def _expected(record: MessageRecord, position: int) -> dict[str, Any]:
    raw = record.raw
    return {
        "thread_id": record.thread_id,
        "position": position,
        "message_id": record.message_id,
        "role": escaped(record.role),
        "created_at": time_of(record.created_at),
        "text": escaped(record.text),
        "assistant_id": record.assistant_id,
        "run_id": escaped(raw["run_id"]) if isinstance(raw.get("run_id"), str) else None,
        "status": escaped(raw["status"]) if isinstance(raw.get("status"), str) else None,
        "images": [_image(part) for part in record.images] or None,
        "refusals": [part.refusal for part in record.parts if isinstance(part, RefusalPart)] or None,
        "annotations": _annotations(raw.get("content")) or None,
        "attachments": raw.get("attachments") or None,
        "metadata": raw.get("metadata") or None,
        "thread_metadata": None,
    }


def _image(part: ImageFilePart | ImageUrlPart) -> dict[str, Any]:
    if isinstance(part, ImageUrlPart):
        return without_none({"type": "image_url", "url": part.url, "detail": part.detail})
    return without_none({"type": "image_file", "file_id": part.file_id, "detail": part.detail})


def _annotations(content: Any) -> list[Any]:
    found: list[Any] = []
    for part in content if isinstance(content, list) else []:
        match part:
            case {"type": "text", "text": {"annotations": list(given)}}:
                found += given
            case {"type": "text", "text": {"annotations": given}} if given:
                found.append(given)
    return found


def without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """The items that have a value."""
    return {key: value for key, value in values.items() if value is not None}
