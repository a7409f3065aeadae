"""Pass requests on to a real server, and record what it answers."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from fake_assistants.adapters.asgi import MAX_BODY, as_request, error_reply, read_body
from fake_assistants.adapters.asgi_delivery import ClientConnection, deliver
from fake_assistants.errors.requests import too_large
from fake_assistants.http.error_envelope import ErrorBody
from fake_assistants.http.message import Request
from fake_assistants.simulation.profiles import PROFILES, profile_of
from fake_assistants.store.recording import Recording

try:  # openai 3 uses httpx2, openai 1 and 2 use httpx
    import httpx2 as httpx
except ImportError:
    try:
        import httpx  # type: ignore[no-redef]
    except ImportError:
        raise ImportError("record needs httpx2 or httpx: pip install 'fake-assistants[record]'") from None

# Seconds for a connection, and between two pieces of an answer: the limits of the official SDKs.
_TIMEOUT = httpx.Timeout(600, connect=30)

# Headers of a connection, not of a message (RFC 9110, 7.6.1). The client and the server here set their own.
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"}
    | {"transfer-encoding", "upgrade"}
)
_NOT_SENT = _HOP_BY_HOP | {"host", "content-length", "accept-encoding", "expect"}
_NOT_RETURNED = _HOP_BY_HOP | {"content-length", "content-encoding", "date", "server"}


class RecordProxy:
    """An ASGI app that passes each request on to `upstream`, and its answer back as it arrives.

    A client's path is the path at the upstream. Nothing is added to a request, and no redirect is followed.
    """

    def __init__(self, upstream: str, recording: Recording, *, max_body: int = MAX_BODY) -> None:
        parts = urlsplit(upstream)
        self._origin = httpx.URL(f"{parts.scheme}://{parts.netloc}")
        known = profile_of(parts.netloc)
        self._profiles = [known] if known else [*PROFILES.values()]
        self._recording = recording
        self._max_body = max_body
        self._lock = Lock()
        self._client: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:  # the server here accepts no websockets
            with suppress(ClientDisconnect):
                await self._pass_on(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        """Open the client in the server's event loop, and close it there."""
        await receive()
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=()))
        async with httpx.AsyncClient(timeout=_TIMEOUT, cookies=no_cookies) as self._client:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = ClientConnection(scope, receive, send)
        body = await read_body(receive, self._max_body)
        if body is None:
            await deliver(error_reply(too_large(self._max_body)), connection)
            return
        request = as_request(scope, body)
        try:
            async with self._forward(scope, request) as answer:
                await self._return(request, answer, connection)
        except httpx.HTTPError as error:
            if connection.has_begun:
                await connection.abort()
            else:
                with self._lock:
                    self._recording.unused["no answer"] += 1
                await deliver(error_reply(self._unreachable(error)), connection)
        except asyncio.CancelledError:  # the server stops
            await connection.abort()

    @asynccontextmanager
    async def _forward(self, scope: Scope, request: Request) -> AsyncIterator[Any]:
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        headers = [(name, value) for name, value in request.headers.items() if name not in _NOT_SENT]
        headers.append(("accept-encoding", "identity"))
        url = self._origin.copy_with(raw_path=target)
        content = request.body or None
        async with self._client.stream(request.method, url, headers=headers, content=content) as answer:
            yield answer

    async def _return(self, request: Request, answer: Any, connection: ClientConnection) -> None:
        """Send the answer on, piece by piece, and record it. Of a stream that breaks, record what arrived."""
        body, is_complete = bytearray(), False
        try:
            await connection.send(
                {"type": "http.response.start", "status": answer.status_code, "headers": _returned(answer)}
            )
            async for piece in answer.aiter_bytes():
                body += piece
                await connection.send({"type": "http.response.body", "body": piece, "more_body": True})
            is_complete = True
            await connection.send({"type": "http.response.body", "body": b""})
        finally:
            with self._lock:
                content_type = answer.headers.get("content-type", "")
                if is_complete or content_type.startswith("text/event-stream"):
                    self._recording.see(
                        request,
                        answer.status_code,
                        content_type,
                        bytes(body),
                        is_oldest_first=self._is_oldest_first(request.path),
                    )
                else:
                    self._recording.unused["cut off"] += 1

    def _is_oldest_first(self, path: str) -> bool:
        """Whether a list begins with the oldest by default: the conversations of the new Foundry, and their items."""
        place = next((found for found in (one.place(path) for one in self._profiles) if found.route), None)
        return place is not None and place.base.is_new_foundry and place.route.startswith("/v1/conversations")

    def _unreachable(self, error: Exception) -> ErrorBody:
        words = f"The upstream {self._origin} did not answer: {type(error).__name__}: {error}"
        return ErrorBody(502, words, type="server_error")

    def save(self, path: Path) -> None:
        """Write the recorded state, atomically, readable by this user only. Raises OSError."""
        with self._lock:
            state = self._recording.state()
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(state)
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise


def _returned(answer: Any) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in answer.headers.raw if name.lower().decode() not in _NOT_RETURNED]
