"""The one writer of an export: whoever has finished a thread hands it over, and waits until it is safe.

While one batch is brought to the disk the next one gathers, so that many threads share one sync. A thread counts as
on its way until its batch is committed: a crash costs no more than the threads that were on their way.
"""

import asyncio
from collections.abc import Callable

from threadkeep.events import Event
from threadkeep.outfiles import Finished, OutFiles

__all__ = ["Writer"]


_Waiting = tuple[Finished, "asyncio.Future[Exception | None]"]


class Writer:
    """Commits what is finished, in batches, on a thread of its own. `on_event` is called with each entry made."""

    def __init__(self, out: OutFiles, on_event: Callable[[Event], None]) -> None:
        self._out = out
        self._on_event = on_event
        self._gathered: list[_Waiting] = []
        self._committing: asyncio.Task[None] | None = None

    async def put(self, finished: Finished) -> None:
        """Write down what became of a thread. It is on the disk when this returns.

        Raises:
            OutputUnusable: the disk refuses.
        """
        written: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._gathered.append((finished, written))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all())
        try:
            problem = await asyncio.shield(written)
        except asyncio.CancelledError:
            await asyncio.wait({written})  # the lines must not be taken away while they are being written
            raise
        if problem is not None:
            raise problem

    async def _commit_all(self) -> None:
        while self._gathered:
            batch, self._gathered = self._gathered, []
            try:
                entries = await asyncio.to_thread(self._out.commit, [finished for finished, _ in batch])
            except Exception as error:  # noqa: BLE001 - it belongs to those who wait
                self._tell(batch, error)  # as a value: whoever is cancelled by now never looks
            else:
                for entry in entries:
                    self._on_event(entry)
                self._tell(batch, None)
        self._committing = None

    @staticmethod
    def _tell(batch: list[_Waiting], problem: Exception | None) -> None:
        for _, written in batch:
            written.set_result(problem)
