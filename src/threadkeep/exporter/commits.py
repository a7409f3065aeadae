"""Commit what is fetched to the working store, in batches, on a thread of its own.

Whoever has fetched a page waits until it is committed before it asks for the next one. So a kill costs no more than
the pages that are on their way, one for each worker. What comes while a commit is at work goes into the next one.
"""

import asyncio
from collections.abc import Callable

import attrs

from threadkeep.exporter.events import Event, ThreadEnded
from threadkeep.storage.index import DownloadRow, Outcome
from threadkeep.storage.store import Change, Progress, Store
from threadkeep.storage.store_thread import StoreThread

__all__ = ["Commits"]


@attrs.frozen
class _Queued:
    changes: tuple[Change, ...]
    event: Event | None
    committed: "asyncio.Future[None]"


@attrs.define
class Commits:
    """Puts changes into the store.

    Attributes:
        thread: where the store is used.
        progress: what runs have come to by now.
    """

    _store: Store
    thread: StoreThread
    _on_event: Callable[[Event], None]
    progress: Progress
    _queue: list[_Queued] = attrs.field(factory=list, init=False)
    _task: "asyncio.Task[None] | None" = attrs.field(default=None, init=False)
    _refused: Exception | None = attrs.field(default=None, init=False)

    async def put(self, *changes: Change, event: Event | None = None) -> None:
        """Commit changes together, and send an event then, from the task that calls this.

        Raises:
            OutputUnusable: the disk reports an error, now or at an earlier commit: nothing is committed any more.
        """
        if self._refused is not None:
            raise self._refused
        queued = _Queued(changes, event, asyncio.get_running_loop().create_future())
        self._queue.append(queued)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._commit_all())
        await queued.committed
        if event is not None:
            self._on_event(event)

    async def settle(self) -> None:
        """Wait until all that was put is committed, also what nobody waits for any more."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    async def _commit_all(self) -> None:
        while self._queue:
            batch, self._queue = self._queue, []
            progress = _counted(self.progress, batch)
            try:
                changes = [change for one in batch for change in one.changes]
                await self.thread.call(self._store.apply, changes, progress)
            except Exception as error:  # noqa: BLE001 - raised to everybody who waits, now and later
                self._refused = error
                for one in (*batch, *self._queue):
                    if not one.committed.done():
                        one.committed.set_exception(error)
                self._queue.clear()
                return
            self.progress = progress
            for one in batch:
                if not one.committed.done():
                    one.committed.set_result(None)


def _counted(progress: Progress, batch: list[_Queued]) -> Progress:
    ended = [one.event for one in batch if isinstance(one.event, ThreadEnded)]
    complete = [event for event in ended if event.outcome is Outcome.COMPLETE]
    return attrs.evolve(
        progress,
        complete=progress.complete + len(complete),
        not_complete=progress.not_complete + len(ended) - len(complete),
        messages=progress.messages + sum(event.messages for event in complete),
        files=progress.files + sum(isinstance(one.event, DownloadRow) for one in batch),
    )
