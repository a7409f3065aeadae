"""A small world that has everything: threads of one page and of two, runs, a file."""

from typing import Any

from exporting import threads_of
from fake_assistants import FakeAssistants

__all__ = ["IDS", "OPTIONS", "world"]

IDS = ("thread_a", "thread_b", "thread_c", "thread_none")
"""Its threads, and one that it does not have."""

OPTIONS: dict[str, Any] = {"include": ("threads", "runs"), "files": True}
"""Of an export that takes all of it."""


def world() -> FakeAssistants:
    """A fake that holds it."""
    fake = FakeAssistants()
    rows = [row for messages in threads_of(a=3, b=150, c=2).values() for row in messages]
    rows[0]["attachments"] = [{"file_id": name, "tools": []} for name in ("file-1", "file-gone")]
    fake.load(
        {
            "threads": [{"id": name, "object": "thread"} for name in IDS[:3]],
            "messages": rows,
            "runs": [{"id": "run_1", "thread_id": "thread_b", "status": "completed"}],
            "files": [{"id": "file-1", "object": "file", "purpose": "vision", "filename": "a.png", "bytes": 2}],
            "file_contents": [{"id": "file-1", "content": "aGk="}],
        }
    )
    return fake
