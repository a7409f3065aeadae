"""A refreshed export is that of the world as it is now; one that could be refreshed in part is poorer in nothing."""

import asyncio
import contextlib
import os
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

import threadkeep.rewrite as rewrite
from canned import HTTP, async_client
from canned_threads import ThreadServer, message, thread_of
from drawn_exports import faults
from exporting import ASSISTANT, Ending, no_wait, threads_of
from threadkeep.api.client import PacingOptions
from threadkeep.api.transport import Transport
from threadkeep.errors import ApiGone, Interrupted, OutputUnusable
from threadkeep.exporter.engine import Options
from threadkeep.exporter.events import Event, Notice, ThreadsBegun
from threadkeep.exporter.job import Job, Result, carry_out
from threadkeep.journal import Entry, Outcome, fold
from threadkeep.records.ndjson import decode
from threadkeep.sizes import doubts, sizes
from threadkeep.storage.manifest import read
from threadkeep.storage.paths import Paths
from threadkeep.validation.entrypoints import validate

Threads = Mapping[str, Sequence[Mapping[str, Any]]]

OLD = threads_of(a=3, b=150, c=0, d=2, e=101, f=1)


def grown() -> dict[str, list[dict[str, Any]]]:
    """Some threads have more messages, one has fewer, one was changed, and two are as they were."""
    new = threads_of(a=5, b=250, c=2, d=2, e=100, f=1)
    new["thread_f"] = [message("thread_f", 0, metadata={"seen": "yes"})]
    return new


NEW = grown()
JOINED = NEW | {"thread_e": OLD["thread_e"]}
"""The new threads, with what only the old ones have."""

GONE = "thread_e: the server has 1 message of it no longer, and the export keeps them"


@attrs.frozen
class Ran:
    """A run and what it told."""

    result: Result
    told: list[Event]

    @property
    def notices(self) -> list[str]:
        """What a person was told."""
        return [event.text for event in self.told if isinstance(event, Notice)]


def run(
    folder: Path, server: ThreadServer, *, fresh: bool = False, ids: Sequence[str] = tuple(OLD), **options: Any
) -> Ran:
    """An export of all of a world's threads, from its beginning to its manifest."""
    told: list[Event] = []
    chosen = Options(assistant_id=ASSISTANT, pace=PacingOptions(max_retries=0, sleep=no_wait), **options)
    job = Job(ids=tuple(ids), paths=Paths(folder / "out.ndjson"), options=chosen, fresh=fresh)

    async def export() -> Result:
        async with contextlib.AsyncExitStack() as opened:
            api = await opened.enter_async_context(Transport(async_client(server)))
            return await carry_out(job, [api], api.address, now=lambda: datetime.now(UTC), on_event=told.append)

    return Ran(asyncio.run(export()), told)


def held(folder: Path) -> dict[str, list[Any]]:
    """What the export holds; a thread that stands in it twice fails."""
    paths, found = Paths(folder / "out.ndjson"), dict[str, list[Any]]()
    lines = paths.out.read_bytes().splitlines(keepends=True)
    for record in map(decode, lines):
        found.setdefault(record.thread_id, []).append(dict(record.raw))
    journal = fold(paths.journal.read_bytes())
    assert faults(b"".join(lines), journal) <= {"unfinished_run", "thread_missing"}
    assert not any(path.exists() for path in paths.rewrites)
    return found


def present(threads: Threads) -> dict[str, list[Any]]:
    """The threads that have lines."""
    return {name: list(rows) for name, rows in threads.items() if rows}


def test_a_refreshed_export_is_as_one_made_afresh(tmp_path: Path) -> None:
    """Messages that came since and changed since, and those that went since; and its manifest says the same."""
    assert run(tmp_path, ThreadServer(OLD)).result.is_whole
    ran = run(tmp_path, ThreadServer(NEW), refresh=True)
    assert (ran.result.is_whole, ran.result.resumed, ran.result.not_refreshed, ran.notices) == (True, 0, {}, [GONE])
    (begun,) = [event for event in ran.told if isinstance(event, ThreadsBegun)]
    assert (begun.total, begun.before, sum(isinstance(event, Entry) for event in ran.told)) == (6, 0, 6)
    assert held(tmp_path) == present(JOINED)
    (tmp_path / "afresh").mkdir()
    afresh = run(tmp_path / "afresh", ThreadServer(JOINED)).result
    assert ran.result.manifest.claims == afresh.manifest.claims


def test_a_world_that_stood_still_changes_no_byte(tmp_path: Path) -> None:
    """Every thread is asked for, and stays where it is."""
    run(tmp_path, ThreadServer(OLD))
    before, server = (tmp_path / "out.ndjson").read_bytes(), ThreadServer(OLD)
    journal = (tmp_path / "out.ndjson.journal").read_bytes()
    ran = run(tmp_path, server, refresh=True)
    assert (ran.result.is_whole, ran.result.resumed, set(map(thread_of, map(HTTP.URL, server.asked)))) == (
        True,
        0,
        set(OLD),
    )
    assert ((tmp_path / "out.ndjson").read_bytes(), (tmp_path / "out.ndjson.journal").read_bytes()) == (before, journal)


@pytest.mark.parametrize("flat", [False, True])
def test_a_refresh_takes_no_message_out(flat: bool, tmp_path: Path) -> None:
    """Of a thread that has lost twenty messages and has one more, every one is there, once, in its place."""
    run(tmp_path, ThreadServer(OLD), flat=flat)
    before = (tmp_path / "out.ndjson").read_bytes().splitlines()
    rows = [row for number, row in enumerate(OLD["thread_b"]) if not 40 <= number < 60]
    ran = run(tmp_path, ThreadServer({**OLD, "thread_b": [*rows, message("thread_b", 150)]}), refresh=True, flat=flat)
    assert ran.notices == ["thread_b: the server has 20 messages of it no longer, and the export keeps them"]
    lines = [line for line in (tmp_path / "out.ndjson").read_bytes().splitlines() if b"msg_thread_b" in line]
    assert lines[:-1] == [line for line in before if b"msg_thread_b" in line]
    assert b"msg_thread_b_00150" in lines[-1]
    assert (ran.result.is_whole, ran.result.manifest.claims.outcomes["complete"]) == (True, len(OLD))


def test_a_server_that_answers_with_empty_pages_changes_no_byte(tmp_path: Path) -> None:
    """What is there stays, and each thread is told."""
    run(tmp_path, ThreadServer(OLD))
    before = (tmp_path / "out.ndjson").read_bytes()
    ran = run(tmp_path, ThreadServer({name: [] for name in OLD}), refresh=True)
    assert (ran.result.is_whole, len(ran.notices)) == (True, sum(map(bool, OLD.values())))
    assert (tmp_path / "out.ndjson").read_bytes() == before


@pytest.mark.parametrize("count", range(9))
@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_sunset_in_the_middle_of_a_refresh_costs_nothing(count: int, concurrency: int, tmp_path: Path) -> None:
    """After any number of requests: each thread is there once, as it was or as it is; and who was not is told."""
    assert run(tmp_path, ThreadServer(OLD)).result.is_whole
    server = Ending(NEW, lambda: HTTP.Response(410), count=count)
    result = run(tmp_path, server, refresh=True, concurrency=concurrency).result
    assert isinstance(result.ended_by, ApiGone)
    assert not result.is_whole
    kept = held(tmp_path)
    for name in OLD:
        assert kept.get(name, []) == list((OLD if name in result.not_refreshed else JOINED)[name])
    assert result.manifest.claims.outcomes["complete"] == len(OLD)
    beside = result.paths.partial.read_bytes().splitlines() if result.paths.partial.exists() else []
    new_there = [(record.thread_id, dict(record.raw)) for record in map(decode, beside)]
    came = "thread_b" in result.not_refreshed and any("msg_thread_b_00199" in url for url in server.asked)
    assert new_there == [("thread_b", row) for row in NEW["thread_b"][150:200] if came]
    assert set(result.not_refreshed.values()) <= {
        "the run ended before it was asked for again",
        *(reason for reason in result.not_refreshed.values() if reason.startswith("partial: ")),
    }
    assert run(tmp_path, ThreadServer(NEW), refresh=True).result.is_whole
    assert held(tmp_path) == present(JOINED)
    assert not result.paths.partial.exists()


def test_pages_of_a_refresh_that_was_cut_off_stay_until_they_are_in_the_export(tmp_path: Path) -> None:
    """Also through a run that does not ask for the thread; validate notes where they are, and finds nothing wrong."""
    run(tmp_path, ThreadServer({"thread_b": OLD["thread_b"]}), ids=["thread_b"], flat=True)
    server = Ending({"thread_b": NEW["thread_b"]}, lambda: HTTP.Response(410), count=2)
    ran = run(tmp_path, server, ids=["thread_b"], flat=True, refresh=True)
    partial = ran.result.paths.partial
    assert ran.notices[0].endswith("; 50 messages that it lacks are kept in the partial file")
    kept = partial.read_bytes()
    assert [dict(decode(line).raw) for line in kept.splitlines()] == NEW["thread_b"][150:200]
    run(tmp_path, server, ids=["thread_b"], flat=True)
    assert partial.read_bytes() == kept
    assert {one.code for one in validate(ran.result.paths.out)} <= {"unfinished_run", "only_in_partial"}
    run(tmp_path, ThreadServer({"thread_b": NEW["thread_b"]}), ids=["thread_b"], flat=True, refresh=True)
    assert not partial.exists()


class Broken(ThreadServer):
    """Answers the second page of thread_b, and any of thread_d, with errors."""

    def spoil(self, request: Any, times: int) -> Any:
        del times
        name = thread_of(request.url)
        broken = name == "thread_d" or (name == "thread_b" and "after" in request.url.params)
        return HTTP.Response(500) if broken else None


def test_a_thread_that_cannot_be_refreshed_stays_as_it_is(tmp_path: Path) -> None:
    """One that was deleted since, and those that the server fails to give; each is told with its reason."""
    run(tmp_path, ThreadServer(OLD))
    world = {name: rows for name, rows in NEW.items() if name != "thread_a"}
    ran = run(tmp_path, Broken(world), refresh=True)
    assert (ran.result.ended_by, ran.result.is_whole, ran.result.problems) == (None, False, ())
    reasons = ran.result.not_refreshed
    assert list(reasons) == ["thread_a", "thread_b", "thread_d"]
    assert reasons["thread_a"].startswith("missing: No thread found")
    assert reasons["thread_b"].startswith("failed: it could not be walked on: 500")
    assert sorted(notice.split()[0] for notice in ran.notices if notice != GONE) == list(reasons)
    assert sum("is not refreshed, and stays as it is: " in notice for notice in ran.notices) == len(reasons)
    assert held(tmp_path) == present(JOINED | {name: OLD[name] for name in reasons})
    assert not ran.result.paths.partial.exists()
    assert ran.result.manifest.is_whole


class BrokenThenGone(Broken):
    """The same, and gone for good when thread_d is asked for once more."""

    def spoil(self, request: Any, times: int) -> Any:
        if any(thread_of(HTTP.URL(url)) == "thread_d" for url in self.asked[:-1]):
            return HTTP.Response(410)
        return super().spoil(request, times)


def test_a_thread_that_failed_before_the_sunset_is_told_with_its_own_reason(tmp_path: Path) -> None:
    """Also where that comes before its second chance."""
    run(tmp_path, ThreadServer(OLD))
    result = run(tmp_path, BrokenThenGone(NEW), refresh=True, concurrency=1).result
    assert isinstance(result.ended_by, ApiGone)
    assert result.not_refreshed["thread_d"].startswith("failed: 500")
    assert result.not_refreshed["thread_f"] == "the run ended before it was asked for again"
    assert held(tmp_path)["thread_d"] == OLD["thread_d"]


def test_what_was_not_complete_is_exported_as_ever(tmp_path: Path) -> None:
    """A refresh asks for the others too, and one that is missing is missing."""
    run(tmp_path, ThreadServer({name: rows for name, rows in OLD.items() if name not in ("thread_a", "thread_d")}))
    result = run(tmp_path, ThreadServer({name: rows for name, rows in NEW.items() if name != "thread_d"}), refresh=True)
    assert [entry.outcome for entry in result.result.problems] == [Outcome.MISSING]
    assert result.result.not_refreshed == {}
    assert set(held(tmp_path)) == set(NEW) - {"thread_d"}


def test_a_disk_that_refuses_to_write_files_anew_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told; and what the run has refreshed is there when the next one has the room."""
    run(tmp_path, ThreadServer(OLD))

    def refuse(*_arguments: object) -> None:
        raise OutputUnusable("no room")

    with monkeypatch.context() as patched:
        patched.setattr(rewrite, "write", refuse)
        result = run(tmp_path, ThreadServer(NEW), refresh=True).result
    assert isinstance(result.ended_by, OutputUnusable)
    assert ["run the same command again" in doubt for doubt in doubted(result.paths)] == [True]
    server = ThreadServer(NEW)
    assert run(tmp_path, server).result.is_whole
    assert doubted(result.paths) == []
    assert (held(tmp_path), server.asked) == (present(JOINED), [])


def doubted(paths: Paths) -> list[str]:
    """What `status` doubts."""
    journal = fold(paths.journal.read_bytes())
    return list(doubts(paths, journal, read(paths.manifest.read_bytes()), sizes(paths, journal)))


def test_an_interruption_while_files_are_written_anew_is_told_when_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then threads stand in the export twice."""
    run(tmp_path, ThreadServer(OLD))
    write = rewrite.write
    tasks: list[asyncio.Task[Any]] = []

    def interrupted(*arguments: Any) -> None:
        loop.call_soon_threadsafe(tasks[0].cancel)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
        write(*arguments)

    monkeypatch.setattr(rewrite, "write", interrupted)
    loop = asyncio.new_event_loop()
    result = loop.run_until_complete(cancelled(tmp_path, tasks))
    loop.close()
    assert isinstance(result.ended_by, Interrupted)
    assert held(tmp_path) == present(JOINED)


async def cancelled(folder: Path, tasks: list[asyncio.Task[Any]]) -> Result:
    """A refresh in a task that others can cancel."""
    options = Options(assistant_id=ASSISTANT, refresh=True)
    job = Job(ids=tuple(OLD), paths=Paths(folder / "out.ndjson"), options=options)
    async with Transport(async_client(ThreadServer(NEW))) as api:
        exporting = asyncio.create_task(carry_out(job, [api], api.address, now=lambda: datetime.now(UTC)))
        tasks.append(exporting)
        return await exporting


def modes(paths: Paths) -> dict[str, int]:
    """Who may read what of the export."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths.written if path.exists()}


def test_a_private_export_stays_private(tmp_path: Path) -> None:
    """Its files are written anew by a run that would make new ones for everybody."""
    umask = os.umask(0o077)
    try:
        paths = run(tmp_path, ThreadServer(OLD)).result.paths
        private = modes(paths)
        os.umask(0o022)
        assert run(tmp_path, ThreadServer(NEW), refresh=True).result.is_whole
    finally:
        os.umask(umask)
    assert held(tmp_path) == present(JOINED)
    assert modes(paths) == private


def test_an_export_through_a_link_is_that_of_the_file(tmp_path: Path) -> None:
    """It is begun, refreshed and gone on with there, and the link stays one."""
    there = tmp_path / "there"
    there.mkdir()
    link = tmp_path / "out.ndjson"
    link.symlink_to(there / "out.ndjson")
    assert run(tmp_path, ThreadServer(OLD)).result.paths.out == there.resolve() / "out.ndjson"
    assert run(tmp_path, ThreadServer(NEW), refresh=True).result.is_whole
    assert (link.is_symlink(), [path.name for path in tmp_path.iterdir() if path != there]) == (True, ["out.ndjson"])
    assert held(there) == held(tmp_path) == present(JOINED)
    server = ThreadServer(NEW)
    assert (run(there, server).result.is_whole, server.asked) == (True, [])


def test_a_link_that_leads_to_another_file_is_refused(tmp_path: Path) -> None:
    """Somebody's notes are no export."""
    (tmp_path / "notes").write_bytes(b"mine")
    (tmp_path / "out.ndjson").symlink_to(tmp_path / "notes")
    with pytest.raises(OutputUnusable, match="notes exists already"):
        run(tmp_path, ThreadServer(OLD))
    assert (tmp_path / "notes").read_bytes() == b"mine"
