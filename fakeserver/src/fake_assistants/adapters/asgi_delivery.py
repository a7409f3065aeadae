"""Send a reply over ASGI: delayed, in chunks, broken off, or not at all.

ASGI has no way to break a connection. The server of this package gives its transport to the app (see `server`), so
a cut closes the connection without the end of the body, and a hang-up closes it without any byte; nothing is printed.
Under any other server both raise ConnectionAbortedError: after the headers servers treat that as a broken connection;
before them, most answer with a bare 500.
"""

import asyncio
from collections.abc import Iterator
from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

from fake_assistants.adapters.httpx_transport import headers_of
from fake_assistants.adapters.streams import release
from fake_assistants.http.message import Chunk, Cut, Pause, Reply

# Keys of the scope's state: the server puts its transport there, and the host that it was started with.
TRANSPORT = "fake_assistants.transport"
BOUND_HOST = "fake_assistants.bound_host"


class Transport(Protocol):
    """The methods of an asyncio transport that are used."""

    def close(self) -> None:
        """Close the connection after everything was sent."""

    def abort(self) -> None:
        """Close the connection at once."""


class ClientConnection:
    """The connection to one client, during one reply."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._transport: Transport | None = scope.get("state", {}).get(TRANSPORT)
        self._receive = receive
        self._send = send
        self._watch: asyncio.Task[None] | None = None
        self.has_begun = False

    async def send(self, message: Message) -> bool:
        """Send a message. Return whether the client was still connected."""
        self.has_begun = True
        try:
            await self._send(message)
        except OSError:
            return False
        return True

    async def is_connected_after(self, seconds: float = 0) -> bool:
        """Return whether the client is still connected after this many seconds.

        Other requests are served meanwhile, also with 0 seconds. Call it only after the request's body was read, since
        it receives messages.
        """
        return not (await asyncio.wait({self._disconnection()}, timeout=seconds))[0]

    async def close(self) -> None:
        """Close the connection after what was sent. Raises ConnectionAbortedError if only the server can do so."""
        if self._transport is None:
            raise ConnectionAbortedError("the fake breaks this connection: a fault or a script asks for it")
        self._transport.close()
        await asyncio.wait({self._disconnection()})

    async def abort(self) -> bool:
        """Close the connection at once, and return True; return False if only the server can do so."""
        if self._transport is not None:
            self._transport.abort()
            await asyncio.wait({self._disconnection()})
        return self._transport is not None

    def stop_watching(self) -> None:
        """Stop watching the client."""
        if self._watch is not None:
            self._watch.cancel()

    def _disconnection(self) -> asyncio.Task[None]:
        """Return a task that ends when the client disconnects."""
        if self._watch is None:
            self._watch = asyncio.create_task(_until_disconnected(self._receive))
        return self._watch


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def deliver(reply: Reply, connection: ClientConnection) -> None:
    """Send a reply with its delay and breaks. The chunks are released, also if the client disconnects first.

    Raises ConnectionAbortedError, see above.
    """
    try:
        if not reply.delay or await connection.is_connected_after(reply.delay):
            await (connection.close() if reply.hang_up else _answer(reply, connection))
    finally:
        connection.stop_watching()
        release(reply.chunks)


async def _answer(reply: Reply, connection: ClientConnection) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers_of(reply)]
    await connection.send({"type": "http.response.start", "status": reply.status, "headers": headers})
    if reply.chunks is None:
        await connection.send({"type": "http.response.body", "body": reply.body})
    else:
        await _stream(reply.chunks, connection)


async def _stream(chunks: Iterator[Chunk], connection: ClientConnection) -> None:
    for chunk in chunks:
        if not await _send_chunk(chunk, connection):
            return
    await connection.send({"type": "http.response.body", "body": b""})


async def _send_chunk(chunk: Chunk, connection: ClientConnection) -> bool:
    match chunk:
        case Cut():
            await connection.close()
            return False
        case Pause(seconds):
            return await connection.is_connected_after(seconds)
        case _:
            message: Message = {"type": "http.response.body", "body": chunk, "more_body": True}
            return await connection.send(message) and await connection.is_connected_after()
