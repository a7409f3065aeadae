"""One fake per test, and a short way to ask it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from fake_assistants import FakeAssistants, Reply, Request

HEADERS = {"Authorization": "Bearer sk-test", "OpenAI-Beta": "assistants=v2"}


@pytest.fixture
def fake() -> FakeAssistants:
    """A fresh fake."""
    return FakeAssistants()


@pytest.fixture
def ask(fake: FakeAssistants) -> Callable[..., Reply]:
    """Send a request to the fake: method, target, a body as JSON or bytes, other headers."""

    def send(method: str, target: str, body: Any = b"", headers: dict[str, str] = HEADERS) -> Reply:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return fake.handle(Request.of(method, target, headers, content))

    return send
