"""Real SDK clients whose HTTP library is handed canned answers: the SDK's own parsing and errors, no network."""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

import openai

__all__ = ["HTTP", "async_client", "client_of"]

HTTP: Any = importlib.import_module("httpx2" if int(openai.__version__.split(".")[0]) >= 3 else "httpx")
"""The HTTP library that the installed SDK speaks."""


def async_client(answers: Callable[[Any], Any] | Iterable[Any], api_key: str = "sk-test") -> openai.AsyncOpenAI:
    """An ``AsyncOpenAI()`` that gets these answers, in order or from a function of the request."""
    waiting = None if callable(answers) else iter(answers)
    return client_of(HTTP.MockTransport(answers if waiting is None else lambda _request: next(waiting)), api_key)


def client_of(transport: Any, api_key: str = "sk-test") -> openai.AsyncOpenAI:
    """An ``AsyncOpenAI()`` that stands on a transport, such as a fake's ``async_transport()``."""
    http_client = HTTP.AsyncClient(transport=transport)
    return openai.AsyncOpenAI(api_key=api_key, base_url="https://api.test/v1", http_client=http_client)
