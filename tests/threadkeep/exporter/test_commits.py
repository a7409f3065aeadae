"""An export that is disturbed while it writes: what was written stays, and nothing is half written."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from canned_threads import ThreadServer
from exporting import PATIENCE, Export, threads_of
from threadkeep.disk import OsGrowing
from threadkeep.errors import OutputUnusable
from threadkeep.exporter.events import Event
from threadkeep.journal import Entry, FileEntry, fold
from threadkeep.outfiles import Finished, OutFiles

pytestmark = pytest.mark.anyio


async def test_a_full_disk_ends_the_run_behind_the_last_whole_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for the writer is told, the error names the file, and what was committed stays."""
    write, journalled = OsGrowing.write, list[bytes]()

    def write_half(file: OsGrowing, content: bytes) -> None:
        if b"thread_b" not in content:
            write(file, content)
            return
        write(file, content[:9])
        journalled.append(content)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(OsGrowing, "write", write_half)
    threads = threads_of(a=5, b=5)
    with pytest.raises(OutputUnusable, match=r"out\.ndjson: No space left on device"):
        await Export(tmp_path).run(list(threads), ThreadServer(threads), concurrency=1)
    assert journalled
    assert Export(tmp_path).messages() == {"thread_a": threads["thread_a"]}


async def test_a_cancelled_export_waits_for_what_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines are not taken away under the writer; the batch is whole in the export, and nothing hangs."""
    threads = threads_of(**{f"n{number}": 3 for number in range(8)})
    export = Export(tmp_path)
    task = asyncio.ensure_future(export.run(list(threads), ThreadServer(threads), concurrency=2))
    commit = OutFiles.commit

    def interrupting(out: OutFiles, finished: Sequence[Finished]) -> tuple[Entry | FileEntry, ...]:
        for _ in range(3):  # people press Ctrl-C more than once
            task.get_loop().call_soon_threadsafe(task.cancel)
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), task.get_loop()).result(PATIENCE)
        return commit(out, finished)

    monkeypatch.setattr(OutFiles, "commit", interrupting)
    with pytest.raises(asyncio.CancelledError):
        await task
    journal = fold(export.paths.journal.read_bytes())
    assert len(journal.complete) in (1, 2)
    assert export.messages() == {entry.thread_id: threads[entry.thread_id] for entry in journal.complete}


async def test_the_end_of_the_loop_ends_an_export_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tasks are cancelled then, and more than once: what is being written is waited for, and nothing hangs."""
    threads = threads_of(**{f"n{number}": 3 for number in range(8)})
    export, loop = Export(tmp_path), asyncio.get_running_loop()
    others, commit = asyncio.all_tasks(), OutFiles.commit

    def cancel_all() -> None:
        for task in asyncio.all_tasks(loop) - others:
            task.cancel()

    def interrupting(out: OutFiles, finished: Sequence[Finished]) -> tuple[Entry | FileEntry, ...]:
        for _ in range(2):
            loop.call_soon_threadsafe(cancel_all)
            asyncio.run_coroutine_threadsafe(_nothing(), loop).exception(10)
        return commit(out, finished)

    monkeypatch.setattr(OutFiles, "commit", interrupting)
    task = asyncio.ensure_future(export.run(list(threads), ThreadServer(threads), concurrency=2))
    _, hanging = await asyncio.wait({task}, timeout=30)
    assert (hanging, task.cancelled()) == (set(), True)
    journal = fold(export.paths.journal.read_bytes())
    assert 1 <= len(journal.complete) <= 4
    assert export.messages() == {entry.thread_id: threads[entry.thread_id] for entry in journal.complete}


async def test_what_a_listener_raises_comes_out_and_what_is_written_stays(tmp_path: Path) -> None:
    """Nobody waits for a writer that was thrown out of its work."""

    class Deaf(list[Event]):
        def append(self, event: Event) -> None:
            if isinstance(event, Entry):
                raise ZeroDivisionError

    threads, export = threads_of(a=1, b=1), Export(tmp_path)
    export.reported = Deaf()
    with pytest.raises(ZeroDivisionError):
        await export.run(list(threads), ThreadServer(threads), concurrency=1)
    assert export.messages() == {"thread_a": threads["thread_a"]}


async def _nothing() -> None:
    """Is run in its turn."""
