"""The one writer of an export: whoever has finished a thread hands it over, and waits until it is safe.

While one batch is brought to the disk the next one gathers, so that many threads share one sync. A thread counts as
on its way until its batch is committed: a crash costs no more than the threads that were on their way.
"""

import asyncio
from collections.abc import Callable, Sequence

from threadkeep.exporter.events import Event, Notice
from threadkeep.journal import Entry, FileEntry
from threadkeep.outfiles import Finished, OutFiles
from threadkeep.spool import Spool

__all__ = ["Writer"]


_Waiting = tuple[Finished, "asyncio.Future[BaseException | None]"]


class Writer:
    """Commits what is finished, in batches, on a thread of its own. `on_event` is called with each entry made.

    No task does that, since the end of an event loop cancels every task, and those who wait would wait for ever.
    """

    def __init__(self, out: OutFiles, on_event: Callable[[Event], None]) -> None:
        self._out = out
        self._on_event = on_event
        self._gathered: list[_Waiting] = []
        self._at_work = False

    async def put(self, finished: Finished) -> None:
        """Write down what became of a thread. It is on the disk when this returns, or is cancelled.

        Raises:
            OutputUnusable: the disk refuses.
        """
        written: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self._gathered.append((finished, written))
        if not self._at_work:
            self._commit_next()
        cancelled = False
        while not written.done():
            try:
                await asyncio.wait({written})
            except asyncio.CancelledError:
                cancelled = True  # the lines must not be taken away while they are being written
        if cancelled:
            raise asyncio.CancelledError
        if (problem := written.result()) is not None:
            raise problem

    def _commit_next(self) -> None:
        batch, self._gathered = self._gathered, []
        rows = [finished for finished, _ in batch]
        committed = asyncio.get_running_loop().run_in_executor(None, self._out.commit, rows)
        self._at_work = True
        committed.add_done_callback(lambda committed: self._committed(batch, committed))

    def _committed(self, batch: Sequence[_Waiting], committed: "asyncio.Future[tuple[Entry | FileEntry, ...]]") -> None:
        problem = committed.exception() or self._told(batch, committed.result())
        for _, written in batch:
            written.set_result(problem)  # as a value: whoever is cancelled by now never looks
        self._at_work = False
        if self._gathered:
            self._commit_next()

    def _told(self, batch: Sequence[_Waiting], entries: Sequence[Entry | FileEntry]) -> Exception | None:
        """Tell of what is on the disk; gives what whoever was told raised."""
        try:
            for (finished, _), entry in zip(batch, entries, strict=True):
                if isinstance(entry, Entry):
                    self._tell_of_refreshing(finished, entry)
                self._on_event(entry)
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            return error
        return None

    def _tell_of_refreshing(self, finished: Finished, entry: Entry) -> None:
        if entry.outcome is not finished.entry.outcome:
            self._on_event(Notice(_in_vain(finished.entry, entry)))
        elif vanished := _vanished(finished, entry):
            what = f"{entry.thread_id}: the server has {vanished} of it no longer, and the export keeps them"
            self._on_event(Notice(what))


def _vanished(finished: Finished, entry: Entry) -> str:
    """How much the export has of a thread that the server has not, in words; empty where that is nothing."""
    if finished.lines is None:
        return ""
    more = [_more(entry.messages, entry.sha256, finished.lines, "message", "content of messages")]
    if "runs" in finished.beside:
        span = entry.beside["runs"]
        more.append(_more(span.lines, span.sha256, finished.beside["runs"], "run", "steps of runs"))
    return " and ".join(filter(None, more))


def _more(lines: int, sha256: str | None, given: Spool, name: str, held: str) -> str:
    """As many lines as were given, and other ones, are some that were given with less in them than before."""
    number = lines - given.lines
    if number:
        return f"{number:,} {name}{'s' * (number != 1)}"
    return "" if sha256 == given.sha256 else held


def _in_vain(given: Entry | FileEntry, standing: Entry) -> str:
    return f"{standing.thread_id} is not refreshed, and stays as it is: {given.outcome}: {given.reason}"
