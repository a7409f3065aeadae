"""Play a reply to a client in the same process: wait where it waits, raise the client library's error where it breaks.

Transports and the mount, sync and async, share the decisions here. A wait that exceeds the client's read timeout
(counted from the last byte, as on a socket) raises the timeout at once, so a test of a 30-second stall takes no time.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any, Self

import anyio
import attrs

from fake_assistants.adapters.streams import release, released_on_error
from fake_assistants.http.message import Chunk, Cut, Pause, Reply

# The messages of httpcore and h11.
_CUT = "peer closed connection without sending complete message body (incomplete chunked read)"
_HUNG_UP = "Server disconnected without sending a response."


@attrs.frozen
class Caller:
    """The client: the library of its responses and errors, and its read timeout in seconds (None: no limit)."""

    library: Any
    read_timeout: float | None

    @classmethod
    def of(cls, request: Any, libraries: Iterable[str]) -> "Caller":
        """Return the caller of a request: the library that it belongs to, and its timeout."""
        return cls(_library(request, libraries), (request.extensions.get("timeout") or {}).get("read"))

    def check_timeout(self, seconds: float) -> None:
        """Raise the library's ReadTimeout if the wait is longer than the client's read timeout."""
        if self.read_timeout is not None and seconds > self.read_timeout:
            text = f"timed out: no byte for {seconds} s, and the read timeout is {self.read_timeout} s"
            raise self.library.ReadTimeout(text)


def _library(request: Any, libraries: Iterable[str]) -> ModuleType:
    loaded = [sys.modules[name] for name in libraries if name in sys.modules]
    return next(library for library in loaded if isinstance(request, library.Request))


def begin(reply: Reply, caller: Caller) -> None:
    """Wait until the answer begins. Raises the library's ReadTimeout or RemoteProtocolError."""
    with released_on_error(reply.chunks):
        for seconds in _initial_waits(reply, caller):
            time.sleep(seconds)


async def begin_async(reply: Reply, caller: Caller) -> None:
    """Wait as `begin` does, for async clients."""
    with released_on_error(reply.chunks):
        for seconds in _initial_waits(reply, caller):
            await anyio.sleep(seconds)


def _initial_waits(reply: Reply, caller: Caller) -> Iterator[float]:
    """Yield the seconds to wait before the answer."""
    if reply.delay:
        caller.check_timeout(reply.delay)
        yield reply.delay
    if reply.hang_up:
        raise caller.library.RemoteProtocolError(_HUNG_UP)


def _play(chunks: Iterator[Chunk], caller: Caller) -> Iterator[bytes | float]:
    """Yield bytes to return, and seconds to wait before the next."""
    silent = 0.0
    for chunk in chunks:
        match chunk:
            case Cut():
                raise caller.library.RemoteProtocolError(_CUT)
            case Pause(seconds):
                silent += seconds
                caller.check_timeout(silent)
                yield seconds
            case _:
                silent = 0.0 if chunk else silent
                yield chunk


class SyncChunks:
    """A stream for sync clients. A chunk is taken from the reply when the client reads one."""

    def __init__(self, chunks: Iterator[Chunk], caller: Caller) -> None:
        self._chunks = chunks
        self._steps = _play(chunks, caller)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        with released_on_error(self._chunks):
            for step in self._steps:
                if isinstance(step, bytes):
                    return step
                time.sleep(step)
        raise StopIteration

    def close(self) -> None:
        """The client has enough."""
        release(self._chunks)


class AsyncChunks:
    """A stream for async clients, on any event loop that anyio supports."""

    def __init__(self, chunks: Iterator[Chunk], caller: Caller) -> None:
        self._chunks = chunks
        self._steps = _play(chunks, caller)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        with released_on_error(self._chunks):
            for step in self._steps:
                if isinstance(step, bytes):
                    return step
                await anyio.sleep(step)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """The client has enough."""
        release(self._chunks)
