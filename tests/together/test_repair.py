"""A damaged export repaired, and one refreshed, by the command and from Python, over a real server."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import Run
from exports import ASSISTANT, beside, exported, manifest, rows, served, write_ids
from fake_assistants import demo_world
from threadkeep import export
from threadkeep.cli.main import run as run_command
from threadkeep.exporter.events import Notice
from watched import Watched, what_is_behind

OPTIONS = ("--include", "threads,runs")


@pytest.fixture
def fake() -> Watched:
    """Six threads, of one page and of two, each with a run."""
    fake = Watched.holding(demo_world(6, 3), demo_world(2, 130))
    fake.add_runs()
    return fake


@pytest.fixture
def complete(ids: Path, out: Path, base_url: str, threadkeep: Run) -> Path:
    """A complete export."""
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
def test_a_damaged_line_costs_its_thread_alone(
    suffix: str, line: int, fake: Watched, ids: Path, complete: Path, threadkeep: Run
) -> None:
    """The same command names the damaged thread, fetches it and no other, and keeps the old files."""
    digest = manifest(complete)["digest"]
    name = spoil(beside(complete, suffix), line)
    before, asked = contents(complete), len(fake.asked)
    done = threadkeep("export", ids, ASSISTANT, complete, *OPTIONS)
    assert done.code == 0
    assert f"Damaged threads: 1 ({name})" in done.err
    assert "The damaged files are kept as out.old-1.*" in done.err
    assert threads_asked_for(fake, asked) == {name}
    assert exported(complete) == served(fake)
    assert threadkeep("validate", complete, "--ids", ids).code == 0
    assert (manifest(complete)["digest"], manifest(complete)["kept_as"]) == (digest, 1)
    kept = {file: content for file, content in contents(complete).items() if "old-1" in file}
    assert kept == {file.replace("out.", "out.old-1.", 1): content for file, content in before.items()}
    asked = len(fake.asked)
    assert threadkeep("export", ids, ASSISTANT, complete, *OPTIONS).code == 0
    assert len(fake.asked) == asked


def swap(out: Path) -> None:
    """The first line to the end of the file."""
    first, rest = out.read_bytes().split(b"\n", 1)
    out.write_bytes(b"{}\n" + first + b"\n" + rest)


def test_lines_that_do_not_belong_there_cost_no_request(
    fake: Watched, ids: Path, complete: Path, threadkeep: Run
) -> None:
    """The threads behind them have only moved."""
    before = complete.read_bytes()
    swap(complete)
    asked = len(fake.asked)
    done = threadkeep("export", ids, ASSISTANT, complete, *OPTIONS)
    assert (done.code, len(fake.asked), complete.read_bytes()) == (0, asked, before)
    assert "was damaged" in done.err
    assert complete.with_name("out.old-1.ndjson").exists()


def test_a_damaged_thread_that_is_not_listed_is_not_forgotten(
    fake: Watched, ids: Path, complete: Path, threadkeep: Run
) -> None:
    """What can be read of it moves to the partial file, and it stays wanted until it is listed."""
    name = spoil(complete, 0)
    other = next(one for one in ids.read_text().split() if one != name)
    done = threadkeep("export", listing(complete, other), ASSISTANT, complete, *OPTIONS)
    assert done.code == 1
    assert f"Damaged threads: 1 ({name})" in done.err
    assert (rows(complete)[name]["outcome"], exported(beside(complete, ".partial"))) == (
        "partial",
        {name: served(fake)[name][1:]},
    )
    assert threadkeep("export", ids, ASSISTANT, complete, *OPTIONS).code == 0
    assert (exported(complete), beside(complete, ".partial").exists()) == (served(fake), False)


def test_a_manifest_that_is_lost_or_wrong_is_written_anew(
    fake: Watched, ids: Path, complete: Path, threadkeep: Run
) -> None:
    """No thread is asked for."""
    path, before, asked = beside(complete, ".manifest.json"), manifest(complete), len(fake.asked)
    for harm in (path.unlink, lambda: path.write_text(json.dumps(before | {"digest": "0" * 64}))):
        harm()
        done = threadkeep("export", ids, ASSISTANT, complete, *OPTIONS)
        assert (done.code, manifest(complete)["digest"], len(fake.asked)) == (0, before["digest"], asked)
        assert "it is written anew from the index" in done.err


@pytest.mark.parametrize("harm", [lambda out: out.unlink(), lambda out: spoil(out, 3)], ids=["lost", "changed"])
def test_a_refresh_of_everything_repairs_everything(
    harm: Callable[[Path], Any], fake: Watched, ids: Path, complete: Path, threadkeep: Run
) -> None:
    """Whatever is damaged is asked for, as all the rest is."""
    harm(complete)
    asked = len(fake.asked)
    done = threadkeep("export", ids, ASSISTANT, complete, *OPTIONS, "--refresh")
    assert done.code == 0
    assert threads_asked_for(fake, asked) == set(ids.read_text().split())
    assert exported(complete) == served(fake)
    assert threadkeep("validate", complete, "--ids", ids).code == 0


def test_a_damaged_thread_that_is_gone_is_told_and_what_can_be_read_of_it_is_kept(
    fake: Watched, complete: Path, threadkeep: Run
) -> None:
    """Its readable lines are in the partial file; all of it, as it was, under another name."""
    name = spoil(complete, 0)
    messages = served(fake)[name]
    state = fake.snapshot()
    for kind, key in (("threads", "id"), ("messages", "thread_id"), ("runs", "thread_id"), ("run_steps", "thread_id")):
        state[kind] = [row for row in state[kind] if row[key] != name]
    fake.reset()
    fake.state = state
    done = threadkeep("export", listing(complete, name), ASSISTANT, complete, *OPTIONS)
    assert done.code == 1
    assert f"{name}: missing" in done.err
    assert exported(beside(complete, ".partial")) == {name: messages[1:]}
    assert exported(complete) == served(fake)
    assert (rows(complete)[name]["outcome"], rows(complete)[name]["messages"]) == ("missing", len(messages) - 1)


def grow(fake: Watched, *names: str) -> None:
    """One more message in each of these threads."""
    for name in names:
        first = served(fake)[name][0]
        fake.load({"messages": [first | {"id": f"msg_new_{name}", "created_at": first["created_at"] + 999}]})


def test_a_refresh_asks_for_the_listed_threads_and_no_others(
    fake: Watched, ids: Path, complete: Path, threadkeep: Run
) -> None:
    """And the export is that of the world as it is now."""
    names = ids.read_text().split()
    grow(fake, names[1], names[-1])
    asked = len(fake.asked)
    done = threadkeep("export", listing(complete, names[1], names[-1]), ASSISTANT, complete, *OPTIONS, "--refresh")
    assert (done.code, done.err) == (0, "")
    assert threads_asked_for(fake, asked) == {names[1], names[-1]}
    assert exported(complete) == served(fake)
    assert threadkeep("validate", complete, "--ids", ids).code == 0
    assert threadkeep("status", complete).code == 0


def test_a_refresh_that_the_sunset_ends_leaves_a_complete_export(
    fake: Watched, ids: Path, complete: Path, threadkeep: Run
) -> None:
    """Exit 3: who is as before is named, and what to type asks for all again."""
    before = exported(complete)
    grow(fake, *ids.read_text().split())
    fake.before(fake.sunset.now, of=what_is_behind)
    done = threadkeep("export", ids, ASSISTANT, complete, *OPTIONS, "--refresh", "--concurrency", 1)
    assert done.code == 3
    assert "If the API comes back: the same command resumes the export" in done.err
    after = exported(complete)
    assert all(after[name] in (before[name], messages) for name, messages in served(fake).items())
    assert after.keys() == before.keys()
    assert threadkeep("validate", complete, "--ids", ids).code == 0
    assert threadkeep("status", complete).code == 0
    fake.sunset.lift()
    done = threadkeep("export", ids, ASSISTANT, complete, *OPTIONS, "--refresh", "--json")
    assert (done.code, json.loads(done.out)["not_refreshed"], exported(complete)) == (0, 0, served(fake))


def test_a_thread_that_cannot_be_refreshed_is_named(fake: Watched, ids: Path, complete: Path, threadkeep: Run) -> None:
    """Exit 1, with its reason, for people and for programs; what was exported of it stays."""
    name = ids.read_text().split()[0]
    fake.faults = [{"match": {"thread": name, "nth": 1, "times": 4}, "do": {"status": 500}}]
    arguments = ("export", ids, ASSISTANT, complete, *OPTIONS, "--refresh", "--max-retries", 0)
    done = threadkeep(*arguments)
    assert done.code == 1
    assert f"{name}: failed: 500" in done.err
    assert "not refreshed 1 thread, complete as exported before" in " ".join(done.out.split())
    assert (exported(complete), threadkeep("validate", complete, "--ids", ids).code) == (served(fake), 0)
    fake.faults = [{"match": {"thread": name, "nth": 1, "times": 4}, "do": {"status": 500}}]
    summary = json.loads(threadkeep(*arguments, "--json").out)
    ((thread_id, reason),) = summary["not_refreshed_examples"]
    assert (summary["not_refreshed"], thread_id, reason[:3]) == (1, name, "500")


def test_fresh_and_refresh_contradict_each_other(ids: Path, out: Path) -> None:
    """Exit 2, and nothing is begun."""
    assert run_command(["export", str(ids), ASSISTANT, str(out), "--fresh", "--refresh"]) == 2
    assert not out.exists()
    with pytest.raises(TypeError, match="give fresh or refresh, not both"):
        export([], ASSISTANT, out, fresh=True, refresh=True)


def test_from_python(fake: Watched, ids: Path, complete: Path) -> None:
    """`refresh=True` is the same, and so is a list of the damaged."""
    name = ids.read_text().split()[2]
    grow(fake, name)
    result = export([name], ASSISTANT, complete, include=["threads", "runs"], refresh=True)
    assert (result.is_complete, exported(complete)) == (True, served(fake))
    name, events = spoil(complete, 1), list[Any]()
    result = export([name], ASSISTANT, complete, include=["threads", "runs"], on_event=events.append)
    assert (result.is_complete, exported(complete)) == (True, served(fake))
    assert isinstance(events[0], Notice)
    assert f"Damaged threads: 1 ({name})" in events[0].text


def test_a_list_of_ids_that_an_export_would_overwrite(out: Path, threadkeep: Run) -> None:
    """Its own files for a while are no place for one."""
    listed = write_ids(out.parent, "thread_a").rename(beside(out, ".new"))
    assert threadkeep("export", listed, ASSISTANT, out).code == 2
