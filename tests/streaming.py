"""Speakers made by hand, and every way in which a client of httpx or httpx2 reaches one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from threading import Event
from typing import Any

import httpx
import httpx2
from anyio.from_thread import start_blocking_portal

from fake_assistants import Reply, Request
from fake_assistants.adapters.asgi import app
from fake_assistants.adapters.httpx_transport import AsyncTransport, Transport
from fake_assistants.adapters.respx_mount import mounted
from fake_assistants.adapters.server import serving
from fake_assistants.http.message import Chunk, Pause

# What arrived, and the error that ended it ("" when it ended well).
Taken = tuple[bytes, str]
Ask = Callable[..., Taken]


class HandMade:
    """Answers each request with what `reply` makes, and counts them."""

    def __init__(self, reply: Callable[[], Reply] = lambda: Reply(200)) -> None:
        self.reply = reply
        self.asked: list[Request] = []
        self.was_asked = Event()

    def handle(self, request: Request) -> Reply:
        self.asked.append(request)
        self.was_asked.set()
        return self.reply()


def streaming(*chunks: Chunk, headers: Sequence[tuple[str, str]] = ()) -> Reply:
    """A reply that gives these chunks."""
    return Reply(200, headers, chunks=iter(chunks))


class Watched:
    """A stream that tells when it is closed."""

    def __init__(self, *chunks: Chunk) -> None:
        self._chunks = iter(chunks)
        self.closed = Event()

    def __iter__(self) -> Iterator[Chunk]:
        return self

    def __next__(self) -> Chunk:
        return next(self._chunks)

    def close(self) -> None:
        self.closed.set()


def until(told: Callable[[], bool]) -> Iterator[Pause]:
    """Short pauses until something has happened; an end to them, should it never."""
    for _ in range(10_000):
        if told():
            return
        yield Pause(0.001)
    raise AssertionError("it never happened")


def nothing(_: Any) -> None:
    """What most tests do with a chunk, and with the headers."""


Each = Callable[[Any], None]


def asking(library: Any, url: str, stream: Callable[..., Any], chunks_of: Callable[[Any], Iterator[bytes]]) -> Ask:
    """What asks with a client's `stream`, and takes the chunks of its response."""

    def ask(timeout: float | None = 20, each: Each = nothing, headers: Each = nothing, enough: bool = False) -> Taken:
        got = []
        try:
            with stream("POST", url, timeout=timeout) as response:
                headers(response.headers)
                for chunk in chunks_of(response):
                    got.append(chunk)
                    each(chunk)
                    if enough:
                        break
        except library.HTTPError as error:
            return b"".join(got), type(error).__name__
        return b"".join(got), ""

    return ask


# Clients verify nothing: there is no TLS here, and reading the system's certificates is slow.


@contextmanager
def sync_client(speaker: HandMade, library: Any, way: str) -> Iterator[Ask]:
    with reached(speaker, way) as base:
        transport = Transport(speaker) if way == "transport" else None
        with library.Client(transport=transport, verify=False) as client:
            yield asking(library, f"{base}/x", client.stream, lambda response: response.iter_raw())


@contextmanager
def async_client(speaker: HandMade, library: Any, way: str) -> Iterator[Ask]:
    def stream(*given: Any, **options: Any) -> Any:
        return portal.wrap_async_context_manager(client.stream(*given, **options))

    def chunks_of(response: Any) -> Iterator[bytes]:
        raw = response.aiter_raw()
        while (chunk := portal.call(anext, raw, None)) is not None:
            yield chunk

    with reached(speaker, way) as base, start_blocking_portal() as portal:
        transport = AsyncTransport(speaker) if way == "transport" else None
        with portal.wrap_async_context_manager(library.AsyncClient(transport=transport, verify=False)) as client:
            yield asking(library, f"{base}/x", stream, chunks_of)


@contextmanager
def reached(speaker: HandMade, way: str) -> Iterator[str]:
    """Where the speaker is reached: mounted, served, or (by its transport) anywhere."""
    if way == "server":
        with serving(app(speaker), host="127.0.0.1", port=0) as server:
            yield server.url
    elif way == "mount":
        with mounted(speaker):
            yield "http://anywhere"
    else:
        yield "http://anywhere"


Opened = Callable[[HandMade], AbstractContextManager[Ask]]


def _way(mode: Any, library: Any, way: str) -> Opened:
    def opened(speaker: HandMade) -> AbstractContextManager[Ask]:
        asking: AbstractContextManager[Ask] = mode(speaker, library, way)
        return asking

    opened.__name__ = f"{way}-{library.__name__}-{mode.__name__.partition('_')[0]}"
    return opened


WAYS = [
    _way(mode, library, way)
    for way in ("transport", "mount", "server")
    for library in (httpx, httpx2)
    for mode in (sync_client, async_client)
]
