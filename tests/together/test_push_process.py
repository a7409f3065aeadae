"""The push as a process of its own: interrupted, killed, with another one next to it, on a full disk."""

import asyncio
import itertools
import json
import os
import resource
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command import Done, Run
from exporting import threads_of
from exports import beside
from fake_assistants import Request
from processes import run_alone, signalled
from push_kills import push_processes
from pushes import Target, export_of, rows_of_map
from threadkeep import apush
from watched import Watched

pytestmark = pytest.mark.usefixtures("base_url")

SIZES = {f"thread_{number}": size for number, size in enumerate([45, 1, 3, 20, 21, 2, 40, 7, 1, 1] * 4)}


@pytest.fixture
def fake(profile: str) -> Watched:
    """A target without conversations."""
    return Watched(profile=profile)


@pytest.fixture(params=["openai", "foundry"])
def profile(request: pytest.FixtureRequest) -> str:
    """Each kind of target."""
    kind: str = request.param
    return kind


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An export of forty threads."""
    return export_of(tmp_path, threads_of(**{name.removeprefix("thread_"): size for name, size in SIZES.items()}))


@pytest.fixture
def arguments(out: Path, base_url: str, profile: str) -> tuple[object, ...]:
    """Of the command."""
    address = base_url if profile == "openai" else f"{base_url}/openai/v1"
    return ("push", out, "--to", "conversations", "--base-url", address, "--target", profile)


def creates(request: Request) -> bool:
    """A request for a new conversation."""
    return request.method == "POST" and request.path.endswith("/conversations")


def adds(request: Request) -> bool:
    """A request that adds items."""
    return request.method == "POST" and request.path.endswith("/items")


def is_there(fake: Watched, profile: str) -> None:
    """Each thread is in one conversation, and there is no other."""
    assert {name: len(items) for name, items in Target(profile, fake).items.items()} == SIZES


@pytest.mark.parametrize(
    ("name", "of", "nth", "times"),
    [("SIGINT", creates, 1, 1), ("SIGTERM", creates, 9, 5), ("SIGHUP", adds, 5, 1), ("SIGINT", adds, 9, 5)],
)
def test_an_interrupted_push_ends_in_order_and_is_resumed(
    name: str,
    of: Callable[[Request], bool],
    nth: int,
    times: int,
    fake: Watched,
    profile: str,
    out: Path,
    arguments: tuple[object, ...],
    threadkeep: Run,
) -> None:
    """Exit 130, without a map. The answers on their way are waited for, so that nothing is left over of it."""
    done = signalled(fake, getattr(signal, name), *arguments, "--concurrency", 8, of=of, nth=nth, times=times)
    assert (done.code, "interrupted" in done.err, "Traceback" in done.err) == (130, True, False)
    assert "The same command resumes the push" in done.err
    assert not beside(out, ".conversations.ndjson").exists()
    assert not beside(out, ".push.lock").exists()
    assert sum(map(creates, fake.asked)) < len(SIZES)
    done = threadkeep(*arguments, "--json", "--verify")
    assert (done.code, json.loads(done.out)["leftovers"]) == (0, [])
    assert sum(map(creates, fake.asked)) == len(SIZES)
    is_there(fake, profile)
    assert [*rows_of_map(out)] == [*SIZES]


def test_what_an_interruption_says_to_programs(fake: Watched, arguments: tuple[object, ...]) -> None:
    """Nothing is written, and every thread that is not through is named or counted."""
    done = signalled(fake, signal.SIGTERM, *arguments, "--json", "--concurrency", "1", of=adds, nth=9)
    summary = json.loads(done.out)
    assert (summary["exit"], summary["ended_by"], summary["map"]) == (130, "interrupted", None)
    assert summary["pushed"] + summary["problem_count"] == len(SIZES)


def test_an_interrupted_verification_is_made_again(
    fake: Watched, profile: str, arguments: tuple[object, ...], threadkeep: Run
) -> None:
    """Nothing is sent for it."""
    assert threadkeep(*arguments).code == 0
    written = len(Target(profile, fake).written)
    assert signalled(fake, signal.SIGINT, *arguments, "--verify", nth=7).code == 130
    done = threadkeep(*arguments, "--verify", "--json")
    assert (done.code, json.loads(done.out)["verified"]) == (0, len(SIZES))
    assert len(Target(profile, fake).written) == written


@pytest.mark.parametrize("profile", ["openai"])
def test_an_answer_that_does_not_come_is_not_waited_for_long(
    fake: Watched, out: Path, base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The conversation may be left over then, and is named."""
    monkeypatch.setattr("threadkeep.migration.run._GRACE_SECONDS", 0.0)
    fake.faults = [{"match": {"method": "POST", "nth": 1}, "do": {"delay": 3600}}]

    async def app() -> None:
        task = asyncio.ensure_future(apush(out, base_url=base_url))
        running = asyncio.get_running_loop()
        fake.before(lambda: running.call_soon_threadsafe(task.cancel), of=creates)
        with pytest.raises(asyncio.CancelledError):
            await task
        fake.faults = []
        result = await apush(out, base_url=base_url)
        assert result.is_complete
        assert result.leftovers

    asyncio.run(app())


@pytest.mark.parametrize("profile", ["openai"])
def test_a_second_push_is_refused_while_the_first_is_at_work(
    fake: Watched, profile: str, arguments: tuple[object, ...], threadkeep: Run
) -> None:
    """Exit 5; the first is not disturbed. A dry run asks nobody, and says what is left."""
    others = list[Done]()
    for options in ((), ("--verify",), ("--dry-run",)):
        fake.before(lambda options=options: others.append(run_alone(*arguments, *options)), of=adds, nth=5)  # type: ignore[misc]
    assert threadkeep(*arguments, "--concurrency", "1").code == 0
    push, verification, plan = others
    for refused in (push, verification):
        assert refused.code == 5
        assert f"out.ndjson.push is being written by another threadkeep (process {os.getpid()})" in refused.err
    assert (plan.code, "nothing was sent" in plan.out) == (0, True)
    is_there(fake, profile)


def test_a_push_to_another_target_is_refused(
    fake: Watched, profile: str, arguments: tuple[object, ...], threadkeep: Run
) -> None:
    """Also after one that was killed."""
    assert signalled(fake, signal.SIGKILL, *arguments, of=creates, nth=9).code < 0
    asked = len(fake.asked)
    elsewhere = [str(one).replace("127.0.0.1", "localhost") for one in arguments]
    done = threadkeep(*elsewhere)
    assert (done.code, "says that OUT was pushed to conversations at" in done.err) == (5, True)
    assert len(fake.asked) == asked
    assert threadkeep(*arguments).code == 0
    assert {name: len(rows) for name, rows in items(fake).items()} == SIZES
    assert profile == "openai" or len(fake.state["conversations"]) == len(SIZES)


def items(fake: Watched) -> dict[str, list[Any]]:
    """The items of each thread, in whichever conversation they are."""
    threads = {row["id"]: row["metadata"]["thread_id"] for row in fake.state["conversations"]}
    found: dict[str, list[Any]] = {}
    for row in fake.state["conversation_items"]:
        found.setdefault(threads[row["conversation_id"]], []).append(row)
    return found


def limit_files(most: int) -> Callable[[], None]:
    """No file of the process may grow beyond so many bytes: what a full disk looks like."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


@pytest.mark.parametrize("room", [0, 1_000, 20_000, 45_000, 50_000])
def test_a_full_disk_ends_the_push_with_5_and_nothing_is_sent_twice(
    room: int, fake: Watched, profile: str, out: Path, arguments: tuple[object, ...], threadkeep: Run
) -> None:
    """In words, before anything is sent that cannot be recorded. With room the same command continues."""
    # Whatever measures the coverage of processes writes its own files.
    unmeasured = ("env", "-u", "COVERAGE_PROCESS_START", "-u", "COVERAGE_PROCESS_CONFIG")
    done = run_alone(*arguments, "--concurrency", "4", by=unmeasured, preexec_fn=limit_files(room))
    assert (done.code, "Traceback" in done.err) == (5, False)
    assert f"{out}.push" in done.err
    done = threadkeep(*arguments, "--verify", "--json")
    assert done.code == 0
    named = json.loads(done.out)["leftovers"]
    assert {name: len(rows) for name, rows in items(fake).items()} == SIZES
    assert len(fake.state["conversations"]) - len(SIZES) <= len(named)
    assert profile == "openai" or len(fake.state["conversations"]) == len(SIZES)


def test_a_folder_that_vanishes_ends_the_push(fake: Watched, out: Path, arguments: tuple[object, ...]) -> None:
    """Exit 5: nothing is sent that nobody could find any more."""
    fake.before(lambda: shutil.rmtree(out.parent), of=creates, nth=9)
    done = run_alone(*arguments, "--concurrency", "1")
    assert (done.code, "Traceback" in done.err) == (5, False)
    assert "out.ndjson" in done.err
    assert sum(map(creates, fake.asked)) == 9


@pytest.mark.parametrize("profile", ["openai"])
def test_a_kill_before_any_change_of_the_disk_costs_nothing(fake: Watched, base_url: str, tmp_path: Path) -> None:
    """When it locks, creates its store, or writes the map and the report: the same command completes it."""
    with push_processes() as processes:
        for nth in itertools.count(1):
            (tmp_path / str(nth)).mkdir()
            out = export_of(tmp_path / str(nth), threads_of(a=3))
            arguments = ("push", out, "--to", "conversations", "--base-url", base_url)
            fake.reset()
            code = processes.run(*arguments, death=("before change", nth))
            if code != -signal.SIGKILL:
                break
            assert processes.run(*arguments, "--verify") == 0
            assert {name: len(rows) for name, rows in items(fake).items()} == {"thread_a": 3}
            assert [row["verified"] for row in rows_of_map(out).values()] == [True]
            assert not list(out.parent.glob("*.new"))
            assert not list(out.parent.glob("*-journal"))
    assert (code, nth > 5) == (0, True)
