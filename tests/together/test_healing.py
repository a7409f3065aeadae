"""A damaged export healed, and one refreshed, by the command and from Python, over a real server."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import Run
from exports import ASSISTANT, beside, exported, manifest, served, write_ids
from fake_assistants import demo_world
from threadkeep import export
from threadkeep.cli.main import run as run_command
from watched import Watched, what_is_behind

OPTIONS = ("--include", "threads,runs")


@pytest.fixture
def fake() -> Watched:
    """Six threads, of one page and of two, each with a run."""
    fake = Watched.holding(demo_world(6, 3), demo_world(2, 130))
    fake.add_runs()
    return fake


@pytest.fixture
def whole(ids: Path, out: Path, base_url: str, threadkeep: Run) -> Path:
    """A whole export."""
    assert base_url
    assert threadkeep("export", ids, ASSISTANT, out, *OPTIONS).code == 0
    return out


def contents(out: Path) -> dict[str, bytes]:
    """All its files."""
    return {path.name: path.read_bytes() for path in out.parent.glob("out*")}


def listing(out: Path, *names: str) -> Path:
    """A file of damaged ids."""
    path = out.with_name("damaged.txt")
    path.write_text("".join(f"{name}\n" for name in names))
    return path


def spoil(path: Path, line: int) -> str:
    """Change one letter of a line; gives the thread that it belongs to."""
    lines = path.read_bytes().split(b"\n")
    name: str = json.loads(lines[line])["thread_id"]
    lines[line] = lines[line].replace(b'"id"', b'"iD"')
    path.write_bytes(b"\n".join(lines))
    return name


def threads_asked_for(fake: Watched, since: int) -> set[str]:
    """What the requests were about."""
    return {request.path.split("/")[3] for request in fake.asked[since:]}


@pytest.mark.parametrize("suffix", ["", ".threads", ".runs"])
@pytest.mark.parametrize("line", [0, 4, -2])
def test_a_damaged_line_is_healed_by_its_thread_alone(
    suffix: str, line: int, fake: Watched, ids: Path, whole: Path, threadkeep: Run
) -> None:
    """The full list is refused with 5; that of the damaged thread fetches it and no other, and keeps the old files."""
    claims = manifest(whole)
    name = spoil(beside(whole, suffix), line)
    before, asked = contents(whole), len(fake.asked)
    done = threadkeep("export", ids, ASSISTANT, whole, *OPTIONS)
    assert (done.code, len(fake.asked), contents(whole)) == (5, asked, before)
    assert f"{name} is damaged, but 5 threads are whole" in done.err
    assert f"threadkeep validate {whole} --ids-to-refetch FILE" in done.err
    done = threadkeep("export", listing(whole, name), ASSISTANT, whole, *OPTIONS)
    assert done.code == 0
    assert "was damaged. Threads that are fetched again: 1. The damaged files are kept as out.old-1.ndjson" in done.err
    assert threads_asked_for(fake, asked) == {name}
    assert exported(whole) == served(fake)
    assert threadkeep("validate", whole, "--ids", ids).code == 0
    assert manifest(whole)["digest"] == claims["digest"]
    assert manifest(whole)["beside"] == claims["beside"]
    kept = {file: content for file, content in contents(whole).items() if "old-1" in file}
    assert kept == {file.replace("out.", "out.old-1.", 1): content for file, content in before.items()}
    assert threadkeep("export", ids, ASSISTANT, whole, *OPTIONS).code == 0


def swap(out: Path) -> None:
    """The first line to the end of the file."""
    first, rest = out.read_bytes().split(b"\n", 1)
    out.write_bytes(b"{}\n" + first + b"\n" + rest)


def test_what_needs_no_thread_is_put_right_by_an_empty_list(fake: Watched, whole: Path, threadkeep: Run) -> None:
    """Lines that do not belong there, for one; no request is made."""
    before = whole.read_bytes()
    swap(whole)
    asked = len(fake.asked)
    done = threadkeep("export", listing(whole), ASSISTANT, whole, *OPTIONS)
    assert (done.code, len(fake.asked), whole.read_bytes()) == (0, asked, before)
    assert "Threads that are fetched again: 0." in done.err


REFUSED: dict[str, Callable[[Path, str], Any]] = {
    "a list that lacks a damaged thread": lambda out, _: out.write_bytes(out.read_bytes()[:-1000]),
    "a list with an unknown thread": lambda out, name: listing(out, name, "thread_unknown"),
}


@pytest.mark.parametrize("harm", REFUSED.values(), ids=REFUSED.keys())
def test_a_list_of_something_else_heals_nothing(
    harm: Callable[[Path, str], Any], fake: Watched, whole: Path, threadkeep: Run
) -> None:
    """It is refused as every damaged export is, and nothing changes."""
    name = spoil(whole, 0)
    listed = listing(whole, name)
    harm(whole, name)
    before, asked = contents(whole), len(fake.asked)
    done = threadkeep("export", listed, ASSISTANT, whole, *OPTIONS)
    assert (done.code, len(fake.asked), contents(whole)) == (5, asked, before)
    assert "does not hold the lines of" in done.err
    assert "--fresh" in done.err


@pytest.mark.parametrize("harm", [lambda out: out.unlink(), lambda out: spoil(out, 3)], ids=["lost", "changed"])
def test_a_refresh_of_everything_heals_everything(
    harm: Callable[[Path], Any], fake: Watched, ids: Path, whole: Path, threadkeep: Run
) -> None:
    """Whatever is damaged is asked for, as all the rest is."""
    harm(whole)
    asked = len(fake.asked)
    done = threadkeep("export", ids, ASSISTANT, whole, *OPTIONS, "--refresh")
    assert done.code == 0
    assert threads_asked_for(fake, asked) == set(ids.read_text().split())
    assert exported(whole) == served(fake)
    assert threadkeep("validate", whole, "--ids", ids).code == 0


def test_a_damaged_thread_that_is_gone_is_told_and_what_can_be_read_of_it_is_kept(
    fake: Watched, whole: Path, threadkeep: Run
) -> None:
    """Its readable lines are in the partial file; all of it, as it was, under another name."""
    name = spoil(whole, 0)
    messages = served(fake)[name]
    state = fake.snapshot()
    for kind, key in (("threads", "id"), ("messages", "thread_id"), ("runs", "thread_id"), ("run_steps", "thread_id")):
        state[kind] = [row for row in state[kind] if row[key] != name]
    fake.reset()
    fake.state = state
    done = threadkeep("export", listing(whole, name), ASSISTANT, whole, *OPTIONS)
    assert done.code == 1
    assert f"{name}: missing" in done.err
    count = len(messages) - 1
    assert f"Lines of such threads that can still be read: {count}, kept in out.ndjson.partial" in done.err
    assert exported(beside(whole, ".partial")) == {name: messages[1:]}
    assert exported(whole) == served(fake)


def grow(fake: Watched, *names: str) -> None:
    """One more message in each of these threads."""
    for name in names:
        first = served(fake)[name][0]
        fake.load({"messages": [first | {"id": f"msg_new_{name}", "created_at": first["created_at"] + 999}]})


def test_a_refresh_asks_for_the_listed_threads_and_no_others(
    fake: Watched, ids: Path, whole: Path, threadkeep: Run
) -> None:
    """And the export is that of the world as it is now."""
    names = ids.read_text().split()
    grow(fake, names[1], names[-1])
    asked = len(fake.asked)
    done = threadkeep("export", listing(whole, names[1], names[-1]), ASSISTANT, whole, *OPTIONS, "--refresh")
    assert (done.code, done.err) == (0, "")
    assert threads_asked_for(fake, asked) == {names[1], names[-1]}
    assert exported(whole) == served(fake)
    assert threadkeep("validate", whole, "--ids", ids).code == 0
    assert threadkeep("status", whole).code == 0
    assert "4 of them complete before this run" in done.out


def test_a_refresh_that_the_sunset_ends_leaves_a_whole_export(
    fake: Watched, ids: Path, whole: Path, threadkeep: Run
) -> None:
    """Exit 3: who is as before is named, and what to type asks for all again."""
    before = exported(whole)
    grow(fake, *ids.read_text().split())
    fake.before(fake.sunset.now, of=what_is_behind)
    done = threadkeep("export", ids, ASSISTANT, whole, *OPTIONS, "--refresh", "--concurrency", 1)
    assert done.code == 3
    assert "stays as it was exported before. The same command asks for every listed thread again." in done.err
    words = ["export", str(ids), ASSISTANT, str(whole), *OPTIONS, "--refresh", "--concurrency", "1"]
    assert shlex.join(["threadkeep", *words]) in done.err
    after = exported(whole)
    assert all(after[name] in (before[name], messages) for name, messages in served(fake).items())
    assert after.keys() == before.keys()
    assert threadkeep("validate", whole, "--ids", ids).code == 0
    assert threadkeep("status", whole).code == 0
    fake.sunset.lift()
    done = threadkeep("export", ids, ASSISTANT, whole, *OPTIONS, "--refresh", "--json")
    assert (done.code, json.loads(done.out)["not_refreshed"], exported(whole)) == (0, [], served(fake))


def test_a_thread_that_cannot_be_refreshed_is_named(fake: Watched, ids: Path, whole: Path, threadkeep: Run) -> None:
    """Exit 1, with its reason, for people and for programs; what was exported of it stays."""
    name = ids.read_text().split()[0]
    fake.faults = [{"match": {"thread": name, "nth": 1, "times": 4}, "do": {"status": 500}}]
    arguments = ("export", ids, ASSISTANT, whole, *OPTIONS, "--refresh", "--max-retries", 0)
    done = threadkeep(*arguments)
    assert done.code == 1
    assert f"{name} is not refreshed, and stays as it is: failed: 500" in done.err
    assert "every thread is whole in the export, and not every one could be refreshed" in done.err
    assert "not refreshed 1 thread, whole as they were exported before" in done.out
    assert f"Not refreshed:\n  {name}: failed: 500" in done.out
    assert (exported(whole), threadkeep("validate", whole, "--ids", ids).code) == (served(fake), 0)
    fake.faults = [{"match": {"thread": name, "nth": 1, "times": 4}, "do": {"status": 500}}]
    (row,) = json.loads(threadkeep(*arguments, "--json").out)["not_refreshed"]
    assert (row["thread_id"], row["reason"][:11]) == (name, "failed: 500")


def test_fresh_and_refresh_contradict_each_other(ids: Path, out: Path) -> None:
    """Exit 2, and nothing is begun."""
    assert run_command(["export", str(ids), ASSISTANT, str(out), "--fresh", "--refresh"]) == 2
    assert not out.exists()
    with pytest.raises(TypeError, match="give fresh or refresh, not both"):
        export([], ASSISTANT, out, fresh=True, refresh=True)


def test_from_python(fake: Watched, ids: Path, whole: Path) -> None:
    """`refresh=True` is the same, and so is a list of the damaged."""
    name = ids.read_text().split()[2]
    grow(fake, name)
    result = export([name], ASSISTANT, whole, include=["threads", "runs"], refresh=True)
    assert (result.is_whole, result.resumed, exported(whole)) == (True, 5, served(fake))
    name, told = spoil(whole, 1), list[Any]()
    result = export([name], ASSISTANT, whole, include=["threads", "runs"], events=told.append)
    assert (result.is_whole, result.resumed, exported(whole)) == (True, 5, served(fake))
    assert "was damaged. Threads that are fetched again: 1." in told[0].text


def test_status_tells_of_files_that_a_kill_left_half_exchanged(whole: Path, threadkeep: Run) -> None:
    """The next export brings that to its end."""
    journal = beside(whole, ".journal")
    beside(whole, ".journal.rewrite").write_bytes(journal.read_bytes())
    journal.write_bytes(b"")
    done = threadkeep("status", whole)
    assert done.code == 1
    assert "a run was killed while it wrote these files anew; the next `threadkeep export` brings" in done.err
    assert threadkeep("export", listing(whole), ASSISTANT, whole, *OPTIONS).code == 0
    assert threadkeep("status", whole).code == 0


def test_a_list_of_ids_that_an_export_would_overwrite(out: Path, threadkeep: Run) -> None:
    """Its own files for a while are no place for one."""
    listed = write_ids(out.parent, "thread_a").rename(beside(out, ".rewrite"))
    assert threadkeep("export", listed, ASSISTANT, out).code == 2
