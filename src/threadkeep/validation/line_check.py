"""Check one line of an export by itself, whatever it holds, and note where readers stumble over what the API gave."""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, TypeAlias

from threadkeep.records.authors import other_author
from threadkeep.records.content import is_blank, text_body
from threadkeep.records.ndjson import FLAT_KEYS, line_faults
from threadkeep.serialization.json_diff import child_path
from threadkeep.serialization.lossless_json import text_or_none
from threadkeep.serialization.strict_json import Fault, loads_strict
from threadkeep.serialization.text_files import BYTE_ORDER_MARK

__all__ = [
    "EXISTS_SINCE",
    "NO_ID",
    "OTHER_ASSISTANTS",
    "Read",
    "about",
    "by_other",
    "check_line",
    "is_odd_time",
    "may_hold_markers",
]

EXISTS_SINCE = 1_699_228_800
"""2023-11-06, the day on which the Assistants API was announced: no message is older."""

OTHER_ASSISTANTS = "other_assistants"
"""The code of the one note that is made of all lines whose messages are of other assistants."""

NO_ID = object()
"""In the place of an assistant id that a line does not have; None is one that it has."""

Read: TypeAlias = tuple[str | None, str | None, int | None, object, bool | None, Sequence[Fault]]
"""The thread_id, message_id, created_at and assistant_id of a line, whether it is flat, and all that was found in it by
itself, notes included. None for what is not known. A bare tuple, since one is made for each line.
"""

_KEYS = frozenset({*FLAT_KEYS, "message"})

# Quoted: 【4:0†source】, 【13†source】 and sandbox:/mnt/data/... stay in a text until annotations resolve them.
_MARKER = re.compile(r"【\d+(?::\d+)?†[^【】\n]*】|sandbox:/mnt/[^\s)\]\"'>]+")


def check_line(line: bytes, number: int, *, now: int, saved: Set[str]) -> Read:
    """Read a line, without its newline.

    Args:
        line: any bytes.
        number: of the line, from 1.
        now: seconds since the epoch.
        saved: the ids of the files that were downloaded.
    """
    faults: list[Fault] = []
    if number == 1 and line.startswith(BYTE_ORDER_MARK):
        line = line.removeprefix(BYTE_ORDER_MARK)
        faults.append(Fault("byte_order_mark", "the file begins with a byte order mark", "$"))
    if line.endswith(b"\r"):
        faults.append(Fault("crlf", "the line ends with CR and LF", "$"))
    text = line.removesuffix(b"\r")
    if not text.strip():
        return None, None, None, NO_ID, None, [*faults, Fault("blank_line", "the line is blank", "$")]
    value, troubles = loads_strict(text)
    faults += troubles
    if value is not None or not troubles:  # else it is not even JSON
        faults += line_faults(value)
    if not isinstance(value, dict):
        return None, None, None, NO_ID, None, faults
    for key in (key for key in value if key not in _KEYS):
        what = f"the line has a key {key!r}, which the format does not have"
        faults.append(Fault("unknown_key", what, child_path("$", key)))
    empty = [key for key in ("thread_id", "assistant_id", "message_id") if value.get(key) == ""]
    faults += [Fault("wrong_type", f"{key!r} is empty", f"$.{key}") for key in empty]
    faults += _notes(value, now, saved)
    thread_id, message_id = (text_or_none(value.get(key)) or None for key in ("thread_id", "message_id"))
    created_at, assistant_id = value.get("created_at"), value.get("assistant_id", NO_ID)
    return (
        thread_id,
        message_id,
        created_at if type(created_at) is int else None,
        assistant_id if isinstance(assistant_id, str | None) and assistant_id != "" else NO_ID,
        "message" not in value,
        faults,
    )


def _notes(line: Mapping[str, Any], now: int, saved: Set[str]) -> Iterator[Fault]:
    message = line.get("message")
    if is_odd_time(line.get("created_at"), now):
        what = f"the time {line.get('created_at')} is none at which the API can have made a message"
        yield Fault("odd_timestamp", what, "$.created_at")
    if isinstance(message, dict):
        yield from by_other(message, line.get("assistant_id", NO_ID))
        yield from about(message, saved)
    elif line.get("text") == "":
        what = "the line has no text, and a flat line does not carry what else the message held"
        yield Fault("empty_message", what, "$.text")


def by_other(message: Mapping[str, Any], assistant_id: object) -> Iterator[Fault]:
    """Yield a note if another assistant than its line's wrote a message. What it says is only who: they are counted."""
    if assistant_id is not None and (author := other_author(message, assistant_id)) is not None:
        yield Fault(OTHER_ASSISTANTS, author, "$.message.assistant_id")


def is_odd_time(created_at: object, now: int) -> bool:
    """Whether no message can have been made then; ``now`` is in seconds since the epoch."""
    return not isinstance(created_at, int) or not EXISTS_SINCE <= created_at <= now


def may_hold_markers(text: str) -> bool:
    """Whether it is worth while to look for citation markers."""
    return "†" in text or "sandbox:" in text


def about(message: Mapping[str, Any], saved: Set[str]) -> Iterator[Fault]:
    """Yield the notes about a message's content, with their paths in the line.

    Args:
        message: as the API gave it. A part of another shape than promised is passed over.
        saved: the ids of the files that were downloaded.
    """
    content = message.get("content")
    if is_blank(message):
        yield Fault("empty_message", "the message has no content but blanks", "$.message.content")
    if isinstance(content, str) and content:
        what = "the content is a text, and the API has a list of parts: its words are in the line's text"
        yield Fault("text_of_another_shape", what, "$.message.content")
    for place, part in enumerate(content if isinstance(content, list) else ()):
        if (body := text_body(part)) is not None and isinstance(body.get("value"), str):
            annotations = body.get("annotations")
            given = annotations if isinstance(annotations, list) else []
            yield from _about_text(body["value"], given, f"$.message.content[{place}].text")
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            what = "the text of a part is no object with a value, as the API's is: its words are in the line's text"
            yield Fault("text_of_another_shape", what, f"$.message.content[{place}].text")
        elif isinstance(part, dict) and part.get("type") == "image_file" and isinstance(part.get("image_file"), dict):
            file_id = part["image_file"].get("file_id")
            if isinstance(file_id, str) and file_id not in saved:
                path = f"$.message.content[{place}].image_file.file_id"
                yield Fault("image_not_downloaded", f"the image {file_id} was not downloaded", path)


def _about_text(text: str, annotations: Sequence[Any], path: str) -> Iterator[Fault]:
    given = [one if isinstance(one, dict) else {} for one in annotations]
    for place, annotation in enumerate(given):
        # Offsets count code points, as Python does (recorded).
        offsets = {key: annotation[key] for key in ("start_index", "end_index") if type(annotation.get(key)) is int}
        if not 0 <= offsets.get("start_index", 0) <= offsets.get("end_index", len(text)) <= len(text):
            shown = " to ".join(map(str, offsets.values()))
            what = f"the annotation is of code points {shown}, and the text has {len(text)}"
            yield Fault("annotation_outside_text", what, f"{path}.annotations[{place}]")
    if not may_hold_markers(text):
        return
    resolved = [one["text"] for one in given if isinstance(one.get("text"), str) and one["text"]]
    for marker in _MARKER.findall(text):
        if not any(marker.startswith(known) or marker in known for known in resolved):
            yield Fault("marker_without_annotation", f"no annotation says what {marker[:80]} is", f"{path}.value")
