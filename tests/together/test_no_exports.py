"""A file that is no export is called what it is, in one sentence that says which file to give."""

import gzip
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from command import Run
from exports import beside, write_ids
from messages import message, world
from threadkeep import read
from threadkeep.errors import OutputUnusable
from watched import Watched

_COMMANDS = {
    "validate": (),
    "show": (),
    "status": (),
    "split": ("--by", "assistant"),
    "merge": ("-o", "merged.ndjson"),
    "push": ("--to", "conversations", "--dry-run"),
    "convert": ("--to", "chat", "-o", "converted"),
}


@pytest.fixture
def fake() -> Watched:
    """A thread."""
    return Watched.holding(world([message(1, "thread_a", None), message(2, "thread_a", "asst_1")]))


@pytest.fixture
def out(base_url: str, tmp_path: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An export with all that can be next to it, in the folder that is the current one."""
    assert base_url
    monkeypatch.chdir(tmp_path)
    ids = write_ids(tmp_path, "thread_a")
    assert threadkeep("export", ids, "asst_1", "out.ndjson", "--include", "threads,runs", "--files").code == 0
    return Path("out.ndjson")


@pytest.mark.parametrize("ending", [".index", ".manifest.json", ".threads"])
def test_a_file_next_to_an_export_leads_to_it(out: Path, threadkeep: Run, ending: str) -> None:
    """By its name, in each command."""
    for command, options in _COMMANDS.items():
        done = threadkeep(command, beside(out, ending), *options)
        assert (done.code, done.out, done.err.count("\n")) == (5, "", 1), command
        assert done.err.startswith(f"threadkeep: {out}{ending} is the ")
        assert done.err.endswith(", and not the export itself: give out.ndjson.\n")


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("ids", b"thread_a\nthread_b\n", "a list of thread ids"),
        ("ids.csv", b"user,thread_id\n1,thread_a\n", "a list of thread ids"),
        ("ids.json", b'["thread_a"]', "a list of thread ids"),
        ("state.json", json.dumps(world([message(1, "thread_a", None)])).encode(), "a state of fake-assistants"),
        ("messages", json.dumps(message(1, "thread_a", None)).encode(), "a file of messages as the API gives them"),
        ("other.json", b'{"a": 1}', "JSON of another kind"),
        ("pretty.json", b'{\n  "a": 1\n}\n', "JSON of another kind"),
        ("cut.json", b'{"a": [1, ', "JSON of another kind"),
        ("notes.txt", b"Dear reader,\nthere is nothing here.\n", "a text file"),
        ("gz", gzip.compress(b"{}\n"), "a compressed file"),
        ("bin", bytes(range(256)), "a binary file"),
        ("utf16", "thread_a\n".encode("utf-16"), "a file in UTF-16"),
        ("out.store", b"SQLite format 3\x00" + bytes(100), "the working store of an export"),
    ],
)
def test_another_file_is_called_what_it_is(out: Path, threadkeep: Run, name: str, content: bytes, what: str) -> None:
    """With an export of the same folder as the example."""
    Path(name).write_bytes(content)
    what += ", and not the export itself" if name == "out.store" else ", and no export"
    words = f"threadkeep: {name} is {what}: give the NDJSON file that `threadkeep export` has written, such as {out}.\n"
    for command, options in _COMMANDS.items():
        done = threadkeep(command, name, *options)
        assert (done.code, done.out, done.err) == (5, "", words), command


def test_a_database_of_somebody_is_one(out: Path, threadkeep: Run) -> None:
    """And a folder is a folder."""
    sqlite3.connect("some.db").execute("CREATE TABLE t(a)").connection.close()
    assert "some.db is an SQLite database, and no export" in threadkeep("validate", "some.db").err
    folder = threadkeep("validate", out.absolute().parent)
    assert (folder.code, "is a folder: give the NDJSON file that" in folder.err) == (5, True)
    with pytest.raises(OutputUnusable, match="is a list of thread ids"):
        read("ids.txt")


@pytest.mark.parametrize(
    "damage",
    [
        lambda lines: lines[:1],
        lambda lines: [lines[0][:-20]],
        lambda lines: [lines[0][5:], *lines[1:]],
        lambda lines: [b"\n", b"garbage\n", *lines],
        lambda lines: [lines[0].replace(b'"thread_id"', b'"thread"', 1)],
    ],
)
def test_a_damaged_export_is_one(out: Path, threadkeep: Run, damage: Any) -> None:
    """Its lines are validated, and not refused together."""
    lines = out.read_bytes().splitlines(keepends=True)
    Path("bare").write_bytes(b"".join(damage(lines)))
    done = threadkeep("validate", "bare")
    assert (done.code in (0, 1), done.err) == (True, "")
