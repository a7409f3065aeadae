"""The archive as an API again: a fake that was loaded with an export serves what the export was made from."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

import small_world
from command import Run
from exporting import Export
from exports import ASSISTANT, beside
from fake_assistants import FakeAssistants, demo_world
from odd_threads import odd_threads
from strategies import threads

Messages = Sequence[Mapping[str, Any]]


def holding(messages: Messages) -> FakeAssistants:
    """A fake with these messages in their threads."""
    names = dict.fromkeys(message["thread_id"] for message in messages)
    fake = FakeAssistants()
    fake.load({"threads": [{"id": name, "object": "thread"} for name in names], "messages": [*map(dict, messages)]})
    return fake


def loaded(*paths: Path) -> FakeAssistants:
    """A fake that was loaded with the files of an export."""
    fake = FakeAssistants()
    for path in paths:
        fake.load(path)
    return fake


def exported(folder: Path, fake: FakeAssistants, ids: Iterable[str], **options: Any) -> Export:
    """An export of the threads, into a new folder below this one."""
    into = folder / str(len([*folder.iterdir()]))
    into.mkdir()
    return Export(into).run_alone(ids, fake, **options)


def check_circle(messages: Messages) -> None:
    """Export, load, export again: the lines are the same bytes."""
    ids = list(dict.fromkeys(message["thread_id"] for message in messages))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first = exported(folder, holding(messages), ids)
        second = exported(folder, loaded(first.paths.out), ids)
        assert first.outcomes == second.outcomes == dict.fromkeys(ids, "complete")
        assert first.lines == second.lines
        assert len(first.lines) == len(messages)


@given(threads())
def test_an_export_of_a_loaded_export_has_the_same_bytes(drawn: dict[str, list[dict[str, Any]]]) -> None:
    """Whatever the API may have in a message."""
    check_circle([message for rows in drawn.values() for message in rows])


@given(odd_threads())
def test_odd_messages_have_the_same_bytes(messages: Messages) -> None:
    """Whatever else is in one, and if only its ids are as promised."""
    check_circle(messages)


NUMBERS = ["-1E-400", "1E5", "-0", "-0.0", "1.10", "12345678901234567890123", "1e22", "0.1e-7"]
STRINGS = [r'"\u00e9\/\ud83c\udf2e"', r'"\ud800"', r'"\u2028\u0085\u0000\u007f"', '"\u2028\x85\x7f"']


@pytest.mark.parametrize("literal", [*NUMBERS, *STRINGS, '{"a": 1, "a": 2}', '{"": {}}', "[]"])
def test_values_of_every_spelling_have_the_same_bytes(literal: str, tmp_path: Path) -> None:
    """As a server may write them, at the top of a message and deep within."""
    fake = FakeAssistants()
    message = f'{{"id": "msg_1", "thread_id": "thread_a", "x": {literal}, "content": [{{"type": {literal}}}]}}'
    fake.load(f'{{"threads": [{{"id": "thread_a"}}], "messages": [{message}]}}'.encode())
    first = exported(tmp_path, fake, ["thread_a"])
    second = exported(tmp_path, loaded(first.paths.out), ["thread_a"])
    assert first.lines == second.lines
    assert len(first.lines) == 1


# --- the files next to OUT ------------------------------------------------------------------------------

SIDECARS = ("threads", "runs")


def sidecars_of(export: Export) -> list[bytes]:
    """The thread objects and the runs of an export, as they are in its files."""
    return [export.paths.sidecar(kind).read_bytes() for kind in SIDECARS]


def test_thread_objects_and_runs_have_the_same_bytes(tmp_path: Path) -> None:
    """With their files loaded too, in whichever order; a thread without messages is there again."""
    fake = small_world.world()
    fake.load({"threads": [{"id": "thread_empty", "metadata": {"left": "over"}}]})
    ids = [*small_world.IDS, "thread_empty"]
    first = exported(tmp_path, fake, ids, include=SIDECARS)
    assert [len(first.sidecar(kind)) for kind in SIDECARS] == [4, 1]
    files = [first.paths.out, *map(first.paths.sidecar, SIDECARS)]
    for order in (files, files[::-1]):
        second = exported(tmp_path, loaded(*order), ids, include=SIDECARS)
        assert (second.lines, sidecars_of(second)) == (first.lines, sidecars_of(first))
        assert second.outcomes == first.outcomes


def test_what_out_alone_cannot_carry(tmp_path: Path) -> None:
    """Thread objects, threads without messages, runs and files: a thread is as old as its first message, and plain."""
    fake = small_world.world()
    fake.load({"threads": [{"id": "thread_empty"}, {"id": "thread_a", "metadata": {"who": "me"}}]})
    ids = [*small_world.IDS, "thread_empty"]
    first = exported(tmp_path, fake, ids, **small_world.OPTIONS)
    second = exported(tmp_path, loaded(first.paths.out), ids, **small_world.OPTIONS)
    assert second.lines == first.lines
    lost = {name for name in ids if second.outcomes[name] != first.outcomes[name]}
    assert (lost, second.outcomes["thread_empty"]) == ({"thread_empty"}, "missing")
    made_up = second.sidecar("threads")[0]["thread"]
    oldest = first.messages()["thread_a"][0]["created_at"]
    assert (made_up["metadata"], made_up["created_at"]) == ({}, oldest)
    assert (len(first.sidecar("runs")), second.sidecar("runs")) == (1, [])
    assert {name: "file-1.png" in "".join(run.contents()) for name, run in (("first", first), ("second", second))} == {
        "first": True,
        "second": False,
    }


# --- over HTTP --------------------------------------------------------------------------------------------


@pytest.fixture
def fake() -> FakeAssistants:
    """Threads with all kinds of messages, and a run with its steps."""
    fake = FakeAssistants()
    fake.load(demo_world(4, 45))
    [first, *_] = fake.snapshot()["threads"]
    run = {"id": "run_1", "thread_id": first["id"], "status": "completed"}
    steps = [{"id": f"step_{number}", "thread_id": first["id"], "run_id": "run_1"} for number in range(3)]
    fake.load({"runs": [run], "run_steps": steps})
    return fake


PAGE = (Path(__file__).parents[2] / "docs" / "after-the-export.md").read_text(encoding="utf-8")


@contextmanager
def served_as_documented(folder: Path) -> Iterator[str]:
    """The base URL of the command that the documentation gives, run in the folder of an export on a free port."""
    (line,) = re.findall(r"^    fake-assistants (serve .*)$", PAGE, re.MULTILINE)
    assert "--port 8000" in line
    command = [sys.executable, "-m", "fake_assistants", *line.replace("--port 8000", "--port 0").split()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as running:
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            found = re.fullmatch(r"listening on (http://\S+)\n", line)
            assert found, line
            yield found[1]
        finally:
            running.terminate()


@pytest.mark.usefixtures("base_url")
def test_the_command_serves_an_archive(ids: Path, out: Path, threadkeep: Run, tmp_path: Path) -> None:
    """Export, serve, export: three files are the same bytes."""
    options = ("--include", "threads,runs")
    done = threadkeep("export", ids, ASSISTANT, out, *options)
    assert done.code == 0, done.err
    files = [out, *(beside(out, f".{kind}") for kind in SIDECARS)]
    again = tmp_path / "again" / "out.ndjson"
    again.parent.mkdir()
    with served_as_documented(out.parent) as base_url:
        done = threadkeep("export", ids, ASSISTANT, again, "--base-url", base_url, *options)
    assert (done.code, threadkeep("validate", again).code) == (0, 0)
    for path in files:
        assert (again.parent / path.name).read_bytes() == path.read_bytes()
        assert path.stat().st_size > 0
