"""How a client in the same process takes a reply: each wait really waits, each break is its library's own error.

What happens when is decided here once, for transports and the mount, sync and async. A wait that the client would
not sit out (its read timeout, counted from the last byte as on a socket) is refused at once instead of waited for,
so a test of a 30-second stall takes no time.
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

# As httpcore and h11 word them.
_CUT = "peer closed connection without sending complete message body (incomplete chunked read)"
_HUNG_UP = "Server disconnected without sending a response."


@attrs.frozen
class Caller:
    """Who asked: the library whose responses and errors it knows, and how many seconds it waits for a byte."""

    library: Any
    patience: float | None

    @classmethod
    def of(cls, request: Any, libraries: Iterable[str]) -> "Caller":
        """The one of these libraries whose request it is, and the timeout that the request carries."""
        return cls(_library(request, libraries), (request.extensions.get("timeout") or {}).get("read"))

    def bear(self, seconds: float) -> None:
        """Raises the library's ReadTimeout when the caller does not wait for so long."""
        if self.patience is not None and seconds > self.patience:
            text = f"timed out: no byte for {seconds} s, and the read timeout is {self.patience} s"
            raise self.library.ReadTimeout(text)


def _library(request: Any, libraries: Iterable[str]) -> ModuleType:
    loaded = [sys.modules[name] for name in libraries if name in sys.modules]
    return next(library for library in loaded if isinstance(request, library.Request))


def begin(reply: Reply, caller: Caller) -> None:
    """Wait until the answer begins. Raises ReadTimeout and RemoteProtocolError, the library's."""
    with released_on_error(reply.chunks):
        for seconds in _prelude(reply, caller):
            time.sleep(seconds)


async def begin_async(reply: Reply, caller: Caller) -> None:
    """The same, awaited."""
    with released_on_error(reply.chunks):
        for seconds in _prelude(reply, caller):
            await anyio.sleep(seconds)


def _prelude(reply: Reply, caller: Caller) -> Iterator[float]:
    """Seconds to wait before the answer."""
    if reply.delay:
        caller.bear(reply.delay)
        yield reply.delay
    if reply.hang_up:
        raise caller.library.RemoteProtocolError(_HUNG_UP)


def _play(chunks: Iterator[Chunk], caller: Caller) -> Iterator[bytes | float]:
    """Bytes to hand on, and seconds to wait before the next."""
    silent = 0.0
    for chunk in chunks:
        match chunk:
            case Cut():
                raise caller.library.RemoteProtocolError(_CUT)
            case Pause(seconds):
                silent += seconds
                caller.bear(silent)
                yield seconds
            case _:
                silent = 0.0 if chunk else silent
                yield chunk


class SyncChunks:
    """A stream for sync clients: one chunk is taken for each that is asked for."""

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
    """The same for async clients, on any event loop that anyio knows."""

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
