"""The commands of docs/move-foundry.md, as they are written there, in a shell."""

import base64
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


def test_catching_up_with_images(fake: FakeAssistants, address: str, tmp_path: Path) -> None:
    """What the first move has asked for counts for the commands of the last day, as they are written there."""
    add_image(fake, "file-1")
    project = f"export OPENAI_API_KEY=none\nproject={address}/api/projects/mine\naz='echo token'\n"
    (move,) = commands(PAGE, "Move them")
    (listing, *_) = commands(PAGE, "Save the threads")
    run(project + listing.splitlines()[0] + "\n" + move.rstrip("\n") + " --inline-images\n", tmp_path)
    add_image(fake, "file-2")
    catch_up = "".join(commands(PAGE, "While people still write"))
    run(f"{project}set +e\n{catch_up}", tmp_path)  # the export says that files are left; the move ends with 0
    parts = [part for item in fake.snapshot()["conversation_items"] for part in item["content"]]
    images = [part["image_url"] for part in parts if part["type"] == "input_image"]
    contents = [base64.b64decode(url.partition(",")[2]) for url in images]
    assert {b"file-1", b"file-2"} <= {*contents}
    losses = (tmp_path / "out.ndjson.conversations.ndjson.losses.ndjson").read_text()
    assert "downloaded" not in losses


def add_image(fake: FakeAssistants, file_id: str) -> None:
    """Add a message with an image to a thread."""
    image = {"type": "image_file", "image_file": {"file_id": file_id, "detail": "auto"}}
    thread_id = fake.snapshot()["threads"][0]["id"]
    message = {"id": f"msg_{file_id}", "thread_id": thread_id, "role": "user", "content": [image]}
    file = {"id": file_id, "object": "file", "purpose": "vision", "filename": "a.png", "bytes": 6}
    content = {"id": file_id, "content": base64.b64encode(file_id.encode()).decode()}
    fake.load(
        {
            "messages": [{**message, "object": "thread.message", "created_at": 2_000_000_000 + int(file_id[-1])}],
            "files": [file],
            "file_contents": [content],
        }
    )
