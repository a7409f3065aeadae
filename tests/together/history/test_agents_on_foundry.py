"""The Agents SDK keeps a session in conversations: of OpenAI, and of the new Foundry."""

from typing import Any

import pytest
from agents import OpenAIConversationsSession
from openai import AsyncOpenAI

from fake_assistants import FakeAssistants

pytestmark = pytest.mark.anyio

PLACES = [
    "https://api.openai.com/v1",
    "https://unit.services.ai.azure.com/api/projects/mine/openai/v1",
    "https://unit.openai.azure.com/openai/v1",
]


@pytest.mark.parametrize("base_url", PLACES)
async def test_a_session_is_kept_and_carried_on(base_url: str) -> None:
    """Added in batches, read in order, cut to the newest, popped, cleared."""
    fake = FakeAssistants()
    with fake.mount():
        async with AsyncOpenAI(api_key="token", base_url=base_url) as client:
            session = OpenAIConversationsSession(openai_client=client)
            given: list[Any] = [{"role": "user", "content": f"number {number}"} for number in range(45)]
            await session.add_items(given)
            again = OpenAIConversationsSession(openai_client=client, conversation_id=session.session_id)
            assert [text_of(item) for item in await again.get_items()] == [item["content"] for item in given]
            assert [text_of(item) for item in await again.get_items(limit=2)] == ["number 43", "number 44"]
            assert text_of(await again.pop_item()) == "number 44"
            assert len(await session.get_items()) == 44
            await again.clear_session()
    assert fake.state["conversations"] == []


def text_of(item: Any) -> str:
    """The words of a message."""
    (part,) = item["content"]
    text: str = part["text"]
    return text
