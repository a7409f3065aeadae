"""Facts about the content of a message or run step. Any JSON is accepted: parts of unknown types may name files too."""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["files_of", "files_of_line", "has_lost_content", "is_blank", "text_body"]

# Under these keys the API stores free text: an id in it is a word, not a file.
_FREE_TEXT = {"metadata", "text", "value", "instructions", "arguments", "output", "input", "logs"}


_FILE_ID = re.compile(rb'"file_id":"([^"]+)"')


def files_of_line(line: bytes, message: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what `files_of` returns for a message, from its line where that is enough: it is twenty times as fast.

    Quotes in a text are escaped, so only keys are found, and of free text only metadata may have such a key.

    Args:
        line: of the message, as `threadkeep.records.ndjson` writes it.
        message: the same message.
    """
    found = _FILE_ID.findall(line)
    if not found:
        return ()
    if b"\\" in b"".join(found) or line.count(b'"metadata":') != line.count(b'"metadata":{}'):
        return files_of(message)
    return tuple(file_id.decode() for file_id in dict.fromkeys(found))


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
