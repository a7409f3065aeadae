"""The commands of docs/move-foundry.md, as they are written there, in a shell."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_assistants import FakeAssistants, demo_world
from pages import commands, run

PAGE = "move-foundry.md"
THREADS = 20


def moved(map_file: Path) -> list[str]:
    """Return the threads of the map, all of which are verified."""
    rows = [json.loads(line) for line in map_file.read_bytes().splitlines()]
    assert all(row["verified"] for row in rows)
    return [row["thread_id"] for row in rows]


@pytest.fixture
def fake() -> FakeAssistants:
    """A fake of Foundry with threads."""
    fake = FakeAssistants(profile="foundry")
    fake.load(demo_world(THREADS, 30))
    return fake


@pytest.fixture
def address(fake: FakeAssistants) -> Iterator[str]:
    """Where the fake is served."""
    with fake.serve() as server:
        yield server.url


def test_the_rehearsal(fake: FakeAssistants, address: str, tmp_path: Path) -> None:
    """Every thread has a conversation afterwards. The fake is served by the test, on a port that is free."""
    serve, typed = commands(PAGE, "Rehearse it")
    assert serve.split()[:2] == ["fake-assistants", "serve"]
    run(typed.replace("http://127.0.0.1:8000", address), tmp_path)
    assert len(moved(tmp_path / "rehearsal.ndjson.conversations.ndjson")) == THREADS
    assert len(fake.snapshot()["conversations"]) == THREADS


def test_the_walk(fake: FakeAssistants, address: str, tmp_path: Path) -> None:
    """From the list of threads to catching up on the day of the switch: no conversation is created twice."""
    headings = ("Save the threads", "Dry run", "Move them", "Check it", "While people still write")
    typed = [block for heading in headings for block in commands(PAGE, heading)]
    project = f"export OPENAI_API_KEY=none\nproject={address}/api/projects/mine\naz='echo token'\n"
    run(project + "".join(typed), tmp_path)
    assert len(moved(tmp_path / "out.ndjson.conversations.ndjson")) == THREADS
    assert len(fake.snapshot()["conversations"]) == THREADS
