"""An export is begun, or resumed: that may be interrupted at any moment, and costs nothing."""

import asyncio
from itertools import count
from pathlib import Path

import pytest

from canned_threads import ThreadServer
from exporting import Export, now, threads_of
from threadkeep.errors import Interrupted
from threadkeep.serialization.thread_ids import ListedId
from threadkeep.storage.session import Session, ThreadList

THREADS = threads_of(a=2, b=1, c=3)


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """An export of a few threads."""
    return Export(tmp_path).run_alone(THREADS, ThreadServer(THREADS))


@pytest.mark.parametrize("moment", range(1, 10))
def test_a_session_can_be_interrupted_while_it_is_begun(moment: int, export: Export) -> None:
    """Before each thread of the index, when it is inspected and when it is planned, and before each id of the list."""
    before, asked = export.contents(), count(1)

    def check() -> None:
        if next(asked) == moment:
            raise Interrupted("interrupted")

    session = Session(export.paths, now(), check)
    with pytest.raises(Interrupted):
        session.begin(None, ThreadList(ids=map(ListedId, count(1), THREADS)))
    assert export.contents() == before
    assert not export.paths.lock.exists()
    server = ThreadServer(THREADS)
    export.run_alone(THREADS, server)
    assert (export.result.is_complete, server.asked) == (True, [])


async def cancelled_at_once(export: Export, times: int) -> None:
    """Cancel an export when it has just begun."""
    exporting = asyncio.create_task(export.run(THREADS, ThreadServer(THREADS), include=("threads",)))
    for _ in range(times):
        await asyncio.sleep(0)
        exporting.cancel()
    await exporting


@pytest.mark.parametrize("times", [1, 2, 3])
def test_an_export_that_is_cancelled_while_it_is_begun(times: int, tmp_path: Path) -> None:
    """It says so, however often it is cancelled; the next one is not hindered, whatever it is asked for."""
    export = Export(tmp_path)
    with pytest.raises((Interrupted, asyncio.CancelledError)):
        asyncio.run(cancelled_at_once(export, times))
    assert not export.paths.out.exists()
    export.run_alone(THREADS, ThreadServer(THREADS))
    assert export.messages() == THREADS
