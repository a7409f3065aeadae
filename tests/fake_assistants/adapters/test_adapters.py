"""Every adapter answers what the backend answers: one scenario, over each way of reaching the fake."""

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import anyio
import httpx
import httpx2
import openai
import pytest
import respx
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from fake_assistants import FakeAssistants, Request
from sdkage import HAS_AIOHTTP

HEADERS = {"Authorization": "Bearer sk-test", "OpenAI-Beta": "assistants=v2"}
Answer = tuple[int, dict[str, str], bytes]
Send = Callable[..., Answer]


def by_client(client: Any, base: str) -> Send:
    def send(method: str, target: str, body: bytes = b"") -> Answer:
        reply = client.request(method, f"{base}{target}", headers=HEADERS, content=body)
        return reply.status_code, dict(reply.headers), reply.content

    return send


@contextmanager
def core(fake: FakeAssistants) -> Iterator[Send]:
    def send(method: str, target: str, body: bytes = b"") -> Answer:
        reply = fake.handle(Request.of(method, target, HEADERS, body))
        return reply.status, dict(reply.headers), reply.body

    yield send


@contextmanager
def transport_of_httpx(fake: FakeAssistants) -> Iterator[Send]:
    with httpx.Client(transport=fake.transport()) as client:
        yield by_client(client, "http://anywhere")


@contextmanager
def transport_of_httpx2(fake: FakeAssistants) -> Iterator[Send]:
    with httpx2.Client(transport=fake.transport()) as client:
        yield by_client(client, "http://anywhere")


@contextmanager
def mount_under_httpx(fake: FakeAssistants) -> Iterator[Send]:
    with fake.mount(), httpx.Client() as client:
        yield by_client(client, "https://api.openai.com")


@contextmanager
def mount_under_httpx2(fake: FakeAssistants) -> Iterator[Send]:
    with fake.mount(), httpx2.Client() as client:
        yield by_client(client, "https://api.openai.com")


@contextmanager
def asgi(fake: FakeAssistants) -> Iterator[Send]:
    with TestClient(fake.asgi()) as client:
        yield by_client(client, "http://testserver")


@contextmanager
def server(fake: FakeAssistants) -> Iterator[Send]:
    with fake.serve() as served, httpx.Client() as client:
        yield by_client(client, served.url)


ADAPTERS = [
    core,
    transport_of_httpx,
    transport_of_httpx2,
    mount_under_httpx,
    mount_under_httpx2,
    asgi,
    server,
]


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.__name__)
def send(request: pytest.FixtureRequest, fake: FakeAssistants) -> Iterator[Send]:
    """A way to ask."""
    with request.param(fake) as way:
        yield way


def test_one_scenario_over_every_skin(fake: FakeAssistants, send: Send) -> None:
    """Create, list, page, delete, refuse, fall silent: status, headers and bytes as the core gives them."""
    status, headers, body = send("POST", "/v1/threads", b'{"metadata": {"\xc3\xa9": "\xf0\x9f\x8c\xae"}}')
    thread = json.loads(body)["id"]
    assert (status, headers["content-type"]) == (200, "application/json")
    assert headers["x-request-id"].startswith("req_")
    assert "é".encode() in body
    for text in ("one", "two", "three"):
        message = json.dumps({"role": "user", "content": text}).encode()
        assert send("POST", f"/v1/threads/{thread}/messages", message)[0] == 200
    page = json.loads(send("GET", f"/v1/threads/{thread}/messages?limit=2&order=asc")[2])
    assert [row["content"][0]["text"]["value"] for row in page["data"]] == ["one", "two"]
    assert page["has_more"] is True
    target = f"/v1/threads/{thread}/messages?limit=2&order=asc&after={page['last_id']}"
    rest = send("GET", target)[2]
    assert b"three" in rest
    assert rest == fake.handle(Request.of("GET", target, HEADERS)).body
    assert send("GET", "/v1/threads/a%2Fb%20%C3%A9")[0] == 400
    for odd in ("/v1/threads/thread_a%0Ab", "/v1/threads/thread_a%0D%0A", "/_fake/health%0Ax"):
        assert (send("GET", odd)[0], in_the_envelope(send("GET", odd))) == (404, True)
    assert send("PATCH", "/v1/threads")[0] == 405
    assert b"Invalid URL (GET /somewhere)" in send("GET", "/somewhere?x")[2]
    assert send("DELETE", f"/v1/threads/{thread}")[0] == 200
    fake.sunset.now(style="not-found")
    status, headers, body = send("GET", f"/v1/threads/{thread}")
    assert (status, body, headers.get("content-type")) == (404, b"", None)
    assert send("GET", "/_fake/health")[0] == 200
    assert [entry.path for entry in fake.requests][-2:] == [f"/v1/threads/{thread}", f"/v1/threads/{thread}"]


@pytest.mark.parametrize("adapter", ADAPTERS[1:], ids=lambda adapter: adapter.__name__)
def test_an_answer_to_head_has_no_body(fake: FakeAssistants, adapter: Any) -> None:
    """Only the length of one, as over HTTP."""
    with adapter(fake) as send:
        status, headers, body = send("HEAD", "/v1/threads")
    whole = fake.handle(Request.of("HEAD", "/v1/threads", HEADERS)).body
    assert (status, headers["content-length"], body) == (405, str(len(whole)), b"")


# --- targets that no HTTP client would send


@contextmanager
def asgi_by_hand(fake: FakeAssistants) -> Iterator[Send]:
    def send(method: str, target: str, body: bytes = b"") -> Answer:
        return anyio.run(by_scope, fake, method, target.encode("latin-1"), body)

    yield send


async def by_scope(fake: FakeAssistants, method: str, target: bytes, body: bytes = b"", **more: Any) -> Answer:
    """What a server hands to an app, and what it gets back."""
    sent: list[Any] = []
    path, _, query = target.partition(b"?")
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    scope = {"type": "http", "method": method, "raw_path": path, "query_string": query, "headers": headers}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        sent.append(message)

    await fake.asgi()({key: value for key, value in (scope | more).items() if value is not None}, receive, send)
    start, rest = sent
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, rest["body"]


@contextmanager
def server_by_hand(fake: FakeAssistants) -> Iterator[Send]:
    with fake.serve() as served:
        connection = http.client.HTTPConnection(served.host, served.port, timeout=60)

        def send(method: str, target: str, body: bytes = b"") -> Answer:
            connection.request(method, target, body, HEADERS)
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read()

        yield send
        connection.close()


def in_the_envelope(answer: Answer) -> bool:
    return list(json.loads(answer[2])) == ["error"]


@pytest.mark.parametrize("wire", [core, asgi_by_hand, server_by_hand], ids=lambda wire: wire.__name__)
def test_every_target_is_the_fakes_own(fake: FakeAssistants, wire: Any) -> None:
    """Absolute targets are the routes that they name; what is no path is a 404 in the envelope. All is noted."""
    fake.load({"threads": [{"id": "thread_a\nb"}]})
    with wire(fake) as send:
        assert send("GET", "http://h/v1/threads/thread_a%0Ab?x=1")[0] == 200
        assert send("GET", "http://127.0.0.1/_fake/health")[0] == 200
        for method, target in (("OPTIONS", "*"), ("CONNECT", "h:1"), ("GET", "http://h"), ("GET", "//v1//threads")):
            assert b"Invalid URL" in send(method, target)[2]
        fake.sunset.now()
        assert send("GET", "http://h/v1/threads/thread_a%0Ab")[0] == 410
    paths = [entry.path for entry in fake.requests]
    assert paths == ["/v1/threads/thread_a%0Ab", "*", "h:1", "/", "//v1//threads", "/v1/threads/thread_a%0Ab"]


@given(st.text(max_size=5), st.binary(max_size=30) | st.binary(max_size=20).map(b"/v1/threads/".__add__))
def test_the_app_says_what_the_core_says(method: str, target: bytes) -> None:
    """Whatever the method and the target."""
    status, _, body = anyio.run(by_scope, FakeAssistants(), method, target)
    reply = FakeAssistants().handle(Request.of(method, target.decode("latin-1"), HEADERS))
    assert (status, body) == (reply.status, reply.body)


def test_the_app_may_stand_below_a_prefix(fake: FakeAssistants) -> None:
    """The prefix is not part of the fake's path, however it is spelled; lifespan events are answered."""
    fake.load({"threads": [{"id": "thread_é"}]})
    with TestClient(Starlette(routes=[Mount("/sub é", app=fake.asgi())])) as client:
        assert client.get("/sub%20%C3%A9/_fake/health").json() == {"status": "ok"}
        assert client.get("/sub%20%C3%A9/v1/threads/thread_%C3%A9", headers=HEADERS).status_code == 200
    assert [entry.path for entry in fake.requests] == ["/v1/threads/thread_%C3%A9"]


@pytest.mark.anyio
async def test_a_server_may_leave_out_what_is_optional(fake: FakeAssistants) -> None:
    """`raw_path`, which is made from the decoded path, and the query."""
    fake.load({"threads": [{"id": "thread_a/é"}]})
    missing: dict[str, Any] = {"raw_path": None, "query_string": None}
    for path, status in (("/v1/threads/thread_x", 404), ("/_fake/health", 200), ("/v1/threads/\ud800", 400)):
        assert (await by_scope(fake, "GET", b"", **missing, path=path))[0] == status
    assert len(fake.requests) == 2


@pytest.mark.anyio
async def test_only_http_is_spoken(fake: FakeAssistants) -> None:
    """A WebSocket is closed before it opens; a scope that nobody knows is an error, as ASGI wants it."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await fake.asgi()({"type": "websocket", "path": "/v1/threads", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1000}]
    with pytest.raises(ValueError, match="carrier-pigeon"):
        await fake.asgi()({"type": "carrier-pigeon"}, receive, send)


def test_the_server_never_upgrades() -> None:
    """Whatever WebSocket library is installed."""
    from fake_assistants.adapters.server import _Uvicorn

    assert _Uvicorn(FakeAssistants().asgi(), "127.0.0.1").config.ws == "none"


@pytest.mark.anyio
@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
async def test_async_clients(fake: FakeAssistants, library: Any) -> None:
    """By transport, and mounted."""
    async with library.AsyncClient(transport=fake.async_transport()) as client:
        made = await client.post("http://anywhere/v1/threads", headers=HEADERS, json={})
    with fake.mount():
        async with library.AsyncClient() as client:
            got = await client.get(f"https://api.openai.com/v1/threads/{made.json()['id']}", headers=HEADERS)
    assert (made.status_code, got.status_code) == (200, 200)


# --- the mount


def test_nothing_leaves_the_machine_while_mounted(fake: FakeAssistants) -> None:
    """Every host is the fake's; what it does not know is a 404 and stands in the request log."""
    with fake.mount() as mounted:
        for library in (httpx, httpx2):
            reply = library.get("https://example.invalid/other")
            assert reply.json()["error"]["message"] == "Invalid URL (GET /other)"
    assert mounted is fake
    assert [entry.path for entry in fake.requests] == ["/other", "/other"]


@pytest.mark.anyio
async def test_the_sdks_client_over_aiohttp_is_mounted(fake: FakeAssistants) -> None:
    """It answers and streams as the usual one does, and goes out again afterwards."""
    if not HAS_AIOHTTP:  # the SDK has no such client
        return
    options: Any = {"base_url": "https://api.invalid/v1", "api_key": "sk-test", "max_retries": 0}
    async with openai.AsyncOpenAI(http_client=openai.DefaultAioHttpClient(), **options) as client:
        with fake.mount():
            assert [one async for one in client.files.list()] == []
            thread = await client.post("/threads", cast_to=object, options={"headers": HEADERS})
            assert isinstance(thread, dict)
            assert thread["object"] == "thread"
        with pytest.raises(openai.APIConnectionError):
            await client.files.list()


def test_after_the_mount_requests_go_out_again(fake: FakeAssistants) -> None:
    """To a real server here; also after an error inside."""
    with fake.serve() as served:
        with pytest.raises(ZeroDivisionError), FakeAssistants().mount():
            raise ZeroDivisionError
        assert httpx.get(f"{served.url}/_fake/health").json() == {"status": "ok"}
        assert httpx2.get(f"{served.url}/gone").status_code == 404
    assert [entry.path for entry in fake.requests] == ["/gone"]


def test_of_two_mounts_the_newer_answers() -> None:
    """And when it ends, the older does; in whichever order they end."""
    one, two = FakeAssistants(), FakeAssistants()
    with one.mount():
        with two.mount():
            httpx.get("http://a/inner")
        httpx.get("http://a/outer")
    first, second = ExitStack(), ExitStack()
    first.enter_context(one.mount())
    second.enter_context(two.mount())
    first.close()
    httpx.get("http://a/late")
    second.close()
    assert [entry.path for entry in one.requests] == ["/outer"]
    assert [entry.path for entry in two.requests] == ["/inner", "/late"]


def test_one_fake_may_be_mounted_twice() -> None:
    """Each mount has its own place in the order, whoever it is of."""
    one, two = FakeAssistants(), FakeAssistants()
    with one.mount(), two.mount():
        with one.mount():
            httpx.get("http://a/one")
        httpx.get("http://a/two")
    assert [[entry.path for entry in fake.requests] for fake in (one, two)] == [["/one"], ["/two"]]


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
def test_the_mount_wins_over_an_outer_router(fake: FakeAssistants, library: Any) -> None:
    """Nothing reaches the router or the machine behind it; after the mount the router is back."""
    with respx.mock(assert_all_called=False) as router:
        route = router.get("http://127.0.0.1:9/x").respond(418)
        router.route().pass_through()
        with fake.mount():
            assert library.get("http://127.0.0.1:9/y").status_code == 404
            assert library.get("http://127.0.0.1:9/x").status_code == 404
        assert not route.called
        assert httpx.get("http://127.0.0.1:9/x").status_code == 418
    assert [entry.path for entry in fake.requests] == ["/y", "/x"]


@pytest.mark.anyio
async def test_the_mount_wins_over_an_outer_router_for_async_clients(fake: FakeAssistants) -> None:
    """The same, awaited."""
    with respx.mock(assert_all_called=False) as router:
        router.route().respond(418)
        async with httpx.AsyncClient() as client:
            with fake.mount():
                assert (await client.get("http://127.0.0.1:9/y")).status_code == 404
            assert (await client.get("http://127.0.0.1:9/y")).status_code == 418


def test_an_inner_router_answers_first(fake: FakeAssistants) -> None:
    """What it passes through comes to the fake, not to the network; a mount inside it wins again."""
    inner = FakeAssistants()
    with fake.mount(), respx.mock(assert_all_called=False) as router:
        router.get("http://127.0.0.1:9/x").respond(418)
        router.route().pass_through()
        assert httpx.get("http://127.0.0.1:9/x").status_code == 418
        assert httpx.get("http://127.0.0.1:9/y").status_code == 404
        with inner.mount():
            assert httpx.get("http://127.0.0.1:9/x").status_code == 404
    assert [[entry.path for entry in one.requests] for one in (fake, inner)] == [["/y"], ["/x"]]


async def got(url: str) -> int:
    """The status that an async client gets."""
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).status_code


def test_a_router_that_outlives_the_mount_leaves_nothing_behind(fake: FakeAssistants) -> None:
    """What it puts back at its end lets requests out again."""
    with fake.serve() as served:
        mount, router = ExitStack(), respx.mock(assert_all_called=False)
        mount.enter_context(FakeAssistants().mount())
        router.start()
        mount.close()
        router.stop()
        assert httpx.get(f"{served.url}/a").status_code == 404
        assert anyio.run(got, f"{served.url}/b") == 404
    assert [entry.path for entry in fake.requests] == ["/a", "/b"]


def test_without_respx_the_mount_says_what_to_install() -> None:
    """The extra, by name."""
    code = (
        "import sys; sys.modules['respx'] = None\n"
        "from fake_assistants import FakeAssistants\n"
        "try:\n    FakeAssistants().mount()\nexcept ImportError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'fake-assistants[respx]'" in run.stdout


def test_without_httpx2_the_mount_patches_httpx() -> None:
    """httpcore2 is patched where it is installed, and not missed where it is not."""
    code = (
        "import sys; sys.modules['httpx2'] = sys.modules['httpcore2'] = None\n"
        "import httpx\nfrom fake_assistants import FakeAssistants\n"
        "with FakeAssistants().mount():\n    print(httpx.get('http://a/x').status_code)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "404\n"


# --- the server


def test_the_server_is_real(fake: FakeAssistants) -> None:
    """A free port, an address for clients, a connection that is kept, and a clean end."""
    with fake.serve() as served:
        assert served.base_url == f"http://127.0.0.1:{served.port}/v1"
        connection = http.client.HTTPConnection(served.host, served.port)
        for _ in range(2):
            connection.request("GET", "/_fake/health")
            reply = connection.getresponse()
            assert (reply.status, reply.read()) == (200, b'{\n  "status": "ok"\n}')
        connection.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((served.host, served.port))


def test_a_request_that_is_half_sent_is_cut_off_at_the_end() -> None:
    """With a 503 in the envelope; nothing is printed, nothing is noted, and nobody waits for it."""
    code = (
        "import socket\nfrom fake_assistants import FakeAssistants\nfake = FakeAssistants()\n"
        "with fake.serve() as served:\n"
        "    half = socket.create_connection((served.host, served.port))\n"
        "    half.sendall(b'POST /v1/threads HTTP/1.1\\r\\nHost: x\\r\\n"
        "Expect: 100-continue\\r\\nContent-Length: 9\\r\\n\\r\\n')\n"
        "    half.recv(12)\n"
        "print(half.makefile('rb').read().decode(), len(fake.requests))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "HTTP/1.1 503" in run.stdout
    assert "The fake is stopping." in run.stdout
    assert run.stdout.endswith(" 0\n")
    assert run.stderr == ""


def test_the_server_speaks_ipv6(fake: FakeAssistants) -> None:
    """With brackets in its address."""
    with fake.serve(host="::1") as served:
        assert served.base_url.startswith("http://[::1]:")
        assert httpx.get(f"{served.url}/_fake/health").status_code == 200


def test_a_port_in_use_is_an_oserror(fake: FakeAssistants) -> None:
    """At once, in the caller's thread."""
    with fake.serve() as served, pytest.raises(OSError, match="in use"), fake.serve(port=served.port):
        raise AssertionError("two servers on one port")


def test_a_body_beyond_the_limit_is_refused(fake: FakeAssistants) -> None:
    """413, in the envelope; at the limit it is taken."""
    client = TestClient(fake.asgi(max_body=10, latency_ms=1))
    refused = client.put("/_fake/clock", content=b'{"now":1234}')
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")
    assert client.put("/_fake/clock", content=b'{"now":12}').status_code == 200


@pytest.mark.anyio
async def test_a_client_that_hangs_up_is_let_go(fake: FakeAssistants) -> None:
    """No answer, no exception, no entry."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/threads", "headers": []}
    await fake.asgi()(scope | {"raw_path": b"/v1/threads", "query_string": b""}, receive, send)
    assert len(fake.requests) == 0
