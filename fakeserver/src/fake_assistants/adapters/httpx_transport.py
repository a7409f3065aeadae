"""Transports for httpx and httpx2 clients, sync and async.

A client needs only the methods of a transport, so no base class of either library is used. The response is of the
library that the request belongs to, and so is a stream.
"""

from functools import cache
from types import ModuleType, TracebackType
from typing import Any, Self

import attrs

from fake_assistants.adapters.playback import AsyncChunks, Caller, SyncChunks, begin, begin_async
from fake_assistants.adapters.streams import Handler, release
from fake_assistants.http.message import Reply, Request

_LIBRARIES = ("httpx", "httpx2")


class Transport:
    """For `httpx.Client(transport=...)` and `httpx2.Client(transport=...)`."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def handle_request(self, request: Any) -> Any:
        """Answer with the caller's own response class. Raises that library's errors for breaks and long waits."""
        reply = answered(self._handler, from_httpx(request, request.read()))
        caller = Caller.of(request, _LIBRARIES)
        begin(reply, caller)
        return _response(reply, caller, SyncChunks, "SyncByteStream")

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

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def handle_async_request(self, request: Any) -> Any:
        """Answer with the caller's own response class. Raises that library's errors for breaks and long waits."""
        reply = answered(self._handler, from_httpx(request, await request.aread()))
        caller = Caller.of(request, _LIBRARIES)
        await begin_async(reply, caller)
        return _response(reply, caller, AsyncChunks, "AsyncByteStream")

    async def aclose(self) -> None:
        """Nothing to close."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def from_httpx(request: Any, body: bytes) -> Request:
    """Convert a request of either library."""
    target = request.url.raw_path.decode("ascii")
    return Request.of(request.method, target, request.headers.multi_items(), body)


def answered(handler: Handler, request: Request) -> Reply:
    """Return the handler's reply; to HEAD without its body, but with its content length, as servers do."""
    reply = handler.handle(request)
    if request.method != "HEAD":
        return reply
    release(reply.chunks)
    return attrs.evolve(reply, headers=headers_of(reply), body=b"", chunks=None)


def headers_of(reply: Reply) -> list[tuple[str, str]]:
    """Return a reply's headers, with its content length unless it is a stream or has one already."""
    headers = list(reply.headers)
    if reply.chunks is None and not any(name.lower() == "content-length" for name, _ in headers):
        headers.append(("content-length", str(len(reply.body))))
    return headers


def _response(reply: Reply, caller: Caller, playing: type, kind: str) -> Any:
    """Return the response, unread as clients expect it of a transport: they read the stream themselves."""
    library = caller.library
    if reply.chunks is None:
        stream = library.ByteStream(reply.body)
    else:
        stream = _stream_class(library, playing, kind)(reply.chunks, caller)
    return library.Response(reply.status, headers=headers_of(reply), stream=stream)


@cache
def _stream_class(library: ModuleType, playing: type, kind: str) -> Any:
    """Return a stream class that derives from the library's own, which clients require."""
    return type(playing.__name__, (playing, getattr(library, kind)), {})
