"""The control API over real HTTP: for programs, not for web pages."""

import http.client
import json
import socket
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_assistants import FakeAssistants, Request
from fake_assistants.adapters.control_access import refusal
from fake_assistants.dispatch.control import CONTROLS

CALLS = [(method, path) for path in CONTROLS for method in CONTROLS[path]]
EVIL = [
    "evil.com",
    "evil.com:{port}",
    "localhost.evil.com",
    "127.0.0.1.nip.io:{port}",
    "[2001:db8::1]:{port}",
    "0.0.0.0",
]
OURS = ["127.0.0.1", "127.0.0.1:{port}", "localhost:{port}", "LocalHost.:1", "[::1]:{port}", "[::1]", "127.1.2.3:9"]


def ask(server: Any, method: str, path: str, *headers: tuple[str, str], body: bytes = b"") -> tuple[int, Any]:
    """One request with these headers and no others."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.putrequest(method, path, skip_host=True)
    for name, value in (*headers, ("Content-Length", str(len(body)))):
        connection.putheader(name, value)
    connection.endheaders(body)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, json.loads(content)


@pytest.fixture(scope="module")
def server() -> Any:
    fake = FakeAssistants()
    fake.load({"threads": [{"id": "thread_kept"}]})
    with fake.serve() as server:
        yield server


@given(st.sampled_from(["null", "https://evil.com", "http://127.0.0.1:8000", ""]), st.sampled_from([*EVIL, *OURS]))
def test_no_page_is_answered_whatever_its_host(origin: str, host: str) -> None:
    """Each control call is refused with an Origin; the API itself is not a matter of it."""
    for method, path in CALLS:
        refused = refusal(Request(method, path, headers={"Origin": origin, "Host": host}), ["127.0.0.1"])
        assert refused is not None
        assert refused.status == 403
    assert refusal(Request("GET", "/v1/threads", headers={"Origin": origin, "Host": host}), []) is None


@pytest.mark.parametrize(("method", "path"), [*CALLS, ("OPTIONS", "/_fake/state"), ("GET", "/_fake/none")])
def test_a_page_can_neither_read_nor_change_the_fake(server: Any, method: str, path: str) -> None:
    """Whatever it asks for, its preflight included, the words say what to do."""
    for headers in ([("Host", "127.0.0.1"), ("Origin", "https://evil.com")], [("Host", "evil.com")]):
        status, answer = ask(server, method, path, *headers, body=b"{}")
        assert status == 403
        assert answer["error"]["code"] in ("origin_not_allowed", "host_not_allowed")
    _, state = ask(server, "GET", "/_fake/state", ("Host", "localhost"))
    assert [thread["id"] for thread in state["threads"]] == ["thread_kept"]


@pytest.mark.parametrize("host", EVIL)
def test_a_name_that_was_pointed_here_is_refused(server: Any, host: str) -> None:
    """DNS rebinding: without an Origin, under the attacker's own name. The API is still answered."""
    header = ("Host", host.format(port=server.port))
    status, answer = ask(server, "GET", "/_fake/state", header)
    assert status == 403
    assert "localhost or 127.0.0.1" in answer["error"]["message"]
    assert "--host NAME" in answer["error"]["message"]
    beta = (("Authorization", "Bearer k"), ("OpenAI-Beta", "assistants=v2"))
    assert ask(server, "GET", "/v1/threads/thread_kept", header, *beta)[0] == 200


@pytest.mark.parametrize("host", OURS)
def test_this_machine_is_answered_under_all_its_names(server: Any, host: str) -> None:
    """With any port, as a tunnel has another; in any case; with a dot at the end."""
    assert ask(server, "GET", "/_fake/health", ("Host", host.format(port=server.port)))[0] == 200


def test_two_host_headers_are_not_ours() -> None:
    """Neither counts, where a server lets both through."""
    request = Request("GET", "/_fake/state", headers=[("Host", "127.0.0.1"), ("Host", "evil.com")])
    assert refusal(request, ["127.0.0.1"]) is not None


def test_a_request_without_a_host_is_answered(server: Any) -> None:
    """HTTP/1.0: no browser sends that."""
    with socket.create_connection((server.host, server.port)) as line:
        line.sendall(b"GET /_fake/health HTTP/1.0\r\n\r\n")
        assert b"200 OK" in line.makefile("rb").read()


@pytest.mark.parametrize(
    ("bound", "host"), [("localhost", "localhost"), ("0.0.0.0", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")]
)
def test_the_address_that_was_bound_is_answered(bound: str, host: str) -> None:
    """By the name that was given, and by the address of the connection."""
    with FakeAssistants().serve(host=bound) as server:
        assert ask(server, "GET", "/_fake/health", ("Host", f"{host}:{server.port}"))[0] == 200
        assert ask(server, "GET", "/_fake/health", ("Host", f"evil.com:{server.port}"))[0] == 403


def test_an_ipv6_server_is_answered_by_its_address() -> None:
    """In brackets, exploded too."""
    with FakeAssistants().serve(host="::1") as server:
        for host in ("[::1]", f"[0:0:0:0:0:0:0:1]:{server.port}", "localhost"):
            assert ask(server, "GET", "/_fake/health", ("Host", host))[0] == 200
        assert ask(server, "GET", "/_fake/health", ("Host", "[::2]"))[0] == 403


@given(st.text(max_size=20), st.lists(st.sampled_from(["127.0.0.1", "fake.test", "::1"])))
def test_any_host_is_allowed_or_refused(host: str, own: list[str]) -> None:
    """Nothing is raised."""
    refused = refusal(Request("GET", "/_fake/state", headers={"Host": host}), own)
    assert refused is None or refused.status == 403


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(EVIL))
def test_in_process_nothing_is_checked(fake: FakeAssistants, host: str) -> None:
    """No page is there; a mounted fake is asked under whatever host its clients use."""
    headers = {"Host": host, "Origin": "https://evil.com"}
    assert fake.handle(Request("GET", "/_fake/health", headers=headers)).status == 200
    with httpx.Client(transport=fake.transport()) as client:
        assert client.get("https://any.test/_fake/health").status_code == 200


@pytest.mark.anyio
async def test_another_server_is_named_by_what_it_says() -> None:
    """Below `asgi()` the address of the server is the scope's."""
    transport = httpx.ASGITransport(FakeAssistants().asgi())
    async with httpx.AsyncClient(transport=transport, base_url="http://fake.test") as client:
        assert (await client.get("/_fake/health")).status_code == 200
        assert (await client.get("/_fake/health", headers={"Host": "evil.com"})).status_code == 403
