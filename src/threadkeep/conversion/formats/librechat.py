"""Conversations for LibreChat: a folder with a JSON file for each thread, since its import takes one at a time.

The shape is that of LibreChat's own exports, not recursive: the recursive one loses every message behind an empty text
on import. Checked against the importer in LibreChat's sources of v0.7.7 and v0.8. It gives new ids, and moves a message
that is not later than its parent to a millisecond behind it. A JSON array is taken for an export of ChatGPT, in which
not every version reads the times of messages, so there is no one file for all threads.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from threadkeep.conversion.chat_ui import ShownMessage, messages, title_from, well_formed
from threadkeep.conversion.content import Carries, thread_losses
from threadkeep.conversion.job import Conversion
from threadkeep.conversion.source import Thread
from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.private_files import create

__all__ = ["DESCRIPTION", "NO_PLACE", "write"]

DESCRIPTION = "Conversations for LibreChat, a folder with a JSON file for each thread."
NO_PLACE = ("ids of runs", "status", "steps and usage of runs", "tool_resources", "unknown fields")

_CARRIES: Carries = {"user": set(), "assistant": set()}
_NO_PARENT = "00000000-0000-0000-0000-000000000000"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")


def write(threads: Iterable[Thread], path: Path, conversion: Conversion) -> None:
    """Write the conversations, each as it is read. A message with nothing left is omitted."""
    path.mkdir()
    for number, thread in enumerate(threads, 1):
        # The number keeps the order, and apart what a file system takes for the same name.
        name = f"{number:06}-{_NOT_IN_NAMES.sub('_', thread.thread_id)[:100]}.json"
        with create(path / name) as file:
            _write_conversation(file, thread, conversion)


def _write_conversation(file: BinaryIO, thread: Thread, conversion: Conversion) -> None:
    conversion.lose(thread_losses(thread.thread_id, thread.thread))
    head = {"conversationId": thread.thread_id, "endpoint": "openAI", "recursive": False, "options": {}}
    title, parent, separator = "", _NO_PARENT, b""
    file.write(dumps(head)[:-1] + b',"messages":[')
    for message in messages(thread, conversion, _CARRIES):
        file.write(separator + b"\n" + dumps(_message(thread.thread_id, message, parent)))
        title, parent, separator = title or title_from(message.text), message.message_id, b","
    file.write(b'],"title":' + dumps(title or well_formed(thread.thread_id)) + b"}\n")


def _message(thread_id: str, message: ShownMessage, parent: str) -> dict[str, Any]:
    is_user = message.role == "user"
    time = datetime.fromtimestamp(message.created_at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    found: dict[str, Any] = {
        "messageId": message.message_id,
        "parentMessageId": parent,
        "conversationId": thread_id,
        "createdAt": time,
        "updatedAt": time,
        "sender": "User" if is_user else message.model or "Assistant",
        "isCreatedByUser": is_user,
        "text": message.text,
    }
    return found | ({} if message.model is None else {"model": message.model})
