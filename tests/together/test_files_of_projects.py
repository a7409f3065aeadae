"""Files that several keys may have: each in a project of its own, as their threads are."""

import base64
from pathlib import Path
from typing import Any

import pytest

from command import Run
from exports import ASSISTANT, downloads, write_ids
from fake_assistants import FakeAssistants

REFUSED = {"status": 401, "body": {"error": {"message": "No."}}}


def project(name: str, purpose: str = "vision") -> dict[str, Any]:
    """A world with one thread, and one image that it refers to."""
    content = [{"type": "image_file", "image_file": {"file_id": f"file-{name}"}}]
    content += [{"type": "image_file", "image_file": {"file_id": "file-none"}}]
    return {
        "threads": [{"id": f"thread_{name}"}],
        "messages": [{"id": f"msg_{name}", "thread_id": f"thread_{name}", "role": "user", "content": content}],
        "files": [{"id": f"file-{name}", "object": "file", "purpose": purpose, "filename": f"{name}.png"}],
        "file_contents": [{"id": f"file-{name}", "content": base64.b64encode(name.encode()).decode()}],
    }


@pytest.fixture
def fake() -> FakeAssistants:
    """Two projects, each with its key; one of the files is given to nobody."""
    fake = FakeAssistants(worlds_by_key=True)
    for name, purpose in {"a": "vision", "b": "vision", "c": "assistants"}.items():
        fake.world("sk-b" if name == "b" else "sk-a").load(project(name, purpose))
    return fake


@pytest.fixture
def arguments(tmp_path: Path) -> tuple[object, ...]:
    """The export of all threads, with both keys."""
    ids = write_ids(tmp_path, "thread_a", "thread_b", "thread_c")
    (tmp_path / "keys.txt").write_text("# of both projects\n\nsk-a\nsk-b\n")
    keys = ("--keys-file", tmp_path / "keys.txt", "--concurrency", 1)
    return "export", ids, ASSISTANT, tmp_path / "out.ndjson", "--files", *keys


def outcomes(tmp_path: Path) -> dict[str, str]:
    """What became of the files."""
    return {file_id: row["outcome"] for file_id, row in downloads(tmp_path / "out.ndjson").items()}


@pytest.mark.usefixtures("base_url")
def test_a_file_is_asked_for_with_every_key(arguments: tuple[object, ...], tmp_path: Path, threadkeep: Run) -> None:
    """Missing is what no key knows; what one key knows and may not have is no other one's."""
    assert threadkeep(*arguments).code == 0
    assert outcomes(tmp_path) == {
        "file-a": "saved",
        "file-b": "saved",
        "file-c": "not_allowed",
        "file-none": "missing",
    }
    assert (tmp_path / "out.files" / "file-b.png").read_bytes() == b"b"


@pytest.mark.usefixtures("base_url")
def test_a_refused_key_does_not_make_its_files_missing(
    fake: FakeAssistants, arguments: tuple[object, ...], tmp_path: Path, threadkeep: Run
) -> None:
    """The others go on, and what none of them knows may be known to that one, which is named by its line."""
    fake.world("sk-b").faults = [{"match": {"path": "/files/"}, "do": REFUSED}]
    done = threadkeep(*arguments)
    name = "key 2 (line 4 of the file of keys)"
    assert done.code == 1
    assert f"{name} was rejected, the run continues with the other keys: 401" in done.err
    assert "file-b: failed: " in done.err
    assert f"no other key knows this, and {name} was rejected: " in done.err
    assert outcomes(tmp_path)["file-a"] == "saved"
    fake.world("sk-b").faults = []
    assert threadkeep(*arguments).code == 0
    assert outcomes(tmp_path)["file-b"] == "saved"


@pytest.mark.usefixtures("base_url")
def test_files_end_when_every_key_is_refused(
    fake: FakeAssistants, arguments: tuple[object, ...], threadkeep: Run
) -> None:
    """As the threads would."""
    for key in ("sk-a", "sk-b"):
        fake.world(key).faults = [{"match": {"path": "/files/"}, "do": REFUSED}]
    assert threadkeep(*arguments).code == 4
