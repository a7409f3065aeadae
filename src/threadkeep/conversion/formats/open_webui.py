"""Chats for Open WebUI: one JSON array, which Settings, Data Controls, Import Chats takes.

The shape is that of Open WebUI's own exports: the messages of a chat are a tree under ``chat.history``, here without
branches, and times are seconds. Checked against the forms and the import of open-webui 0.12.4, which are strict about
the fields of an entry and about the links of the tree. On import each chat has a new id; that of the thread is in
``meta``. Open WebUI removes NUL characters from texts.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from threadkeep.conversion.chat_ui import ShownMessage, messages, plain_metadata, seconds, title_from, well_formed
from threadkeep.conversion.content import Carries, thread_losses
from threadkeep.conversion.job import Conversion
from threadkeep.conversion.source import Thread
from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.private_files import create

__all__ = ["DESCRIPTION", "NO_PLACE", "write"]

DESCRIPTION = "Chats for Open WebUI, one JSON array of all threads."
NO_PLACE = (
    "ids of runs",
    "status",
    "steps and usage of runs",
    "order of images among texts",
    "detail of images",
    "tool_resources",
    "unknown fields",
)

_CARRIES: Carries = {"user": {"image_url"}, "assistant": {"image_url"}}


def write(threads: Iterable[Thread], path: Path, conversion: Conversion) -> None:
    """Write the chats, message by message. A message with nothing left is omitted."""
    with create(path) as file:
        separator = b"["
        for thread in threads:
            file.write(separator + b"\n")
            _write_chat(file, thread, conversion)
            separator = b","
        file.write(b"\n]\n" if separator == b"," else b"[]\n")


def _write_chat(file: BinaryIO, thread: Thread, conversion: Conversion) -> None:
    metadata = plain_metadata(thread.thread)
    if metadata is None:
        conversion.lose(thread_losses(thread.thread_id, thread.thread))
    title, model, current, separator = "", "", None, b""
    created = updated = seconds((thread.thread or {}).get("created_at"))
    file.write(b'{"chat":{"history":{"messages":{')
    for message, before, after in _linked(messages(thread, conversion, _CARRIES)):
        file.write(separator + dumps(message.message_id) + b":" + dumps(_message(message, before, after)))
        separator, current = b",", message.message_id
        title = title or title_from(message.text)
        model = message.model or model
        created, updated = message.created_at if created is None else created, message.created_at
    tail = {"models": [model], "title": title or well_formed(thread.thread_id)}
    about = {"id": thread.thread_id, "assistant_id": thread.assistant_id, "metadata": metadata or {}}
    entry = {"meta": {"openai_thread": about}, "pinned": False, "archived": False, "folder_id": None}
    times = {"created_at": created, "updated_at": updated}
    file.write(b'},"currentId":' + dumps(current) + b"}," + dumps(tail)[1:] + b"," + dumps(entry | times)[1:])


def _linked(
    shown: Iterable[ShownMessage],
) -> Iterator[tuple[ShownMessage, ShownMessage | None, ShownMessage | None]]:
    """Yield each message with those before and after it."""
    before: ShownMessage | None = None
    message: ShownMessage | None = None
    for after in shown:
        if message is not None:
            yield message, before, after
        before, message = message, after
    if message is not None:
        yield message, before, None


def _message(message: ShownMessage, before: ShownMessage | None, after: ShownMessage | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": message.message_id,
        "parentId": None if before is None else before.message_id,
        "childrenIds": [] if after is None else [after.message_id],
        "role": message.role,
        "content": message.text,
        "timestamp": message.created_at,
    }
    if message.images:
        found["files"] = [{"type": "image", "url": url} for url in message.images]
    if message.role == "assistant":
        found |= {"model": message.model or "", "done": True}
    return found
