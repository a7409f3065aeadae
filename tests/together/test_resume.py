"""An export that goes on: after kills, sunsets and damage, by real processes and a real server."""

import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from command import Run
from fake_assistants import FakeAssistants, Reply, Request, demo_world
from processes import started
from threadkeep import decode
from threadkeep.disk import OsDisk

ASSISTANT = "asst_abc123"
CONCURRENCY = 4


class Watched(FakeAssistants):
    """A fake that does something when it is asked for the n-th time, before it answers: `acts` says when and what.

    `at_page_two` is done before each answer to a request for what lies behind a cursor.
    """

    asked = 0
    acts: Mapping[int, Callable[[], object]] = MappingProxyType({})

    def handle(self, request: Request) -> Reply:
        self.asked += 1
        self.acts.get(self.asked, lambda: None)()
        if request.asked("after") is not None:
            self.at_page_two()
        return super().handle(request)

    def at_page_two(self) -> None:
        """Nothing, unless a test says so."""


@pytest.fixture
def fake() -> Watched:
    """A world of threads of one page and of three."""
    fake = Watched()
    fake.load(demo_world(30, 5))
    fake.load(demo_world(4, 230))
    return fake


@pytest.fixture
def ids(fake: FakeAssistants, tmp_path: Path) -> Path:
    """All its threads."""
    path = tmp_path / "ids.txt"
    path.write_text("\n".join(thread["id"] for thread in fake.snapshot()["threads"]))
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the export goes."""
    return tmp_path / "out.ndjson"


def threads_in(path: Path) -> dict[str, list[Any]]:
    """The messages of an export, by thread."""
    found: dict[str, list[Any]] = {}
    for line in path.read_bytes().split(b"\n")[:-1]:
        record = decode(line)
        found.setdefault(record.thread_id, []).append(record.raw)
    return found


def served(fake: FakeAssistants) -> dict[str, list[Any]]:
    """The messages of the fake's world, by thread."""
    found: dict[str, list[Any]] = {}
    for message in fake.snapshot()["messages"]:
        found.setdefault(message["thread_id"], []).append(message)
    return found


def claimed(out: Path) -> dict[str, Any]:
    """What the manifest says of the export, but for times."""
    said: dict[str, Any] = json.loads(out.with_name("out.ndjson.manifest.json").read_bytes())
    return {key: value for key, value in said.items() if key not in ("started_at", "finished_at")}


def beside(out: Path) -> set[str]:
    """The names of the export's files."""
    return {path.name for path in out.parent.glob("out.ndjson*")}


@contextmanager
def killed_at(fake: Watched, request: int, *arguments: object, by: int = signal.SIGKILL) -> Iterator[None]:
    """A real process, to which a signal comes while its n-th request is on its way."""
    with started(*arguments) as process:
        fake.acts = {fake.asked + request: lambda: process.send_signal(by)}
        process.communicate(timeout=120)
        assert process.returncode != 0
        yield


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("request_number", [1, 2, 17, 34])
def test_a_killed_export_goes_on_and_is_the_same_in_the_end(
    request_number: int, fake: Watched, ids: Path, out: Path, threadkeep: Run
) -> None:
    """Every thread once and whole, no more asked twice than was on its way, and the claims of an undisturbed export."""
    arguments = ("export", ids, ASSISTANT, out, "--concurrency", CONCURRENCY)
    with killed_at(fake, request_number, *arguments):
        first = {entry.path for entry in fake.requests}
    asked = len(list(fake.requests))
    assert threadkeep(*arguments).code == 0
    again = {entry.path for entry in list(fake.requests)[asked:]}
    assert len(first & again) <= CONCURRENCY
    assert threads_in(out) == served(fake)
    assert threadkeep("validate", out, "--ids", ids).code == 0
    assert beside(out) == {"out.ndjson", "out.ndjson.journal", "out.ndjson.manifest.json"}
    undisturbed = out.with_name("undisturbed") / "out.ndjson"
    undisturbed.parent.mkdir()
    assert threadkeep("export", ids, ASSISTANT, undisturbed).code == 0
    assert claimed(out) == claimed(undisturbed)


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_export_goes_on(by: int, fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """In the end it is whole."""
    arguments = ("export", ids, ASSISTANT, out, "--concurrency", CONCURRENCY)
    with killed_at(fake, 20, *arguments, by=by):
        assert json.loads(out.with_name("out.ndjson.manifest.json").read_bytes())["ended_by"] == "interrupted"
    done = threadkeep(*arguments)
    assert (done.code, done.err) == (0, "")
    assert threads_in(out) == served(fake)


@pytest.mark.usefixtures("base_url")
def test_what_is_complete_costs_no_request(fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """Run twice, an export asks nothing the second time, changes no line, and says how much was there."""
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    before, asked = out.read_bytes(), fake.asked
    done = threadkeep("export", ids, ASSISTANT, out, "--json")
    assert (done.code, json.loads(done.out)["resumed"]) == (0, len(ids.read_text().split()))
    assert (out.read_bytes(), fake.asked) == (before, asked)
    assert threadkeep("validate", out, "--ids", ids).code == 0


@pytest.mark.usefixtures("base_url")
def test_what_was_not_whole_is_asked_for_again(fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """Missing threads too: they may be found by now, with another key for example."""
    with ids.open("a") as file:
        file.write("\nthread_late\nundefined\n")
    assert threadkeep("export", ids, ASSISTANT, out).code == 1
    fake.load({"threads": [{"id": "thread_late"}]})
    assert threadkeep("export", ids, ASSISTANT, out).code == 1
    status = threadkeep("status", out)
    assert "thread_late" not in status.out
    assert "undefined: invalid" in status.out


@pytest.mark.usefixtures("base_url")
def test_an_export_that_the_sunset_cut_off_is_completed_when_the_api_is_back(
    fake: Watched, ids: Path, out: Path, threadkeep: Run
) -> None:
    """The pages that were kept stay until their threads are whole; then the partial file is gone."""
    arguments = ("export", ids, ASSISTANT, out, "--concurrency", 40)
    fake.at_page_two = fake.sunset.now  # type: ignore[method-assign]
    done = threadkeep(*arguments)
    assert done.code == 3
    partial = out.with_name("out.ndjson.partial")
    kept = threads_in(partial)
    assert kept
    manifest = json.loads(out.with_name("out.ndjson.manifest.json").read_bytes())
    cut_off = {row["thread_id"]: row["cursor"] for row in manifest["not_whole"]}
    assert cut_off == {name: messages[-1]["id"] for name, messages in kept.items()}
    assert set(manifest["unfinished"]) == set(ids.read_text().split()) - set(threads_in(out)) - set(kept)
    assert threadkeep(*arguments).code == 3
    assert threads_in(partial) == kept
    fake.at_page_two = lambda: None  # type: ignore[method-assign]
    fake.sunset.lift()
    assert threadkeep(*arguments).code == 0
    assert threads_in(out) == served(fake)
    assert not partial.exists()


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["asst_other"], "its assistant is asst_abc123, and asst_other was asked for"),
        ([ASSISTANT, "--flat"], "its flat format is off, and on was asked for"),
        ([ASSISTANT, "--base-url", "http://127.0.0.1:1/v1"], "its source is http://127.0.0.1"),
    ],
)
def test_another_export_is_not_gone_on_with(
    arguments: list[str], words: str, ids: Path, out: Path, threadkeep: Run
) -> None:
    """Exit 5, in words that say what to do; nothing changes. --fresh keeps the old files under another name."""
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    before = {path.name: path.read_bytes() for path in out.parent.glob("out*")}
    done = threadkeep("export", ids, arguments[0], out, *arguments[1:])
    assert done.code == 5
    assert words in done.err
    assert "--fresh" in done.err
    assert {path.name: path.read_bytes() for path in out.parent.glob("out*")} == before
    threadkeep("export", ids, arguments[0], out, *arguments[1:], "--fresh", "--max-retries", 0)
    assert (out.parent / "out.old-1.ndjson").read_bytes() == before["out.ndjson"]


def flip(path: Path, place: int) -> None:
    """Change one byte."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a changed byte": lambda out: flip(out, 500),
    "a lost end": lambda out: out.write_bytes(out.read_bytes()[:-200]),
    "a lost export": lambda out: out.unlink(),
    "a changed journal line": lambda out: flip(out.with_name("out.ndjson.journal"), 300),
    "a changed header": lambda out: flip(out.with_name("out.ndjson.journal"), 1),
    "a lost journal": lambda out: out.with_name("out.ndjson.journal").unlink(),
    "an emptied journal": lambda out: out.with_name("out.ndjson.journal").write_bytes(b""),
}


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_export_is_not_gone_on_with(
    damage: Callable[[Path], object], fake: Watched, ids: Path, out: Path, threadkeep: Run
) -> None:
    """Exit 5 before any request, what to do, and nothing changes."""
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    damage(out)
    before = {path.name: path.read_bytes() for path in out.parent.glob("out*")}
    asked = fake.asked
    done = threadkeep("export", ids, ASSISTANT, out)
    assert (done.code, fake.asked) == (5, asked)
    assert "--fresh" in done.err
    assert {path.name: path.read_bytes() for path in out.parent.glob("out*")} == before


@pytest.mark.usefixtures("base_url")
def test_a_torn_end_is_normal(ids: Path, out: Path, threadkeep: Run) -> None:
    """Half a line behind the journal's end, in both files: what a kill leaves. Its thread is asked for again."""
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    whole = out.read_bytes()
    journal = out.with_name("out.ndjson.journal")
    journal.write_bytes(journal.read_bytes()[:-20])
    out.write_bytes(whole + whole[:100])
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    assert sorted(out.read_bytes().split(b"\n")) == sorted(whole.split(b"\n"))
    assert threadkeep("validate", out, "--ids", ids).code == 0


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("fresh", [[], ["--fresh"]])
def test_a_second_exporter_is_refused(fresh: list[str], fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """While the first is at work, whatever the second is asked to do; the first is not disturbed."""
    refused = []

    def come_second() -> None:
        refused.append(run_alone("export", ids, ASSISTANT, out, "--concurrency", 1, *fresh))

    fake.acts = {20: come_second}
    assert threadkeep("export", ids, ASSISTANT, out, "--concurrency", 1).code == 0
    ((code, err),) = refused
    assert code == 5
    assert b"another threadkeep is writing" in err
    assert threads_in(out) == served(fake)
    assert beside(out) == {"out.ndjson", "out.ndjson.journal", "out.ndjson.manifest.json"}


def run_alone(*arguments: object) -> tuple[int, bytes]:
    """A process of its own, to its end."""
    with started(*arguments) as process:
        _, err = process.communicate(timeout=60)
    return process.returncode, err


@pytest.mark.usefixtures("base_url")
def test_a_folder_that_vanishes_ends_the_run(fake: Watched, ids: Path, tmp_path: Path, threadkeep: Run) -> None:
    """Exit 5: nothing is written into files that nobody can find."""
    folder = tmp_path / "gone"
    folder.mkdir()
    fake.acts = {10: lambda: shutil.rmtree(folder)}
    done = threadkeep("export", ids, ASSISTANT, folder / "out.ndjson", "--concurrency", 1)
    assert done.code == 5
    assert "moved or deleted" in done.err
    assert fake.asked < 30


@pytest.mark.usefixtures("base_url")
def test_an_export_that_is_moved_away_ends_the_run(fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """And what was written goes with it, whole."""
    fake.acts = {10: lambda: out.rename(out.with_name("elsewhere"))}
    done = threadkeep("export", ids, ASSISTANT, out, "--concurrency", 1)
    assert done.code == 5
    assert "moved or deleted" in done.err
    world = served(fake)
    assert all(messages == world[name] for name, messages in threads_in(out.with_name("elsewhere")).items())


@pytest.mark.usefixtures("base_url")
def test_a_thread_that_failed_is_tried_again_at_the_end(fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """A fault that outlasts every retry, and passes while the others are walked, costs no thread."""
    name = ids.read_text().split()[0]
    fake.faults = [{"match": {"thread": name, "nth": 1, "times": 3}, "do": {"status": 500}}]
    done = threadkeep("export", ids, ASSISTANT, out, "--max-retries", 0, "--concurrency", 1)
    assert done.code == 1
    assert f"{name}: failed: 500" in done.err
    fake.faults = [{"match": {"thread": name, "nth": 1}, "do": {"status": 500}}]
    done = threadkeep("export", ids, ASSISTANT, out, "--fresh", "--max-retries", 0, "--concurrency", 1)
    assert (done.code, done.err) == (0, "")


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("form", [[], ["--flat"]])
def test_the_pages_of_a_thread_that_failed_are_kept(
    form: list[str], fake: Watched, ids: Path, out: Path, threadkeep: Run
) -> None:
    """A server may fail before it is gone for good: what it gave stays, until the thread is whole."""
    name = next(name for name, messages in served(fake).items() if len(messages) > 200)
    fake.faults = [{"match": {"path": f"{name}/messages", "nth": nth}, "do": {"status": 500}} for nth in (2, 4)]
    arguments = ("export", ids, ASSISTANT, out, "--max-retries", 0, *form)
    done = threadkeep(*arguments)
    assert done.code == 1
    assert "failed: it could not be walked on, 100 messages are kept in the partial file: 500 from" in done.err
    partial = out.with_name("out.ndjson.partial")
    assert threads_in(partial) == {name: served(fake)[name][:100]}
    fake.faults = []
    assert threadkeep(*arguments).code == 0
    assert not partial.exists()


@pytest.mark.usefixtures("base_url")
def test_a_journal_that_was_rewritten_is_not_gone_on_with(ids: Path, out: Path, threadkeep: Run) -> None:
    """Also where its digest fits lines that are no records."""
    assert threadkeep("export", ids, ASSISTANT, out, "--limit", 1).code == 0
    journal = out.with_name("out.ndjson.journal")
    header, line = journal.read_bytes().splitlines()
    entry = json.loads(line)
    garbage = b"{}\n" * entry["messages"]
    entry |= {"sha256": hashlib.sha256(garbage).hexdigest(), "end_offset": len(garbage)}
    out.write_bytes(garbage)
    journal.write_bytes(header + b"\n" + json.dumps(entry).encode() + b"\n")
    done = threadkeep("export", ids, ASSISTANT, out)
    assert done.code == 5
    assert "does not hold the lines" in done.err


@pytest.mark.usefixtures("base_url")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes with names in folders")
@pytest.mark.parametrize("suffix", ["", ".journal", ".partial"])
@pytest.mark.parametrize("fresh", [[], ["--fresh"]])
def test_what_is_no_file_is_neither_waited_for_nor_moved(
    suffix: str, fresh: list[str], ids: Path, out: Path, threadkeep: Run
) -> None:
    """A pipe would be waited for without end; a device would be gone for everybody."""
    pipe = out.with_name(out.name + suffix)
    os.mkfifo(pipe)
    done = threadkeep("export", ids, ASSISTANT, out, *fresh)
    assert done.code == 5
    assert f"{pipe.name} is neither a file nor a directory" in done.err
    assert [path.name for path in out.parent.glob("out*")] == [pipe.name]


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("moved", [1, 2])
def test_an_export_that_was_half_set_aside_is_kept_together(
    moved: int, ids: Path, out: Path, threadkeep: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill in the midst of --fresh parts nothing for good: the rest follows under the same number."""
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    assert threadkeep("export", ids, ASSISTANT, out, "--fresh").code == 0
    with monkeypatch.context() as patched:
        patched.setattr(OsDisk, "rename", only_the_first(moved, OsDisk.rename))
        assert threadkeep("export", ids, ASSISTANT, out, "--fresh").code == 5
    assert threadkeep("export", ids, ASSISTANT, out).code == 5
    assert threadkeep("export", ids, ASSISTANT, out, "--fresh").code == 0
    for name in ("out.ndjson", "out.old-1.ndjson", "out.old-2.ndjson"):
        assert threadkeep("validate", out.with_name(name), "--ids", ids).code == 0
    assert not list(out.parent.glob("*old-3*"))


def only_the_first(count: int, rename: Callable[[OsDisk, Path, Path], None]) -> Callable[[OsDisk, Path, Path], None]:
    """A disk that fails after so many renames."""
    left = iter([True] * count)

    def renamed(disk: OsDisk, path: Path, new: Path) -> None:
        if not next(left, False):
            raise OSError("the disk is gone")
        rename(disk, path, new)

    return renamed


@pytest.mark.usefixtures("base_url")
def test_done_lists(fake: Watched, ids: Path, out: Path, tmp_path: Path, threadkeep: Run) -> None:
    """What is done elsewhere is left out; what is complete here is printed as such a list."""
    names = ids.read_text().split()
    done = tmp_path / "done_thread_ids.txt"
    done.write_text("\n".join(names[:20]))
    assert threadkeep("export", ids, ASSISTANT, out, "--done", done).code == 0
    assert set(threads_in(out)) == set(names[20:])
    assert not any(name in entry.path for entry in fake.requests for name in names[:20])
    printed = threadkeep("status", out, "--done")
    assert (printed.code, sorted(printed.out.split())) == (0, sorted(names[20:]))
    all_done = threadkeep("export", ids, ASSISTANT, tmp_path / "none.ndjson", "--done", ids)
    assert "every thread id" in all_done.err
    both = threadkeep("export", "-", ASSISTANT, tmp_path / "none.ndjson", "--done", "-")
    assert both.code == 2
