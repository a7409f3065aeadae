"""The command as a process of its own: interrupted, killed, on a full disk, into a closed pipe."""

import asyncio
import json
import os
import re
import resource
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from command import Run
from exports import ASSISTANT, exported, faults, manifest, write_ids
from fake_assistants import demo_world
from processes import THREADKEEP, ended, run_alone, signalled, started
from threadkeep.__main__ import main
from threadkeep.api.transport import Transport
from watched import Watched

pytestmark = pytest.mark.usefixtures("base_url")
NAMES = [f"thread_{number}" for number in range(50)]


@pytest.fixture
def fake() -> Watched:
    """A world of threads of three messages."""
    fake = Watched()
    messages = [{"id": f"msg_{n}", "thread_id": name, "content": []} for name in NAMES for n in range(3)]
    fake.load({"threads": [{"id": name} for name in NAMES], "messages": messages})
    return fake


@pytest.fixture
def ids(tmp_path: Path) -> Path:
    """A thread that nobody has, and those of the world."""
    return write_ids(tmp_path, "thread_none", *NAMES)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("times", [1, 5])
def test_an_interrupted_export_ends_in_order(
    name: str, times: int, fake: Watched, ids: Path, out: Path, threadkeep: Run
) -> None:
    """Exit 130, nothing written, what came is in the working store, and both ways to continue are named.

    However impatient somebody is.
    """
    number = getattr(signal, name)
    done = signalled(fake, number, "export", ids, ASSISTANT, out, "--concurrency", 1, nth=20, times=times)
    assert done.code == 130
    assert "thread_none: missing" in done.err
    assert "interrupted" in done.err
    assert "Traceback" not in done.err
    assert not out.exists()
    assert "The same command resumes the export" in done.err
    assert done.err.splitlines()[-1] == f"  threadkeep write {out}"
    complete = int(re.search(r"fetched +(\d+) complete threads", done.out)[1])  # type: ignore[index]
    assert complete in (18, 19)
    assert threadkeep("status", out).code == 1
    assert threadkeep("write", out).code == 1
    assert manifest(out)["ended_by"] == "interrupted"
    assert len(exported(out)) == complete
    found = faults(threadkeep("validate", out, "--ids", ids, "--json").out)
    assert {row["code"] for row in found} - {"thread_partial"} == {"thread_missing", "thread_unfinished"}


def test_an_interruption_in_a_thread_names_no_file_that_is_not_there(fake: Watched, out: Path, tmp_path: Path) -> None:
    """What came of a thread is in the working store: there is no partial file before a set is written."""
    world = demo_world(1, 650)
    fake.load(world)
    ids = write_ids(tmp_path, world["threads"][0]["id"])
    done = signalled(fake, signal.SIGINT, "export", ids, ASSISTANT, out, nth=3)
    assert done.code == 130
    assert "1 thread: some of the messages were fetched" in done.out
    assert (out.with_name("out.ndjson.partial").exists(), ".partial" in done.out) == (False, False)


def test_what_an_interruption_says_to_programs(fake: Watched, ids: Path, out: Path) -> None:
    """Nothing is written, and the command that writes what came is the next one."""
    arguments = ("export", ids, ASSISTANT, out, "--concurrency", 1, "--json", "--fresh")
    done = signalled(fake, signal.SIGTERM, *arguments, nth=9)
    summary = json.loads(done.out)
    assert (summary["exit"], summary["written"], summary["problems"]) == (130, False, [])
    assert summary["next"]["command"] == f"threadkeep write {out}"
    assert "without --fresh" in summary["next"]["words"]


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT"])
def test_what_somebody_had_ignored_interrupts_nothing(name: str, fake: Watched, ids: Path, out: Path) -> None:
    """As nohup does, and a shell with what it runs in the background: the export goes on to its end."""
    ignoring = ["sh", "-c", f"trap '' {name.removeprefix('SIG')}; exec \"$@\"", "sh"]
    arguments = ("export", ids, ASSISTANT, out, "--concurrency", 1, "--limit", 9)
    done = signalled(fake, getattr(signal, name), *arguments, nth=5, by=ignoring)
    assert (done.code, "8 threads with 24 messages" in done.out) == (1, True)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interruption_behind_the_last_thread_changes_nothing(
    name: str, ids: Path, out: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is on the disk, and only the connections are still being closed."""
    close = Transport.__aexit__

    async def closing(api: Transport, *_error: object) -> None:
        signal.raise_signal(getattr(signal, name))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await close(api)

    monkeypatch.setattr(Transport, "__aexit__", closing)
    done = threadkeep("export", ids, ASSISTANT, out)
    assert (done.code, "50 threads with 150 messages" in done.out) == (1, True)


def test_an_interruption_before_the_command_is_there_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """To import it takes a moment."""

    class Half:
        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "threadkeep.cli.main", Half())
    with pytest.raises(SystemExit) as ended_by:
        main()
    assert ended_by.value.code == 130


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interruption_ends_the_token_command_too(name: str, ids: Path, out: Path, tmp_path: Path) -> None:
    """Exit 130 while it runs, nothing is written, and it does not go on by itself."""
    begun = tmp_path / "begun"
    os.mkfifo(begun)
    code = f"import signal; held = open({str(begun)!r}, 'w', buffering=1); print('begun', file=held); signal.pause()"
    command = shlex.join([sys.executable, "-c", code])
    with (
        started("export", ids, ASSISTANT, out, "--token-command", command) as process,
        begun.open("rb", buffering=0) as held,
    ):
        assert held.read(6) == b"begun\n"
        process.send_signal(getattr(signal, name))
        done = ended(process)
        # What the command held open is let go of when it ends, and only then.
        assert select.select([held], [], [], 300)[0] == [held]
        assert held.read() == b""
    assert (done.code, done.err.strip()) == (130, "threadkeep: interrupted")
    assert not out.exists()


def limit_files(most: int) -> Callable[[], None]:
    """No file of the process may grow beyond so many bytes: what a full disk looks like."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def test_a_full_disk_ends_the_run_with_5_and_loses_nothing(
    fake: Watched, out: Path, tmp_path: Path, threadkeep: Run
) -> None:
    """In words and without a traceback; nothing is written, and with room the same command continues."""
    world = demo_world(40, 60)
    fake.load(world)
    ids = write_ids(tmp_path, *(thread["id"] for thread in world["threads"]))
    done = run_alone("export", ids, ASSISTANT, out, preexec_fn=limit_files(1_000_000))
    assert done.code == 5
    assert "out.ndjson.store: " in done.err
    assert "The same command resumes the export" in done.err
    assert "Traceback" not in done.err
    assert not out.exists()
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    assert [len(messages) for messages in exported(out).values()] == [60] * 40


def streamed(*arguments: object, **streams: Any) -> subprocess.CompletedProcess[bytes]:
    """The command, to its end, with these streams; what it prints is caught where nothing else is said."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [*THREADKEEP, *map(str, arguments)]
    return subprocess.run(command, timeout=300, check=False, **{**pipes, **streams})


@pytest.fixture
def nobody() -> Iterator[int]:
    """A pipe that nobody reads, as with ``| head``."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


def test_output_into_a_closed_pipe_is_no_traceback(fake: Watched, nobody: int) -> None:
    """Of a command that prints as it goes."""
    fake.load({"assistants": [{"id": f"asst_{number}"} for number in range(3)]})
    assert b"Traceback" not in streamed("assistants", stdout=nobody).stderr


@pytest.mark.parametrize("printed", [[], ["--json"]])
def test_a_reader_that_has_gone_away_makes_no_export_incomplete(
    printed: list[str], nobody: int, out: Path, tmp_path: Path
) -> None:
    """Nor a validation: the exit code is about the export. What reads the last lines may have seen enough."""
    for command in (["export", write_ids(tmp_path, NAMES[0]), ASSISTANT, out], ["validate", out]):
        done = streamed(*command, *printed, stdout=nobody)
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_reader_of_everything_that_has_gone_away_changes_no_exit_code(
    fake: Watched, nobody: int, ids: Path, out: Path
) -> None:
    """As with ``2>&1 | head``: nobody reads of the sunset, and it is one."""
    fake.sunset.after_requests(9)
    assert streamed("export", ids, ASSISTANT, out, stdout=nobody, stderr=nobody).returncode == 3


def test_letters_that_the_console_has_not_end_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are shown as escapes."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    (tmp_path / "ids.txt").write_text("thread_é漢\nthread_1", encoding="utf-8")
    done = run_alone("export", tmp_path / "ids.txt", ASSISTANT, tmp_path / "o")
    assert done.code == 1
    assert "thread_\\xe9\\u6f22: missing: " in done.err
    assert "complete      1 thread with 3 messages" in done.out


def test_arguments_that_are_no_text_survive(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, in a file's name and in the assistant's id, are lone surrogates to Python."""
    (tmp_path / "ids.txt").write_text("thread_1")
    names = [os.fsencode(tmp_path / "ids.txt"), b"asst_\xff", os.fsencode(tmp_path / "o") + b"\xff"]
    for command in ([b"export", *names, b"--json"], [b"validate", names[2], b"--json"], [b"status", names[2]]):
        done = subprocess.run([*map(os.fsencode, THREADKEEP), *command], capture_output=True, timeout=300, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_standard_output_is_no_traceback(fake: Watched) -> None:
    """No traceback where nothing can be printed."""
    fake.load({"assistants": [{"id": "asst_1"}]})
    with Path("/dev/full").open("wb") as full:
        done = streamed("assistants", stdout=full)
    assert done.returncode == 5
    assert done.stderr.startswith(b"threadkeep: cannot write: No space left on device")
    assert b"Traceback" not in done.stderr


def test_ids_come_from_standard_input(out: Path) -> None:
    """The minus sign stands for standard input, in export and in validate."""
    for arguments in (("export", "-", ASSISTANT, out, "--quiet"), ("validate", out, "--ids", "-")):
        done = streamed(*arguments, input=b"thread_1\nthread_2\n")
        assert (done.returncode, done.stderr) == (0, b"")
