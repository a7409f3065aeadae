"""Real SDK clients whose HTTP library is handed canned answers: the SDK's own parsing and errors, no network."""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

import openai

__all__ = ["HTTP", "Answer", "async_client", "client_of", "sync_client"]

HTTP: Any = importlib.import_module("httpx2" if int(openai.__version__.split(".")[0]) >= 3 else "httpx")
"""The HTTP library that the installed SDK speaks."""

Answer = Callable[[Any], Any] | Iterable[Any]


def _handler(answers: Answer) -> Callable[[Any], Any]:
    if callable(answers):
        return answers
    waiting = iter(answers)
    return lambda _request: next(waiting)


def sync_client(answers: Answer, *, max_retries: int = 0) -> openai.OpenAI:
    """An ``OpenAI()`` that gets these answers, in order or from a function of the request."""
    transport = HTTP.MockTransport(_handler(answers))
    http_client = HTTP.Client(transport=transport)
    return openai.OpenAI(api_key="sk-test", http_client=http_client, max_retries=max_retries)


def async_client(answers: Answer, *, max_retries: int = 0, base_url: str = "https://api.test/v1") -> openai.AsyncOpenAI:
    """An ``AsyncOpenAI()`` that gets these answers, in order or from a function of the request."""
    transport = HTTP.MockTransport(_handler(answers))
    http_client = HTTP.AsyncClient(transport=transport)
    return openai.AsyncOpenAI(api_key="sk-test", base_url=base_url, http_client=http_client, max_retries=max_retries)


def client_of(transport: Any, *, base_url: str = "https://api.test/v1") -> openai.AsyncOpenAI:
    """An ``AsyncOpenAI()`` that stands on a transport, such as a fake's ``async_transport()``."""
    return openai.AsyncOpenAI(api_key="sk-test", base_url=base_url, http_client=HTTP.AsyncClient(transport=transport))
