"""The official SDK cannot tell: plain `OpenAI()` and `AsyncOpenAI()`, mounted, by transport and over HTTP."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from fake_assistants import FakeAssistants, demo_world
from sdkways import LIBRARY

pytestmark = [
    pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:deprecated$:DeprecationWarning"),  # how the assistants' methods say it
]


def test_the_life_of_an_assistant(client: OpenAI) -> None:
    """Create, retrieve, update, list, delete."""
    made = client.beta.assistants.create(model="gpt-4o-mini", name="A", tools=[{"type": "file_search"}])
    assert client.beta.assistants.retrieve(made.id) == made
    changed = client.beta.assistants.update(made.id, name="B", metadata={"a": "1"})
    assert (changed.name, changed.metadata) == ("B", {"a": "1"})
    assert [one.id for one in client.beta.assistants.list()] == [made.id]
    assert client.beta.assistants.delete(made.id).deleted is True
    with pytest.raises(openai.NotFoundError, match="No assistant found with id"):
        client.beta.assistants.retrieve(made.id)


def test_the_life_of_a_thread(client: OpenAI) -> None:
    """With messages of every kind that can be sent."""
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hello"}])
    image: Any = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    message = client.beta.threads.messages.create(thread.id, role="assistant", content=[image])
    assert client.beta.threads.messages.retrieve(message.id, thread_id=thread.id) == message
    changed = client.beta.threads.messages.update(message.id, thread_id=thread.id, metadata={"a": "1"})
    assert changed.metadata == {"a": "1"}
    assert client.beta.threads.update(thread.id, metadata={"b": "2"}).metadata == {"b": "2"}
    assert client.beta.threads.retrieve(thread.id).metadata == {"b": "2"}
    assert client.beta.threads.messages.delete(message.id, thread_id=thread.id).deleted is True
    assert [one.role for one in client.beta.threads.messages.list(thread.id)] == ["user"]
    assert client.beta.threads.delete(thread.id).deleted is True
    with pytest.raises(openai.NotFoundError, match="No thread found with id"):
        client.beta.threads.messages.list(thread.id)


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_the_sdks_own_pager_walks_250_messages(fake: FakeAssistants, client: OpenAI, order: Any) -> None:
    """Every message once, in order."""
    world = demo_world(1, 250)
    fake.load(world)
    walked = client.beta.threads.messages.list(world["threads"][0]["id"], limit=100, order=order)
    ids = [row["id"] for row in world["messages"]]
    assert [one.id for one in walked] == (ids if order == "asc" else ids[::-1])
    assert len(fake.requests) in (3, 4)  # openai 1.55 asks once more, for an empty page


def test_errors_become_the_sdks_exceptions(fake: FakeAssistants, client: OpenAI) -> None:
    """With code, param and request id; after the sunset, without."""
    with pytest.raises(openai.BadRequestError) as bad:
        client.beta.threads.retrieve("undefined")
    assert (bad.value.code, bad.value.param) == ("invalid_value", "thread_id")
    assert str(bad.value.request_id).startswith("req_")
    fake.sunset.now(style="not-found")
    with pytest.raises(openai.NotFoundError) as silent:
        client.beta.threads.create()
    assert (silent.value.body, silent.value.request_id) == ("", None)
    fake.sunset.now()
    with pytest.raises(openai.APIStatusError, match="no longer available") as gone:
        client.beta.threads.create()
    assert gone.value.status_code == 410


@pytest.fixture
async def async_clients(fake: FakeAssistants) -> AsyncIterator[Callable[[], list[AsyncOpenAI]]]:
    """A plain client, which wants a mount around it, and one by transport; made when asked for, closed at the end."""
    made: list[AsyncOpenAI] = []

    def clients() -> list[AsyncOpenAI]:
        by_transport = LIBRARY.AsyncClient(transport=fake.async_transport())
        made.extend([AsyncOpenAI(), AsyncOpenAI(http_client=by_transport)])
        return made

    yield clients
    for client in made:
        await client.close()


@pytest.mark.anyio
async def test_the_async_client_walks_the_same(
    fake: FakeAssistants, async_clients: Callable[[], list[AsyncOpenAI]]
) -> None:
    """`async for` over the pager."""
    world = demo_world(1, 120)
    fake.load(world)
    thread, ids = world["threads"][0]["id"], [row["id"] for row in world["messages"]]
    with fake.mount():
        for client in async_clients():
            pages = client.beta.threads.messages.list(thread, limit=50, order="asc")
            assert [one.id async for one in pages] == ids
    with fake.serve() as server:
        async with AsyncOpenAI(base_url=server.base_url) as client:
            made = await client.beta.threads.messages.create(thread, role="user", content="x")
            assert (await client.beta.threads.messages.retrieve(made.id, thread_id=thread)) == made


def test_a_wrong_key_is_an_authentication_error() -> None:
    """Where keys are configured."""
    fake = FakeAssistants(api_keys=["sk-right"])
    with fake.mount():
        assert OpenAI(api_key="sk-right").beta.threads.create().id
        with pytest.raises(openai.AuthenticationError, match="Incorrect API key provided: sk-wrong"):
            OpenAI(api_key="sk-wrong").beta.threads.create()
