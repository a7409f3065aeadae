"""The items of a conversion, sent by the official SDK: Conversations and Responses take them as they are."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from command import Run
from exports import ASSISTANT
from fake_assistants import FakeAssistants, demo_world
from watched import Watched

ITEMS_A_CALL = 20  # documented


@pytest.fixture
def fake() -> Watched:
    """A world with every kind of content part."""
    return Watched.holding(demo_world(6, 45, seed=5))


def test_every_item_is_accepted(fake: FakeAssistants, ids: Path, out: Path, base_url: str, threadkeep: Run) -> None:
    """And comes back with the same role, types and texts, in order."""
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    target = out.with_name("items.ndjson")
    assert threadkeep("convert", out, "--to", "items", "-o", target).code == 0
    lines = [json.loads(line) for line in target.read_bytes().splitlines()]
    assert len(lines) == len(fake.snapshot()["threads"])
    with openai.OpenAI(base_url=base_url, api_key="sk-test", max_retries=0) as client:
        for line in lines:
            items: Any = line["items"]
            batches = [items[start : start + ITEMS_A_CALL] for start in range(0, len(items), ITEMS_A_CALL)]
            conversation = client.conversations.create(items=batches[0], metadata={"thread_id": line["thread_id"]})
            for batch in batches[1:]:
                client.conversations.items.create(conversation.id, items=batch)
            listed = client.conversations.items.list(conversation.id, order="asc", limit=100)
            found = [item.to_dict() for item in listed]
            assert [shape(item) for item in found] == [shape(item) for item in items]
        answer = client.responses.create(model="gpt-4.1", input=lines[0]["items"])
        assert answer.status == "completed"


def shape(item: Any) -> tuple[str, list[tuple[str, str | None]]]:
    """The role of an item, and the types and texts of its content."""
    return item["role"], [(part["type"], part.get("text", part.get("refusal"))) for part in item["content"]]
