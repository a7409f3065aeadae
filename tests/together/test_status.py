"""``threadkeep status`` and ``threadkeep write``: the state of an export, also of a run at work or cut off."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from command import Run
from exports import ASSISTANT, beside, exported, served
from fake_assistants import demo_world
from processes import signalled, started
from threadkeep.storage.lock import locked
from threadkeep.storage.paths import Paths
from threadkeep.storage.progress import read_progress
from watched import Watched

NAMES = ("out.ndjson", "out.ndjson.index", "out.ndjson.threads", "out.ndjson.runs", "out.ndjson.downloads")


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
    """A complete export."""
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
    change(out.parent / name)
    done = threadkeep("status", out)
    assert done.code == 1
    assert name in done.err
    assert "threadkeep validate" in done.err
    assert "not complete" in done.out


def test_done_leaves_out_what_is_lost(out: Path, threadkeep: Run) -> None:
    """Whoever takes the list to leave threads out of another export would lose them else."""
    listed = threadkeep("status", out, "--done")
    assert listed.code == 0
    assert listed.out.split() == list(exported(out))
    shorter(out)
    left = threadkeep("status", out, "--done")
    assert left.code == 1
    assert left.out.split() == listed.out.split()[:-1]
    assert "1 complete thread left out: a file of out.ndjson ends before" in left.err
    out.unlink()
    assert threadkeep("status", out, "--done").out == ""


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_a_manifest_that_cannot_be_read(content: bytes, out: Path, threadkeep: Run) -> None:
    """It is named, the export is not called complete, and the next export writes it anew."""
    beside(out, ".manifest.json").write_bytes(content)
    done = threadkeep("status", out)
    assert (done.code, "out.ndjson.manifest.json cannot be read" in done.err) == (1, True)
    assert "the next export writes it anew" in done.err


def test_a_file_that_failed(fake: Watched, arguments: list[object], threadkeep: Run) -> None:
    """The threads are complete, and the export is not."""
    fake.faults = [{"match": {"path": "/files/", "times": 20}, "do": {"status": 500}}]
    done = threadkeep(*arguments, "--max-retries", 0)
    assert (done.code, "every thread is complete in the export, but not every file is saved" in done.err) == (1, True)
    assert threadkeep("status", arguments[3]).code == 1


def test_an_export_that_is_at_work(fake: Watched, arguments: list[object], threadkeep: Run) -> None:
    """Status says so first, with its progress, and leaves it alone; nobody else may write."""
    path = arguments[3]
    shown: list[str] = []

    def look() -> None:
        shown.extend(threadkeep("status", path).out.splitlines())
        shown.append(threadkeep("status", path, "--json").out)
        shown.append(str([int(threadkeep(*words, path).code) for words in (["write"], ["split", "--by", "assistant"])]))

    fake.before(look, nth=2, of=lambda request: request.path.endswith("/messages"))
    with started(*arguments, "--concurrency", 1) as process:
        process.wait(300)
    *lines, state, codes = shown
    assert lines[0].startswith(f"{path}: an export is running, process {process.pid}, begun 20")
    assert lines[1:4] == [
        "  progress      1 of 3 threads",
        "  fetched       1 complete thread with 3 messages; pages of other threads are",
        "                not counted",
    ]
    assert json.loads(state)["at_work"]["pid"] == process.pid
    assert json.loads(state)["store"]["messages"] == 3
    assert codes == "[5, 5]"
    assert (process.returncode, threadkeep("status", path).code) == (0, 0)


def test_a_refresh_that_was_cut_off(fake: Watched, arguments: list[object], out: Path, threadkeep: Run) -> None:
    """The files of the run before are shown too, and stay as they were."""
    before = out.read_bytes()
    fake.load({"threads": [{"id": "thread_new"}]})
    ids = out.with_name("more.txt")
    ids.write_text("thread_none\nthread_new\n" + "\n".join(exported(out)))
    arguments[1] = ids
    signalled(fake, signal.SIGTERM, *arguments, "--refresh", "--concurrency", 1, nth=16)
    done = threadkeep("status", out)
    assert (done.code, out.read_bytes()) == (1, before)
    assert "1 of them are missing or failed" in done.out
    assert "The run before has written:\n" in done.out
    assert "complete      3 threads with 9 messages" in done.out


def test_a_time_that_is_none_is_shown_as_it_is(out: Path, threadkeep: Run) -> None:
    """A manifest is only a file."""
    manifest = beside(out, ".manifest.json")
    manifest.write_text(json.dumps(json.loads(manifest.read_bytes()) | {"started_at": "long\x1bago", "outcomes": {}}))
    done = threadkeep("status", out)
    assert "begun         long\\x1bago, written 20" in done.out
    assert "complete      0 threads with 9 messages" in done.out


def test_a_killed_run_is_cut_off_and_can_be_written(fake: Watched, arguments: list[object], threadkeep: Run) -> None:
    """Status shows what the store has; `write` makes the export of it without the API; the same command resumes it."""
    path = arguments[3]
    assert isinstance(path, Path)
    assert signalled(fake, signal.SIGKILL, *arguments, "--concurrency", 1, nth=5).code == -signal.SIGKILL
    done = threadkeep("status", path)
    assert done.code == 1
    assert done.out.startswith(f"{path}: a run was cut off, begun 20")
    assert f"  threadkeep write {path}" in done.out.splitlines()
    assert threadkeep("status", path, "--done").code == 5
    assert threadkeep("split", path, "--by", "assistant").code == 5
    written = threadkeep("write", path)
    assert (written.code, "the export is not complete: interrupted" in written.err) == (1, True)
    assert not beside(path, ".store").exists()
    state = json.loads(threadkeep("status", path, "--json").out)
    assert (state["complete"], state["cut_off"], state["manifest"]["ended_by"]) == (False, False, "interrupted")
    assert "ended by      interrupted" in threadkeep("status", path).out
    assert threadkeep(*arguments).code == 0
    assert exported(path) == served(fake)
    assert threadkeep("write", path).code == 0


def test_write_asks_no_api(out: Path) -> None:
    """It does not even import the SDK; nor does status."""
    code = (
        "import sys; from threadkeep.cli.main import run;"
        f" codes = [run(['write', {str(out)!r}]), run(['status', {str(out)!r}])]; sys.exit('openai' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_lock_of_another_machine(out: Path, threadkeep: Run) -> None:
    """From here nobody can tell: status says what the lock file says."""
    beside(out, ".lock").write_bytes(b'{"host":"elsewhere.example","pid":7}\n')
    done = threadkeep("status", out)
    assert (done.code, "an export is running, process 7 on elsewhere.example" in done.out) == (1, True)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"x" * 9000, b"no database"])
def test_a_store_that_cannot_be_read(content: bytes, out: Path, threadkeep: Run) -> None:
    """Status says that a run was cut off, and no more."""
    beside(out, ".store").write_bytes(content)
    done = threadkeep("status", out)
    assert (done.code, "a run was cut off" in done.out) == (1, True)
    assert "its progress cannot be read now" in done.out


def test_a_busy_store_is_waited_for_no_longer_than_a_moment(
    fake: Watched, arguments: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long transaction of a run at work ends no status."""
    path = arguments[3]
    assert isinstance(path, Path)
    signalled(fake, signal.SIGKILL, *arguments, "--concurrency", 1, nth=3)
    paths = Paths(path)
    progress = read_progress(paths)
    assert progress is not None
    assert (progress.header.assistant_id, progress.progress.threads) == (ASSISTANT, 3)
    monkeypatch.setattr("threadkeep.storage.progress._BUSY_SECONDS", 0.0)
    writer = sqlite3.connect(paths.store, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    assert read_progress(paths) is None
    writer.close()


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(out: Path, threadkeep: Run) -> None:
    """Somebody may have put it there."""
    for suffix in (".index", ".manifest.json", ".store"):
        path = beside(out, suffix)
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        done = threadkeep("status", out)
        assert (done.code, "not a regular file" in done.err) == (5, True)
        path.unlink()


def test_only_ids_are_printed_as_ids(out: Path, threadkeep: Run) -> None:
    """An index is only a file: whoever reads the list takes each line of it for a thread."""
    index = beside(out, ".index")
    complete = threadkeep("status", out, "--done").out.splitlines()
    index.write_bytes(index.read_bytes().replace(complete[0].encode(), b"\\u009b\\nthread_no"))
    assert threadkeep("status", out, "--done").out.splitlines() == complete[1:]


def test_the_documented_keys(out: Path, threadkeep: Run) -> None:
    """All that --json prints is in the documentation."""
    report = json.loads(threadkeep("status", out, "--json").out)
    documented = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    section = documented.partition("## threadkeep status")[2].partition("\n## ")[0]
    assert all(f"| `{key}`" in section or f", `{key}`" in section for key in report)


def test_a_lock_that_is_held_here(out: Path, threadkeep: Run) -> None:
    """Before the store is there, too."""
    with locked(Paths(out).lock):
        done = threadkeep("status", out)
    assert (done.code, "it has not fetched anything yet" in done.out) == (1, True)
