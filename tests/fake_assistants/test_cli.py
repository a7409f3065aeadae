"""The command, as a real process."""

import http.client
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from fake_assistants import FakeAssistants, __version__, demo_world
from fake_assistants.cli import main
from pages import OF_THE_FAKE
from ports import kept_port

COMMAND = [sys.executable, "-m", "fake_assistants"]
HEADERS = {"Authorization": "Bearer sk-test", "OpenAI-Beta": "assistants=v2"}


@contextmanager
def serving(*options: str, base: str = "/v1") -> Iterator[tuple[subprocess.Popen[str], http.client.HTTPConnection]]:
    """A server that has said where it listens, and a connection to it; ended by SIGTERM if it still runs."""
    command = [*COMMAND, "serve", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            line = running.stdout.readline()
            found = re.fullmatch(rf"listening on http://127\.0\.0\.1:(\d+){base}\n", line)
            assert found, line
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=60)
            yield running, connection
            connection.close()
        finally:
            running.terminate()


def ask(connection: http.client.HTTPConnection, method: str, target: str, body: Any = None) -> tuple[int, Any]:
    content = None if body is None else json.dumps(body)
    connection.request(method, target, body=content, headers=HEADERS)
    reply = connection.getresponse()
    text = reply.read()
    return reply.status, json.loads(text) if text else None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_it_listens_answers_and_ends_by_a_signal(number: signal.Signals) -> None:
    """One line on stdout, also into a pipe; exit code 0, also with a connection kept open."""
    with serving() as (running, connection):
        assert ask(connection, "POST", "/v1/threads", {})[0] == 200
        running.send_signal(number)
        rest, errors = running.communicate(timeout=60)
    assert (running.returncode, rest, errors) == (0, "", "")


def test_nohup_outlives_its_terminal() -> None:
    """What was ignored when it began stays ignored."""
    with kept_port() as port:
        command = ["nohup", *COMMAND, "serve", "--port", str(port)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as running:
            try:
                with closing(connected(port, running)) as connection:
                    running.send_signal(signal.SIGHUP)
                    assert ask(connection, "GET", "/_fake/health") == (200, {"status": "ok"})
            finally:
                running.terminate()
            running.communicate(timeout=60)
    assert running.returncode == 0


def test_it_ends_in_the_middle_of_a_request() -> None:
    """Whoever still waits is not waited for."""
    with serving("--latency-ms", "60000") as (running, connection):
        connection.request("GET", "/_fake/health")
        running.terminate()
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 0
    assert "Traceback" not in errors


def test_an_interrupt_while_loading_is_no_mistake(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """130, as a shell says it, and no traceback."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fake_assistants.cli.demo_world", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--demo", "1x1"])
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip() == ""


def test_nobody_has_to_read_where_it_listens() -> None:
    """A closed pipe is no reason not to serve, and no complaint at the end."""
    unread, end = os.pipe()
    os.close(unread)
    assert served_unheard(*COMMAND, stdout=end) == (0, "")
    os.close(end)


def test_it_serves_without_any_stdout() -> None:
    """As a daemon does, which closes it."""
    assert served_unheard("sh", "-c", 'exec "$@" >&-', "sh", *COMMAND) == (0, "")


def served_unheard(*command: str, **options: Any) -> tuple[int, str]:
    """Serve at a port that is known beforehand, until it has answered; gives the exit code and the errors."""
    with kept_port() as port:
        serve = [*command, "serve", "--port", str(port)]
        with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True, **options) as running:
            try:
                with closing(connected(port, running)) as connection:
                    assert ask(connection, "GET", "/_fake/health") == (200, {"status": "ok"})
            finally:
                running.terminate()
            _, errors = running.communicate(timeout=60)
    return running.returncode, errors


def connected(port: int, running: subprocess.Popen[str]) -> http.client.HTTPConnection:
    """A connection as soon as somebody listens; none when the process has ended."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while running.poll() is None:
        with suppress(ConnectionRefusedError):
            connection.connect()
            break
    return connection


def test_it_serves_what_is_loaded(tmp_path: Path) -> None:
    """State files, exports and the demo are merged; keys, seed and sunset are heeded."""
    state = tmp_path / "state.json"
    state.write_text(json.dumps({"threads": [{"id": "thread_state"}]}))
    export = tmp_path / "out.ndjson"
    message = {"id": "msg_1", "thread_id": "thread_export"}
    export.write_text(json.dumps({"thread_id": "thread_export", "message": message}) + "\n")
    options = ["--load", str(state), "--load", str(export), "--demo", "2x3", "--seed", "5"]
    options += ["--api-key", "sk-test", "--sunset", "2999-01-01", "--sunset-style", "not-found"]
    with serving(*options) as (_, connection):
        _, world = ask(connection, "GET", "/_fake/state")
        assert [one["id"] for one in world["threads"]][2:] == ["thread_state", "thread_export"]
        assert world["messages"][:6] == demo_world(2, 3, seed=5)["messages"]
        assert ask(connection, "GET", "/_fake/sunset")[1]["at"] == 32472144000
        assert ask(connection, "GET", "/v1/threads/thread_export/messages/msg_1") == (200, message)
        ask(connection, "PUT", "/_fake/clock", {"now": 32472144000})
        assert ask(connection, "GET", "/v1/threads/thread_export/messages/msg_1") == (404, None)


def test_faults_and_limits_are_heeded_and_a_reset_keeps_them(tmp_path: Path) -> None:
    """A plan from a file; foundry's address; a world for each key."""
    plan = [{"match": {"nth": 1}, "do": {"status": 503, "body": {"a": 1}}}]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    options = ["--faults", str(tmp_path / "plan.json"), "--rpm", "2", "--profile", "foundry", "--worlds-by-key"]
    with serving(*options, base="/api/projects/fake") as (_, connection):
        for _ in range(2):
            assert ask(connection, "GET", "/api/projects/p/threads") == (503, {"a": 1})
            answers = [ask(connection, "GET", "/api/projects/p/threads")[0] for _ in range(3)]
            assert answers == [200, 200, 429]
            ask(connection, "POST", "/_fake/reset")
            assert ask(connection, "GET", "/_fake/faults") == (200, plan)


def test_models_and_files_are_refused_where_that_is_asked_for(tmp_path: Path) -> None:
    """Every `--model` counts."""
    state = {"files": [{"id": "file-1", "filename": "a.csv"}]}
    (tmp_path / "state.json").write_text(json.dumps(state))
    options = ["--model", "gpt-4o", "--model", "o3", "--check-files", "--load", str(tmp_path / "state.json")]
    with serving(*options) as (_, connection):
        answers = [ask(connection, "POST", "/v1/assistants", {"model": model})[0] for model in ("o3", "gpt-4o", "o1")]
        assert answers == [200, 200, 400]
        status, body = ask(connection, "POST", "/v1/vector_stores", {"file_ids": ["file-1"]})
        assert (status, body["error"]["code"]) == (400, "unsupported_file")


def printed(running: subprocess.Popen[str], count: int) -> list[str]:
    """The next lines of a server."""
    assert running.stdout is not None
    return [running.stdout.readline().rstrip("\n") for _ in range(count)]


def test_the_demo_says_what_there_is_and_how_to_get_at_it() -> None:
    """After the address: the assistants, and where the ids of the threads are; those that clients cannot list too."""
    world = demo_world(3, None, seed=5)
    first, *_ = world["assistants"]
    counts = ", ".join(f"{len(world[kind])} {kind}" for kind in ("threads", "messages", "runs", "files"))
    for options, words in (([], "/_fake/state"), (["--list-threads"], "/v1 threadkeep threads")):
        with serving("--demo", "3", "--seed", "5", *options) as (running, connection):
            lines = printed(running, 2 + len(world["assistants"]))
            assert lines[0] == f"demo: {counts}"
            assert lines[1] == f"assistant: {first['id']} ({first['name']})"
            assert lines[-1].startswith("thread ids: ")
            assert words in lines[-1]
            assert ask(connection, "GET", "/_fake/state")[1]["messages"] == world["messages"]
            assert ask(connection, "GET", "/v1/threads")[0] == (200 if options else 403)


def test_each_loaded_file_has_a_line_and_the_thread_ids_a_command(tmp_path: Path) -> None:
    """After the address, as for a demo: what was read of each file. The command prints the ids and nothing else."""
    state = {"threads": [{"id": "thread_a"}, {"id": "thread_b"}], "runs": [{"id": "run_1", "thread_id": "thread_a"}]}
    (tmp_path / "state.json").write_text(json.dumps(state))
    message = {"id": "msg_1", "thread_id": "thread_c"}
    (tmp_path / "out.ndjson").write_text(json.dumps({"thread_id": "thread_c", "message": message}) + "\n")
    (tmp_path / "empty.ndjson").touch()
    files = [tmp_path / name for name in ("state.json", "out.ndjson", "empty.ndjson")]
    with serving(*(word for file in files for word in ("--load", str(file)))) as (running, _):
        *lines, last = printed(running, 4)
        assert lines == [
            f"{files[0]}: 2 threads, 1 run",
            f"{files[1]}: 1 thread, 1 message",
            f"{files[2]}: no objects",
        ]
        python, *arguments = shlex.split(last.removeprefix("thread ids: "))
        assert python == Path(sys.executable).name
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout.split() == ["thread_a", "thread_b", "thread_c"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", ""], "--model"),
        (["--port", "seventy"], "--port"),
        (["--colour", "red"], "--colour"),
        (["--sunset", "soon"], "neither epoch seconds nor an ISO date"),
        (["--sunset", "1", "--sunset-after", "1"], "not both"),
        (["--sunset", "1000000000001"], "beyond the clock's last second"),
        (["--sunset-style", "loud"], "loud"),
        (["--demo", "many"], "20x50"),
        (["--demo", "20x"], "20x50"),
        (["--api-key", "sk-1", "--api-key", ""], "--api-key"),
        (["--load", "/nowhere.json"], "/nowhere.json: No such file"),
        (["--faults", "/nowhere.json"], "/nowhere.json: No such file"),
        (["--rpm", "0"], "--rpm"),
        (["--profile", "nobody"], "--profile"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    """On stderr, without a traceback."""
    with pytest.raises(SystemExit) as ended:
        main(["serve", *options])
    out, err = capsys.readouterr()
    assert (ended.value.code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("fake-assistants: ")
    assert words in err


def test_without_a_command_one_line_says_what_to_type(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistake like any other."""
    with pytest.raises(SystemExit) as ended:
        main([])
    told = "fake-assistants: give a command, such as `fake-assistants serve`; `fake-assistants -h` lists them\n"
    assert (ended.value.code, *capsys.readouterr()) == (2, "", told)


def test_a_bad_file_is_told_with_its_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Path of the file, reason, path in the file."""
    bad = tmp_path / "bad.json"
    bad.write_text('{"threads": [{"id": 1}]}')
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--load", str(bad)])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"fake-assistants: {bad}: expected a string @ $.threads[0].id\n"


@pytest.mark.parametrize(("text", "words"), [("[{}]", 'expected a "do" @ $[0]'), ("[", "not JSON: ")])
def test_a_bad_plan_of_faults_is_told_with_its_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, words: str
) -> None:
    """Path of the file, reason, path in the plan."""
    bad = tmp_path / "plan.json"
    bad.write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--faults", str(bad)])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"fake-assistants: {bad}: {words}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--port", "-1"), "-1 is not a whole number from 0 to 65535"),
        (("--rpm", "abc"), "abc is not a whole number of at least 1"),
        (("--load", "\x1b[2J\u202e.json"), "\\x1b[2J\\u202e.json: No such file or directory"),
    ],
)
def test_a_value_that_cannot_be_is_named_harmlessly(
    arguments: tuple[str, str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its limits, in one line, and without what a terminal would obey."""
    with pytest.raises(SystemExit) as ended:
        main(["serve", *arguments])
    err = capsys.readouterr().err
    assert (ended.value.code, words in err, err.rstrip("\n").isprintable()) == (2, True, True)


def test_a_port_in_use_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    """So a script can tell it from a mistake. The signals are what they were: nothing is served."""
    usual = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as ended:
        main(["serve", "--port", str(taken.getsockname()[1])])
    assert ended.value.code == 1
    assert "Address already in use. Choose another --port; 0 picks a free one.\n" in capsys.readouterr().err
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == usual


@pytest.mark.parametrize("host", ["0.0.0.0", "..", "", "host.invalid"])
def test_an_address_that_cannot_be_listened_on_is_one_line(capsys: pytest.CaptureFixture[str], host: str) -> None:
    """Nothing is said of other machines: nobody can reach what does not listen."""
    with socket.create_server(("0.0.0.0", 0)) as taken, pytest.raises(SystemExit) as ended:
        main(["serve", "--host", host, "--port", str(taken.getsockname()[1])])
    err = capsys.readouterr().err
    assert (ended.value.code, err.count("\n")) == (1, 1)
    assert "cannot listen on" in err


@pytest.mark.parametrize(
    ("host", "warned"),
    [("0.0.0.0", "fake-assistants: warning: 0.0.0.0 can be reached from other machines\n"), ("localhost", "")],
)
def test_an_address_beyond_loopback_is_warned_of(host: str, warned: str) -> None:
    """By what it stands for, not by its name."""
    command = [*COMMAND, "serve", "--port", "0", "--host", host]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline().startswith(f"listening on http://{host}:")
        running.terminate()
        _, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (0, warned)


PAGES = "".join(page.read_text(encoding="utf-8") for page in OF_THE_FAKE)


def test_the_commands_of_the_pages_run(tmp_path: Path) -> None:
    """One after the other in one folder, since the last serves what another has recorded; only ports are others."""
    commands = re.findall(r"^    fake-assistants (.*)$", PAGES, re.MULTILINE)
    assert [line.split()[0] for line in commands] == ["serve", "serve", "record", "serve"]
    for line in commands:
        arguments = [*line.replace("--port 8000", "").split(), "--port", "0"]
        with subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        ) as running:
            assert running.stdout is not None
            assert running.stdout.readline().startswith("listening on http://127.0.0.1:")
            running.terminate()
            _, errors = running.communicate(timeout=60)
        assert (running.returncode, "Traceback" in errors) == (0, False)


def test_the_command_of_the_suite_runs() -> None:
    """Against a fake, at its address."""
    (line,) = re.findall(r"^    python -m (fake_assistants.conformance .*)$", PAGES, re.MULTILINE)
    with FakeAssistants().serve() as server:
        command = line.replace("http://127.0.0.1:8000/v1", server.base_url).split()
        run = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


COMMANDS = [
    ["fake_assistants"],
    ["fake_assistants", "serve"],
    ["fake_assistants", "record"],
    ["fake_assistants.conformance"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_is_one_line_for_each_option(command: list[str]) -> None:
    """By -h and by --help, on stdout, exit code 0; nothing is cut off."""
    wide = {**os.environ, "COLUMNS": "100"}
    shown = [
        subprocess.run(
            [sys.executable, "-m", *command, option], capture_output=True, text=True, check=True, env=wide
        ).stdout
        for option in ("-h", "--help")
    ]
    assert shown[0] == shown[1]
    assert "..." not in shown[0].replace("[ARGS]...", "").replace("AREA/NAME...", "")
    options = shown[0].partition("\n\n")[2].partition(":\n")[2]
    rows = [line for line in options.splitlines() if line.startswith(" ")]
    assert [line for line in rows if not re.match("  (-|[a-z]+ )", line)] == []


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_fits_the_terminal(command: list[str], columns: int) -> None:
    """No line is longer, and nothing is cut off."""
    settings = {**os.environ, "COLUMNS": str(columns)}
    run = subprocess.run(
        [sys.executable, "-m", *command, "-h"], capture_output=True, text=True, check=True, env=settings
    )
    assert max(map(len, run.stdout.splitlines())) <= columns
    assert "..." not in run.stdout.replace("[ARGS]...", "").replace("AREA/NAME...", "")


def test_the_options_of_serve_stand_under_headings() -> None:
    """Those of a subject together."""
    run = subprocess.run([*COMMAND, "serve", "-h"], capture_output=True, text=True, check=True)
    headings = re.findall(r"^(\w+):$", run.stdout, re.MULTILINE)
    assert headings == ["Address", "Contents", "API", "Sunset", "Trouble", "Options"]


def test_the_version() -> None:
    """On stdout, exit code 0."""
    run = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"fake-assistants {__version__}\n"
