"""Facts about the content of a message or run step. Any JSON is accepted: parts of unknown types may name files too."""

from collections.abc import Mapping
from typing import Any

__all__ = ["files_of", "has_lost_content", "is_blank", "text_body"]

# Under these keys the API stores free text: an id in it is a word, not a file.
_FREE_TEXT = {"metadata", "text", "value", "instructions", "arguments", "output", "input", "logs"}


def files_of(value: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids of the files that a message or run step refers to, each once. Free text is not searched.

    The ids are under ``file_id`` (recorded: in image_file parts, attachments, annotations, and the outputs and results
    of tool calls).
    """
    files = dict[str, None]()
    pending: list[Any] = [value]  # no recursion: JSON may be nested deeply
    while pending:
        node = pending.pop()
        children = node
        if isinstance(node, dict):
            file_id = node.get("file_id")
            if isinstance(file_id, str) and file_id:
                files[file_id] = None
            # The "text" of a text part is an object with the text and its annotations.
            free_text = _FREE_TEXT - {"text"} if isinstance(node.get("text"), dict) else _FREE_TEXT
            children = [child for key, child in node.items() if key not in free_text]
        pending += [child for child in reversed(children) if isinstance(child, dict | list)]
    return tuple(files)


def has_lost_content(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Return whether a message has fewer parts than an older version, or became blank. The API never edits content."""
    parts, before = (
        len(content) if isinstance(content, list) else 0 for content in (new.get("content"), old.get("content"))
    )
    return parts < before or (is_blank(new) and not is_blank(old))


def is_blank(message: Mapping[str, Any]) -> bool:
    """Return whether a message has no content, or white space only."""
    content = message.get("content")
    if not isinstance(content, list):
        return not content
    values = ((text_body(part) or {}).get("value") for part in content)
    return all(isinstance(value, str) and not value.strip() for value in values)


def text_body(part: object) -> Mapping[str, Any] | None:
    """Return the object under ``text`` of a text part; None for any other part or shape."""
    body = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
    return body if isinstance(body, dict) else None
