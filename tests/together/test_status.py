"""``threadkeep status``: never calls whole what cannot be whole, though it reads no lines."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command import Run
from exports import ASSISTANT, beside
from fake_assistants import demo_world
from processes import signalled
from threadkeep.readback import read_journal
from threadkeep.sizes import in_place
from threadkeep.storage.paths import Paths
from threadkeep.wanted import encode
from watched import Watched

NAMES = ("out.ndjson", "out.ndjson.threads", "out.ndjson.runs", "out.files/file-doc1")


@pytest.fixture
def fake() -> Watched:
    """Threads of three messages, one of which has a file and another one a run."""
    world = demo_world(3, 3)
    run = {"id": "run_1", "object": "thread.run", "thread_id": world["threads"][0]["id"], "status": "completed"}
    world["messages"][4]["attachments"] = [{"file_id": "file-doc1", "tools": []}]
    fake = Watched()
    fake.load(
        {**world, "runs": [run], "files": [{"id": "file-doc1", "object": "file", "purpose": "vision", "bytes": 3}]}
    )
    fake.load({"file_contents": [{"id": "file-doc1", "content": "YWJj"}]})
    return fake


@pytest.fixture
def arguments(base_url: str, ids: Path, tmp_path: Path) -> list[object]:
    """The command that exports all of it; its last word but three is OUT."""
    assert base_url
    return ["export", ids, ASSISTANT, tmp_path / "out.ndjson", "--include", "threads,runs", "--files"]


@pytest.fixture
def out(arguments: list[object], threadkeep: Run) -> Path:
    """A whole export."""
    assert threadkeep(*arguments).code == 0
    path = arguments[3]
    assert isinstance(path, Path)
    assert threadkeep("status", path).code == 0
    return path


def shorter(path: Path) -> None:
    """One byte less."""
    path.write_bytes(path.read_bytes()[:-1])


def longer(path: Path) -> None:
    """One byte more."""
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.parametrize("change", [Path.unlink, shorter, longer])
@pytest.mark.parametrize("name", NAMES)
def test_files_of_another_length(name: str, change: Callable[[Path], None], out: Path, threadkeep: Run) -> None:
    """Deleted, cut short or lengthened: the file is named, and validate is the next step."""
    path = out.parent / name
    change(path)
    done = threadkeep("status", out)
    assert done.code == 1
    assert name in done.err
    assert "threadkeep validate" in done.err
    assert threadkeep("validate", out).code != 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_what_is_done_is_there(out: Path, draw: st.DataObject) -> None:
    """Wherever the export is cut off, a thread counts as in place exactly when all its lines are left."""
    content = out.read_bytes()
    paths = Paths(out)
    journal = read_journal(paths)
    assert journal is not None
    whole = {path: path.stat().st_size for path in (out, *map(paths.beside, ("threads", "runs")))}
    end = draw.draw(st.integers(0, len(content)))
    left = [json.loads(line)["thread_id"] for line in content[:end].split(b"\n")[:-1]]
    told = [entry.thread_id for entry in in_place(paths, journal, {**whole, out: end})]
    assert told == [entry.thread_id for entry in journal.complete if left.count(entry.thread_id) == entry.messages]


def test_done_leaves_out_what_is_lost(out: Path, threadkeep: Run) -> None:
    """Whoever takes the list to leave threads out of another export would lose them else."""
    listed = threadkeep("status", out, "--done")
    shorter(out)
    left = threadkeep("status", out, "--done")
    assert left.code == 1
    assert left.out.split() == listed.out.split()[:-1]
    assert "1 complete thread left out: out.ndjson ends before" in left.err
    out.unlink()
    assert threadkeep("status", out, "--done").out == ""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('{"source"', '{"sauce"', "does not begin as a journal does"),
        ("threadkeep-journal/1", "threadkeep-journal/9", "is in the format threadkeep-journal/9, which this version"),
        ('{"thread_id"', '{"thread"', "line 2 of out.ndjson.journal cannot be read"),
        ('"messages":3', '"messages":4', "does not say what the journal says"),
    ],
)
def test_a_journal_that_is_damaged(old: str, new: str, words: str, out: Path, threadkeep: Run) -> None:
    """It is told, and the export is not called whole."""
    journal = beside(out, ".journal")
    text = journal.read_text()
    assert old in text
    journal.write_text(text.replace(old, new, 1))
    done = threadkeep("status", out)
    assert (done.code, words in done.err) == (1, True)


def test_a_torn_journal(out: Path, threadkeep: Run) -> None:
    """Its last entry is gone."""
    shorter(beside(out, ".journal"))
    assert "is cut short" in threadkeep("status", out).err


def test_a_file_that_failed(fake: Watched, arguments: list[object], threadkeep: Run) -> None:
    """The threads are whole, and the export is not."""
    fake.faults = [{"match": {"path": "/files/", "times": 20}, "do": {"status": 500}}]
    done = threadkeep(*arguments, "--max-retries", 0)
    assert (done.code, "every thread is whole in the export, and not every file is saved" in done.err) == (1, True)
    assert threadkeep("status", arguments[3]).code == 1


def test_an_export_that_is_still_written(out: Path, threadkeep: Run) -> None:
    """Without a manifest, lines behind the journal's end are no damage, and lines before it that are gone are."""
    beside(out, ".manifest.json").unlink()
    longer(out)
    going_on = threadkeep("status", out)
    assert (going_on.code, "what its journal says" in going_on.err) == (1, False)
    out.unlink()
    assert "has 0 bytes" in threadkeep("status", out).err


def test_a_killed_run_tells_what_it_never_came_to(
    fake: Watched, ids: Path, arguments: list[object], threadkeep: Run
) -> None:
    """By the ids that it has left for want of a manifest, counted and named; the next run comes to them."""
    assert threadkeep(*arguments, "--limit", 1).code == 0
    assert signalled(fake, signal.SIGKILL, *arguments).code == -signal.SIGKILL
    one, other = sorted(ids.read_text().split()[1:])
    done = threadkeep("status", arguments[3])
    assert done.code == 1
    assert "  whole         1 thread with 3 messages" in done.out
    assert f"  never begun   2 threads\n    {one}\n    {other}\n" in done.out
    assert threadkeep(*arguments).code == 0
    assert "never begun" not in threadkeep("status", arguments[3]).out


def test_a_kill_before_the_old_manifest_is_gone_is_no_whole_export(out: Path, ids: Path, threadkeep: Run) -> None:
    """The ids that the next run was asked for stand there already, and the manifest knows nothing of them."""
    beside(out, ".wanted.json").write_bytes(encode(["thread_z"]))
    done = threadkeep("status", out)
    assert (done.code, "  never begun   1 thread\n    thread_z\n" in done.out) == (1, True)
    assert threadkeep("validate", out).code == 1
    beside(out, ".wanted.json").write_bytes(encode(ids.read_text().split()[1:]))  # as a kill at the end leaves it
    assert [threadkeep(command, out).code for command in ("status", "validate")] == [0, 0]


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(out: Path, threadkeep: Run) -> None:
    """Somebody may have put it there."""
    for suffix in (".journal", ".manifest.json"):
        path = beside(out, suffix)
        path.unlink()
        os.mkfifo(path)
        done = threadkeep("status", out)
        assert (done.code, "neither a file nor a directory" in done.err) == (5, True)
        path.unlink()
        path.write_bytes(b"")


def test_only_ids_are_printed_as_ids(out: Path, threadkeep: Run) -> None:
    """A journal is only a file: whoever reads the list takes each line of it for a thread."""
    journal = beside(out, ".journal")
    whole = threadkeep("status", out, "--done").out.splitlines()
    journal.write_bytes(journal.read_bytes().replace(whole[0].encode(), b"\\u009b\\nthread_no"))
    assert threadkeep("status", out, "--done").out.splitlines() == whole[1:]
