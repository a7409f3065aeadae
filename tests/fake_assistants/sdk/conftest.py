"""The official SDK's client, sync and async, and every way in which it reaches the fake."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from fake_assistants import FakeAssistants
from sdkways import LIBRARY


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@contextmanager
def mounted(fake: FakeAssistants) -> Iterator[OpenAI]:
    with fake.mount(), OpenAI() as client:
        yield client


@contextmanager
def by_transport(fake: FakeAssistants) -> Iterator[OpenAI]:
    with OpenAI(http_client=LIBRARY.Client(transport=fake.transport())) as client:
        yield client


@contextmanager
def over_http(fake: FakeAssistants) -> Iterator[OpenAI]:
    with fake.serve() as server, OpenAI(base_url=server.base_url) as client:
        yield client


@pytest.fixture(params=[mounted, by_transport, over_http], ids=lambda way: way.__name__)
def client(request: pytest.FixtureRequest, fake: FakeAssistants) -> Iterator[Any]:
    """An SDK client that reaches the fake."""
    with request.param(fake) as way:
        yield way


@pytest.fixture
async def async_client(fake: FakeAssistants) -> AsyncIterator[Any]:
    """The same for async clients."""
    async with AsyncOpenAI(http_client=LIBRARY.AsyncClient(transport=fake.async_transport())) as client:
        yield client
