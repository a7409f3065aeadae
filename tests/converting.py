"""Exports that tests convert, and what they read of the targets."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from threadkeep import Converted, FormatName, MessageRecord, RefusalPart, TextPart, convert, encode, from_message_json
from threadkeep.records.model import ImageFilePart, ImageUrlPart

__all__ = ["converted", "lines", "losses", "lost_words", "meant", "put_bare", "text_message"]


def text_message(number: int, role: str = "user", text: str | None = None, **more: Any) -> dict[str, Any]:
    """A message of a text, as the API gives it; what else it should have is in ``more``."""
    return {
        "id": f"msg_{number}",
        "object": "thread.message",
        "created_at": 1_774_963_800,
        "assistant_id": None,
        "thread_id": "thread_a",
        "run_id": None,
        "role": role,
        "content": [{"type": "text", "text": {"value": text or f"text {number}", "annotations": []}}],
        "attachments": [],
        "metadata": {},
        **more,
    }


def put_bare(
    path: Path, messages: Iterable[Mapping[str, Any]], *, flat: bool = False, assistant_id: str | None = None
) -> Path:
    """Write messages as an NDJSON file without index."""
    records = [from_message_json(message, assistant_id=assistant_id) for message in messages]
    path.write_bytes(b"".join(encode(record, flat=flat) + b"\n" for record in records))
    return path


def lines(path: Path) -> list[Any]:
    """The values of an NDJSON file."""
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def converted(
    folder: Path, to: FormatName, messages: Iterable[Mapping[str, Any]], **options: Any
) -> tuple[Converted, list[Any], list[dict[str, Any]]]:
    """Convert messages, and return the result, the lines of the target and the rows of the loss report."""
    out, target = put_bare(folder / "out.ndjson", messages), folder / "target"
    done = convert(out, to=to, target=target, force=True, **options)
    return done, lines(target), losses(done)


def losses(done: Converted) -> list[dict[str, Any]]:
    """The rows of a loss report, whose totals are those that were returned."""
    rows = lines(done.losses_path)
    assert Counter(row["lost"] for row in rows) == done.losses
    assert all([*row] == ["thread_id", "message_id", "lost", "why"] for row in rows)
    return rows


def meant(record: MessageRecord) -> list[tuple[str, Any]]:
    """The parts of a message, each as the API's word and what is in it. A text of an unknown part is a text."""
    found: list[tuple[str, Any]] = []
    for part in record.parts:
        match part:
            case TextPart(value):
                found.append(("text", value))
            case ImageFilePart(file_id):
                found.append(("image_file", file_id))
            case ImageUrlPart(url):
                found.append(("image_url", url))
            case RefusalPart(refusal):
                found.append(("refusal", refusal))
            case _ if isinstance(part.raw, dict) and isinstance(part.raw.get("text"), str):
                found.append(("text", part.raw["text"]))
            case _:
                found.append((part.type or "content", None))
    return found


_NO_PARTS = ("role", "annotations", "attachments", "metadata", "quote")


def lost_words(record: MessageRecord, rows: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """The words of the lost parts of a message. Of an unknown part of which the text is kept, nothing else counts."""
    kept = "the type of the part is not known: its text is kept"
    own = [row for row in rows if row["message_id"] == record.message_id and not row["why"].startswith(kept)]
    return Counter(row["lost"] for row in own if row["lost"] not in _NO_PARTS or "of the part" in row["why"])
