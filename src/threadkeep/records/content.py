"""Which files a message or a run step refers to. Pure, and total over JSON: parts that nobody knows may name files."""

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["files_of", "is_blank", "is_poorer", "text_body"]

# Where the API lets people write what they like: an id there is a word, not a file.
_PEOPLES_OWN = ("metadata", "text", "value", "instructions", "arguments", "output", "input", "logs")

_IMAGES = ("image_file", "image")


def files_of(value: Mapping[str, Any]) -> tuple[str, ...]:
    """The ids of the files that a message or a step refers to, each once, images first.

    They stand under ``file_id`` (recorded: in image_file parts, attachments, annotations, and the outputs and results
    of tool calls). What people wrote is not searched.
    """
    images, others = dict[str, None](), dict[str, None]()
    waiting: list[tuple[object, bool]] = [(value, False)]  # no recursion: JSON may be nested deeply
    while waiting:
        inner, is_image = waiting.pop()
        file_id = inner.get("file_id") if isinstance(inner, Mapping) else None
        if isinstance(file_id, str) and file_id:
            (images if is_image else others)[file_id] = None
        waiting.extend(reversed(list(_inside(inner, is_image))))
    return tuple({**images, **others})


def _inside(value: object, is_image: bool) -> Iterator[tuple[object, bool]]:
    """A text part has its words under ``text`` as a string, or in an object beside its annotations."""
    if isinstance(value, list):
        yield from ((inner, is_image) for inner in value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _PEOPLES_OWN or (key == "text" and isinstance(inner, Mapping)):
                yield inner, key in _IMAGES


def is_poorer(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether a message has fewer parts than it had, or only blanks where it had more. What it holds is never edited.

    Args:
        new: as the API gives it now.
        old: as it gave it.
    """
    return _part_count(new) < _part_count(old) or (is_blank(new) and not is_blank(old))


def is_blank(message: Mapping[str, Any]) -> bool:
    """Whether a message has no content, or blanks only."""
    content = message.get("content")
    return all(map(_says_nothing, content)) if isinstance(content, list) else not content


def text_body(part: object) -> Mapping[str, Any] | None:
    """The object under ``text`` of a text part; None of any other part, or of another shape."""
    body = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
    return body if isinstance(body, dict) else None


def _part_count(message: Mapping[str, Any]) -> int:
    content = message.get("content")
    return len(content) if isinstance(content, list) else 0


def _says_nothing(part: object) -> bool:
    body = text_body(part)
    return body is not None and isinstance(body.get("value"), str) and not body["value"].strip()
