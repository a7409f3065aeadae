"""Transports for httpx and httpx2 clients, sync and async.

The client calls a transport by its methods alone, so no base class of either library is needed. The answer
is made by the library whose request came in.
"""

import sys
from types import TracebackType
from typing import Any, Self

from fake_assistants.exchange import Reply, Request
from fake_assistants.skins.speaker import Speaker


class Transport:
    """For `httpx.Client(transport=...)` and `httpx2.Client(transport=...)`."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker

    def handle_request(self, request: Any) -> Any:
        """Answer with the caller's own response class."""
        return _answer(self._speaker, request, request.read())

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class AsyncTransport:
    """For `httpx.AsyncClient(transport=...)` and `httpx2.AsyncClient(transport=...)`."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker

    async def handle_async_request(self, request: Any) -> Any:
        """Answer with the caller's own response class."""
        return _answer(self._speaker, request, await request.aread())

    async def aclose(self) -> None:
        """Nothing to close."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def from_httpx(request: Any, body: bytes) -> Request:
    """The exchange's request from either library's."""
    target = request.url.raw_path.decode("ascii")
    return Request.of(request.method, target, request.headers.multi_items(), body)


def headers_of(reply: Reply) -> list[tuple[str, str]]:
    """A reply's headers with its length."""
    return [*reply.headers, ("content-length", str(len(reply.body)))]


def _answer(speaker: Speaker, request: Any, body: bytes) -> Any:
    reply = speaker.handle(from_httpx(request, body))
    library = next(
        sys.modules[name]
        for name in ("httpx", "httpx2")
        if name in sys.modules and isinstance(request, sys.modules[name].Request)
    )
    return library.Response(reply.status, headers=headers_of(reply), content=reply.body)
