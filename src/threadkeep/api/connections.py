"""The connections of an SDK client: which HTTP library, how many pools, and how much an answer may bring.

The SDK speaks httpx (1.x, 2.x) or httpx2 (3.x), and over either also aiohttp where its extra is installed, at half the
cost of a page. What matters here is the same over all of them: nothing is sent again unasked, a redirect is followed
where the credentials allow it, and no answer takes more memory than its bound.
"""

import asyncio
import contextlib
import functools
import importlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any

import attrs
import openai

from threadkeep.api.sent_requests import watch_sent
from threadkeep.errors import BadPage

__all__ = ["HTTP", "AnswerBounds", "Connections", "answer_bounds", "blocking_http_client", "http_client"]

HTTP: Any = importlib.import_module("httpx2" if int(openai.__version__.split(".")[0]) >= 3 else "httpx")
"""The HTTP library of the installed SDK."""

# An answer of more bytes is read alone. With the usual 64 at a time, all of them would take gigabytes.
_LARGE_BYTES = 4 * 1024 * 1024

# A thousandth of what they can become once they are unpacked.
_PACKED_BYTES = 2048
_ENCODINGS = ("", "identity", "gzip", "deflate")

_ERROR_BYTES = 1024 * 1024

# The HTTP library searches all requests of a connection pool for each of them (httpx2: all connections, a seventh of
# the cost of a page). With 64 at a time that costs more than the requests do.
_REQUESTS_PER_POOL = 16

# aiohttp's own limit, 8,190 bytes, is below what proxies add.
_HEADER_BYTES = 64 * 1024


@attrs.frozen
class AnswerBounds:
    """What the answer to a request may be.

    Attributes:
        most_bytes: decoded, of a success.
        turn: taken by a large answer until it is read; None for one that is not held in memory. The wait for it is part
            of the time for the answer.
    """

    most_bytes: int
    turn: asyncio.Lock | None = None


answer_bounds: ContextVar[AnswerBounds] = ContextVar("answer_bounds")
"""Of the request that is being sent. It must be set for each."""


async def _bound(response: Any) -> None:
    """Let a response give no more bytes, decoded, than the request allows: a hook of the HTTP library."""
    bounds = answer_bounds.get()
    most = bounds.most_bytes if response.status_code < 400 else _ERROR_BYTES
    if (encoding := response.headers.get("content-encoding", "").strip().lower()) not in _ENCODINGS:
        await response.aclose()
        raise BadPage(f"the answer came with a content-encoding that was not asked for: {encoding}")
    read, read_packed = response.aiter_bytes, response.aiter_raw

    async def small_pieces(*arguments: Any) -> AsyncIterator[bytes]:
        async for packed in read_packed(*arguments):
            for start in range(0, len(packed), _PACKED_BYTES):
                yield packed[start : start + _PACKED_BYTES]

    async def bounded(*arguments: Any) -> AsyncIterator[bytes]:
        size = 0
        async with contextlib.AsyncExitStack() as until_read:
            async for chunk in read(*arguments):
                if bounds.turn is not None and size <= _LARGE_BYTES < size + len(chunk):
                    await until_read.enter_async_context(bounds.turn)
                size += len(chunk)
                if size > most:
                    raise BadPage(f"the answer has more than {most:,} bytes")
                yield chunk

    response.aiter_bytes = bounded
    if encoding in ("gzip", "deflate"):
        response.aiter_raw = small_pieces


def http_client(**options: Any) -> Any:
    """Return a client of the SDK's HTTP library that keeps the bounds, by the SDK's own settings."""
    return _watched(openai.DefaultAsyncHttpxClient)(event_hooks={"response": [_bound]}, **options)


def blocking_http_client(**options: Any) -> Any:
    """Return a blocking client of the library, by the SDK's own settings."""
    kind: Any = openai.DefaultHttpxClient

    class Watched(kind):  # type: ignore[misc]  # as below
        def send(self, request: Any, **settings: Any) -> Any:
            with watch_sent(request) as take:
                return take(super().send(request, **settings))

    return Watched(**options)


@functools.cache
def _watched(kind: Any) -> Any:
    """Return a kind of client that tells of what it sends. The library's hooks see no request without an answer."""

    class Watched(kind):  # type: ignore[misc]  # which class it is depends on what is installed
        async def send(self, request: Any, **settings: Any) -> Any:
            with watch_sent(request) as take:
                return take(await super().send(request, **settings))

    return Watched


def _aiohttp_client(on_unreadable: Callable[[], None], **options: Any) -> Any:
    """Return the same over aiohttp; None if the extra is not installed, or of another shape than is known here.

    Args:
        on_unreadable: called when aiohttp, which is stricter, refuses the form of an answer.
    """
    try:
        import aiohttp

        kind = _like_the_usual(aiohttp, _watched(openai.DefaultAioHttpClient), on_unreadable)
        return kind(event_hooks={"request": [_plain], "response": [_bound]}, **options)
    except (ImportError, AttributeError, RuntimeError):
        return None


async def _plain(request: Any) -> None:
    """Give a request the form in which aiohttp sends it as the usual HTTP library does: a hook of that library.

    A redirected request must have its body, which is empty, as bytes: else it goes out chunked (openai 3.57). The user
    and password of the address are in its header already, and aiohttp takes no request that has them twice.
    """
    await request.aread()
    if request.url.userinfo:
        request.url = request.url.copy_with(username=None, password=None)


def _like_the_usual(aiohttp: Any, client: Any, on_unreadable: Callable[[], None]) -> Any:
    """Return the SDK's client over aiohttp, so changed that it fails as the one over the usual HTTP library does.

    aiohttp sends a second request where the first is dropped, beyond the rate limit and the number of retries; and the
    SDK takes most of its errors for timeouts, and others for none of its own.

    Raises:
        AttributeError: this version of aiohttp (below 3.12) or of the SDK has no such client, or no way to change it.
    """
    _ = aiohttp.ClientMiddlewareType
    errors = (
        (aiohttp.ConnectionTimeoutError, HTTP.ConnectTimeout),
        (aiohttp.ServerTimeoutError, HTTP.ReadTimeout),
        (aiohttp.ClientConnectorError, HTTP.ConnectError),  # to the proxy, too
        (aiohttp.ServerDisconnectedError, HTTP.RemoteProtocolError),
        (aiohttp.ClientOSError, HTTP.ReadError),
        (aiohttp.ClientHttpProxyError, HTTP.ProxyError),
        (aiohttp.ClientResponseError, HTTP.RemoteProtocolError),
    )

    async def translated(request: Any, send: Any) -> Any:
        try:
            response = await send(request)
        except aiohttp.ClientError as error:
            kind = next((ours for theirs, ours in errors if isinstance(error, theirs)), HTTP.ReadError)
            if kind is HTTP.RemoteProtocolError and isinstance(error, aiohttp.ClientResponseError):
                on_unreadable()
            raise kind(str(error)) from error
        if response.status < 200:
            response.close()
            raise HTTP.RemoteProtocolError(f"status {response.status}")
        return response

    def changed(transport: Any) -> Any:
        make = transport.get_client

        def session() -> Any:
            transport.client = None
            usual = make()
            connector = usual.connector
            usual.detach()
            return aiohttp.ClientSession(
                connector=connector,
                middlewares=(translated,),
                cookie_jar=aiohttp.DummyCookieJar(),  # the client above has its own
                max_line_size=_HEADER_BYTES,
                max_field_size=_HEADER_BYTES,
            )

        transport.client = session
        return transport

    class LikeTheUsual(client):  # type: ignore[misc]  # which class it is depends on what is installed
        def _init_transport(self, *arguments: Any, **options: Any) -> Any:
            return changed(super()._init_transport(*arguments, **options))

        def _init_proxy_transport(self, proxy: Any, **options: Any) -> Any:
            if proxy.url.scheme != "http":
                raise RuntimeError("aiohttp has no way through this proxy")
            return changed(super()._init_proxy_transport(proxy, **options))

    return LikeTheUsual


class Connections:
    """An SDK client, and copies of it with connections of their own.

    Args:
        client: the first one.
        is_own: make more connection pools if many requests are in flight, and use aiohttp where that is asked for. A
            caller's own client is used as it is.
        follow_redirects: whether its requests may be redirected.

    Attributes:
        library: the name of the distribution that speaks HTTP.
        turn: for answers so large that only one is held in memory at a time.
    """

    def __init__(self, client: openai.AsyncOpenAI, *, is_own: bool, follow_redirects: bool) -> None:
        self.library: str = HTTP.__name__
        self.turn = asyncio.Lock()
        self._is_own = is_own
        self._options: dict[str, Any] = {"follow_redirects": follow_redirects}
        self._usual = self._in_flight = {client: 0}
        self._aiohttp = dict[openai.AsyncOpenAI, int]()
        self._unused: openai.AsyncOpenAI | None = None

    def use_aiohttp(self) -> bool:
        """Send further requests over aiohttp, if it is installed and the client is our own; return whether.

        The first answer whose form aiohttp refuses ends that: the usual HTTP library takes more of what servers send.
        """
        http = _aiohttp_client(self._use_usual, **self._options) if self._is_own else None
        if http is not None:
            (client,) = self._usual
            self.library = "aiohttp"
            self._in_flight = self._aiohttp = {client.copy(http_client=http): 0}
        return http is not None

    def _use_usual(self) -> None:
        self._in_flight, self.library = self._usual, HTTP.__name__

    @contextlib.contextmanager
    def least_busy(self) -> Iterator[openai.AsyncOpenAI]:
        """Yield a client for one request."""
        in_flight = self._in_flight
        client = min(in_flight, key=in_flight.__getitem__)
        if self._is_own and in_flight is self._usual and in_flight[client] >= _REQUESTS_PER_POOL:
            if "verify" not in self._options:  # the TLS context is most of the cost of a client
                self._options["verify"] = HTTP.create_ssl_context()
            client = client.copy(http_client=http_client(**self._options))
            in_flight[client] = 0
        in_flight[client] += 1
        try:
            yield client
        finally:
            in_flight[client] -= 1

    @contextlib.contextmanager
    def unused(self) -> Iterator[openai.AsyncOpenAI]:
        """Yield a client for one request that uses no connection of another, if the client is our own."""
        if self._is_own and self._unused is None:
            (client,) = list(self._usual)[:1]
            limits = HTTP.Limits(max_keepalive_connections=0)
            self._unused = client.copy(http_client=http_client(limits=limits, **self._options))
        with contextlib.nullcontext(self._unused) if self._unused is not None else self.least_busy() as unused:
            yield unused

    async def close(self) -> None:
        """Close them all."""
        for client in (*self._usual, *self._aiohttp, *filter(None, [self._unused])):
            await client.close()
