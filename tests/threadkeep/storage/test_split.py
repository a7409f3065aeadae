"""Splitting an export by assistant: the parts together are the export, and each of them is one."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import threadkeep
from exporting import ASSISTANT, Export, now
from fake_assistants import FakeAssistants
from kills import after_kills
from threadkeep.errors import OutputUnusable
from threadkeep.storage.lock import locked
from threadkeep.storage.paths import Paths
from threadkeep.storage.split import split_by_assistant

NAMES = [f"thread_{number}" for number in range(6)]
OWN = {"thread_0": "asst_1", "thread_1": "asst_2", "thread_2": "asst_1", "thread_3": None, "thread_4": "asst_2"}


def world() -> dict[str, Any]:
    """Five threads of three messages, with runs and files, and one of two pages."""
    messages = [
        {
            "id": f"msg_{name}_{number}",
            "thread_id": name,
            "role": "user" if OWN[name] is None else "assistant",
            "assistant_id": OWN[name],
            "content": [{"type": "image_file", "image_file": {"file_id": f"file-{name[-1]}"}}],
        }
        for name in OWN
        for number in range(3)
    ]
    long = [{"id": f"msg_long_{number}", "thread_id": "thread_5", "content": []} for number in range(150)]
    files = [f"file-{number}" for number in range(5)]
    return {
        "threads": [{"id": name} for name in NAMES],
        "messages": messages + long,
        "runs": [{"id": f"run_{name}", "thread_id": name, "status": "completed"} for name in NAMES],
        "files": [{"id": one, "object": "file", "purpose": "vision", "bytes": 3} for one in files],
        "file_contents": [{"id": one, "content": "YWJj"} for one in files],
    }


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """An export in which a thread was cut off, and another one is missing."""
    fake = FakeAssistants()
    fake.load(world())
    fake.faults = [{"match": {"path": "thread_5/messages", "nth": 2, "times": 99}, "do": {"status": 500}}]
    options = {"assistant_id": "auto", "include": ("threads", "runs"), "files": True, "concurrency": 1}
    return Export(tmp_path).run_alone([*NAMES, "thread_none"], fake, **options)


def test_the_parts_are_the_export(export: Export) -> None:
    """Every thread is in one part, as it was, with its sidecars, partial lines and files; the digests add up."""
    before = export.contents()
    parts = split_by_assistant(export.paths)
    assert [part.paths.out.name for part in parts] == ["out.asst_1.ndjson", "out.asst_2.ndjson", "out.none.ndjson"]
    assert [part.manifest.assistant_id for part in parts] == ["asst_1", "asst_2", "auto"]
    assert {name: content for name, content in export.contents().items() if name in before} == before
    opened = [(part, threadkeep.read(part.paths.out)) for part in parts]
    threads = {one.thread_id: (part, one) for part, export_of_part in opened for one in export_of_part.threads()}
    with threadkeep.read(export.paths.out) as source:
        for thread in source.threads():
            part, other = threads.pop(thread.thread_id)
            assert (other.outcome, other.assistant_id, other.reason) == (
                thread.outcome,
                thread.assistant_id,
                thread.reason,
            )
            assert list(other.messages) == list(thread.messages)
            assert (other.thread, other.runs) == (thread.thread, thread.runs)
            assert other.files.keys() == thread.files.keys()
            assert all(path.is_relative_to(part.paths.files) for path in other.files.values())
            assert all(path.read_bytes() == b"abc" for path in other.files.values())
    assert threads == {}
    manifest = export.result.manifest
    assert manifest is not None
    assert sum(int(part.manifest.digest, 16) for part in parts) % 2**256 == int(manifest.digest, 16)
    assert sum(part.manifest.totals.messages for part in parts) == manifest.totals.messages
    assert sum(part.manifest.totals.partial_messages for part in parts) == manifest.totals.partial_messages == 100


@pytest.mark.parametrize("number", range(2))
def test_a_part_is_an_export(number: int, export: Export) -> None:
    """It is valid, and an export of the same kind resumes it."""
    part = split_by_assistant(export.paths)[number]
    assert threadkeep.validate(part.paths.out).is_complete
    fake = FakeAssistants()
    fake.load(world())
    again = Export(part.paths.out.parent)
    again.paths = part.paths
    assistant_id = part.manifest.assistant_id
    again.run_alone(OWN, fake, assistant_id=assistant_id, include=("threads", "runs"), files=True)
    assert again.result.is_complete
    assert set(OWN) <= set(again.rows)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("out.none.ndjson.index", None, "is a symbolic link"),
        ("out.none.files", None, "is a symbolic link"),
        ("out.none.ndjson.manifest.json.new", None, "is a symbolic link"),
        ("out.none.ndjson.index", b"mine", "exists already, and is not what this split would write"),
        ("out.asst_2.ndjson", b"mine", "exists already, and is not what this split would write"),
        ("out.asst_2.ndjson.store", b"mine", "exists already, and is not what this split would write"),
        ("out.asst_1.files/file-0", b"mine", "exists already, and is another file"),
    ],
)
def test_a_name_that_is_taken(name: str, content: bytes | None, words: str, export: Export) -> None:
    """Whatever it is that has the name of a file of a part: it stays as it is, and no part is written."""
    path = export.paths.out.parent / name
    if content is None:
        path.symlink_to("nowhere")
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    before = export.contents()
    with pytest.raises(OutputUnusable, match=f"{name} {words}"):
        split_by_assistant(export.paths)
    assert path.is_symlink() if content is None else path.read_bytes() == content
    assert {one for one in export.contents().keys() - before.keys() if not one.startswith("out.asst_1.files")} == set()
    path.unlink()
    split_by_assistant(export.paths)


def test_a_kill_at_any_change_of_the_disk(export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command ends it: the parts are those of a split that was not killed, and nothing else is there."""
    monkeypatch.setattr(os, "fsync", lambda _number: None)
    export.paths.out.parent.rename(tmp_path.with_name("ready"))
    ready, target = Export(tmp_path.with_name("ready")), Export(tmp_path)

    def prepared(_nth: int) -> Callable[[], object]:
        shutil.rmtree(tmp_path, ignore_errors=True)
        shutil.copytree(ready.paths.out.parent, tmp_path)
        return lambda: split_by_assistant(target.paths)

    prepared(0)()
    whole, kills = target.contents(), 0
    for _ in after_kills(prepared):
        kills += 1
        split_by_assistant(target.paths)
        assert target.contents() == whole
    assert kills > len(whole)


@pytest.mark.parametrize(
    ("assistant_id", "words"),
    [("a/b", "cannot be a part"), ("", "cannot be a part"), ("x" * 300, "cannot be a part"), ("a\nb", "cannot be")],
)
def test_an_assistant_that_cannot_be_a_name(assistant_id: str, words: str, tmp_path: Path) -> None:
    """Nothing is written."""
    fake = FakeAssistants()
    message = {"id": "msg_1", "thread_id": "thread_0", "role": "assistant", "assistant_id": assistant_id, "content": []}
    fake.load({"threads": [{"id": "thread_0"}], "messages": [message]})
    export = Export(tmp_path).run_alone(["thread_0"], fake, assistant_id="auto")
    before = export.contents()
    with pytest.raises(OutputUnusable, match=words):
        split_by_assistant(export.paths)
    assert export.contents() == before


def test_an_assistant_with_the_name_of_none(tmp_path: Path) -> None:
    """Its threads are not mixed with those that have none."""
    fake = FakeAssistants()
    message = {"id": "msg_1", "thread_id": "thread_0", "role": "assistant", "assistant_id": "none", "content": []}
    fake.load({"threads": [{"id": "thread_0"}, {"id": "thread_1"}], "messages": [message]})
    export = Export(tmp_path).run_alone(["thread_0", "thread_1"], fake, assistant_id="auto")
    with pytest.raises(OutputUnusable, match="the name for threads without one"):
        split_by_assistant(export.paths)


@pytest.mark.parametrize("name", ["out.ndjson", "out.ndjson.runs", "out.ndjson.partial", "out.ndjson.index"])
def test_a_damaged_export_is_refused(name: str, export: Export) -> None:
    """With the thread, before anything is written; the next export repairs it."""
    path = export.paths.out.with_name(name)
    content = path.read_bytes()
    path.write_bytes(content[:-40] + b"x" * 40)
    with pytest.raises(OutputUnusable, match=r"damaged.* it repairs the export"):
        split_by_assistant(export.paths)
    path.unlink()
    with pytest.raises(OutputUnusable, match=r"damaged|does not exist"):
        split_by_assistant(export.paths)
    assert not list(path.parent.glob("out.asst*"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("out.ndjson.manifest.json", b"{", "cannot be read"),
        ("out.ndjson.manifest.json", None, "manifest.json does not exist"),
        ("out.ndjson.downloads", b"x\n", "downloads is not the one that"),
        ("out.ndjson.index", b"x\n", "index: line 1 is damaged"),
        ("out.ndjson.store", b"x", "threadkeep write"),
    ],
)
def test_what_must_be_in_order_first(name: str, content: bytes | None, words: str, export: Export) -> None:
    """Nothing is written."""
    path = export.paths.out.with_name(name)
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(OutputUnusable, match=words):
        split_by_assistant(export.paths)
    assert not list(path.parent.glob("out.asst*"))


@pytest.mark.parametrize("harm", [lambda rows: rows[:-1], lambda rows: [*rows, rows[1]]])
def test_an_index_that_was_altered_is_refused(harm: Callable[[list[bytes]], list[bytes]], export: Export) -> None:
    """Its threads would vanish, or be there twice."""
    export.paths.index.write_bytes(b"".join(harm(export.paths.index.read_bytes().splitlines(keepends=True))))
    with pytest.raises(OutputUnusable, match=r"index is not the one that .* was written with\. Run the same export"):
        split_by_assistant(export.paths)
    assert not list(export.paths.out.parent.glob("out.asst*"))


def test_an_export_at_work_is_refused(export: Export) -> None:
    """As any other writer is."""
    with locked(export.paths.lock), pytest.raises(OutputUnusable, match="is being written by another"):
        split_by_assistant(export.paths)
    with pytest.raises(OutputUnusable, match="is not a folder"):
        split_by_assistant(Paths(export.paths.out / "x"))


def test_a_disk_that_refuses_leaves_no_half_part(export: Export) -> None:
    """What was written of it is removed."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    before = sorted(export.paths.out.parent.iterdir())
    refused = mock.patch("threadkeep.storage.rewriting.link_or_copy", side_effect=full)
    with refused, pytest.raises(OutputUnusable, match="No space left"):
        split_by_assistant(export.paths)
    assert sorted(export.paths.out.parent.iterdir()) == before
    split_by_assistant(export.paths)


def test_one_assistant_is_one_part(tmp_path: Path) -> None:
    """The same files under another name; without a file name's ending too."""
    fake = FakeAssistants()
    fake.load(world())
    export = Export(tmp_path)
    export.paths = Paths(tmp_path / "out")
    export.run_alone(OWN, fake)
    (part,) = split_by_assistant(export.paths)
    assert part.paths.out == tmp_path / f"out.{ASSISTANT}"
    assert part.paths.out.read_bytes() == export.paths.out.read_bytes()
    assert part.paths.index.read_bytes() == export.paths.index.read_bytes()
    assert part.manifest.started_at == now().isoformat(timespec="seconds")
