"""How streams, waits and breaks go out over ASGI: under a server that knows nothing of them, and under ours."""

import http.client
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from importlib.util import find_spec
from itertools import repeat
from typing import Any

import anyio
import httpx
import pytest

from fake_assistants import Reply, Request
from fake_assistants.adapters.asgi import app
from fake_assistants.adapters.server import serving
from fake_assistants.adapters.server_address import Server
from fake_assistants.http.message import Chunk, Cut, Pause
from streaming import HandMade, Watched, streaming, until

LONG = Pause(10**6)
SCOPE = {"type": "http", "method": "GET", "path": "/x", "headers": []}


class Peer:
    """A server that knows only ASGI, with a client that goes away when it is told to."""

    def __init__(self, *, breaks_at: int = 99) -> None:
        self.sent: list[Any] = []
        self.asked_for = anyio.Event()
        self.is_gone = anyio.Event()
        self._breaks_at = breaks_at
        self._requests = iter([{"type": "http.request", "body": b""}, {"type": "http.request", "body": b""}])

    async def receive(self) -> dict[str, Any]:
        request = next(self._requests, None)
        if request is None:
            self.asked_for.set()
            await self.is_gone.wait()
        return request or {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if len(self.sent) == self._breaks_at:
            raise ConnectionResetError
        self.sent.append(message)

    async def gets(self, reply: Reply, latency_ms: int = 0) -> None:
        await app(HandMade(lambda: reply), latency_ms=latency_ms)(SCOPE, self.receive, self.send)

    @property
    def bodies(self) -> list[bytes]:
        return [message["body"] for message in self.sent[1:]]


@pytest.mark.anyio
async def test_elsewhere_a_cut_is_raised() -> None:
    """After the headers and all that came before it, without a length and without an end."""
    peer, stream = Peer(), Watched(b"one", b"two", Cut())
    with pytest.raises(ConnectionAbortedError, match="the fake breaks this connection"):
        await peer.gets(Reply(200, [("content-type", "text/event-stream")], chunks=stream))
    assert peer.sent[0]["headers"] == [(b"content-type", b"text/event-stream")]
    assert (peer.bodies, [message["more_body"] for message in peer.sent[1:]]) == ([b"one", b"two"], [True, True])
    assert stream.closed.is_set()


@pytest.mark.anyio
async def test_elsewhere_a_hang_up_is_raised_before_anything_is_sent() -> None:
    """The body goes nowhere."""
    peer, stream = Peer(), Watched(b"one")
    with pytest.raises(ConnectionAbortedError):
        await peer.gets(Reply(200, chunks=stream, hang_up=True))
    assert (peer.sent, stream.closed.is_set()) == ([], True)


@pytest.mark.anyio
@pytest.mark.parametrize("breaks_at", range(3))
async def test_a_client_that_cannot_be_reached_ends_the_stream(breaks_at: int) -> None:
    """As servers of a newer ASGI say it: OSError, which is not passed on."""
    peer, stream = Peer(breaks_at=breaks_at), Watched(b"one", b"two", LONG)
    await peer.gets(Reply(200, chunks=stream))
    assert (len(peer.sent), stream.closed.is_set()) == (breaks_at, True)


@pytest.mark.anyio
@pytest.mark.parametrize(("delay", "latency_ms", "messages"), [(LONG.seconds, 0, 0), (0, 10**9, 0), (0, 0, 2)], ids=str)
async def test_a_client_that_leaves_is_not_waited_for(delay: float, latency_ms: int, messages: int) -> None:
    """Before the answer has begun nothing is sent to it, in a pause nothing more."""
    peer, stream = Peer(), Watched(b"one", LONG, b"two")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.gets, Reply(200, chunks=stream, delay=delay), latency_ms)
        await peer.asked_for.wait()
        peer.is_gone.set()
    assert (len(peer.sent), stream.closed.is_set()) == (messages, True)


@pytest.mark.anyio
async def test_elsewhere_a_stream_that_is_cancelled_is_cancelled() -> None:
    """What has begun cannot be ended well from here; the server has to know."""
    peer, stream = Peer(), Watched(b"one", LONG)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.gets, Reply(200, chunks=stream))
            await peer.asked_for.wait()
            scope.cancel()
    assert scope.cancelled_caught
    assert (peer.bodies, stream.closed.is_set()) == ([b"one"], True)


@pytest.mark.anyio
async def test_what_is_cancelled_before_it_begins_says_that_the_fake_stops() -> None:
    """503 in the envelope, in place of an answer that was still to come."""
    peer, stream = Peer(), Watched(b"one")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(peer.gets, Reply(200, chunks=stream, delay=10**6))
        await peer.asked_for.wait()
        tasks.cancel_scope.cancel()
    assert (peer.sent[0]["status"], b"The fake is stopping." in peer.bodies[0]) == (503, True)
    assert stream.closed.is_set()


# --- our own server

_BOTH = ["h11"] + ["httptools"] * bool(find_spec("httptools"))


@pytest.fixture(params=_BOTH)
def _protocol(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of uvicorn's implementations of HTTP; h11 is always there."""
    room = import_module(f"uvicorn.protocols.http.{request.param}_impl")
    protocol = {"h11": "H11Protocol", "httptools": "HttpToolsProtocol"}[request.param]
    monkeypatch.setattr("fake_assistants.adapters.server.AutoHTTPProtocol", getattr(room, protocol))


both_protocols = pytest.mark.usefixtures("_protocol")


@contextmanager
def served(reply: Callable[[], Reply]) -> Iterator[Server]:
    with serving(app(HandMade(reply)), host="127.0.0.1", port=0) as server:
        yield server


@contextmanager
def connected(server: Server) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    yield connection
    connection.close()


def asked(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    connection.request("POST", "/x", b"{}")
    return connection.getresponse()


@both_protocols
def test_a_connection_is_kept_from_stream_to_stream(caplog: pytest.LogCaptureFixture) -> None:
    """Until one is cut; whoever asks again then has a new connection. Nothing is printed."""
    replies = iter([streaming(b"one", b"two"), streaming(b"three"), streaming(b"four", Cut()), streaming(b"five")])
    with served(lambda: next(replies)) as server, connected(server) as connection:
        assert asked(connection).read() == b"onetwo"
        port = connection.sock.getsockname()[1]
        assert asked(connection).read() == b"three"
        cut = asked(connection)
        assert connection.sock.getsockname()[1] == port
        with pytest.raises(http.client.IncompleteRead):
            cut.read()
        connection.close()
        assert asked(connection).read() == b"five"
    assert caplog.text == ""


@both_protocols
def test_a_hang_up_is_a_closed_connection(caplog: pytest.LogCaptureFixture) -> None:
    """Without any byte, at once or late, on a new connection or one that was kept. Nothing is printed."""
    replies = iter([Reply(200), Reply(200, hang_up=True), Reply(200, hang_up=True, delay=0.001)])
    with served(lambda: next(replies)) as server, connected(server) as connection:
        assert asked(connection).read() == b""
        for _ in range(2):
            with pytest.raises(http.client.RemoteDisconnected):
                asked(connection)
            connection.close()
    assert caplog.text == ""


@both_protocols
def test_what_stands_before_a_cut_arrives() -> None:
    """All of it, also at a client that is slow to read, and more than buffers hold."""
    much = b"x" * 20_000_000
    with served(lambda: streaming(much, Cut())) as server, connected(server) as connection:
        cut = asked(connection)
        assert cut.read(len(much)) == much
        with pytest.raises(http.client.IncompleteRead):
            cut.read()


ENDLESS: dict[str, Callable[[], Reply]] = {
    "paused": lambda: Reply(200, chunks=Watched(b"one", LONG)),
    "never read": lambda: Reply(200, chunks=repeat(b"x" * 100_000)),
    "cut, never read": lambda: streaming(b"x" * 20_000_000, Cut()),
    "never begun": lambda: Reply(200, delay=10**6),
    "large, never read": lambda: Reply(200, body=b"x" * 20_000_000),
}


@both_protocols
@pytest.mark.parametrize("reply", ENDLESS.values(), ids=ENDLESS)
def test_a_server_that_stops_cuts_what_is_open(reply: Callable[[], Reply], caplog: pytest.LogCaptureFixture) -> None:
    """It waits for nobody, and prints nothing."""
    speaker = HandMade(reply)
    with serving(app(speaker), host="127.0.0.1", port=0) as server:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
        connection.request("GET", "/x")
        assert speaker.was_asked.wait(60)
    connection.close()
    assert caplog.text == ""


@both_protocols
def test_others_are_served_while_a_stream_pauses() -> None:
    """Its pauses end when somebody else has asked."""
    speaker = HandMade()

    def chunks() -> Iterator[Chunk]:
        yield b"one"
        yield from until(lambda: len(speaker.asked) == 2)
        yield b"two"

    replies = iter([Reply(200, chunks=chunks()), Reply(200, body=b"between")])
    speaker.reply = lambda: next(replies)
    with serving(app(speaker), host="127.0.0.1", port=0) as server, connected(server) as connection:
        stream = asked(connection)
        assert stream.read(3) == b"one"
        assert httpx.get(server.url).content == b"between"
        assert stream.read() == b"two"


@both_protocols
def test_others_are_served_while_a_stream_never_pauses() -> None:
    """It is one of many, however fast it could go on."""
    speaker = HandMade()

    def chunks() -> Iterator[Chunk]:
        while len(speaker.asked) == 1:
            yield b""

    replies = iter([Reply(200, chunks=chunks()), Reply(200, body=b"between")])
    speaker.reply = lambda: next(replies)
    with serving(app(speaker), host="127.0.0.1", port=0) as server, connected(server) as connection:
        stream = asked(connection)
        assert httpx.get(server.url).content == b"between"
        assert stream.read() == b""


CROWD = 20


@asynccontextmanager
async def crowd_of(url: str) -> AsyncIterator[list[bytes]]:
    got: list[bytes] = []
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=CROWD)) as client:

        async def take() -> None:
            async with client.stream("GET", url) as response:
                got.append(await response.aread())

        async with anyio.create_task_group() as tasks:
            for _ in range(CROWD):
                tasks.start_soon(take)
        yield got


@pytest.mark.anyio
async def test_twenty_streams_at_once_all_end() -> None:
    """Each waits until all have begun, so one that is served behind another would never end."""
    begun: list[Request] = []

    def chunks() -> Iterator[Chunk]:
        begun.append(Request("GET", "/"))
        yield b"one"
        yield from until(lambda: len(begun) == CROWD)
        yield b"two"

    with served(lambda: Reply(200, chunks=chunks())) as server:
        async with crowd_of(server.url) as got:
            assert got == [b"onetwo"] * CROWD


# --- the command's server

SERVE = """
from itertools import repeat
from fake_assistants import Reply
from fake_assistants.http.message import Pause
from fake_assistants.adapters.asgi import app
from fake_assistants.adapters.serve_command import serve_until_signal

class Streams:
    def handle(self, request):
        more = repeat(b"x" * 100_000) if request.path == "/fast" else iter([b"one", Pause(3600)])
        return Reply(200, chunks=more)

serve_until_signal(app(Streams()), host="127.0.0.1", port=0)
"""


def test_a_signal_ends_open_streams() -> None:
    """They are cut: paused ones, and one that nobody reads. Exit code 0, and nothing on stderr."""
    with subprocess.Popen([sys.executable, "-c", SERVE], stdout=-1, stderr=-1, text=True) as running:
        assert running.stdout is not None
        port = int(running.stdout.readline().rpartition(":")[2].removesuffix("/v1\n"))
        open_ones = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(4)]
        replies = [begun(connection, "/slow" if at else "/fast") for at, connection in enumerate(open_ones)]
        running.terminate()
        _, errors = running.communicate(timeout=60)
    for reply in replies:
        with pytest.raises(http.client.IncompleteRead):
            reply.read()
    for connection in open_ones:
        connection.close()
    assert (running.returncode, errors) == (0, "")


def begun(connection: http.client.HTTPConnection, path: str) -> http.client.HTTPResponse:
    connection.request("GET", path)
    reply = connection.getresponse()
    assert reply.read(1) in (b"x", b"o")
    return reply
