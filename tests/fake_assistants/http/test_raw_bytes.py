"""Raw bytes over a real socket: whatever a client sends, the server answers the next one."""

import socket
from urllib.request import Request, urlopen

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_assistants import FakeAssistants

PIECES = [
    *(b"GET /v1/threads/thread_1 HTTP/1.1\r\n", b"POST /v1/threads HTTP/1.1\r\n", b"PUT /_fake/state HTTP/1.1\r\n"),
    *(
        b"GET /v1/%ff%00 HTTP/1.1\r\n",
        b"GET " + b"/a" * 3_000 + b" HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"GET / HTTP/9.9\r\n",
    ),
    *(
        b"Host: x\r\n",
        b"Authorization: Bearer k\r\n",
        b"OpenAI-Beta: assistants=v2\r\n",
        b"X: \xff\xfe\r\n",
        b"X:" * 50,
    ),
    *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 99999999999999999999\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"5\r\n{}   \r\n0\r\n\r\n", b"fffffffffffffffff\r\n", b"zz\r\n"),
    *(b"Expect: 100-continue\r\n", b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"Connection: close\r\n"),
    *(b"\r\n", b"\r\n\r\n", b"{}", b"[" * 5_000, b"\x00" * 20),
]
requests = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=20)), min_size=1, max_size=8).map(b"".join)


def sent(port: int, raw: bytes) -> bytes:
    """What comes back, until the server is done with a client that says no more."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
        try:
            peer.sendall(raw)
            peer.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: peer.recv(65_536), b""))
        except (ConnectionResetError, BrokenPipeError):
            return b""


def test_raw_bytes_never_end_the_server(capfd: pytest.CaptureFixture[str]) -> None:
    """Each is answered without a traceback and without a 500, or not at all; nothing is written to stderr."""
    with FakeAssistants().serve() as server:
        port = int(server.url.rpartition(":")[2])

        @settings(max_examples=200, suppress_health_check=list(HealthCheck))
        @given(requests)
        def anything(raw: bytes) -> None:
            told = sent(port, raw)
            assert b"Traceback" not in told
            assert b"HTTP/1.1 5" not in told

        anything()
        good = Request(f"{server.url}/v1/threads", b"{}", {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"})
        with urlopen(good, timeout=20) as answer:
            assert answer.status == 200
    assert capfd.readouterr().err == ""
