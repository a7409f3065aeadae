"""A history in the file that people keep: one JSON array of items, ``json.dump(messages, file)``.

What is in the file stays byte for byte, in its layout; items are added before its last bracket. Every change replaces
the file in one step. A reader does not wait: what seems damaged is read again under the lock before it counts as that.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from threadkeep.errors import HistoryUnusable
from threadkeep.history.items import Item
from threadkeep.history.kinds.files import (
    is_there,
    locked,
    named,
    read_file,
    replace_file,
    resolved,
    set_aside,
    store_path,
)
from threadkeep.history.kinds.salvage import salvage_bytes
from threadkeep.history.session import SessionInfo
from threadkeep.serialization.lossless_json import loads
from threadkeep.serialization.own_stack import NestedTooDeeply, with_room
from threadkeep.storage.private_files import sync_folder

__all__ = ["KEEPS_METADATA", "MANY_SESSIONS", "delete_session", "list_sessions", "open_store", "recover"]

MANY_SESSIONS = False
KEEPS_METADATA = False

_BLANK = b" \t\r\n"
# The blanks before the first item, and whether it has several lines.
_LAYOUT = re.compile(rb"\s*\[([ \t\r\n]*)\{([ \t]*\r?\n)?")


@attrs.frozen
class _JsonFile:
    path: Path

    def read(self, limit: int | None) -> list[Item]:
        """See `threadkeep.history.session.Store`."""
        try:
            items = _items(read_file(self.path))
        except ValueError:
            with locked(self.path, for_reading=True):
                items = _items(self._content())
        return items if limit is None else items[-limit:]

    def append(self, items: Sequence[Item]) -> None:
        """See `threadkeep.history.session.Store`."""
        with locked(self.path):
            content = self._content()
            replace_file(self.path, _with_items(content, items))

    def pop(self) -> Item | None:
        """See `threadkeep.history.session.Store`."""
        if not is_there(self.path):  # not even a lock is created then
            return None
        with locked(self.path):
            content = self._content()
            items = _items(content)
            if content is None or not items:
                return None
            try:
                rest = with_room(lambda: _without_last(content))
            except NestedTooDeeply:  # another program wrote it
                raise HistoryUnusable(f"The last item of {self.path} is nested too deeply to be removed.") from None
            replace_file(self.path, rest)
            return items[-1]

    def clear(self) -> None:
        """See `threadkeep.history.session.Store`."""
        if not is_there(self.path):
            return
        with locked(self.path):
            if self._content() is not None:
                replace_file(self.path, b"[]")

    def close(self) -> None:
        """Nothing is open."""

    def _content(self) -> bytes | None:
        """Return the content of an undamaged file. To be called with the lock held."""
        content = read_file(self.path)
        try:
            _items(content)
        except ValueError as error:
            raise set_aside(
                self.path, str(error), lambda aside: len(recover(str(aside), None)), many_sessions=False
            ) from None
        return content


def open_store(url: str, session_id: str, metadata: Mapping[str, Any] | None) -> _JsonFile:  # noqa: ARG001
    """Open a file of one session. Which one does not matter."""
    if metadata is not None:
        raise ValueError("a .json file keeps no metadata. Use a .jsonl file for it.")
    return _JsonFile(store_path(url))


def list_sessions(url: str) -> list[SessionInfo]:
    """Return the one session, if it has items. The file keeps no id and no times."""
    items = _JsonFile(resolved(url)).read(None)
    return [SessionInfo(session_id=None, items=len(items))] if items else []


def delete_session(url: str, session_id: str) -> None:  # noqa: ARG001
    """Remove the file."""
    store = _JsonFile(resolved(url))
    if read_file(store.path) is None:
        return
    with locked(store.path), named(store.path):
        store.path.unlink(missing_ok=True)
        sync_folder(store.path.parent)


def recover(url: str, session_id: str | None) -> list[Item]:  # noqa: ARG001
    """Return the undamaged items of a file."""
    content = read_file(resolved(url))
    if content is None:
        raise HistoryUnusable(f"{url} does not exist.")
    return salvage_bytes(content)


def _items(content: bytes | None) -> list[Item]:
    if content is None:
        return []
    if not content.strip(_BLANK):
        raise ValueError("it has no JSON, only white space" if content else "it is empty")
    try:
        items = loads(content)
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from None
    if not isinstance(items, list):
        raise ValueError("it is not an array of items")
    for number, item in enumerate(items):
        if not isinstance(item, dict):
            raise ValueError(f"item {number} is not an object")
    return items


def _with_items(content: bytes | None, items: Sequence[Item]) -> bytes:
    """Add items before the last bracket, in the layout of the file. An empty array is written anew."""
    layout = _LAYOUT.match(content or b"")
    if content is None or layout is None:
        return _encoded(items, indent=2)
    blanks, has_lines = layout.groups()
    before = content[: content.rindex(b"]")].rstrip(_BLANK)
    style: dict[str, Any] = {"ensure_ascii": content.isascii() and b"\\u" in content}
    _, has_line_end, step = blanks.rpartition(b"\n")
    if has_lines:
        style["indent"] = step.decode()
    elif b'": ' not in content:
        style["separators"] = (",", ":")
    between = b"," + (b"\n" + step if has_line_end else b"" if "separators" in style else b" ")
    written = b"".join(between + _encoded(item, **style).replace(b"\n", b"\n" + step) for item in items)
    return before + written + content[len(before) :]


def _encoded(value: object, **style: Any) -> bytes:
    # Only a lone surrogate cannot be encoded, and Python's backslash form of one is its JSON escape.
    text = with_room(lambda: json.dumps(value, **{"ensure_ascii": False} | style))
    return text.encode("utf-8", "backslashreplace")


def _without_last(content: bytes) -> bytes:
    """Remove the last item."""
    text = content.decode("utf-8")
    decoder = json.JSONDecoder()
    at = before = text.index("[") + 1
    while True:
        start = text.index("{", at)
        end = decoder.raw_decode(text, start)[1]
        rest = text[end:].lstrip()
        if rest.startswith("]"):
            return (text[:before] + text[end:]).encode()
        before, at = end, end
