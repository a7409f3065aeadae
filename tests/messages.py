"""Small worlds of messages as the API has them."""

from collections.abc import Sequence
from typing import Any

__all__ = ["message", "world"]

_TEXT = {"type": "text", "text": {"value": "Hello", "annotations": []}}


def message(number: int, thread_id: str, assistant_id: str | None, *parts: Any) -> dict[str, Any]:
    """A message of an assistant, or of a user where there is none."""
    return {
        "id": f"msg_{number}",
        "object": "thread.message",
        "created_at": 1_700_000_000 + number,
        "assistant_id": assistant_id,
        "thread_id": thread_id,
        "run_id": None,
        "role": "user" if assistant_id is None else "assistant",
        "content": list(parts or [_TEXT]),
        "attachments": [],
        "metadata": {},
    }


def world(messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A state with these messages and their threads."""
    ids = dict.fromkeys(one["thread_id"] for one in messages)
    threads = [{"id": one, "object": "thread", "created_at": 1_700_000_000, "metadata": {}} for one in ids]
    return {"threads": threads, "messages": list(messages)}
