"""An export that is disturbed while it commits: what was committed stays, and the same command resumes from there."""

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from canned_threads import ThreadServer
from exporting import PATIENCE, Export, threads_of
from threadkeep.errors import Interrupted, OutputUnusable
from threadkeep.exporter.commits import Commits
from threadkeep.exporter.events import Event, ThreadEnded
from threadkeep.storage import store
from threadkeep.storage.index import IndexHeader
from threadkeep.storage.store import Progress, Restart, Store, StoreFacts
from threadkeep.storage.store_thread import StoreThread

pytestmark = pytest.mark.anyio
THREADS = threads_of(**{f"n{number}": 3 for number in range(8)})


async def test_a_full_disk_ends_the_run_and_keeps_what_was_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written, the error names the file; with room the same run goes on and asks for no page twice."""
    threads, connect = threads_of(**{f"n{number}": 100 for number in range(30)}), store._connect

    def cramped(*arguments: Any, **options: Any) -> sqlite3.Connection:
        db = connect(*arguments, **options)
        db.execute("PRAGMA max_page_count=40")
        return db

    first, second = ThreadServer(threads), ThreadServer(threads)
    with monkeypatch.context() as patched:
        patched.setattr(store, "_connect", cramped)
        export = await Export(tmp_path).run(list(threads), first, concurrency=2)
    assert isinstance(export.ended_by, OutputUnusable)
    assert "out.ndjson.store: the disk is full. Free some space, and run the same command again" in str(export.ended_by)
    assert export.result.manifest is None
    assert not export.paths.out.exists()
    committed = export.result.outcomes["complete"]
    assert 2 < committed < 30
    await export.run(list(threads), second, concurrency=2)
    assert export.messages() == threads
    assert (Counter(first.asked) & Counter(second.asked)).total() <= 4  # each thread's page, and the look behind it
    assert sum(isinstance(event, ThreadEnded) for event in export.events) == 30


async def test_an_event_comes_when_its_thread_is_committed(tmp_path: Path) -> None:
    """Whoever hears it can rely on that."""
    export, seen = Export(tmp_path), list[tuple[object, ...]]()

    def hear(event: Event) -> None:
        if isinstance(event, ThreadEnded):
            with closing(sqlite3.connect(export.paths.store)) as db:
                query = "SELECT outcome FROM fetched WHERE thread_id=?"
                seen.extend(db.execute(query, (event.thread_id,)).fetchall())

    export.hear = hear  # type: ignore[method-assign]
    await export.run(list(THREADS), ThreadServer(THREADS))
    assert seen == [("complete",)] * len(THREADS)


@pytest.mark.parametrize("whose", ["its task", "every task"])
async def test_a_cancelled_export_waits_for_what_is_being_committed(
    whose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is cancelled, also by the end of the loop, which cancels all tasks: nothing hangs.

    What was committed is in the working store, and nothing is written.
    """
    export, loop, others, apply = Export(tmp_path), asyncio.get_running_loop(), asyncio.all_tasks(), Store.apply
    task = asyncio.ensure_future(export.run(list(THREADS), ThreadServer(THREADS), concurrency=2))

    def cancel() -> None:
        for one in [task] if whose == "its task" else asyncio.all_tasks(loop) - others:
            one.cancel()

    def interrupting(stored: Store, changes: Any, *arguments: Any) -> None:
        for _ in range(3 if changes else 0):  # people press Ctrl-C more than once
            loop.call_soon_threadsafe(cancel)
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).exception(PATIENCE)
        apply(stored, changes, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "apply", interrupting)
        await asyncio.wait_for(task, PATIENCE)
    assert isinstance(export.ended_by, Interrupted)
    assert [name for name, content in export.contents().items() if content] == ["out.ndjson.store"]
    server = ThreadServer(THREADS)
    await export.run(list(THREADS), server)
    assert export.messages() == THREADS
    assert sum(url.endswith("limit=100&order=asc") for url in server.asked) < len(THREADS)


async def test_whatever_goes_wrong_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised at a commit comes to all who wait for it, and to all who come later."""

    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError

    header = IndexHeader(source="", assistant_id="", flat=False, include=())
    stored = Store.create(Export(tmp_path).paths, StoreFacts(header=header, started_at="2026-01-01"))
    monkeypatch.setattr(stored, "apply", broken)
    thread = StoreThread()
    commits = Commits(stored, thread, lambda _event: None, Progress())
    waiting = [asyncio.ensure_future(commits.put(Restart("thread_a"))) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    raised = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), PATIENCE)
    assert [type(one) for one in raised] == [asyncio.CancelledError, ZeroDivisionError, ZeroDivisionError]
    with pytest.raises(ZeroDivisionError):
        await commits.put(Restart("thread_a"))
    await commits.settle()
    assert commits.progress == Progress()  # what is not committed does not count
    thread.close()
    stored.close()
