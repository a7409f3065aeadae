"""``threadkeep move`` with images and files: no thread is sent before its files are there, if they may still come."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command import Done, Run
from exports import write_ids
from pushes import json_rows
from watched import Watched


@pytest.fixture
def fake() -> Watched:
    """A fake of Foundry, classic and new. Its source and its target have no files in common."""
    return Watched(profile="foundry", check_files=True)


@pytest.fixture
def other() -> Watched:
    """A target that knows none of the files of the source."""
    return Watched(profile="foundry", check_files=True)


@pytest.fixture
def project(fake: Watched, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the source."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with fake.serve() as server:
        yield f"{server.url}/api/projects/fake"


@pytest.fixture
def target(other: Watched) -> Iterator[str]:
    """The address of the target."""
    with other.serve() as server:
        yield f"{server.url}/api/projects/other/openai/v1"


def image_message(name: str, thread_id: str, file_id: str | None = None) -> dict[str, Any]:
    """A message of a text, and of an image."""
    text = {"type": "text", "text": {"value": f"text of {name}", "annotations": []}}
    image = {"type": "image_file", "image_file": {"file_id": file_id or f"file-{name}", "detail": "auto"}}
    number = int.from_bytes(name.encode(), "big") % 1_000
    return {
        "id": f"msg_{name}",
        "object": "thread.message",
        "thread_id": thread_id,
        "role": "user",
        "created_at": 1_700_000_000 + number,
        "content": [text, image],
    }


def add(fake: Watched, name: str, thread_id: str) -> None:
    """Add a message with an image to a thread."""
    fake.load(
        {
            "messages": [image_message(name, thread_id)],
            "files": [
                {"id": f"file-{name}", "object": "file", "purpose": "vision", "filename": "a.png", "bytes": 2},
            ],
            "file_contents": [{"id": f"file-{name}", "content": base64.b64encode(name.encode() * 2).decode()}],
        }
    )


@pytest.fixture
def ids(fake: Watched, tmp_path: Path) -> Path:
    """A list of two threads, of a message with an image each."""
    fake.load({"threads": [{"id": f"thread_{name}", "object": "thread", "metadata": {}} for name in "ab"]})
    for name in "ab":
        add(fake, name, f"thread_{name}")
    return write_ids(tmp_path, "thread_a", "thread_b")


class Moves:
    """The commands of a move, as they are typed."""

    def __init__(self, threadkeep: Run, ids: Path, project: str, target: str) -> None:
        self._run, self._ids, self._project, self._target = threadkeep, ids, project, target
        self.out = ids.with_name("out.ndjson")

    def move(self, *options: object) -> Done:
        """Move."""
        to = ("--to-base-url", self._target, "--to-target", "foundry", "--max-retries", 0)
        return self._run("move", self._ids, "auto", self.out, "--base-url", self._project, *to, *options)

    def export(self, *options: object) -> Done:
        """Export."""
        more = ("--include", "threads", "--base-url", self._project, "--max-retries", 0)
        return self._run("export", self._ids, "auto", self.out, *more, *options)

    def push(self, *options: object) -> Done:
        """Push."""
        to = ("--to", "conversations", "--base-url", self._target, "--target", "foundry", "--max-retries", 0)
        return self._run("push", self.out, *to, *options)

    def losses(self) -> list[dict[str, Any]]:
        """The rows of the losses."""
        return json_rows(self.out.with_name(f"{self.out.name}.conversations.ndjson.losses.ndjson"))


@pytest.fixture
def moves(threadkeep: Run, ids: Path, project: str, target: str) -> Moves:
    """The commands."""
    return Moves(threadkeep, ids, project, target)


def sent(other: Watched) -> dict[str, list[tuple[str, str | None]]]:
    """The items of each conversation by thread: the text, and the image if there is one, as it was saved."""
    state = other.snapshot()
    threads = {one["id"]: one["metadata"]["thread_id"] for one in state["conversations"]}
    found: dict[str, list[tuple[str, str | None]]] = {}
    for item in state["conversation_items"]:
        text, *images = item["content"]
        url = next((part["image_url"] for part in images), None)
        content = None if url is None else base64.b64decode(url.partition(",")[2]).decode()
        found.setdefault(threads[item["conversation_id"]], []).append((text["text"], content))
    return found


A, B, C = ("text of a", "aa"), ("text of b", "bb"), ("text of c", "cc")


def fail(fake: Watched, file_id: str) -> None:
    """Answer no request for the content of a file."""
    fake.faults = [{"match": {"path": f"{file_id}/content"}, "do": {"status": 500}}]


# --- a later move


def test_a_later_move_downloads_what_the_first_one_has_asked_for(fake: Watched, other: Watched, moves: Moves) -> None:
    """The options count for all moves of this OUT, so images that came since are downloaded and sent."""
    assert moves.move("--inline-images").code == 0
    add(fake, "c", "thread_a")
    assert "1 unfinished" in moves.export("--refresh").out
    done = moves.move()
    assert (done.code, done.err) == (0, "")
    assert sent(other) == {"thread_a": [A, C], "thread_b": [B]}
    assert moves.losses() == []


def test_a_later_push_waits_for_files_that_are_not_downloaded(fake: Watched, other: Watched, moves: Moves) -> None:
    """Its thread is named, and the command that downloads is printed; when they are there, the push sends it."""
    assert moves.move("--inline-images").code == 0
    add(fake, "c", "thread_a")
    moves.export("--refresh")
    done = moves.push()
    assert done.code == 1
    assert "thread_a: failed: the file file-c is not downloaded yet" in done.err
    assert "1 thread not pushed (1 of 2 threads pushed)" in done.err
    assert " --files " in done.err.splitlines()[-1]
    assert done.err.splitlines()[-1].endswith(f"THREAD_IDS auto {moves.out}")
    assert sent(other) == {"thread_a": [A], "thread_b": [B]}
    assert moves.losses() == []
    assert moves.export("--files").code == 0
    assert moves.push("--verify").code == 0
    assert sent(other) == {"thread_a": [A, C], "thread_b": [B]}


# --- a download that fails


@pytest.mark.parametrize("option", ["--inline-images", "--upload-files"])
def test_a_thread_is_sent_when_its_files_are_there(option: str, fake: Watched, other: Watched, moves: Moves) -> None:
    """A download that fails for a moment costs no image: the same command moves the thread then."""
    fail(fake, "file-a")
    done = moves.move(option)
    assert done.code == 1
    assert "thread_a: failed: the file file-a could not be downloaded: 500" in done.err
    assert "The same command downloads" in done.err.splitlines()[-1]
    assert [*(one["metadata"]["thread_id"] for one in other.snapshot()["conversations"])] == ["thread_b"]
    fake.faults = []
    done = moves.move()
    assert (done.code, done.err) == (0, "")
    assert len(other.snapshot()["conversation_items"]) == 2
    assert moves.losses() == []


def test_a_file_that_the_api_does_not_have_is_a_loss_with_this_reason(
    fake: Watched, other: Watched, moves: Moves
) -> None:
    """It never comes, so its thread is sent without it."""
    fake.load({"messages": [image_message("c", "thread_a")]})
    done = moves.move("--inline-images")
    assert "1 missing" in done.out
    assert sent(other) == {"thread_a": [A, ("text of c", None)], "thread_b": [B]}
    (row,) = moves.losses()
    assert (row["message_id"], row["lost"]) == ("msg_c", "image_file")
    assert row["why"].startswith("the target does not have the file file-c, and it could not be downloaded: 404 from ")
    assert "was given" not in row["why"]


# --- threads that have changed


def edit(fake: Watched) -> None:
    """Change the text of a message at the source."""
    message = image_message("a", "thread_a")
    message["content"][0]["text"]["value"] = "edited"
    fake.load({"messages": [message]})


def test_one_push_with_anew_is_enough(fake: Watched, other: Watched, moves: Moves) -> None:
    """Also where no push has found out before that a thread has changed. Later pushes do not tell it again."""
    assert moves.move("--inline-images").code == 0
    (old,) = (one["id"] for one in other.snapshot()["conversations"] if one["metadata"]["thread_id"] == "thread_a")
    edit(fake)
    assert moves.export("--refresh").code == 0
    planned = moves.push("--anew", "--dry-run")
    assert "1 to create" in planned.out
    done = moves.push("--anew", "--verify")
    assert (done.code, done.err) == (0, "")
    assert "1 item sent" in done.out
    words = " ".join(done.out.split())
    assert f"replaced 1 conversation of threads that were pushed anew: {old}" in words
    assert "replaced" not in moves.push("--verify").out


def test_a_conversation_stays_while_the_files_of_the_next_one_are_not_there(fake: Watched, moves: Moves) -> None:
    """With --anew too: the map leads to the old one until there is a new one."""
    assert moves.move("--inline-images").code == 0
    path = moves.out.with_name(f"{moves.out.name}.conversations.ndjson")
    before = path.read_bytes()
    edit(fake)
    add(fake, "c", "thread_a")
    moves.export("--refresh")
    done = moves.push("--anew")
    assert (done.code, path.read_bytes()) == (1, before)
    assert "thread_a: failed: the file file-c is not downloaded yet" in done.err
    assert "--anew" not in done.err
    assert moves.export("--files").code == 0
    assert moves.push("--anew", "--verify").code == 0
    assert path.read_bytes() != before


# --- before anything is asked


@pytest.mark.parametrize("options", [("--citations", "strip"), ("--citations", "strip", "--files")], ids=str)
def test_another_choice_than_the_first_one_is_refused_before_the_export(
    options: tuple[str, ...], fake: Watched, moves: Moves
) -> None:
    """The export may take hours."""
    assert moves.move("--inline-images").code == 0
    asked = len(fake.asked)
    done = moves.move(*options)
    assert (done.code, len(fake.asked)) == (5, asked)
    assert "what was sent stays as it is" in done.err
