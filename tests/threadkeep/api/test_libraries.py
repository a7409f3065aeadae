"""Whichever HTTP library asks, the outcome is the same: the usual one, and aiohttp where its extra is installed."""

import asyncio
import contextlib
import ssl
import sys
import traceback
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import trustme

from canned import HTTP
from exporting import no_wait
from hostile import ANSWERS, OK, PAGE, THREAD, Answer, HostileServer, full, outcome
from sdkage import HAS_AIOHTTP
from threadkeep.api import connections, transport
from threadkeep.api.client import ApiClient, PacingOptions
from threadkeep.api.connections import http_client
from threadkeep.api.endpoints import ApiSource, Auth
from threadkeep.api.keys import Key
from threadkeep.api.transport import Transport, connect_all, wrap_client
from threadkeep.errors import ApiError

pytestmark = pytest.mark.anyio

LIBRARIES = [HTTP.__name__, *(["aiohttp"] if HAS_AIOHTTP else [])]
STRICTER = {"HTTP/3.0", "more than its length", "two equal lengths"}
"""Odd answers that aiohttp refuses and the usual library takes: after the first one, the usual library asks."""


@contextlib.asynccontextmanager
async def connected(library: str, address: str, auth: Auth | None = None) -> AsyncIterator[Transport]:
    """A transport over this library."""
    (api,) = connect_all(ApiSource(base_url=address, keys=(Key("sk-test"),), auth=auth))
    async with api:
        if library == "aiohttp":
            assert api.use_aiohttp(), "pip install -e '.[fast]'"
        assert api.library == library
        yield api


async def outcomes(library: str, answer: Answer, *, times: int = 2) -> tuple[list[tuple[object, ...]], int, str]:
    """What requests to a server come to, one after another; how many reached it; and what asked in the end."""
    server = HostileServer(answer)
    async with server.listening() as address, connected(library, address) as api:
        found = [await outcome(api) for _ in range(times)]
        return found, len(server.requests), api.library


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_odd_answer_means_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same body or the same error, after the same number of requests."""
    monkeypatch.setattr(transport, "_PAGE_BYTES", 1_000_000)
    usual, *others = [await outcomes(library, ANSWERS[name]) for library in LIBRARIES]
    for found, requests, library in others:
        assert (found[1], requests) == (usual[0][1], usual[1])
        assert found[0] == usual[0][0] or (name in STRICTER and library == HTTP.__name__)


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_odd_answer_means_the_same_in_pieces(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of any size is passed on as it comes. Where it breaks off, what was passed on counts for nothing.

    Only exports are sent over another library than the usual one, and they have no such answers.
    """
    library = LIBRARIES[0]
    monkeypatch.setattr(transport, "_PAGE_BYTES", 1_000_000)
    monkeypatch.setattr(transport, "_STREAM_BYTES", 1_000_000)

    async with HostileServer(ANSWERS[name]).listening() as address:
        async with connected(library, address) as api:
            found = await outcome(api, in_pieces=True)
        async with connected(library, address) as api:
            assert found == await outcome(api)


async def no_server() -> str:
    """Return an address that nobody listens at any more."""
    async with HostileServer(OK).listening() as address:
        return address


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("host", ["nobody listens", "no such host", "no TLS"])
async def test_a_server_that_cannot_be_reached(host: str, answered: bool) -> None:
    """The same error and the same message, but for what the library itself adds behind it."""
    found = []

    def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as plain:
        address = {
            "nobody listens": await no_server(),
            "no such host": "http://host.invalid/v1",
            "no TLS": f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}/v1",
        }[host]
        for library in LIBRARIES:
            async with connected(library, address) as api:
                api.answered = answered
                with pytest.raises(ApiError) as caught:
                    await api.get("/threads/thread_x/messages", {})
                words = str(api.finish(caught.value)).partition(": ")[0]
                found.append((words, *await outcome(api)))
    assert found == found[:1] * len(LIBRARIES)


async def test_a_certificate_that_is_not_trusted() -> None:
    """It is named with its remedy, whichever library looked at it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    address = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    for library in LIBRARIES:
        async with connected(library, address) as api:
            with pytest.raises(ApiError) as caught:
                await api.get("/threads/thread_x/messages", {})
        assert "is not trusted. If its authority is your own, name its certificates in SSL_CERT_FILE" in str(
            caught.value
        )
    server.close()


@pytest.mark.parametrize(
    ("answer", "scheme"),
    [
        ([b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"], "https"),
        ([b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n"], "https"),
        ([b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n"], "http"),
        ([None], "https"),
        ([None], "http"),
        (None, "https"),
        (None, "http"),
    ],
)
async def test_a_proxy(answer: Answer | None, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That refuses, that breaks off, and that nobody listens at: the same error and the same message."""
    found = []
    async with HostileServer(answer or OK).listening() as proxy:
        address = proxy if answer is not None else await no_server()
        monkeypatch.setenv(f"{scheme}_proxy", address.removesuffix("/v1"))
        for library in LIBRARIES:
            async with connected(library, f"{scheme}://api.invalid/v1") as api:
                with pytest.raises(ApiError) as caught:
                    await api.get("/threads/thread_x/messages", {})
                found.append((str(api.finish(caught.value)).partition(": ")[0], *await outcome(api)))
    assert found == found[:1] * len(LIBRARIES)


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_dropped_request_is_not_sent_again(library: str) -> None:
    """Not even on a connection that was open before: each retry is counted, and paced."""
    server = HostileServer(lambda number: OK if number == 1 else [None])
    async with server.listening() as address, connected(library, address) as api:
        assert await outcome(api) == (PAGE,)
        assert (await outcome(api))[0] == "RequestFailed"
    assert len(server.requests) == 2


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_redirected_request_has_no_body(library: str) -> None:
    """It goes on with the key to the same host, without it to another, and not at all with Azure's key."""
    foreign = HostileServer(OK)
    async with foreign.listening() as other:
        for target in ("/v1/else", f"{other.replace('127.0.0.1', 'localhost')}/else"):
            redirecting = HostileServer(full(b"", "307 Temporary Redirect", f"location: {target}"))
            async with redirecting.listening() as first, connected(library, first) as api:
                assert await outcome(api) == (PAGE,)
            last = (foreign.requests if "localhost" in target else redirecting.requests)[-1].lower()
            assert (b"authorization: bearer sk-test" in last) is (target == "/v1/else")
            assert b"transfer-encoding" not in last
        redirecting = HostileServer(full(b"", "307 Temporary Redirect", "location: /v1/else"))
        async with redirecting.listening() as first, connected(library, first, Auth.API_KEY) as api:
            assert (await outcome(api))[:2] == ("RequestFailed", 307)
        assert len(redirecting.requests) == 1


@pytest.mark.parametrize("library", LIBRARIES)
async def test_an_odd_id_is_asked_for_as_it_is_quoted(library: str) -> None:
    """No library normalizes the path behind our back."""
    server = HostileServer(OK)
    paths = ["/threads/a%2Fb", "/threads/%7Fa", "/threads/a%25b", "/threads/%E2%82%AC;x=1:@", "/threads/a..b"]
    async with server.listening() as address, connected(library, address) as api:
        for path in paths:
            await api.get(path, {"after": "a+b &c=%41é"})
    asked = [request.split(b" ")[1].decode() for request in server.requests]
    assert asked == [f"/v1{path}?after=a%2Bb+%26c%3D%2541%C3%A9" for path in paths]


async def test_without_the_extra_the_usual_library_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """And whoever brings a client has it used as it is."""
    async with HostileServer(OK).listening() as address:
        async with openai.AsyncOpenAI(base_url=address, api_key="sk-test") as client:
            assert not wrap_client(client).use_aiohttp()
        monkeypatch.setitem(sys.modules, "aiohttp", None)
        (api,) = connect_all(ApiSource(base_url=address, keys=(Key("sk-test"),)))
        async with api:
            assert (api.use_aiohttp(), api.library) == (False, HTTP.__name__)
            assert await outcome(api) == (PAGE,)


@pytest.mark.parametrize("proxy", ["https://127.0.0.1:1", "http://127.0.0.1:1"])
async def test_aiohttp_is_left_out_where_it_has_no_way(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that is spoken to over TLS."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    (api,) = connect_all(ApiSource(base_url="https://api.invalid/v1", keys=(Key("sk-test"),)))
    async with api:
        assert api.use_aiohttp() is (HAS_AIOHTTP and proxy.startswith("http:"))


async def test_large_answers_are_read_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are in flight, only one of them is held in memory behind the limit; all of them are read."""
    monkeypatch.setattr(connections, "_LARGE_BYTES", 10)
    large, most, count = set[int](), list[int](), 20

    async def pieces(number: int) -> AsyncIterator[bytes]:
        yield b"1234567890"
        yield b"1"  # what follows is only asked for in turn
        large.add(number)
        most.append(len(large))
        for _ in range(5):
            await asyncio.sleep(0)
        large.remove(number)

    def answer(request: Any) -> Any:
        return HTTP.Response(200, content=pieces(int(request.url.path[-2:])))

    client = openai.AsyncOpenAI(
        base_url="http://h/v1", api_key="sk-test", http_client=http_client(transport=HTTP.MockTransport(answer))
    )
    async with Transport(client) as api:
        bodies = await asyncio.gather(*(api.get(f"/threads/{number:02}", {}) for number in range(count)))
    assert (bodies, most) == ([b"12345678901"] * count, [1] * count)


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_password_in_the_address(library: str) -> None:
    """It is sent as basic authentication, and so it is after a redirect to the same host."""
    server = HostileServer(full(b"", "307 Temporary Redirect", "location: /v1/else"))
    async with (
        server.listening() as address,
        connected(library, address.replace("http://", "http://user:passw0rd@")) as api,
    ):
        assert await outcome(api) == (PAGE,)
    assert [b"authorization: basic dxnlcjpwyxnzdzbyza==" in request.lower() for request in server.requests] == [
        True
    ] * 2


ODD_ERRORS = [
    full(b'{"error":{"message":"no"}}', "500 Oops", f"content-type: application/json; charset={charset}")
    for charset in ("hex", "base64_codec", "rot13", "idna", "undefined")
]
ODD_REDIRECTS = [
    full(b"", "302 Found", f"location: http://{place}/")
    for place in ("127.0.0.1:99999", "127.0.0.1:-1", "u:p@127.0.0.1:1")
]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("answer", [*ODD_ERRORS, *ODD_REDIRECTS])
async def test_whatever_the_sdk_raises_is_an_error_of_ours(library: str, answer: Answer) -> None:
    """It concerns one request: no answer of a server ends a run by a surprise."""
    server = HostileServer(answer)
    async with server.listening() as address, connected(library, address) as api:
        assert (await outcome(api))[0] == "RequestFailed"


@pytest.mark.parametrize("library", LIBRARIES)
async def test_no_traceback_shows_the_key(library: str) -> None:
    """Not even that of the SDK's own error, which is behind ours."""
    body = b'{"error":{"message":"Incorrect API key provided: sk-test-of-many-letters"}}'
    async with HostileServer(full(body, "401 Unauthorized")).listening() as address:
        (transport_,) = connect_all(ApiSource(base_url=address, keys=(Key("sk-test-of-many-letters"),)))
        async with transport_ as api:
            assert library != "aiohttp" or api.use_aiohttp()
            client = ApiClient(api, PacingOptions(max_retries=0))
            with pytest.raises(ApiError) as caught:
                await client.fetch("/threads/thread_x")
    assert "of-many" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("unasked", [full(), full(THREAD, "404 Not Found")])
async def test_an_answer_that_nobody_asked_for_is_not_taken_for_another(library: str, unasked: Answer) -> None:
    """Two answers come to each request. No thread counts as empty or missing by the second one."""

    def answer(number: int) -> Answer:
        del number
        thread_id = server.requests[-1].split(b"/threads/")[1].split(b"/")[0]
        row = b'{"id":"msg_of_%s","thread_id":"%s"}' % (thread_id, thread_id)
        body = b'{"object":"list","data":[%s],"first_id":null,"last_id":null,"has_more":false}' % row
        return [*full(body), *unasked]

    server = HostileServer(answer)
    async with server.listening() as address, connected(library, address) as api:
        client = ApiClient(api, PacingOptions(sleep=no_wait))
        for name in ("thread_a", "thread_b", "thread_c", "thread_d"):
            pages = [one async for one in client.walk(f"/threads/{name}/messages", thread_id=name)]
            assert [row["id"] for one in pages for row in one.rows] == [f"msg_of_{name}"]
