"""The ASGI app: one catch-all over the core."""

import asyncio
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from fake_assistants.exchange import Reply, Request
from fake_assistants.refusals import too_large
from fake_assistants.skins.speaker import Speaker
from fake_assistants.skins.transport import headers_of

AsgiApp: TypeAlias = Starlette

MAX_BODY = 512 * 1024 * 1024  # bytes: the documented limit of an uploaded file


def app(speaker: Speaker, *, latency_ms: int = 0, max_body: int | None = None) -> AsgiApp:
    """An app that answers every path and method from `speaker`."""
    door = _Door(speaker, latency_ms / 1000, MAX_BODY if max_body is None else max_body)
    return Starlette(routes=[Mount("/", app=door)])


class _Door:
    """One request in, one reply out."""

    def __init__(self, speaker: Speaker, latency: float, max_body: int) -> None:
        self._speaker = speaker
        self._latency = latency
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self._body(HttpRequest(scope, receive))
        except ClientDisconnect:
            return
        if body is None:
            problem = too_large(self._max_body)
            reply = Reply(problem.status, (("content-type", "application/json"),), problem.body())
        else:
            reply = self._speaker.handle(_request(scope, body))
        if self._latency:
            await asyncio.sleep(self._latency)
        await _send(reply, send)

    async def _body(self, request: HttpRequest) -> bytes | None:
        """The whole body, or None when it is larger than it may be."""
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > self._max_body:
                return None
            chunks.append(chunk)
        return b"".join(chunks)


def _request(scope: Scope, body: bytes) -> Request:
    target = scope["raw_path"] + b"?" + scope["query_string"]
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return Request.of(scope["method"], target.decode("latin-1"), headers, body)


async def _send(reply: Reply, send: Send) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers_of(reply)]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
