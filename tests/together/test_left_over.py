"""Threads that an earlier run was asked for and did not come to are not forgotten by a later one with fewer ids."""

from pathlib import Path

import pytest

from command import Run
from exports import ASSISTANT, beside, manifest, write_ids
from fake_assistants import FakeAssistants, demo_world


@pytest.fixture
def ids(fake: FakeAssistants, base_url: str, tmp_path: Path) -> Path:
    """Twelve threads of a message each."""
    assert base_url
    fake.load(demo_world(12, 1))
    return write_ids(tmp_path, *(thread["id"] for thread in fake.snapshot()["threads"]))


@pytest.fixture
def out(fake: FakeAssistants, ids: Path, tmp_path: Path, threadkeep: Run) -> Path:
    """An export that the sunset ended in the middle, of an API that is back."""
    path = tmp_path / "out.ndjson"
    fake.sunset.after_requests(4)
    assert threadkeep("export", ids, ASSISTANT, path, "--concurrency", 1).code == 3
    fake.sunset.lift()
    return path


def test_a_shorter_list_is_not_the_whole(ids: Path, out: Path, threadkeep: Run) -> None:
    """Those that no run came to are counted and named, and the next step does not lead round in a circle."""
    done = threadkeep("export", ids, ASSISTANT, out, "--limit", 6)
    assert done.code == 1
    assert "never begun   6 threads" in done.out
    assert "An earlier run was asked for threads that this one was not, and did not come to them: 6." in done.err
    assert f"threadkeep validate {out}" in done.err
    assert manifest(out)["unfinished"] == ids.read_text().split()[6:]
    assert threadkeep("status", out).code == 1
    assert threadkeep("validate", out).code == 1
    again = threadkeep("export", ids, ASSISTANT, out, "--limit", 6)
    assert (again.code, "6 threads" in again.out) == (1, True)


def test_the_whole_list_comes_to_them(ids: Path, out: Path, threadkeep: Run) -> None:
    """Nothing is left then."""
    assert threadkeep("export", ids, ASSISTANT, out, "--limit", 6).code == 1
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    assert manifest(out)["unfinished"] == []


def test_what_is_saved_elsewhere_is_not_missed(ids: Path, out: Path, tmp_path: Path, threadkeep: Run) -> None:
    """A done list says so."""
    done = tmp_path / "done.txt"
    done.write_text("\n".join(ids.read_text().split()[6:]))
    assert threadkeep("export", ids, ASSISTANT, out, "--done", done).code == 0
    assert threadkeep("validate", out).code == 0


def test_a_manifest_that_cannot_be_read_tells_nothing(ids: Path, out: Path, threadkeep: Run) -> None:
    """It does not stand in the way either: another one takes its place."""
    beside(out, ".manifest.json").write_text("{")
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
