"""What a server sends has bounds: in bytes, decoded, and in time."""

import asyncio
import gzip
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from canned import HTTP, async_client
from threadkeep.api import connections, transport
from threadkeep.api.endpoints import ApiSource
from threadkeep.api.keys import Key
from threadkeep.api.transport import Transport, connect_all
from threadkeep.errors import ApiError, BadPage, RequestFailed

pytestmark = pytest.mark.anyio

MOST = 1_000_000


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[str]:
    """A server that gives one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


async def asked(address: str) -> bytes:
    """The body of a page there."""
    (api,) = connect_all(ApiSource(base_url=address, keys=(Key("sk-test"),)))
    async with api:
        return await api.get("/threads/thread_x/messages", {})


@pytest.mark.parametrize("status", [200, 404, 500])
@pytest.mark.parametrize("packed", [False, True])
async def test_no_more_bytes_of_an_answer_are_taken(status: int, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the body is on its way, and whether it is a success or an error."""
    monkeypatch.setattr(transport, "_PAGE_BYTES", MOST)
    monkeypatch.setattr(connections, "_ERROR_BYTES", MOST)
    body, headers = b" " * (MOST + 1), {"content_encoding": "gzip"} if packed else {}
    refused = pytest.raises(BadPage, match=f"the answer has more than {MOST:,} bytes")
    with answering(status, gzip.compress(body) if packed else body, **headers) as address, refused:
        await asked(address)
    body = b" " * (MOST - 2) + b"{}"
    with answering(200, gzip.compress(body) if packed else body, **headers) as address:
        assert await asked(address) == body


@pytest.mark.parametrize(("size", "taken"), [(None, True), (0, True), (1_000_000, True), (10, False)])
async def test_not_much_more_of_a_file_is_taken_than_its_object_says(size: int | None, taken: bool) -> None:
    """Where that says anything."""
    content = b"x" * 100_000

    async def received(pieces: AsyncIterator[bytes]) -> int:
        return sum([len(piece) async for piece in pieces])

    with answering(200, content) as address:
        (api,) = connect_all(ApiSource(base_url=address, keys=(Key("sk-test"),)))
        async with api:
            if taken:
                assert await api.download("file-1", received, size) == len(content)
                return
            with pytest.raises(ApiError, match="the answer has more than 65,547 bytes"):
                await api.download("file-1", received, size)


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("answered", [False, True])
async def test_an_answer_without_an_end_is_given_up(
    begun: bool, answered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though every byte of it comes in time. One that has answered before is not absent."""
    monkeypatch.setattr(transport, "_deadline", lambda *_arguments: 0.05)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0)

    async def answer(_request: Any) -> Any:
        if not begun:
            await asyncio.Event().wait()
        return HTTP.Response(200, content=endless())

    api = Transport(async_client(answer))
    api.answered = answered
    with pytest.raises(RequestFailed, match="it came too slowly, or without an end") as caught:
        await api.get("/threads/thread_x/messages", {})
    assert (caught.value.may_retry, caught.value.unreachable) == (True, not answered)


@pytest.mark.parametrize(
    ("timeout", "most", "seconds"),
    [(60.0, 1, 120), (None, 1, None), (HTTP.Timeout(5.0, read=7.0), 1, 14), (60.0, 512 * 1024 * 1024, 5489)],
)
def test_the_time_for_an_answer(timeout: Any, most: int, seconds: float | None) -> None:
    """Twice the time between two bytes; a file of hundreds of megabytes has an hour and a half."""
    assert transport._deadline(timeout, most) == pytest.approx(seconds, abs=1)
