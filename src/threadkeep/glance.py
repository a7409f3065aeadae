"""A glance at one line of an export, which is enough for nearly all of them.

What the glance lets pass, `threadkeep.validation.line_check.look` has nothing to say of: a test holds them to that. The
glance is what validating a million lines costs.
"""

from collections.abc import Sequence, Set

from threadkeep.validation.content_check import (
    EXISTS_SINCE,
    about,
    is_inside,
    is_odd_time,
    may_hold_markers,
    unresolved,
)
from threadkeep.validation.fast_line_check import FLAT, FULL, ImagePart, Part, Text, TextPart, as_exported, as_written

__all__ = ["Glimpse", "glance_flat", "glance_full"]

Glimpse = tuple[str, str, int]
"""What is told of a line of which there is nothing to say: thread_id, message_id, created_at.

A bare tuple, since one is made for each line.
"""


def glance_full(line: bytes, assistant_id: str | None, now: int, saved: Set[str], buffer: bytearray) -> Glimpse | None:
    """Read a full line of which there is nothing to say. None for any other, and for some that are merely less plain.

    Args:
        line: with its newline.
        assistant_id: that must stand on it; None where that is not known yet, and no line is plain.
        now: seconds since the epoch.
        saved: the ids of the files that were downloaded.
        buffer: room to write in.
    """
    known = as_written(FULL, line, buffer)
    if known is None:
        return _glance_other(line, assistant_id, now, saved)
    message, text = known.message, known.text
    thread_id, message_id, created_at, content = message.thread_id, message.id, message.created_at, message.content
    if known.thread_id != thread_id or known.message_id != message_id or known.created_at != created_at:
        return None
    if known.assistant_id != assistant_id or known.role != message.role or not EXISTS_SINCE <= created_at <= now:
        return None
    part = content[0] if len(content) == 1 else None
    if type(part) is TextPart and not part.text.annotations:
        is_quiet = part.text.value == text and not (not text or text.isspace() or may_hold_markers(text))
    else:
        is_quiet = _are_quiet(content, text, saved)
    return (thread_id, message_id, created_at) if is_quiet and thread_id and message_id and assistant_id else None


def _are_quiet(content: Sequence[Part], text: str, saved: Set[str]) -> bool:
    """Whether parts are those of a text, and there is nothing to note of them."""
    values = []
    for part in content:
        if isinstance(part, TextPart):
            if not _is_quiet(part.text):
                return False
            values.append(part.text.value)
        elif isinstance(part, ImagePart) and part.image_file.file_id not in saved:
            return False
    is_empty = len(values) == len(content) and not text.strip()
    return not is_empty and "\n".join(values) == text


def _is_quiet(text: Text) -> bool:
    value, annotations = text.value, text.annotations
    for one in annotations:
        if not is_inside(one.start_index, one.end_index, value):
            return False
    return not any(unresolved(value, [one.text for one in annotations]))


def _glance_other(line: bytes, assistant_id: str | None, now: int, saved: Set[str]) -> Glimpse | None:
    """Do the same for the full lines of a server whose messages have other keys, or the same in another order."""
    value = as_exported(line)
    if value is None or value["assistant_id"] != assistant_id or is_odd_time(value["created_at"], now):
        return None
    if any(about(value["message"], saved)):
        return None
    return value["thread_id"], value["message_id"], value["created_at"]


def glance_flat(line: bytes, assistant_id: str | None, now: int, _saved: Set[str], buffer: bytearray) -> Glimpse | None:
    """Do the same for a flat line."""
    known = as_written(FLAT, line, buffer)
    if known is None or known.assistant_id != assistant_id or not EXISTS_SINCE <= known.created_at <= now:
        return None
    if not (known.text and known.thread_id and known.message_id and assistant_id):
        return None
    return known.thread_id, known.message_id, known.created_at
