"""An export that goes on: after kills, sunsets and damage, by real processes and a real server."""

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import Done, Run
from exports import ASSISTANT, beside, exported, manifest, served
from fake_assistants import demo_world
from processes import run_alone, signalled
from threadkeep.disk import OsDisk
from watched import Watched, what_is_behind

CONCURRENCY = 4
FILES = {"out.ndjson", "out.ndjson.journal", "out.ndjson.manifest.json"}


@pytest.fixture
def fake() -> Watched:
    """A world of threads of one page and of three."""
    return Watched.holding(demo_world(30, 5), demo_world(4, 230))


def claimed(out: Path) -> dict[str, Any]:
    """What the manifest says of the export, but for times."""
    return {key: value for key, value in manifest(out).items() if key not in ("started_at", "finished_at")}


def names_beside(out: Path) -> set[str]:
    """The names of the export's files."""
    return {path.name for path in out.parent.glob("out.ndjson*")}


def contents(out: Path) -> dict[str, bytes]:
    """All its files."""
    return {path.name: path.read_bytes() for path in out.parent.glob("out*")}


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("request_number", [1, 2, 17, 34])
def test_a_killed_export_goes_on_and_is_the_same_in_the_end(
    request_number: int, fake: Watched, ids: Path, out: Path, threadkeep: Run
) -> None:
    """Every thread once and whole, no more asked twice than was on its way, and the claims of an undisturbed export."""
    arguments = ("export", ids, ASSISTANT, out, "--concurrency", CONCURRENCY)
    assert signalled(fake, signal.SIGKILL, *arguments, nth=request_number).code == -signal.SIGKILL
    first, asked = {request.path for request in fake.asked}, len(fake.asked)
    assert threadkeep(*arguments).code == 0
    again = {request.path for request in fake.asked[asked:]}
    assert len(first & again) <= CONCURRENCY
    assert exported(out) == served(fake)
    assert threadkeep("validate", out, "--ids", ids).code == 0
    assert names_beside(out) == FILES
    undisturbed = out.with_name("undisturbed") / "out.ndjson"
    undisturbed.parent.mkdir()
    assert threadkeep("export", ids, ASSISTANT, undisturbed).code == 0
    assert claimed(out) == claimed(undisturbed)


@pytest.mark.usefixtures("base_url")
def test_what_a_killed_run_did_not_come_to_is_not_forgotten(
    fake: Watched, ids: Path, out: Path, tmp_path: Path, threadkeep: Run
) -> None:
    """Not by runs with a shorter list, killed or not: validate names it before they run and after."""
    wanted = set(ids.read_text().split())
    assert signalled(fake, signal.SIGKILL, "export", ids, ASSISTANT, out, "--concurrency", 1, nth=8).code < 0
    listed = tmp_path / "refetch.txt"
    done = threadkeep("validate", out, "--ids-to-refetch", listed)
    assert (done.code, {*listed.read_text().split()}) == (1, wanted - exported(out).keys())
    listed.write_text("\n".join(listed.read_text().split()[:6]))
    shorter = ("export", listed, ASSISTANT, out, "--concurrency", 1)
    assert signalled(fake, signal.SIGKILL, *shorter, nth=3).code < 0
    done = threadkeep(*shorter)
    assert (done.code, "An earlier run was asked for threads that this one was not" in done.err) == (1, True)
    assert {*manifest(out)["unfinished"]} == wanted - exported(out).keys()
    assert names_beside(out) == FILES
    assert threadkeep("validate", out).code == 1
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    assert threadkeep("validate", out).code == 0


@pytest.mark.usefixtures("base_url")
def test_a_file_of_wanted_ids_that_cannot_be_read_is_left_out(
    fake: Watched, ids: Path, out: Path, threadkeep: Run
) -> None:
    """By validate; that the run did not end by itself is said in any case."""
    assert signalled(fake, signal.SIGKILL, "export", ids, ASSISTANT, out, nth=8).code < 0
    beside(out, ".wanted.json").write_text("{")
    done = threadkeep("validate", out, "--json")
    assert (done.code, json.loads(done.out)["counts"].get("not_exported")) == (1, None)


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_export_goes_on(by: int, fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """In the end it is whole."""
    arguments = ("export", ids, ASSISTANT, out, "--concurrency", CONCURRENCY)
    assert signalled(fake, by, *arguments, nth=20).code == 130
    assert manifest(out)["ended_by"] == "interrupted"
    done = threadkeep(*arguments)
    assert (done.code, done.err) == (0, "")
    assert exported(out) == served(fake)


@pytest.mark.usefixtures("base_url")
def test_what_is_complete_costs_no_request(fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """Run twice, an export asks nothing the second time, changes no line, and says how much was there."""
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    before, asked = out.read_bytes(), len(fake.asked)
    done = threadkeep("export", ids, ASSISTANT, out, "--json")
    assert (done.code, json.loads(done.out)["resumed"]) == (0, len(ids.read_text().split()))
    assert (out.read_bytes(), len(fake.asked)) == (before, asked)
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
    fake.before(fake.sunset.now, of=what_is_behind)
    assert threadkeep(*arguments).code == 3
    partial = beside(out, ".partial")
    kept, claims = exported(partial), manifest(out)
    assert kept
    cut_off = {row["thread_id"]: row["cursor"] for row in claims["not_whole"]}
    assert cut_off == {name: messages[-1]["id"] for name, messages in kept.items()}
    assert set(claims["unfinished"]) == set(ids.read_text().split()) - set(exported(out)) - set(kept)
    assert threadkeep(*arguments).code == 3
    assert exported(partial) == kept
    fake.sunset.lift()
    assert threadkeep(*arguments).code == 0
    assert exported(out) == served(fake)
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
    before = contents(out)
    done = threadkeep("export", ids, arguments[0], out, *arguments[1:])
    assert done.code == 5
    assert words in done.err
    assert "--fresh" in done.err
    assert contents(out) == before
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
    "a changed journal line": lambda out: flip(beside(out, ".journal"), 300),
    "a changed header": lambda out: flip(beside(out, ".journal"), 1),
    "a lost journal": lambda out: beside(out, ".journal").unlink(),
    "an emptied journal": lambda out: beside(out, ".journal").write_bytes(b""),
}


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_export_is_not_gone_on_with(
    damage: Callable[[Path], object], fake: Watched, ids: Path, out: Path, threadkeep: Run
) -> None:
    """Exit 5 before any request, what to do, and nothing changes."""
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    damage(out)
    before = contents(out)
    asked = len(fake.asked)
    done = threadkeep("export", ids, ASSISTANT, out)
    assert (done.code, len(fake.asked)) == (5, asked)
    assert "--fresh" in done.err
    assert contents(out) == before


@pytest.mark.usefixtures("base_url")
def test_a_torn_end_is_normal(ids: Path, out: Path, threadkeep: Run) -> None:
    """Half a line behind the journal's end, in both files: what a kill leaves. Its thread is asked for again."""
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    whole = out.read_bytes()
    journal = beside(out, ".journal")
    journal.write_bytes(journal.read_bytes()[:-20])
    out.write_bytes(whole + whole[:100])
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    assert sorted(out.read_bytes().split(b"\n")) == sorted(whole.split(b"\n"))
    assert threadkeep("validate", out, "--ids", ids).code == 0


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("fresh", [[], ["--fresh"]])
def test_a_second_exporter_is_refused(fresh: list[str], fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """While the first is at work, whatever the second is asked to do; the first is not disturbed."""
    refused = list[Done]()
    fake.before(lambda: refused.append(run_alone("export", ids, ASSISTANT, out, *fresh)), nth=20)
    assert threadkeep("export", ids, ASSISTANT, out, "--concurrency", 1).code == 0
    (second,) = refused
    assert second.code == 5
    assert "another threadkeep is writing" in second.err
    assert exported(out) == served(fake)
    assert names_beside(out) == FILES


@pytest.mark.usefixtures("base_url")
def test_a_folder_that_vanishes_ends_the_run(fake: Watched, ids: Path, tmp_path: Path, threadkeep: Run) -> None:
    """Exit 5: nothing is written into files that nobody can find."""
    folder = tmp_path / "gone"
    folder.mkdir()
    fake.before(lambda: shutil.rmtree(folder), nth=10)
    done = threadkeep("export", ids, ASSISTANT, folder / "out.ndjson", "--concurrency", 1)
    assert done.code == 5
    assert "moved or deleted" in done.err
    assert len(fake.asked) < 30


@pytest.mark.usefixtures("base_url")
def test_an_export_that_is_moved_away_ends_the_run(fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """And what was written goes with it, whole."""
    fake.before(lambda: out.rename(out.with_name("elsewhere")), nth=10)
    done = threadkeep("export", ids, ASSISTANT, out, "--concurrency", 1)
    assert done.code == 5
    assert "moved or deleted" in done.err
    world = served(fake)
    assert all(messages == world[name] for name, messages in exported(out.with_name("elsewhere")).items())


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
    partial = beside(out, ".partial")
    assert exported(partial) == {name: served(fake)[name][:100]}
    fake.faults = []
    assert threadkeep(*arguments).code == 0
    assert not partial.exists()


@pytest.mark.usefixtures("base_url")
def test_a_journal_that_was_rewritten_is_not_gone_on_with(ids: Path, out: Path, threadkeep: Run) -> None:
    """Also where its digest fits lines that are no records."""
    assert threadkeep("export", ids, ASSISTANT, out, "--limit", 1).code == 0
    journal = beside(out, ".journal")
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
    assert set(exported(out)) == set(names[20:])
    assert not any(name in entry.path for entry in fake.requests for name in names[:20])
    printed = threadkeep("status", out, "--done")
    assert (printed.code, sorted(printed.out.split())) == (0, sorted(names[20:]))
    all_done = threadkeep("export", ids, ASSISTANT, tmp_path / "none.ndjson", "--done", ids)
    assert "every thread id" in all_done.err
    both = threadkeep("export", "-", ASSISTANT, tmp_path / "none.ndjson", "--done", "-")
    assert both.code == 2
