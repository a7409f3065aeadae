"""A server that gives any bytes as its answer, and what a transport makes of them."""

import asyncio
import contextlib
import gzip
import zlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeAlias

from threadkeep.api.transport import Transport
from threadkeep.errors import ApiError

__all__ = ["ANSWERS", "OK", "PAGE", "THREAD", "Answer", "HostileServer", "full", "outcome"]

Answer: TypeAlias = Sequence[bytes | None]
"""What is sent for a request: bytes, one piece after another; None closes the connection."""

PAGE = b'{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}'
THREAD = b'{"error":{"message":"No thread found with id \'thread_x\'.","type":"invalid_request_error","code":null}}'


def head(status: str = "200 OK", *lines: str, length: int | None = None) -> bytes:
    """The head of an answer."""
    lines = (*lines, f"content-length: {length}") if length is not None else lines
    return "\r\n".join([f"HTTP/1.1 {status}", "content-type: application/json", *lines, "", ""]).encode("latin-1")


def full(body: bytes = PAGE, status: str = "200 OK", *lines: str) -> Answer:
    """A complete answer."""
    return [head(status, *lines, length=len(body)) + body]


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n", lines: Sequence[str] = ()) -> Answer:
    """An answer in chunks."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return [head("200 OK", "transfer-encoding: chunked", *lines) + body + end]


OK = full()
_RAW = zlib.compress(PAGE)[2:-4]

ANSWERS: Mapping[str, Answer] = {
    "a page": OK,
    "nothing": [None],
    "half a status line": [b"HTTP/1.1 20", None],
    "no status line": [b"220 mail.example ESMTP\r\n", None],
    "a body without a head": [PAGE, None],
    "no end of the head": [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n", None],
    "the end of the connection ends it": [head() + PAGE, None],
    "HTTP/1.0": [b"HTTP/1.0 200 OK\r\n\r\n" + PAGE, None],
    "HTTP/3.0": [b"HTTP/3.0 200 OK\r\ncontent-length: 75\r\n\r\n" + PAGE, None],
    "cut short": [head(length=200) + PAGE, None],
    "more than its length": [head(length=len(PAGE)) + PAGE + b"more", None],
    "two equal lengths": full(PAGE, "200 OK", f"content-length: {len(PAGE)}"),
    "two lengths": [head("200 OK", "content-length: 5", length=len(PAGE)) + PAGE, None],
    "a negative length": [head("200 OK", "content-length: -5") + PAGE, None],
    "a length in words": [head("200 OK", "content-length: many") + PAGE, None],
    "chunks": chunked(PAGE[:10], PAGE[10:]),
    "chunks with a trailer": chunked(PAGE, end=b"0\r\nx-checksum: 1\r\n\r\n"),
    "chunks cut short": [*chunked(PAGE[:10], end=b"40\r\n"), None],
    "chunks without an end": [*chunked(PAGE, end=b""), None],
    "a chunk without a size": [head("200 OK", "transfer-encoding: chunked") + b"size\r\n" + PAGE, None],
    "packed": full(gzip.compress(PAGE), "200 OK", "content-encoding: gzip"),
    "packed, in capitals": full(gzip.compress(PAGE), "200 OK", "Content-Encoding: GZIP"),
    "packed, cut short": full(gzip.compress(PAGE)[:-20], "200 OK", "content-encoding: gzip"),
    "packed, and not": full(PAGE, "200 OK", "content-encoding: gzip"),
    "packed twice": full(gzip.compress(gzip.compress(PAGE)), "200 OK", "content-encoding: gzip, gzip"),
    "deflated": full(zlib.compress(PAGE), "200 OK", "content-encoding: deflate"),
    "deflated, raw": full(_RAW, "200 OK", "content-encoding: deflate"),
    "brotli": full(PAGE, "200 OK", "content-encoding: br"),
    "an unknown encoding": full(PAGE, "200 OK", "content-encoding: pigeon"),
    "identity": full(PAGE, "200 OK", "content-encoding: identity"),
    "hints before it": [b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + OK[0]],  # type: ignore[operator]
    "continue before it": [b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + OK[0]],  # type: ignore[operator]
    "another protocol": [b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", None],
    "no content": [head("204 No Content")],
    "reset content": full(b"", "205 Reset Content"),
    "a part of it": full(PAGE, "206 Partial Content", "content-range: bytes 0-74/75"),
    "as it was": [head("304 Not Modified")],
    "a redirect": full(b"", "302 Found", "location: /v1/else"),
    "a kept redirect": full(b"", "307 Temporary Redirect", "location: /v1/else"),
    "a redirect for ever": full(b"", "308 Permanent Redirect", "location: /v1/threads/thread_x/messages"),
    "a redirect nowhere": full(b"", "302 Found"),
    "a redirect to no host": full(b"", "302 Found", "location: http://"),
    "a redirect to another protocol": full(b"", "302 Found", "location: ftp://127.0.0.1/x"),
    "a redirect that is no address": full(b"", "302 Found", "location: http://[::1/"),
    "a choice": full(b"[]", "300 Multiple Choices"),
    "a long header": full(PAGE, "200 OK", "x-policy: " + "x" * 20_000),
    "a header without an end": [head("200 OK", "x-policy: " + "x" * 400_000)[:-4], None],
    "many headers": full(PAGE, "200 OK", *(f"x-header-{number}: x" for number in range(90))),
    "a header without a colon": full(PAGE, "200 OK", "x header"),
    "a header in another alphabet": full(PAGE, "200 OK", "x-name: J\xfcrgen"),
    "a header with a NUL": full(PAGE, "200 OK", "x-name: a\0b"),
    "a folded header": full(PAGE, "200 OK", "x-name: a\r\n b"),
    "a header without a name": full(PAGE, "200 OK", ": value"),
    "a cookie": full(PAGE, "200 OK", "set-cookie: a=b; Path=/; Expires=never", "set-cookie: \xff"),
    "no reason": full(PAGE, "200 "),
    "no reason, no blank": full(PAGE, "200"),
    "a status in words": full(PAGE, "OK"),
    "a status of two digits": full(PAGE, "20 OK"),
    "a status beyond all": full(PAGE, "999 Beyond"),
    "a missing thread": full(THREAD, "404 Not Found"),
    "an empty 404": full(b"", "404 Not Found"),
    "a 404 cut short": [head("404 Not Found", length=500) + THREAD, None],
    "gone": full(b'{"error":{"message":"gone"}}', "410 Gone"),
    "no access": full(b'{"error":{"message":"no key"}}', "401 Unauthorized"),
    "a rate limit": full(b"slow down", "429 Too Many Requests", "retry-after: 7"),
    "a busy server": full(b"<html>", "503 Service Unavailable"),
    "the proxy's password": full(b"", "407 Proxy Authentication Required"),
    "a timeout of the server": full(b"", "408 Request Timeout"),
    "blank": full(b""),
    "no UTF-8": full(b"\xff\xfe\x00"),
    "too large": full(b" " * 2_000_000),
    "too large, packed": full(gzip.compress(b" " * 2_000_000), "200 OK", "content-encoding: gzip"),
    "too large an error": full(b" " * 2_000_000, "500 Oops"),
}
"""Whole answers, each by what is odd about it."""


class HostileServer:
    """Gives one answer to every request, and counts the requests.

    Attributes:
        requests: the heads of those that came, and what came with them.
    """

    def __init__(self, answer: Answer | Callable[[int], Answer]) -> None:
        self._answer = answer
        self.requests: list[bytes] = []

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen on a free port of loopback; yields the base URL."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                self.requests.append(request)
                if b" /v1/else " in request:
                    pieces = OK
                else:
                    pieces = self._answer(len(self.requests)) if callable(self._answer) else self._answer
                for piece in pieces:
                    if piece is None:
                        return
                    writer.write(piece)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def outcome(
    api: Transport, path: str = "/threads/thread_x/messages", *, in_pieces: bool = False
) -> tuple[object, ...]:
    """What a request comes to: its body, or the error and what decides about what follows from it."""

    async def joined(pieces: AsyncIterator[bytes]) -> bytes:
        return b"".join([piece async for piece in pieces])

    try:
        if in_pieces:
            return (await api.stream(path, joined),)
        return (await api.get(path, {"limit": 100, "order": "asc"}),)
    except ApiError as problem:
        return type(problem).__name__, problem.status, problem.may_retry, getattr(problem, "unreachable", None)
