"""Note what the real API gave in a message, and readers stumble over.

Pure, and total over JSON: a part of another shape than promised is passed over.
"""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from threadkeep.records.content import is_blank, text_body
from threadkeep.serialization.strict_json import Fault

__all__ = ["EXISTS_SINCE", "about", "is_odd_time", "may_hold_markers"]

EXISTS_SINCE = 1_699_228_800
"""2023-11-06, the day on which the Assistants API was announced: no message is older."""

# Quoted: 【4:0†source】, 【13†source】 and sandbox:/mnt/data/... stay in a text until annotations resolve them.
_MARKER = re.compile(r"【\d+(?::\d+)?†[^【】\n]*】|sandbox:/mnt/[^\s)\]\"'>]+")


def is_odd_time(created_at: object, now: int) -> bool:
    """Whether no message can have been made then; ``now`` is in seconds since the epoch."""
    return not isinstance(created_at, int) or not EXISTS_SINCE <= created_at <= now


def may_hold_markers(text: str) -> bool:
    """Whether it is worth while to look for citation markers."""
    return "†" in text or "sandbox:" in text


def about(message: Mapping[str, Any], saved: Set[str]) -> Iterator[Fault]:
    """Yield the notes about a message's content, with their paths in the line.

    Args:
        message: as the API gave it.
        saved: the ids of the files that were downloaded.
    """
    content = message.get("content")
    if is_blank(message):
        yield Fault("empty_message", "the message has no content but blanks", "$.message.content")
    for place, part in enumerate(content if isinstance(content, list) else ()):
        if isinstance(part, dict):
            yield from _about_part(part, f"$.message.content[{place}]", saved)


def _about_part(part: Mapping[str, Any], path: str, saved: Set[str]) -> Iterator[Fault]:
    image, body = part.get("image_file"), text_body(part)
    if isinstance(image, dict) and part.get("type") == "image_file":
        file_id = image.get("file_id")
        if isinstance(file_id, str) and file_id not in saved:
            what = f"the image {file_id} was not downloaded"
            yield Fault("image_not_downloaded", what, f"{path}.image_file.file_id")
    if body is not None and isinstance(body.get("value"), str):
        given = body.get("annotations")
        annotations = given if isinstance(given, list) else []
        yield from _outside(body["value"], annotations, f"{path}.text.annotations")
        yield from _unresolved(body["value"], annotations, f"{path}.text.value")


def _outside(text: str, annotations: Sequence[Any], path: str) -> Iterator[Fault]:
    """Offsets count code points, as Python does (recorded)."""
    for place, annotation in enumerate(annotations):
        given = annotation if isinstance(annotation, dict) else {}
        offsets = {key: given[key] for key in ("start_index", "end_index") if type(given.get(key)) is int}
        if not 0 <= offsets.get("start_index", 0) <= offsets.get("end_index", len(text)) <= len(text):
            shown = " to ".join(map(str, offsets.values()))
            what = f"the annotation is of code points {shown}, and the text has {len(text)}"
            yield Fault("annotation_outside_text", what, f"{path}[{place}]")


def _unresolved(text: str, annotations: Sequence[Any], path: str) -> Iterator[Fault]:
    """Citation markers that no annotation resolves."""
    if not may_hold_markers(text):
        return
    texts = [one.get("text") for one in annotations if isinstance(one, dict)]
    resolved = [one for one in texts if isinstance(one, str) and one]
    for marker in _MARKER.findall(text):
        if not any(marker.startswith(known) or marker in known for known in resolved):
            yield Fault("marker_without_annotation", f"no annotation says what {marker[:80]} is", path)
