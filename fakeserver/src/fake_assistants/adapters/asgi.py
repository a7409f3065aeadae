"""The ASGI app: it passes every request to one handler, whatever its path."""

import asyncio
from urllib.parse import quote, unquote

import attrs
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from fake_assistants.adapters.asgi_delivery import BOUND_HOST, ClientConnection, deliver
from fake_assistants.adapters.control_access import refusal
from fake_assistants.adapters.streams import Handler
from fake_assistants.errors.requests import stopping, too_large
from fake_assistants.http.error_envelope import ErrorBody
from fake_assistants.http.message import Reply, Request

MAX_BODY = 512 * 1024 * 1024  # bytes: the documented limit of an uploaded file


class AsgiApp:
    """Answers every path and method from a handler. `latency` is in seconds, `max_body` in bytes."""

    def __init__(self, handler: Handler, *, latency: float, max_body: int) -> None:
        self._handler = handler
        self._latency = latency
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scopes = {"http": self._http, "lifespan": _lifespan, "websocket": _no_websocket}
        if scope["type"] not in scopes:
            raise ValueError(f"not an ASGI scope that the fake supports: {scope['type']!r}")
        await scopes[scope["type"]](scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = ClientConnection(scope, receive, send)
        try:
            await deliver(await self._reply(scope, receive), connection)
        except ClientDisconnect:
            return
        except asyncio.CancelledError:
            if not await _answer_shutdown(connection):
                raise

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        body = await read_body(receive, self._max_body)
        reply = error_reply(too_large(self._max_body)) if body is None else self._answer(scope, body)
        return attrs.evolve(reply, delay=reply.delay + self._latency) if self._latency else reply

    def _answer(self, scope: Scope, body: bytes) -> Reply:
        request = as_request(scope, body)
        refused = refusal(request, _own_hosts(scope))
        return self._handler.handle(request) if refused is None else error_reply(refused)


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """Return the complete body, or None when it has more bytes than `limit`. Raises ClientDisconnect."""
    chunks, size, has_more = list[bytes](), 0, True
    while has_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        size, has_more = size + len(chunks[-1]), message.get("more_body", False)
        if size > limit:
            return None
    return b"".join(chunks)


def app(handler: Handler, *, latency_ms: int = 0, max_body: int | None = None) -> AsgiApp:
    """Return an app that answers from `handler`."""
    return AsgiApp(handler, latency=latency_ms / 1000, max_body=MAX_BODY if max_body is None else max_body)


async def _lifespan(_: Scope, receive: Receive, send: Send) -> None:
    """Confirm startup and shutdown. Neither does anything."""
    for event in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{event}.complete"})


async def _no_websocket(_: Scope, receive: Receive, send: Send) -> None:
    """Close a websocket before it opens, which servers answer with 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1000})


async def _answer_shutdown(connection: ClientConnection) -> bool:
    """Answer a request of a server that shuts down. Return False if only the exception can end it."""
    if connection.has_begun:
        return await connection.abort()
    await deliver(error_reply(stopping()), connection)
    return True


def error_reply(problem: ErrorBody) -> Reply:
    """Return an error of the adapter itself, without the API's headers."""
    return Reply(problem.status, (("content-type", "application/json"),), problem.body())


def _own_hosts(scope: Scope) -> list[str]:
    """Return the address at which a request arrived, and the host that the server was started with."""
    address, bound = scope.get("server"), scope.get("state", {}).get(BOUND_HOST)
    return [host for host in (address and address[0], bound) if host]


def as_request(scope: Scope, body: bytes) -> Request:
    """Return the request of a scope."""
    target = f"{_path(scope)}?{scope.get('query_string', b'').decode('latin-1')}"
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return Request.of(scope["method"], target, headers, body)


def _path(scope: Scope) -> str:
    """Return the path as on the wire, without the prefix at which the app is mounted."""
    raw: bytes | None = scope.get("raw_path")  # optional in ASGI
    path = quote(scope["path"], errors="replace") if raw is None else raw.decode("latin-1")
    root: str = scope.get("root_path", "")
    parts, depth = path.split("/"), root.count("/") + 1
    is_below = root and unquote("/".join(parts[:depth])) == root
    return "/" + "/".join(parts[depth:]) if is_below else path
