"""Transports for httpx and httpx2 clients, sync and async.

The client calls a transport by its methods alone, so no base class of either library is needed. The answer
is made by the library whose request came in, a stream of that library's kind.
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

    def __init__(self, speaker: Handler) -> None:
        self._speaker = speaker

    def handle_request(self, request: Any) -> Any:
        """Answer with the caller's own response class. Raises that library's errors for breaks and long waits."""
        reply = answered(self._speaker, from_httpx(request, request.read()))
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

    def __init__(self, speaker: Handler) -> None:
        self._speaker = speaker

    async def handle_async_request(self, request: Any) -> Any:
        """Answer with the caller's own response class. Raises that library's errors for breaks and long waits."""
        reply = answered(self._speaker, from_httpx(request, await request.aread()))
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
    """The exchange's request from either library's."""
    target = request.url.raw_path.decode("ascii")
    return Request.of(request.method, target, request.headers.multi_items(), body)


def answered(speaker: Handler, request: Request) -> Reply:
    """The speaker's reply; to HEAD without its body, as servers send it, though with the length of one."""
    reply = speaker.handle(request)
    if request.method != "HEAD":
        return reply
    release(reply.chunks)
    return attrs.evolve(reply, headers=headers_of(reply), body=b"", chunks=None)


def headers_of(reply: Reply) -> list[tuple[str, str]]:
    """A reply's headers with its length, unless it is a stream or says its length itself."""
    headers = list(reply.headers)
    if reply.chunks is None and not any(name.lower() == "content-length" for name, _ in headers):
        headers.append(("content-length", str(len(reply.body))))
    return headers


def _response(reply: Reply, caller: Caller, playing: type, kind: str) -> Any:
    """Not read yet, a body no more than a stream: the client does that, as with every transport."""
    library = caller.library
    if reply.chunks is None:
        stream = library.ByteStream(reply.body)
    else:
        stream = _stream_class(library, playing, kind)(reply.chunks, caller)
    return library.Response(reply.status, headers=headers_of(reply), stream=stream)


@cache
def _stream_class(library: ModuleType, playing: type, kind: str) -> Any:
    """Clients insist on a stream of their library's own class."""
    return type(playing.__name__, (playing, getattr(library, kind)), {})
