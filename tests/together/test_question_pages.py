"""The commands of the pages that answer a question, as they are written there, in a shell."""

import json
from pathlib import Path

import pytest

from exports import ASSISTANT, exported, write_ids
from fake_assistants import FakeAssistants, demo_world
from pages import commands, run
from threadkeep.storage.paths import Paths

THREADS = 3


@pytest.fixture
def names(fake: FakeAssistants, base_url: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of a loaded world, at the address of the environment."""
    monkeypatch.setenv("OPENAI_BASE_URL", base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    world = demo_world(THREADS, 12)
    fake.load(world)
    return [thread["id"] for thread in world["threads"]]


def test_the_walk_of_an_export(names: list[str], tmp_path: Path) -> None:
    """The list in two forms, and a token of a command."""
    (tmp_path / "thread_ids.csv").write_text("user,thread_id\n" + "".join(f"u,{name}\n" for name in names))
    (tmp_path / "chats.tsv").write_text("old\topenai_thread\n" + "".join(f"thread_1\t{name}\n" for name in names))
    headings = (None, "The list of thread ids")
    run("".join(block for heading in headings for block in commands("export.md", heading)), tmp_path)
    assert list(exported(tmp_path / "out.ndjson")) == names
    assert exported(tmp_path / "chats.ndjson") == exported(tmp_path / "out.ndjson")
    (_program, typed), _keys = (block.splitlines() for block in commands("export.md", "The server and the key"))
    run(f"az='echo token'\n{typed}", tmp_path)


def test_the_walk_of_a_repair(names: list[str], tmp_path: Path) -> None:
    """One damaged line, found and fetched again; then the export is compared with the API."""
    write_ids(tmp_path, *names).rename(tmp_path / "thread_ids.txt")
    out = tmp_path / "out.ndjson"
    run("threadkeep export thread_ids.txt auto out.ndjson\n", tmp_path)
    intact = out.read_bytes()
    out.write_bytes(intact.replace(b'"text":"', b'"text":"x', 1))
    found, repaired = commands("validate-and-repair.md", "Repair it")
    run(f"! {found}", tmp_path)
    run(repaired, tmp_path)
    assert out.read_bytes() == intact
    (live,) = commands("validate-and-repair.md", "Compare it with the live API")
    check, _printed = commands("validate-and-repair.md")
    run(check + live, tmp_path)


def test_the_walk_after_the_export(names: list[str], tmp_path: Path) -> None:
    """Read, split, merge and convert."""
    write_ids(tmp_path, *names).rename(tmp_path / "thread_ids.txt")
    run(f"threadkeep export thread_ids.txt {ASSISTANT} out.ndjson\n", tmp_path)
    for number in range(2):
        run(f"threadkeep export thread_ids.txt {ASSISTANT} part-{number}.ndjson --shard {number}/2\n", tmp_path)
    headings = ("Read it", "One export for each assistant", "One export of several")
    typed = "".join(block for heading in headings for block in commands("after-the-export.md", heading))
    typed += "rm -r pages*\n" + "".join(commands("after-the-export.md", "Convert it"))
    run(typed.replace("thread_abc123", names[0]), tmp_path)
    assert (tmp_path / "pages" / "index.html").exists()
    assert (tmp_path / "all.ndjson").read_bytes() == (tmp_path / "out.ndjson").read_bytes()
    manifest = json.loads(Paths(tmp_path / f"out.{ASSISTANT}.ndjson").manifest.read_bytes())
    assert manifest["totals"]["threads"] == THREADS


def test_the_walk_of_an_export_in_shards(names: list[str], tmp_path: Path) -> None:
    """Here with one key: by Dask, and by one command for each part. Both give what one process gives."""
    write_ids(tmp_path, *names).rename(tmp_path / "thread_ids.txt")
    ids, keys = tmp_path / "ids.txt", tmp_path / "keys.txt"
    ids.write_bytes((tmp_path / "thread_ids.txt").read_bytes())
    keys.write_text("sk-test")
    keys.chmod(0o600)
    run(f"threadkeep export ids.txt {ASSISTANT} alone.ndjson\n", tmp_path)
    alone = (tmp_path / "alone.ndjson").read_bytes()
    for page, heading in (
        ("scale.md", "Several processes on one machine"),
        ("clusters.md", "One part for each machine"),
    ):
        run("rm -f out.ndjson*\n" + "".join(commands(page, heading)).replace("asst_abc123", ASSISTANT), tmp_path)
        assert (tmp_path / "out.ndjson").read_bytes() == alone
