"""Threads that an earlier run was asked for and did not complete are not forgotten by a later one with fewer ids."""

from pathlib import Path

import pytest

from command import Run
from exports import ASSISTANT, manifest, write_ids
from fake_assistants import FakeAssistants, demo_world


@pytest.fixture
def ids(fake: FakeAssistants, base_url: str, tmp_path: Path) -> Path:
    """Twelve threads of a message each."""
    assert base_url
    fake.load(demo_world(12, 1))
    return write_ids(tmp_path, *(thread["id"] for thread in fake.snapshot()["threads"]))


@pytest.fixture
def last_six(ids: Path, tmp_path: Path) -> Path:
    """The second half of them."""
    path = tmp_path / "last_six.txt"
    path.write_text("\n".join(ids.read_text().split()[6:]))
    return path


@pytest.fixture
def out(fake: FakeAssistants, ids: Path, tmp_path: Path, threadkeep: Run) -> Path:
    """An export that the sunset ended in the middle, of an API that is back."""
    path = tmp_path / "out.ndjson"
    fake.sunset.after_requests(4)
    assert threadkeep("export", ids, ASSISTANT, path, "--concurrency", 1).code == 3
    fake.sunset.lift()
    return path


def test_a_shorter_list_does_not_complete_the_export(ids: Path, out: Path, threadkeep: Run) -> None:
    """Those that no run came to are counted, run after run, and the next step names both ways out."""
    for _ in range(2):
        done = threadkeep("export", ids, ASSISTANT, out, "--limit", 6)
        assert done.code == 1
        assert "unfinished    6 threads" in done.out
        assert done.err.count("6 threads of earlier runs are not complete, and this run does not ask for them.") == 1
        assert "--drop" in done.err
        assert f"threadkeep validate --ids={ids} {out}" in done.err
        assert manifest(out)["outcomes"]["unfinished"] == 6
    assert threadkeep("status", out).code == 1
    assert threadkeep("validate", out).code == 1


def test_dropped_threads_are_not_missed(ids: Path, out: Path, last_six: Path, threadkeep: Run) -> None:
    """Ids in --drop are neither asked for nor counted, until they are listed again."""
    assert threadkeep("export", ids, ASSISTANT, out, "--drop", last_six).code == 0
    assert threadkeep("validate", out).code == 0
    assert manifest(out)["outcomes"]["dropped"] == 6
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    assert manifest(out)["outcomes"]["complete"] == 12


def test_a_complete_thread_cannot_be_dropped(ids: Path, out: Path, threadkeep: Run) -> None:
    """It stays, and a notice says so."""
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    done = threadkeep("export", ids, ASSISTANT, out, "--drop", ids)
    assert (done.code, "12 ids to be dropped are complete in the export" in done.err) == (0, True)
    assert manifest(out)["outcomes"]["complete"] == 12


def test_what_is_saved_elsewhere_stays_needed(ids: Path, out: Path, last_six: Path, threadkeep: Run) -> None:
    """--done narrows today's list only."""
    assert threadkeep("export", ids, ASSISTANT, out, "--done", last_six).code == 1
    assert manifest(out)["outcomes"]["unfinished"] == 6
