"""The JSONL of OpenAI's fine-tuning: a line ``{"messages": [...]}`` for each thread that it accepts.

It accepts a conversation whose last message is the assistant's, whose messages have content, and which has at most 64
images, of users only (documented). An assistant's content is a string. Other threads are losses, each with the reason.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from threadkeep.conversion.content import carry, thread_losses
from threadkeep.conversion.formats.chat import chat_part
from threadkeep.conversion.job import Conversion
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.source import PlainMessage, Thread
from threadkeep.conversion.thread_lines import ThreadLines
from threadkeep.records.model import ImageUrlPart, Part, TextPart

__all__ = ["DESCRIPTION", "NO_PLACE", "write"]

DESCRIPTION = "Examples for OpenAI's fine-tuning, a line for each thread that it accepts."
NO_PLACE = (
    "ids of threads, messages, assistants and runs",
    "times",
    "status",
    "runs",
    "tool_resources",
    "unknown fields",
)

_CARRIES: dict[str, set[str]] = {"user": {"image_url"}, "assistant": set()}
_MOST_IMAGES = 64


def write(threads: Iterable[Thread], path: Path, conversion: Conversion) -> None:
    """Write the threads that are accepted. Of another, nothing but the thread itself is reported as lost."""
    with ThreadLines(path, "messages", has_ids=False) as file:
        for thread in threads:
            example = _Example(thread, conversion)
            file.add(thread.thread_id, example.messages())
            if (fault := example.fault()) is None:
                conversion.lose(example.losses)
                conversion.leave_out(example.left_out)
            else:
                file.take_back()
                conversion.lose([Loss(thread.thread_id, None, "thread", fault)])


class _Example:
    """A thread that is being written; what came of it decides whether it stays."""

    def __init__(self, thread: Thread, conversion: Conversion) -> None:
        self._thread, self._options = thread, conversion.options
        self.losses = [*thread_losses(thread.thread_id, thread.thread)]
        self.left_out = 0
        self._last_role: str | None = None
        self._images = 0

    def messages(self) -> Iterator[dict[str, Any]]:
        for turn in self._thread.turns():
            role: str
            if isinstance(turn, PlainMessage):
                role, content = turn.role, turn.text
            else:
                carried = carry(turn, _CARRIES, self._options, self._thread.files)
                self.losses += carried.losses
                role, content = carried.role, self._content(carried.parts)
            if not content:
                self.left_out += 1
            else:
                self._last_role = role
                yield {"role": role, "content": content}

    def _content(self, parts: Iterable[Part]) -> Any:
        filled = [part for part in parts if part != TextPart("")]
        images = sum(isinstance(part, ImageUrlPart) for part in filled)
        self._images += images
        if images:
            return [chat_part(part) for part in filled]
        return "\n".join(part.value for part in filled if isinstance(part, TextPart))

    def fault(self) -> str | None:
        if self._last_role is None:
            return "no message of it has a text or image"
        if self._last_role != "assistant":
            return "its last message with a text or image is not the assistant's"
        if self._images > _MOST_IMAGES:
            return f"it has {self._images} images, and {_MOST_IMAGES} are accepted"
        return None
