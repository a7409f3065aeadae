"""How an ASGI app delivers a reply: late, in pieces, broken off, or not at all.

Breaking a connection is beyond ASGI. Our own server hands its transport to the app (see `server`), so there a cut is
a closed connection without the body's end, and a hang-up one without any byte, and nothing is printed. Under any
other server both are raised as ConnectionAbortedError: after the headers servers treat that as a broken connection;
a hang-up, before them, most answer with a bare 500.
"""

import asyncio
from collections.abc import Iterator
from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

from fake_assistants.adapters.httpx_transport import headers_of
from fake_assistants.adapters.streams import release
from fake_assistants.http.message import Chunk, Cut, Pause, Reply

# Where in the scope's state our server puts the transport, and the host that it was to bind.
TRANSPORT = "fake_assistants.transport"
BOUND_HOST = "fake_assistants.bound_host"


class Transport(Protocol):
    """Of asyncio's transports, what a line needs."""

    def close(self) -> None:
        """What was sent still arrives; then the connection ends."""

    def abort(self) -> None:
        """The connection ends now."""


class Line:
    """The line to one client, for one reply."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._transport: Transport | None = scope.get("state", {}).get(TRANSPORT)
        self._receive = receive
        self._send = send
        self._watch: asyncio.Task[None] | None = None
        self.has_begun = False

    async def sends(self, message: Message) -> bool:
        """Send, and say whether the client was still there to take it."""
        self.has_begun = True
        try:
            await self._send(message)
        except OSError:
            return False
        return True

    async def holds(self, seconds: float = 0) -> bool:
        """Whether the client is still there after so many seconds. Other requests are served meanwhile, also at 0.

        Only after the request's body has been read: nobody else may be receiving.
        """
        return not (await asyncio.wait({self._watching()}, timeout=seconds))[0]

    async def breaks(self) -> None:
        """Close the connection behind what was sent. Raises ConnectionAbortedError where only the server can."""
        if self._transport is None:
            raise ConnectionAbortedError("the fake breaks off this connection, as it was told to")
        self._transport.close()
        await asyncio.wait({self._watching()})

    async def aborts(self) -> bool:
        """Close the connection at once, if that can be done from here."""
        if self._transport is not None:
            self._transport.abort()
            await asyncio.wait({self._watching()})
        return self._transport is not None

    def ends(self) -> None:
        """Watch the client no longer."""
        if self._watch is not None:
            self._watch.cancel()

    def _watching(self) -> asyncio.Task[None]:
        """Ends when the client goes away."""
        if self._watch is None:
            self._watch = asyncio.create_task(_until_gone(self._receive))
        return self._watch


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def deliver(reply: Reply, line: Line) -> None:
    """Send a reply when and as it says. Its chunks are released, also when the client goes away first.

    Raises ConnectionAbortedError, see above.
    """
    try:
        if not reply.delay or await line.holds(reply.delay):
            await (line.breaks() if reply.hang_up else _answer(reply, line))
    finally:
        line.ends()
        release(reply.chunks)


async def _answer(reply: Reply, line: Line) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers_of(reply)]
    await line.sends({"type": "http.response.start", "status": reply.status, "headers": headers})
    if reply.chunks is None:
        await line.sends({"type": "http.response.body", "body": reply.body})
    else:
        await _stream(reply.chunks, line)


async def _stream(chunks: Iterator[Chunk], line: Line) -> None:
    for chunk in chunks:
        if not await _goes_on(chunk, line):
            return
    await line.sends({"type": "http.response.body", "body": b""})


async def _goes_on(chunk: Chunk, line: Line) -> bool:
    match chunk:
        case Cut():
            await line.breaks()
            return False
        case Pause(seconds):
            return await line.holds(seconds)
        case _:
            message: Message = {"type": "http.response.body", "body": chunk, "more_body": True}
            return await line.sends(message) and await line.holds()
