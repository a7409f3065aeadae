"""The messages of one thread through a caller's own client: sync and async, OpenAI and Azure."""

from typing import Any

import pytest

import threadkeep
from exporting import threads_of
from fake_assistants import FakeAssistants
from sdkways import each, got
from threadkeep.errors import AccessRefused, ApiGone, RequestFailed, ThreadMissing

pytestmark = pytest.mark.anyio

THREADS = threads_of(a=230, b=0)
KINDS = ["OpenAI", "AsyncOpenAI", "AzureOpenAI", "AsyncAzureOpenAI"]


@pytest.fixture
def fake() -> FakeAssistants:
    """A fake with a thread of three pages, and an empty one."""
    fake = FakeAssistants()
    fake.load({"threads": [{"id": name} for name in THREADS], "messages": [*THREADS["thread_a"]]})
    return fake


async def records(kind: str, base_url: str, thread_id: str, *, api_key: str = "sk-test") -> list[Any]:
    """The records of a thread, by a client of this kind."""
    import openai

    azure = {"api_version": "2024-05-01-preview", "azure_ad_token": api_key}
    key = azure if "Azure" in kind else {"api_key": api_key}
    client = getattr(openai, kind)(base_url=base_url, max_retries=1, **key)
    read = threadkeep.aiter_messages if kind.startswith("Async") else threadkeep.iter_messages
    try:
        return await each(read(client, thread_id, assistant_id="asst_1"))
    finally:
        await got(client.close())


@pytest.mark.parametrize("kind", KINDS)
async def test_every_message_of_a_thread_comes_in_order(kind: str, fake: FakeAssistants) -> None:
    """Page by page; the record carries the message as the API gave it."""
    with fake.serve() as server:
        found = await records(kind, server.base_url, "thread_a")
        assert [record.raw["id"] for record in found] == [row["id"] for row in THREADS["thread_a"]]
        assert {record.assistant_id for record in found} == {"asst_1"}
        assert await records(kind, server.base_url, "thread_b") == []


@pytest.mark.parametrize("kind", KINDS[:2])
async def test_a_page_that_is_cut_short_is_asked_for_again(kind: str, fake: FakeAssistants) -> None:
    """The SDK does not know that it is; as often as the client retries."""
    with fake.serve() as server:
        fake.faults = [{"match": {"path": "messages", "nth": 2, "times": 1}, "do": {"truncate": 50}}]
        assert len(await records(kind, server.base_url, "thread_a")) == 230
        fake.faults = [{"match": {"path": "messages", "nth": 1, "times": 99}, "do": {"truncate": 50}}]
        with pytest.raises(threadkeep.BadPage, match="the answer is not JSON"):
            await records(kind, server.base_url, "thread_a")


@pytest.mark.parametrize("kind", KINDS[:2])
async def test_errors_are_ours(kind: str, fake: FakeAssistants) -> None:
    """And show no key."""
    with fake.serve() as server:
        with pytest.raises(ThreadMissing, match="No thread found"):
            await records(kind, server.base_url, "thread_none")
        fake.faults = [
            {"do": {"status": 401, "body": {"error": {"message": "Incorrect API key provided: sk-test-key"}}}}
        ]
        with pytest.raises(AccessRefused, match=r"Incorrect API key provided: \[key\]"):
            await records(kind, server.base_url, "thread_a", api_key="sk-test-key")
        fake.faults = []
        fake.sunset.now()
        with pytest.raises(ApiGone):
            await records(kind, server.base_url, "thread_a")
    with pytest.raises(RequestFailed):
        await records(kind, server.base_url, "thread_a")
