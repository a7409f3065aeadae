"""Every skin says what the core says: one scenario, over each way of reaching the fake."""

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import httpx2
import pytest
from starlette.testclient import TestClient

from fake_assistants import FakeAssistants, Request

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


SKINS = [
    core,
    transport_of_httpx,
    transport_of_httpx2,
    mount_under_httpx,
    mount_under_httpx2,
    asgi,
    server,
]


@pytest.fixture(params=SKINS, ids=lambda skin: skin.__name__)
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
    assert send("PATCH", "/v1/threads")[0] == 405
    assert b"Invalid URL (GET /somewhere)" in send("GET", "/somewhere?x")[2]
    assert send("DELETE", f"/v1/threads/{thread}")[0] == 200
    fake.sunset.now(style="not-found")
    status, headers, body = send("GET", f"/v1/threads/{thread}")
    assert (status, body, headers.get("content-type")) == (404, b"", None)
    assert send("GET", "/_fake/health")[0] == 200
    assert [entry.path for entry in fake.requests][-2:] == [f"/v1/threads/{thread}", f"/v1/threads/{thread}"]


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
    """Every host is the fake's; what it does not know is a 404 and stands in the ledger."""
    with fake.mount() as mounted:
        for library in (httpx, httpx2):
            reply = library.get("https://example.invalid/other")
            assert reply.json()["error"]["message"] == "Invalid URL (GET /other)"
    assert mounted is fake
    assert [entry.path for entry in fake.requests] == ["/other", "/other"]


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
