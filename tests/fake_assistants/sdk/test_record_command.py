"""`fake-assistants record`: the official client walks a server through it, and walks the recording the same."""

import gzip
import json
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import openai
import pytest
from openai import OpenAI

from fake_assistants import FakeAssistants, Reply, Request, demo_world
from fake_assistants.adapters.asgi import app
from fake_assistants.adapters.record_proxy import RecordProxy
from fake_assistants.adapters.server import serving
from fake_assistants.cli import main
from fake_assistants.http.message import Chunk, Cut, Pause
from fake_assistants.store.recording import Recording

pytestmark = [
    pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:deprecated$:DeprecationWarning"),  # the assistants' methods
]

KEY = "sk-a-key-that-is-never-written"


class Answers:
    """A server that gives one answer to everything."""

    def __init__(self, answer: Callable[[Request], Reply]) -> None:
        self._answer = answer

    def handle(self, request: Request) -> Reply:
        return self._answer(request)


@contextmanager
def recording(upstream: str, out: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the command; gives the process, and the base URL for clients."""
    command = [sys.executable, "-m", "fake_assistants", "record", "--upstream", upstream, "--port", "0"]
    with subprocess.Popen(
        [*command, "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        try:
            line = running.stdout.readline()
            assert line.startswith("listening on http://127.0.0.1:"), line
            assert running.stdout.readline() == f"recording {upstream}\n"
            yield running, line.removeprefix("listening on ").rstrip()
        finally:
            running.terminate()


def ended(running: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> tuple[int, str, str]:
    running.send_signal(number)
    out, errors = running.communicate(timeout=60)
    return running.returncode, out, errors


def walk(client: OpenAI, threads: list[str]) -> Any:
    """Everything that a migration reads."""
    beta = client.beta
    runs = {thread: list(beta.threads.runs.list(thread)) for thread in threads}
    return {
        "assistants": list(beta.assistants.list(limit=2)),
        "files": list(client.files.list()),
        "contents": [client.files.content(one.id).read() for one in client.files.list(purpose="vision")],
        "threads": [beta.threads.retrieve(thread) for thread in threads],
        "messages": [list(beta.threads.messages.list(thread, limit=20)) for thread in threads],
        "runs": runs,
        "steps": [
            list(beta.threads.runs.steps.list(run.id, thread_id=thread)) for thread in threads for run in runs[thread]
        ],
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_the_recording_is_walked_as_the_server_was(tmp_path: Path, number: signal.Signals) -> None:
    """Lists, single objects, file contents, a run that is streamed; the file is complete at the end, and private."""
    world, out = demo_world(3, 50), tmp_path / "state.json"
    threads, assistant = [thread["id"] for thread in world["threads"]], world["assistants"][0]["id"]
    upstream = FakeAssistants()
    upstream.load(world)
    with upstream.serve() as server, recording(server.base_url, out) as (running, base_url):
        with OpenAI(base_url=base_url, api_key=KEY) as client:
            client.beta.threads.messages.create(threads[0], role="user", content="Hello")
            with client.beta.threads.runs.stream(thread_id=threads[0], assistant_id=assistant) as stream:
                stream.until_done()
            walked = walk(client, threads)
            assert not out.exists()
        code, rest, errors = ended(running, number)
        assert (code, rest) == (0, "")
        assert "3 threads" in errors
        assert KEY not in errors
    second = FakeAssistants()
    second.load(out)
    with second.serve() as server, OpenAI(base_url=server.base_url, api_key=KEY) as client:
        assert walk(client, threads) == walked
    assert KEY not in out.read_text()
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def items_of(client: OpenAI, conversation_id: str, order: dict[str, Any]) -> list[Any]:
    """The items of a conversation, page by page: old clients have no resource for them."""
    rows: list[Any] = []
    has_more = True
    while has_more:
        after = {"after": rows[-1]["id"]} if rows else {}
        query: Any = {"params": {"limit": 2, **after, **order}}
        page: Any = client.get(f"/conversations/{conversation_id}/items", cast_to=object, options=query)
        rows += page["data"]
        has_more = page["has_more"]
    return rows


@pytest.mark.parametrize("order", [{}, {"order": "asc"}, {"order": "desc"}], ids=str)
def test_conversations_of_foundry_keep_their_order(tmp_path: Path, order: dict[str, Any]) -> None:
    """Though its lists begin with the oldest by default, and items have no time."""
    out = tmp_path / "state.json"
    upstream = FakeAssistants(profile="foundry")
    with (
        upstream.serve() as server,
        recording(f"{server.base_url}/openai/v1", out) as (running, base_url),
        OpenAI(base_url=base_url, api_key=KEY) as client,
    ):
        items = [{"type": "message", "role": "user", "content": text} for text in "abc"]
        for _ in range(3):
            made: Any = client.post("/conversations", cast_to=object, body={"items": items})
            listed = items_of(client, made["id"], order)
        client.get("/conversations", cast_to=object, options={"params": order})
        ended(running)
    second = FakeAssistants(profile="foundry")
    second.load(out)
    assert [one["id"] for one in second.state["conversations"]] == [
        one["id"] for one in upstream.state["conversations"]
    ]
    with second.serve() as server, OpenAI(base_url=f"{server.base_url}/openai/v1", api_key=KEY) as client:
        assert items_of(client, made["id"], order) == listed


def test_errors_come_through_and_are_counted(tmp_path: Path) -> None:
    """The client sees the server's own answer; nothing of it is kept."""
    upstream = FakeAssistants(api_keys=["sk-right"])
    with upstream.serve() as server, recording(server.base_url, tmp_path / "o.json") as (running, base_url):
        client = OpenAI(base_url=base_url, api_key="sk-wrong-and-long", max_retries=0)
        with client, pytest.raises(openai.AuthenticationError, match="Incorrect API key provided"):
            client.beta.threads.create()
        _, _, errors = ended(running)
    assert errors.splitlines() == [
        f"fake-assistants: {tmp_path / 'o.json'}: no objects",
        "fake-assistants: answers not used: status 401 (1)",
    ]


def test_one_object_is_counted_in_the_singular(tmp_path: Path) -> None:
    """Of every kind that a set-up of a file search creates."""
    out = tmp_path / "o.json"
    upstream = FakeAssistants()
    upstream.load({"files": [{"id": "file-a", "object": "file", "purpose": "assistants"}]})
    with upstream.serve() as server, recording(server.base_url, out) as (running, base_url):
        with OpenAI(base_url=base_url, api_key=KEY) as client:
            store: Any = client.post("/vector_stores", cast_to=object, body={})
            batches = f"/vector_stores/{store['id']}/file_batches"
            client.post(batches, cast_to=object, body={"file_ids": ["file-a"]})
        _, _, errors = ended(running)
    assert errors == f"fake-assistants: {out}: 1 vector store, 1 vector store file batch\n"


def test_what_arrives_is_passed_on_before_the_end(tmp_path: Path) -> None:
    """A stream is not held back: its second piece is made when the first has arrived."""
    arrived = Event()

    def answer(_: Request) -> Reply:
        def chunks() -> Iterator[bytes]:
            yield b"data: 1\n\n"
            assert arrived.wait(60)
            yield b"data: 2\n\n"

        return Reply(200, (("content-type", "text/event-stream"),), chunks=chunks())

    with (
        serving(app(Answers(answer)), host="127.0.0.1", port=0) as server,
        recording(server.base_url, tmp_path / "o.json") as (running, base_url),
        OpenAI(base_url=base_url, api_key=KEY) as client,
    ):
        with client.chat.completions.with_streaming_response.create(model="m", messages=[], stream=True) as reply:
            lines = reply.iter_lines()
            assert next(lines) == "data: 1"
            arrived.set()
            assert [line for line in lines if line] == ["data: 2"]
        _, _, errors = ended(running)
    assert "answers not used: event stream (1)" in errors


def test_an_answer_that_is_compressed_or_cut_off(tmp_path: Path) -> None:
    """The first is recorded, the second breaks off at the client too."""
    thread = {"id": "thread_a", "object": "thread"}

    def answer(request: Request) -> Reply:
        headers = (("content-type", "application/json"), ("content-encoding", "gzip"))
        if request.path.endswith("thread_a"):
            return Reply(200, headers, gzip.compress(json.dumps(thread).encode()))
        begun: list[Chunk] = [b'{"id": ', Cut()]
        return Reply(200, headers[:1], chunks=iter(begun))

    with (
        serving(app(Answers(answer)), host="127.0.0.1", port=0) as server,
        recording(server.base_url, tmp_path / "o.json") as (running, base_url),
        OpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client,
    ):
        assert client.beta.threads.retrieve("thread_a").id == "thread_a"
        with pytest.raises(Exception, match=r"(?i)closed|incomplete|connection"):
            client.beta.threads.retrieve("thread_b")
        with pytest.raises(Exception, match=r"(?i)closed|incomplete|connection"):
            client.files.content("file-c").read()
        _, _, errors = ended(running)
    state = json.loads((tmp_path / "o.json").read_bytes())
    assert {kind: rows for kind, rows in state.items() if rows} == {"threads": [thread]}
    assert "answers not used: cut off (2)" in errors


def test_what_a_stream_has_brought_is_in_the_recording(tmp_path: Path) -> None:
    """The command ends while the stream is open; the client's connection is closed."""

    def answer(_: Request) -> Reply:
        begun: list[Chunk] = [b'data: {"object": "thread", "id": "thread_a"}\n\n', Pause(3600)]
        return Reply(200, (("content-type", "text/event-stream"),), chunks=iter(begun))

    with (
        serving(app(Answers(answer)), host="127.0.0.1", port=0) as server,
        recording(server.base_url, tmp_path / "o.json") as (running, base_url),
        OpenAI(base_url=base_url, api_key=KEY) as client,
        client.chat.completions.with_streaming_response.create(model="m", messages=[], stream=True) as reply,
    ):
        lines = reply.iter_lines()
        assert next(lines).startswith("data: ")
        code, _, errors = ended(running)
        with pytest.raises(Exception, match=r"(?i)closed|incomplete|connection"):
            list(lines)
    assert (code, errors) == (0, f"fake-assistants: {tmp_path / 'o.json'}: 1 thread\n")


def test_a_body_beyond_the_limit_is_refused() -> None:
    """Here, and not passed on."""
    fake = FakeAssistants()
    with (
        fake.serve() as upstream,
        serving(RecordProxy(upstream.base_url, Recording(), max_body=10), host="127.0.0.1", port=0) as server,
        OpenAI(base_url=server.base_url, api_key=KEY, max_retries=0) as client,
        pytest.raises(openai.APIStatusError, match="larger than 10 bytes"),
    ):
        client.beta.threads.create(metadata={"a": "1"})
    assert len(fake.requests) == 0


def test_a_recording_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither a part of it nor a temporary file."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        RecordProxy("http://127.0.0.1:9/v1", Recording()).save(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_an_upstream_that_does_not_answer_is_a_502(tmp_path: Path) -> None:
    """Told in the API's envelope."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        recording(f"http://127.0.0.1:{port}/v1", tmp_path / "o.json") as (running, base_url),
        OpenAI(base_url=base_url, api_key=KEY, max_retries=0) as client,
    ):
        with pytest.raises(openai.InternalServerError, match=r"The upstream http://.* did not answer") as failed:
            client.beta.threads.create()
        assert failed.value.status_code == 502
        assert "answers not used: no answer (1)" in ended(running)[2]


def test_a_file_that_cannot_be_written_is_exit_code_1(tmp_path: Path) -> None:
    """One line; what could not be written is not left behind in part."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with recording("http://127.0.0.1:9/v1", folder / "o.json") as (running, _):
        folder.rmdir()
        code, _, errors = ended(running)
    assert (code, errors) == (1, f"fake-assistants: {folder / 'o.json'}: No such file or directory\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--upstream", "localhost:80", "--out", "o.json"], "not of the form https://api.openai.com/v1"),
        (["--upstream", "http://h/v1?a=b", "--out", "o.json"], "not of the form"),
        (["--upstream", "http://h/v1", "--out", "/nowhere/o.json"], "no folder /nowhere"),
        (["--upstream", "http://h/v1"], "--out"),
        (["--out", "o.json"], "--upstream"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    """Before anything listens."""
    with pytest.raises(SystemExit) as left:
        main(["record", *options])
    out, err = capsys.readouterr()
    assert (left.value.code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_without_an_http_client_the_command_says_what_to_install() -> None:
    """The extra, by name."""
    code = (
        "import sys; sys.modules['httpx'] = sys.modules['httpx2'] = None\n"
        "from fake_assistants.cli import main\n"
        "main(['record', '--upstream', 'http://127.0.0.1:9/v1', '--out', 'o.json'])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    told = "fake-assistants: record needs httpx2 or httpx: pip install 'fake-assistants[record]'\n"
    assert (run.returncode, run.stderr) == (1, told)
