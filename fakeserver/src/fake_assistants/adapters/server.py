"""Run a real HTTP server on a thread: uvicorn, on a socket that is bound first."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import BuiltinImporter
from importlib.util import module_from_spec
from ipaddress import ip_address
from threading import Event, Thread
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from fake_assistants.adapters.asgi_delivery import BOUND_HOST, TRANSPORT
from fake_assistants.adapters.server_address import Server

# Seconds that open answers get at shutdown; idle connections are closed at once.
_GRACE = 1

# Limits in seconds: until the server accepts connections, and until its thread ends.
_STARTS_WITHIN = 10
_ENDS_WITHIN = 5


def _real_monotonic() -> Callable[[], float]:
    """Return the machine's clock, even if a test has replaced `time.monotonic`.

    Tools that freeze time replace the functions of the module `time`, which stops all timers of asyncio. They do not
    reach a second copy of the module.
    """
    spec = BuiltinImporter.find_spec("time")
    assert spec is not None  # `time` is built into the interpreter
    clock: Callable[[], float] = module_from_spec(spec).monotonic
    return clock


class _Breakable(asyncio.Protocol):
    """A mixin for uvicorn's HTTP protocols that gives the app the transport, to close it, and the bound host."""

    bound_host: str
    app_state: dict[str, Any]  # uvicorn puts it into each request's scope, as its state

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, TRANSPORT: transport, BOUND_HOST: self.bound_host}


class _Uvicorn(uvicorn.Server):
    """uvicorn with an event when it accepts connections, and with an event loop whose clock cannot be frozen."""

    def __init__(self, app: ASGIApp, host: str) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=type("BreakableProtocol", (_Breakable, AutoHTTPProtocol), {"bound_host": host}),
                ws="none",
                lifespan="on",
                access_log=False,
                log_config=None,
                log_level="error",  # malformed requests of clients are not printed
                server_header=False,
                proxy_headers=False,  # the client's address is not used
                timeout_graceful_shutdown=_GRACE,
            )
        )
        self.settled = Event()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit`."""
        try:
            with asyncio.Runner(loop_factory=_new_loop) as runner:
                runner.run(self.serve(sockets))
        finally:
            self.settled.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.settled.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the requests that are still open: those waiting for a body or a latency, and streams.

        A client that does not read its answer is disconnected after half of the grace period: at its end uvicorn would
        log an error.
        """
        for request in self.server_state.tasks:
            request.cancel()
        asyncio.get_running_loop().call_later(_GRACE / 2, self._abandon)
        await super().shutdown(sockets)

    def _abandon(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def _new_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.SelectorEventLoop()
    loop.time = _real_monotonic()  # type: ignore[method-assign]
    return loop


@contextmanager
def serving(
    app: ASGIApp, *, host: str, port: int, shutdown_seconds: float = _ENDS_WITHIN, base_path: str = "/v1"
) -> Iterator[Server]:
    """Serve while the context lasts. Raises OSError when the address cannot be bound.

    `shutdown_seconds` is how long to wait for open requests at the end.
    """
    listener = _listen(host, port)
    server = _Uvicorn(app, host)
    thread = Thread(target=server.run, args=([listener],), name="fake-assistants", daemon=True)
    thread.start()
    if not server.settled.wait(_STARTS_WITHIN) or not server.started:
        listener.close()
        raise RuntimeError("the server of the fake did not start; the reason is in the traceback of its thread")
    try:
        address, bound_to = listener.getsockname()[:2]
        yield Server(host, bound_to, base_path, ip_address(address).is_loopback)
    finally:
        server.should_exit = True
        thread.join(shutdown_seconds)


def _listen(host: str, port: int) -> socket.socket:
    """Return a bound and listening socket, so that no connection is refused while the server starts."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener
