"""An export that is resumed: after kills, sunsets and damage, by real processes and a real server."""

import base64
import json
import os
import random
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from command import Done, Run
from exports import ASSISTANT, beside, exported, manifest, rows, served
from fake_assistants import Request, demo_world
from kills import command_killed_at
from processes import run_alone, signalled
from watched import Watched, what_is_behind

CONCURRENCY = 4
FILES = {"out.ndjson", "out.ndjson.index", "out.ndjson.manifest.json"}


@pytest.fixture
def fake() -> Watched:
    """A world of threads of one page and of three."""
    return Watched.holding(demo_world(30, 5), demo_world(4, 230))


def claimed(out: Path) -> dict[str, Any]:
    """What the manifest says of the export, but for times."""
    return {key: value for key, value in manifest(out).items() if key not in ("started_at", "finished_at")}


def contents(out: Path) -> dict[str, bytes]:
    """All files of an export but its manifest, which holds times."""
    found = (path for path in [*out.parent.glob("out.*"), *out.parent.glob("out.files/*")] if path.is_file())
    return {path.name: path.read_bytes() for path in found if path != beside(out, ".manifest.json")}


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("request_number", [1, 2, 17, 34])
def test_a_killed_export_is_resumed_and_is_the_same_in_the_end(
    request_number: int, fake: Watched, ids: Path, out: Path, threadkeep: Run
) -> None:
    """No more pages are asked for twice than were on their way, and the files are those of an undisturbed export."""
    arguments = ("export", ids, ASSISTANT, out, "--concurrency", CONCURRENCY)
    assert signalled(fake, signal.SIGKILL, *arguments, nth=request_number).code == -signal.SIGKILL
    assert not out.exists()
    first, asked = Counter(map(page_of, fake.asked)), len(fake.asked)
    assert threadkeep(*arguments).code == 0
    again = first & Counter(map(page_of, fake.asked[asked:]))
    assert again.total() <= CONCURRENCY
    assert exported(out) == served(fake)
    assert threadkeep("validate", out, "--ids", ids).code == 0
    undisturbed = out.with_name("undisturbed") / "out.ndjson"
    undisturbed.parent.mkdir()
    assert threadkeep("export", ids, ASSISTANT, undisturbed).code == 0
    assert contents(out) == contents(undisturbed)
    assert claimed(out) == claimed(undisturbed)


def page_of(request: Request) -> tuple[str, str | None]:
    """Which page is asked for."""
    return request.path, request.asked("after")


def everything() -> Watched:
    """A world with runs and files, for the longest of all tests."""
    fake = Watched.holding(demo_world(12, 5), demo_world(2, 230))
    fake.add_runs()
    names = [f"file-{number}" for number in range(6)]
    thread = fake.snapshot()["threads"][0]["id"]
    images = [{"type": "image_file", "image_file": {"file_id": name}} for name in names]
    fake.load(
        {
            "messages": [{"id": "msg_images", "thread_id": thread, "role": "user", "content": images}],
            "files": [
                {"id": name, "object": "file", "purpose": "vision", "filename": f"{name}.png", "bytes": 300_000}
                for name in names
            ],
            "file_contents": [{"id": name, "content": base64.b64encode(b"x" * 300_000).decode()} for name in names],
        }
    )
    return fake


class TestManyKills:
    """Kills at moments that are drawn, of which nothing is to be seen in the end."""

    @pytest.fixture
    def fake(self) -> Watched:
        """Threads, runs and files."""
        return everything()

    @pytest.mark.usefixtures("base_url")
    def test_25_kills_leave_the_export_that_nothing_has_disturbed(
        self, fake: Watched, ids: Path, out: Path, threadkeep: Run
    ) -> None:
        """While it fetches threads, runs and files, refreshes, downloads or writes."""
        draw, killed, writing = random.Random(5), 0, 0
        arguments = (
            "export",
            ids,
            ASSISTANT,
            out,
            "--include",
            "threads,runs",
            "--files",
            "--concurrency",
            CONCURRENCY,
        )
        undisturbed = out.with_name("undisturbed") / "out.ndjson"
        undisturbed.parent.mkdir()
        assert threadkeep(*[undisturbed if one is out else one for one in arguments]).code == 0
        while killed < 25 or writing < 5:
            refresh = ["--refresh"] if draw.random() < 0.5 else []
            if draw.random() < 0.6:
                done = signalled(fake, signal.SIGKILL, *arguments, *refresh, nth=draw.randrange(1, 40))
                killed += done.code == -signal.SIGKILL
                fake.forget_moments()
                continue
            # Between two changes of the disk: when it locks, plans, downloads or writes.
            was_killed = command_killed_at(draw.randrange(1, 50), *arguments, *refresh)
            killed += was_killed
            writing += was_killed and any(out.parent.glob("*.new"))
        assert threadkeep(*arguments).code == 0
        assert contents(out) == contents(undisturbed)
        assert claimed(out) == claimed(undisturbed)
        assert threadkeep("validate", out, "--ids", ids).code == 0


@pytest.mark.usefixtures("base_url")
def test_what_a_killed_run_did_not_come_to_is_not_forgotten(
    fake: Watched, ids: Path, out: Path, tmp_path: Path, threadkeep: Run
) -> None:
    """Not by runs with a shorter list, killed or not: validate names it before they run and after."""
    wanted = ids.read_text().split()
    assert signalled(fake, signal.SIGKILL, "export", ids, ASSISTANT, out, "--concurrency", 1, nth=8).code < 0
    shorter = tmp_path / "shorter.txt"
    shorter.write_text("\n".join(wanted[:10]))
    short = ("export", shorter, ASSISTANT, out, "--concurrency", 1)
    assert signalled(fake, signal.SIGKILL, *short, nth=2).code < 0
    done = threadkeep(*short)
    assert done.code == 1
    assert f"{len(wanted) - 10} threads of earlier runs are not complete" in done.err
    assert list(rows(out)) == wanted
    assert set(exported(out)) == set(wanted[:10])
    listed = tmp_path / "refetch.txt"
    assert threadkeep("validate", out, "--ids-to-refetch", listed).code == 1
    assert listed.read_text().split() == wanted[10:]
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    assert threadkeep("validate", out).code == 0
    assert list(exported(out)) == wanted


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_export_is_resumed(by: int, fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """Nothing is written then; `write` writes what was fetched, or the same command makes it complete."""
    arguments = ("export", ids, ASSISTANT, out, "--concurrency", CONCURRENCY)
    assert signalled(fake, by, *arguments, nth=20).code == 130
    assert not out.exists()
    asked = len(fake.asked)
    assert threadkeep("write", out).code == 1
    assert (manifest(out)["ended_by"], len(fake.asked)) == ("interrupted", asked)
    assert exported(out).items() <= served(fake).items()
    assert threadkeep(*arguments).code == 0
    assert exported(out) == served(fake)


@pytest.mark.usefixtures("base_url")
def test_what_is_complete_costs_no_request(fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """Run twice, an export asks nothing the second time, changes no byte, and says how much was there."""
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    before, asked = contents(out) | {"manifest": beside(out, ".manifest.json").read_bytes()}, len(fake.asked)
    done = threadkeep("export", ids, ASSISTANT, out, "--json")
    assert (done.code, json.loads(done.out)["already_complete"]) == (0, len(ids.read_text().split()))
    after = contents(out) | {"manifest": beside(out, ".manifest.json").read_bytes()}
    assert (after, len(fake.asked)) == (before, asked)
    assert threadkeep("validate", out, "--ids", ids).code == 0


@pytest.mark.usefixtures("base_url")
def test_what_was_not_complete_is_asked_for_again(fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """Missing threads too: they may be found by now, with another key for example."""
    with ids.open("a") as file:
        file.write("\nthread_late\n")
    assert threadkeep("export", ids, ASSISTANT, out).code == 1
    fake.load({"threads": [{"id": "thread_late"}]})
    assert threadkeep("export", ids, ASSISTANT, out).code == 0
    assert rows(out)["thread_late"]["outcome"] == "complete"


@pytest.mark.usefixtures("base_url")
def test_an_export_that_the_sunset_cut_off_is_completed_when_the_api_is_back(
    fake: Watched, ids: Path, out: Path, threadkeep: Run
) -> None:
    """The pages that came stay until their threads are complete; then the partial file is gone."""
    arguments = ("export", ids, ASSISTANT, out, "--concurrency", 40)
    fake.before(fake.sunset.now, of=what_is_behind)
    assert threadkeep(*arguments).code == 3
    partial = beside(out, ".partial")
    kept = exported(partial)
    assert kept
    found = rows(out)
    assert {name: row["last_id"] for name, row in found.items() if row["outcome"] == "partial"} == {
        name: messages[-1]["id"] for name, messages in kept.items()
    }
    unfinished = {name for name, row in found.items() if row["outcome"] == "unfinished"}
    assert unfinished == set(ids.read_text().split()) - set(exported(out)) - set(kept)
    assert threadkeep(*arguments).code == 3
    assert exported(partial) == kept
    fake.sunset.lift()
    assert threadkeep(*arguments).code == 0
    assert exported(out) == served(fake)
    assert not partial.exists()


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("fresh", [[], ["--fresh"]])
def test_a_second_exporter_is_refused(fresh: list[str], fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """While the first is at work, whatever the second is asked to do; the first is not disturbed."""
    refused = list[Done]()
    fake.before(lambda: refused.append(run_alone("export", ids, ASSISTANT, out, *fresh)), nth=20)
    fake.before(lambda: refused.append(run_alone("write", out)), nth=21)
    assert threadkeep("export", ids, ASSISTANT, out, "--concurrency", 1).code == 0
    for second in refused:
        assert second.code == 5
        assert f"is being written by another threadkeep (process {os.getpid()})" in second.err
    assert len(refused) == 2
    assert exported(out) == served(fake)
    assert {path.name for path in out.parent.glob("out*")} == FILES


@pytest.mark.usefixtures("base_url")
def test_a_folder_that_vanishes_ends_the_run(fake: Watched, ids: Path, tmp_path: Path, threadkeep: Run) -> None:
    """Exit 5: nothing is written into files that nobody can find."""
    folder = tmp_path / "gone"
    folder.mkdir()
    fake.before(lambda: shutil.rmtree(folder), nth=10)
    done = threadkeep("export", ids, ASSISTANT, folder / "out.ndjson", "--concurrency", 1)
    assert done.code == 5
    assert "out.ndjson" in done.err
    assert "Traceback" not in done.err


@pytest.mark.usefixtures("base_url")
def test_a_thread_that_failed_is_tried_again_at_the_end(fake: Watched, ids: Path, out: Path, threadkeep: Run) -> None:
    """A fault that outlasts every retry, and passes while the others are walked, costs no thread."""
    name = ids.read_text().split()[0]
    fake.faults = [{"match": {"thread": name, "nth": 1, "times": 3}, "do": {"status": 500}}]
    done = threadkeep("export", ids, ASSISTANT, out, "--max-retries", 0, "--concurrency", 1)
    assert done.code == 1
    assert rows(out)[name]["outcome"] == "failed"
    fake.faults = [{"match": {"thread": name, "nth": 1}, "do": {"status": 500}}]
    assert threadkeep("export", ids, ASSISTANT, out, "--fresh", "--max-retries", 0, "--concurrency", 1).code == 0


@pytest.mark.usefixtures("base_url")
@pytest.mark.parametrize("form", [[], ["--flat"]])
def test_the_pages_of_a_thread_that_failed_are_kept(
    form: list[str], fake: Watched, ids: Path, out: Path, threadkeep: Run
) -> None:
    """A server may fail before it is gone for good: what it gave stays, until the thread is complete."""
    name = next(name for name, messages in served(fake).items() if len(messages) > 200)
    fake.faults = [{"match": {"path": f"{name}/messages", "nth": nth}, "do": {"status": 500}} for nth in (2, 3)]
    arguments = ("export", ids, ASSISTANT, out, "--max-retries", 0, *form)
    assert threadkeep(*arguments).code == 1
    assert rows(out)[name]["reason"].startswith("it could not be fetched to its end: 500 from")
    partial = beside(out, ".partial")
    assert exported(partial) == {name: served(fake)[name][:100]}
    fake.faults = []
    assert threadkeep(*arguments).code == 0
    assert not partial.exists()


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
    assert (printed.code, printed.out.split()) == (0, names[20:])
    both = threadkeep("export", "-", ASSISTANT, tmp_path / "none.ndjson", "--done", "-")
    assert both.code == 2


@pytest.mark.usefixtures("base_url")
def test_ids_that_are_dropped(fake: Watched, ids: Path, out: Path, tmp_path: Path, threadkeep: Run) -> None:
    """A thread that nobody can have any more keeps no export from being complete."""
    with ids.open("a") as file:
        file.write("\nthread_lost\n")
    assert threadkeep("export", ids, ASSISTANT, out).code == 1
    drop = tmp_path / "drop.txt"
    drop.write_text("thread_lost\n")
    asked = len(fake.asked)
    assert threadkeep("export", ids, ASSISTANT, out, "--drop", drop).code == 0
    assert (rows(out)["thread_lost"]["outcome"], len(fake.asked)) == ("dropped", asked)
    assert threadkeep("validate", out).code == 0
