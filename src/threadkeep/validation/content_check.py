"""What a message itself gives occasion to note: things that the real API produced, and that readers stumble over.

Pure, and total over JSON: a part of another shape than promised is passed over.
"""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import attrs

from threadkeep.records.content import is_blank, text_body

__all__ = ["EXISTS_SINCE", "Note", "about", "is_inside", "is_odd_time", "may_hold_markers", "unresolved"]

EXISTS_SINCE = 1_699_228_800
"""2023-11-06, the day on which the Assistants API was announced: no message is older."""

# Quoted: 【4:0†source】, 【13†source】 and sandbox:/mnt/data/... stay in a text until annotations resolve them.
_MARKER = re.compile(r"【\d+(?::\d+)?†[^【】\n]*】|sandbox:/mnt/[^\s)\]\"'>]+")


@attrs.frozen
class Note:
    """A thing to note: a code of `findings`, words, and where in the message, as a JSON path from ``$``."""

    code: str
    what: str
    path: str


def is_odd_time(created_at: object, now: int) -> bool:
    """Whether a message cannot have been made then.

    Args:
        created_at: seconds since the epoch, or whatever stands there.
        now: likewise.
    """
    return not isinstance(created_at, int) or not EXISTS_SINCE <= created_at <= now


def may_hold_markers(text: str) -> bool:
    """Whether it is worth while to look for citation markers."""
    return "†" in text or "sandbox:" in text


def unresolved(text: str, resolved: Sequence[str]) -> Iterator[str]:
    """Give the citation markers of a text that no annotation speaks of.

    Args:
        text: of a part.
        resolved: the texts of its annotations.
    """
    if not may_hold_markers(text):
        return
    for marker in _MARKER.findall(text):
        if not any(known and (marker.startswith(known) or marker in known) for known in resolved):
            yield marker


def is_inside(start: int, end: int, text: str) -> bool:
    """Whether an annotation's offsets lie in its text. They count code points, as Python does (recorded)."""
    return 0 <= start <= end <= len(text)


def about(message: Mapping[str, Any], saved: Set[str]) -> Iterator[Note]:
    """Say what is to be noted of a message's content.

    Args:
        message: as the API gave it.
        saved: the ids of the files that were downloaded.
    """
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    if is_blank(message):
        yield Note("empty_message", "the message has no content but blanks", "$.content")
    for place, part in enumerate(parts):
        if isinstance(part, dict):
            yield from _about_part(part, f"$.content[{place}]", saved)


def _about_part(part: Mapping[str, Any], path: str, saved: Set[str]) -> Iterator[Note]:
    image, body = part.get("image_file"), text_body(part)
    if isinstance(image, dict) and part.get("type") == "image_file":
        file_id = image.get("file_id")
        if isinstance(file_id, str) and file_id not in saved:
            yield Note("image_not_downloaded", f"the image {file_id} was not downloaded", f"{path}.image_file.file_id")
    if body is not None and isinstance(body.get("value"), str):
        given = body.get("annotations")
        annotations = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
        yield from _outside(body["value"], given if isinstance(given, list) else [], f"{path}.text.annotations")
        yield from _unresolved(body["value"], annotations, f"{path}.text.value")


def _outside(text: str, annotations: Sequence[object], path: str) -> Iterator[Note]:
    for place, annotation in enumerate(annotations):
        offsets = _offsets(annotation) if isinstance(annotation, dict) else {}
        if not is_inside(offsets.get("start_index", 0), offsets.get("end_index", len(text)), text):
            shown = " to ".join(map(str, offsets.values()))
            what = f"the annotation is of code points {shown}, and the text has {len(text)}"
            yield Note("annotation_outside_text", what, f"{path}[{place}]")


def _offsets(annotation: Mapping[str, Any]) -> Mapping[str, int]:
    given = {key: annotation.get(key) for key in ("start_index", "end_index")}
    return {key: value for key, value in given.items() if isinstance(value, int) and not isinstance(value, bool)}


def _unresolved(text: str, annotations: Sequence[Mapping[str, Any]], path: str) -> Iterator[Note]:
    resolved = [one["text"] for one in annotations if isinstance(one.get("text"), str)]
    for marker in unresolved(text, resolved):
        yield Note("marker_without_annotation", f"no annotation says what {marker[:80]} stands for", path)
