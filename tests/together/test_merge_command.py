"""Shards and their merge from the command line: the same commands for cron, jobs and arrays."""

import json
import sqlite3
from pathlib import Path

import pytest

from command import Run
from exports import ASSISTANT, beside, downloads, exported, manifest, rows, served, write_ids
from fake_assistants import FakeAssistants, demo_world
from processes import run_alone
from threadkeep.storage.lock import locked
from threadkeep.storage.paths import Paths
from threadkeep.storage.sharding import Shard
from watched import Watched

pytestmark = pytest.mark.usefixtures("base_url")


@pytest.fixture
def names(fake: FakeAssistants) -> list[str]:
    """The ids of a made-up world, with every kind of part and files."""
    fake.load(demo_world(9, 12))
    return [thread["id"] for thread in fake.snapshot()["threads"]]


@pytest.fixture
def parts(names: list[str], threadkeep: Run, tmp_path: Path) -> list[Path]:
    """Three shards of them."""
    ids = write_ids(tmp_path, *names)
    found = [tmp_path / f"part-{number}.ndjson" for number in range(3)]
    for number, part in enumerate(found):
        done = threadkeep("export", ids, ASSISTANT, part, "--shard", f"{number}/3", "--include=threads", "--files")
        assert done.code == 0
        assert done.out.splitlines()[-1] == f"Next: threadkeep validate {part}"
    return found


def test_shards_and_their_merge(
    fake: FakeAssistants, names: list[str], parts: list[Path], threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """Together they are the list, in its order; the next command proves it."""
    assert sorted(name for part in parts for name in rows(part)) == sorted(names)
    ids = tmp_path / "ids.txt"
    done = threadkeep("merge", *parts, "-o", out, "--ids", ids)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == f"Next: threadkeep validate --ids={ids} {out}"
    assert "9 threads with 108 messages" in done.out
    assert list(rows(out)) == names
    assert exported(out) == served(fake)
    assert threadkeep("validate", out, "--ids", ids).code == 0
    assert threadkeep("merge", *parts, "-o", out, "--ids", ids).code == 0


def test_what_can_be_done_with_a_merged_export(
    fake: Watched, names: list[str], parts: list[Path], threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """Everything: status, show, convert, push, split, live comparison, another export, which asks for no thread."""
    ids = tmp_path / "ids.txt"
    assert threadkeep("merge", *parts, "-o", out, "--ids", ids).code == 0
    assert threadkeep("status", out).code == 0
    assert threadkeep("status", out, "--done").out.split() == names
    assert names[4] in threadkeep("show", out).out
    assert threadkeep("validate", out, "--live").code == 0
    assert threadkeep("convert", out, "--to", "sqlite", "-o", tmp_path / "db").code == 0
    with sqlite3.connect(tmp_path / "db") as db:
        assert db.execute("SELECT count(*) FROM messages").fetchone() == (108,)
    assert threadkeep("split", out, "--by", "assistant").code == 0
    assert threadkeep("push", out, "--to", "conversations", "--verify").code == 0
    assert len(fake.snapshot()["conversations"]) == len(names)
    asked = len(fake.requests.to("GET", "/threads/**"))
    assert threadkeep("export", ids, ASSISTANT, out, "--include=threads", "--files").code == 0
    assert len(fake.requests.to("GET", "/threads/**")) == asked


def test_files_are_in_the_merged_export(parts: list[Path], threadkeep: Run, out: Path) -> None:
    """Those of every part."""
    assert threadkeep("merge", *parts, "-o", out).code == 0
    saved = {row["name"] for part in parts for row in downloads(part).values() if row["outcome"] == "saved"}
    assert saved
    assert {path.name for path in out.with_suffix(".files").iterdir()} == saved


def test_a_merge_that_is_not_complete(
    names: list[str], parts: list[Path], threadkeep: Run, tmp_path: Path, out: Path
) -> None:
    """Exit 1: with the number of threads that are in no part, and what to do; lines that are no ids are named."""
    ids = write_ids(tmp_path, *names, "thread_more", "sk-a-secret", "asst_1")
    done = threadkeep("merge", *parts, "-o", out, "--ids", ids)
    assert done.code == 1
    assert done.err.splitlines() == [
        "threadkeep: 2 lines of the list, the first is line 11: no thread ids",
        "threadkeep: the export is not complete",
        "  Resume the exports that are not complete, and merge again. This checks what is there:",
        f"  threadkeep validate --ids={ids} {out}",
    ]
    assert rows(out)["thread_more"]["outcome"] == "unfinished"
    assert "unfinished    1 thread: not asked for yet" in done.out
    done = threadkeep("merge", *parts, "-o", out, "--ids", write_ids(tmp_path, *names, "asst_1"), "--force")
    assert (done.code, "1 line of the list, the first is line 10: no thread ids" in done.err) == (1, True)


def test_json(parts: list[Path], threadkeep: Run, out: Path) -> None:
    """One object: the manifest, and OUT."""
    done = threadkeep("merge", *parts, "-o", out, "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == {"out": str(out), **manifest(out)}


def test_an_existing_out(parts: list[Path], threadkeep: Run, out: Path) -> None:
    """Exit 5, and the way out."""
    out.write_bytes(b"mine")
    done = threadkeep("merge", *parts, "-o", out)
    assert (done.code, "exists already" in done.err, "--force" in done.err) == (5, True, True)
    assert out.read_bytes() == b"mine"
    assert threadkeep("merge", *parts, "-o", out, "--force").code == 0


def test_a_part_at_work_or_cut_off(parts: list[Path], threadkeep: Run, out: Path) -> None:
    """Exit 5, in words."""
    with locked(Paths(parts[1]).lock):
        done = threadkeep("merge", *parts, "-o", out)
    assert (done.code, "part-1.ndjson is being written by process" in done.err) == (5, True)
    beside(parts[1], ".store").write_bytes(b"")
    done = threadkeep("merge", *parts, "-o", out)
    assert (done.code, "`threadkeep write`, before part-1.ndjson is merged" in done.err) == (5, True)


def test_ids_from_standard_input(names: list[str], parts: list[Path], out: Path) -> None:
    """As a pipe gives them."""
    with write_ids(out.parent, *names).open("rb") as ids:
        done = run_alone("merge", *parts, "-o", out, "--ids", "-", stdin=ids)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[-1] == f"Next: threadkeep validate {out}"
    assert list(rows(out)) == names


def test_a_shard_of_a_move(names: list[str], threadkeep: Run, base_url: str, tmp_path: Path) -> None:
    """Only its threads are exported, checked and pushed."""
    ids, out = write_ids(tmp_path, *names), tmp_path / "o"
    done = threadkeep("move", ids, ASSISTANT, out, "--shard", "1/3", "--to-base-url", base_url)
    assert (done.code, done.err) == (0, "")
    expected = list(filter(Shard(1, 3).has, names))
    assert list(rows(out)) == expected
    lines = beside(out, ".conversations.ndjson").read_bytes().split(b"\n")[:-1]
    assert {json.loads(line)["thread_id"] for line in lines} == set(expected)


def test_an_empty_shard_and_an_empty_list(threadkeep: Run, tmp_path: Path) -> None:
    """A shard may have nothing, and is complete then; a list may not."""
    ids = write_ids(tmp_path, "thread_b")
    number = int(not Shard(1, 2).has("thread_b"))
    done = threadkeep("export", ids, ASSISTANT, tmp_path / "o", "--shard", f"{number}/2")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "o").read_bytes() == b""
    assert threadkeep("status", tmp_path / "o").code == 0
    (tmp_path / "empty.txt").write_text("# nothing\n")
    done = threadkeep("export", tmp_path / "empty.txt", ASSISTANT, tmp_path / "p", "--shard", "0/2")
    assert (done.code, "no thread ids in" in done.err) == (2, True)


def test_a_wrong_line_of_a_sharded_list(names: list[str], threadkeep: Run, tmp_path: Path) -> None:
    """Exactly one shard names it, with its place in the list, and ends with 1."""
    ids, codes, named = write_ids(tmp_path, names[0], "", "asst_1"), [], []
    for number in range(3):
        done = threadkeep("export", ids, ASSISTANT, tmp_path / f"{number}", "--shard", f"{number}/3")
        codes.append(done.code)
        named += [line for line in done.err.splitlines() if " of the list is no thread id, " in line]
    assert sorted(codes) == [0, 0, 1]
    assert named == ["threadkeep: line 3 of the list is no thread id, but an assistant's id: asst_1"]


def test_what_came_from_several_addresses(
    names: list[str], threadkeep: Run, base_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No command suggests to ask that name: the parts are resumed, each from its own address."""
    out, parts = tmp_path / "o", [tmp_path / "1", tmp_path / "2"]
    for number, (part, name) in enumerate(zip(parts, names, strict=False)):
        address = base_url.replace("127.0.0.1", "localhost") if number else base_url
        assert threadkeep("export", write_ids(tmp_path, name), ASSISTANT, part, "--base-url", address).code == 0
    ids = write_ids(tmp_path, *names[:2], "thread_more")
    assert threadkeep("merge", *parts, "-o", out, "--ids", ids).code == 1
    assert manifest(out)["source"] == "several addresses"
    step = "The export was merged from exports of several addresses. Resume those that are not complete"
    for command in ("status", "validate"):
        done = threadkeep(command, out)
        assert step in " ".join(done.out.split())
        assert done.out.splitlines()[-1] == f"  threadkeep validate {out}"
    assert threadkeep("validate", out, "--live").code == 1
    monkeypatch.delenv("OPENAI_BASE_URL")
    done = threadkeep("validate", out, "--live")
    assert (done.code, "several addresses. Give --base-url to ask one" in done.err) == (2, True)
    done = threadkeep("export", ids, ASSISTANT, out, "--base-url", base_url)
    assert (done.code, "was begun with --base-url several addresses, and not with" in done.err) == (5, True)
