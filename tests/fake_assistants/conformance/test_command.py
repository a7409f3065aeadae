"""`python -m fake_assistants.conformance`, against servers good and bad."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import attrs
import pytest

from fake_assistants import FakeAssistants, Reply, Request
from fake_assistants.adapters.asgi import app
from fake_assistants.adapters.server import serving
from fake_assistants.adapters.server_address import Server
from fake_assistants.conformance import CASES, Unreachable
from fake_assistants.conformance.command import main
from fake_assistants.conformance.http_client import HttpPort, pause
from fake_assistants.http.message import Cut
from ports import kept_port


class Forgetful:
    """A fake that drops the metadata of threads."""

    def __init__(self) -> None:
        self._fake = FakeAssistants()

    def handle(self, request: Request) -> Reply:
        """The fake's answer, emptied."""
        reply = self._fake.handle(request)
        return attrs.evolve(reply, body=reply.body.replace(b'"metadata": {\n    "b": "2"\n  }', b'"metadata": {}'))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with FakeAssistants(api_keys=["sk-right"]).serve() as served:
        yield served


@pytest.fixture(scope="module")
def bad_server() -> Iterator[Server]:
    with serving(app(Forgetful()), host="127.0.0.1", port=0) as served:
        yield served


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Run the command: exit code, stdout, stderr."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    return run


Call = Callable[..., tuple[int, str, str]]


def test_a_line_for_each_case_and_totals(call: Call, server: Server) -> None:
    """Exit code 0 when all holds."""
    code, out, err = call("--base-url", server.base_url, "--api-key", "sk-right", "--only", "threads", "errors/no-key")
    *lines, blank, totals = out.splitlines()
    assert (code, err, blank) == (0, "", "")
    assert lines[0] == "ok              threads/create  (recorded)"
    assert lines[-1] == "ok              errors/no-key  (quoted)"
    assert totals == f"{server.base_url}: 9 cases: 9 ok, 0 deviates, 0 not applicable"


def test_a_deviation_is_told_with_what_was_wanted_and_what_came(call: Call, bad_server: Server) -> None:
    """Exit code 1."""
    code, out, _ = call("--base-url", f"{bad_server.base_url}/", "--only", "threads/modify,threads/create")
    lines = out.splitlines()
    assert code == 1
    assert lines[:2] == ["ok              threads/create  (recorded)", "deviates        threads/modify  (recorded)"]
    assert "POST /v1/threads/thread_" in lines[2]
    assert lines[2].endswith(': expected {"b": "2"} at $.metadata, got {}')
    assert lines[3].strip().startswith("the promise: Modify returns the short form again")
    assert lines[-1].endswith("2 cases: 1 ok, 1 deviates, 0 not applicable")


def test_what_does_not_apply_says_why(call: Call, bad_server: Server) -> None:
    """And is no deviation."""
    code, out, _ = call("--base-url", bad_server.base_url, "--only", "sunset/gone", "--no-control")
    assert (code, out.splitlines()[0]) == (0, "not applicable  sunset/gone  (inferred)")
    assert out.splitlines()[1].strip() == "needs the fake's control API under /_fake/"


def test_json_for_machines(call: Call, bad_server: Server) -> None:
    """One object with totals and results; without the control API its cases do not apply."""
    code, out, _ = call("--base-url", bad_server.base_url, "--json", "--no-control", "sunset/gone", "threads/modify")
    told = json.loads(out)
    assert (code, list(told)) == (1, ["base_url", "totals", "results"])
    assert told["totals"] == {"ok": 0, "deviates": 1, "not applicable": 1}
    modify, gone = told["results"]
    assert (modify["area"], modify["name"], modify["outcome"]) == ("threads", "modify", "deviates")
    assert gone == {
        "area": "sunset",
        "name": "gone",
        "evidence": "inferred",
        "outcome": "not applicable",
        "detail": "needs the fake's control API under /_fake/",
    }


def test_the_list_asks_nobody(call: Call) -> None:
    """Every case with its evidence and its promise; as JSON too."""
    code, out, _ = call("--list")
    assert (code, out.count("\n")) == (0, len(CASES))
    assert "threads/create" in out
    assert "The default order is newest first." in out
    code, out, _ = call("--list", "--json", "--only", "paging/default-*")
    assert [case["name"] for case in json.loads(out)["cases"]] == ["default-limit", "default-order"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give --base-url"),
        (["--base-url", "127.0.0.1:8000/v1"], "not of the form http://"),
        (["--base-url", "http:///v1"], "not of the form http://"),
        (["--base-url", "http://127.0.0.1:1/v1?api-version=v1"], "not of the form http://"),
        (["--base-url", "http://me:secret@127.0.0.1:1/v1"], "not of the form http://"),
        (["--base-url", "http://[::1/v1"], "not of the form http://"),
        (["--base-url", "http://127.0.0.1:99999/v1"], "not of the form http://"),
        (["--base-url", "http://127.0.0.1/v\u00e4"], "not of the form http://"),
        (["--base-url", "http://127.0.0.1:1/v1", "--only", "nothing"], "no case 'nothing'; the areas are wire"),
        (["--list", "--only", "threads/nothing"], "no case 'threads/nothing'"),
        (["--colour"], "--colour"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(call: Call, arguments: list[str], words: str) -> None:
    """On stderr; nothing is asked."""
    code, out, err = call(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_no_server_is_exit_code_3(call: Call, server: Server) -> None:
    """Nobody there, no TLS there, a wrong address, a wrong key."""
    with kept_port() as port:
        tell(call, f"http://127.0.0.1:{port}/v1", "refused")
    for url, words in (
        (f"https://127.0.0.1:{server.port}/v1", "POST /v1/threads: "),
        (f"{server.url}/v2", "does not serve the Assistants API: POST /v2/threads: expected a thread, got 404"),
        (server.base_url, "the server refuses the key"),
    ):
        tell(call, url, words)


def tell(call: Call, url: str, words: str) -> None:
    """One line that says why, with the address, and exit code 3."""
    code, out, err = call("--base-url", url)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert words in err
    assert f": {url}: " in err


def test_an_interrupt_is_130(call: Call, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a traceback."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fake_assistants.conformance.command.run", interrupted)
    assert call("--base-url", server.base_url)[0] == 130


def test_address_and_key_come_from_the_environment_too(server: Server) -> None:
    """As the SDK reads them; as a real process."""
    command = [sys.executable, "-m", "fake_assistants.conformance", "--only", "wire"]
    wanted = {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-right"}
    run = subprocess.run(command, capture_output=True, text=True, env=environment() | wanted, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")
    assert "7 cases: 7 ok" in run.stdout


def environment() -> dict[str, str]:
    import os

    return dict(os.environ)


# --- the port


@contextmanager
def by_hand(answer: bytes) -> Iterator[HttpPort]:
    """A server that sends these bytes to everybody and hangs up."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(answer)
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Nothing is printed."""

    with HTTPServer(("127.0.0.1", 0), Handler) as served:
        thread = Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield HttpPort(f"http://127.0.0.1:{served.server_port}", timeout=60)
        finally:
            served.shutdown()
            thread.join()


HEAD = b"HTTP/1.1 200 OK\r\n"
STREAM = HEAD + b"Content-Type: text/event-stream; charset=utf-8\r\n"


def test_the_port_gives_status_headers_and_bytes() -> None:
    """As they came, header names in lower case."""
    with by_hand(HEAD + b"X-Odd: \xe9\r\nX-Odd: b\r\nContent-Length: 3\r\n\r\na\x00b") as port:
        reply = port.send(Request.of("GET", "/x?include[]=a%20b&after="))
    assert reply == Reply(200, (("x-odd", "é"), ("x-odd", "b"), ("content-length", "3")), b"a\x00b")


@pytest.mark.parametrize(
    ("answer", "came"),
    [
        (STREAM + b"\r\nab", [b"ab"]),
        (STREAM + b"Content-Length: 2\r\n\r\nab", [b"ab"]),
        (STREAM + b"Content-Length: 3\r\n\r\nab", [b"ab", Cut()]),
        (STREAM + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", [b"ab"]),
        (STREAM + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", [b"ab", Cut()]),
    ],
)
def test_a_stream_comes_in_chunks_and_a_break_is_a_cut(answer: bytes, came: list[object]) -> None:
    """With a length, without one, and in chunks."""
    with by_hand(answer) as port:
        chunks = port.send(Request("GET", "/")).chunks
        assert chunks is not None
        assert list(chunks) == came


@pytest.mark.parametrize("answer", [b"", b"220 mail\r\n", HEAD + b"Content-Length: 9\r\n\r\nshort"])
def test_what_is_no_answer_is_unreachable(answer: bytes) -> None:
    """Silence, another protocol, a body that is cut off; with the request that got it."""
    with by_hand(answer) as port, pytest.raises(Unreachable, match="GET /x: ") as caught:
        port.send(Request("GET", "/x"))
    assert str(caught.value).isprintable()


def test_what_cannot_be_sent_is_unreachable_too() -> None:
    """A header with a line end, a path beyond ASCII."""
    port = HttpPort("http://127.0.0.1:9/v1")
    for request in (Request("GET", "/", (), {"x": "a\nb"}), Request("GET", "/é")):
        with pytest.raises(Unreachable):
            port.send(request)


def test_a_pause_passes() -> None:
    """It is made once and taken many times."""
    assert pause(0)() is None
