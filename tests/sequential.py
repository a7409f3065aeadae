"""The sequential export script that people commonly use, written anew: an independent witness of the flat keys.

Run as ``python sequential.py THREAD_IDS ASSISTANT_ID OUT``. One thread after another, through the SDK's own
models and pager; it knows nothing of threadkeep.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from openai import OpenAI

__all__ = ["export", "flat_row"]


def flat_row(message: Any, thread_id: str, assistant_id: str) -> dict[str, Any]:
    """The six keys of one message."""
    texts = [part.text.value for part in message.content if part.type == "text"]
    return {
        "thread_id": thread_id,
        "assistant_id": assistant_id,
        "message_id": message.id,
        "role": message.role,
        "text": "\n".join(texts),
        "created_at": message.created_at,
    }


def export(thread_ids: list[str], assistant_id: str, client: OpenAI) -> list[dict[str, Any]]:
    """Every message of every thread, oldest first."""
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for thread_id in thread_ids:
            listing = client.beta.threads.messages.list(thread_id, order="asc", limit=100)
            rows += [flat_row(message, thread_id, assistant_id) for message in listing]
    return rows


if __name__ == "__main__":
    ids = Path(sys.argv[1]).read_text(encoding="utf-8").split()
    with Path(sys.argv[3]).open("w", encoding="utf-8") as out, OpenAI() as openai_client:
        for row in export(ids, sys.argv[2], openai_client):
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
