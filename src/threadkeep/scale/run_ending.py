"""The end of a run on Dask: shards at work are stopped in order, and nothing that was fetched is left behind."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from threadkeep.errors import ThreadkeepError
from threadkeep.scale.cluster import SILENCE, Connection
from threadkeep.scale.dask_worker import WorkerUnusable, put_shards, stop_run
from threadkeep.scale.job import ScaleJob
from threadkeep.scale.plan_objects import PlannedShard
from threadkeep.scale.run_report import RunReport
from threadkeep.scale.shard import ShardResult
from threadkeep.scale.working_folders import remove_working_folders, working_folders

__all__ = ["RunEnding", "first_ended"]

# Seconds between two looks at which workers there are.
_TICK = 0.5

# Seconds for the shards at work to end in order, and for a worker to hear of that.
_PATIENCE, _ANSWER = 60, 5


async def first_ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Wait for the next of some tasks to end, but no longer than until it is time to look at the workers again."""
    if tasks := set(tasks):
        await asyncio.wait(tasks, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
    else:
        await asyncio.sleep(_TICK)


@attrs.frozen
class RunEnding:
    """The end of one run.

    Args:
        job: what is exported.
        connection: to the workers.
        report: of the run.
        name: of the run.
        serving: the tasks that serve workers, by the workers.
    """

    _job: ScaleJob
    _connection: Connection
    _report: RunReport
    _name: str
    _serving: Mapping[str, asyncio.Task[None]]

    async def stop(self, *, is_gone: bool) -> None:
        """Ask the shards at work for their end, and wait for that.

        Args:
            is_gone: the API is gone. They put what they have fetched, and that is waited for as long as it takes.

        Raises:
            ServerUnreachable: the scheduler does not answer.
        """
        await asyncio.gather(*(self._ask_to_end(worker, is_gone) for worker in self._serving))
        await self._ended(self._serving, None if is_gone else _PATIENCE)

    async def _ask_to_end(self, worker: str, is_gone: bool) -> None:
        try:
            await self._connection.call(worker, stop_run, self._name, is_gone, seconds=_ANSWER)
        except (OSError, ThreadkeepError):
            self._serving[worker].cancel()
            self._report.say(f"the worker {worker} does not answer: what it has fetched stays in its working folder")

    async def put_what_is_left(self) -> None:
        """Have every worker put what is in the working folders of its machine, whoever has left them.

        Raises:
            ServerUnreachable: the scheduler does not answer.
        """

        async def put(worker: str) -> None:
            results = await self._connection.result_of(
                self._name, worker, put_shards, self._job.store.url, self._job.files
            )
            if not isinstance(results, list):
                self._report.say(f"the worker {worker} could not put what its machine has: {results or 'it has ended'}")
                return
            for planned, result in results:
                await self._take_put(worker, planned, result)

        tasks = {worker: asyncio.create_task(put(worker)) for worker in await self._connection.workers()}
        await self._ended(tasks, None)
        for worker, task in tasks.items():
            if task.cancelled():
                self._report.say(f"the worker {worker} does not answer: it may not have put what its machine has")
            else:
                task.result()

    async def tidy_up(self) -> None:
        """Have workers remove what earlier attempts have left of shards that are complete by now.

        Raises:
            ServerUnreachable: the scheduler does not answer.
        """

        async def tidy_up(worker: str) -> None:
            with contextlib.suppress(OSError, WorkerUnusable):
                folders = await self._connection.call(worker, working_folders, seconds=_ANSWER)
                if complete := [name for name in folders if self._report.tally.is_complete(name)]:
                    await self._connection.call(worker, remove_working_folders, complete, seconds=_ANSWER)

        await asyncio.gather(*(tidy_up(worker) for worker in await self._connection.workers()))

    async def _take_put(self, worker: str, planned: PlannedShard, result: ShardResult) -> None:
        if result.outcomes is not None:
            await self._report.confirmed(planned, result)
        elif result.ended_by is not None:
            self._report.say(f"the worker {worker} could not put what it has of shard {result.name}: {result.ended_by}")

    async def _ended(self, tasks: Mapping[str, asyncio.Task[None]], seconds: float | None) -> None:
        """Wait for the end of what workers do, but for those that are gone or silent, and not longer than that."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while left := {worker: task for worker, task in tasks.items() if not task.done()}:
            heard = await self._connection.workers()
            is_late = seconds is not None and loop.time() - begun > seconds
            for worker, task in left.items():
                if is_late or heard.get(worker, SILENCE + 1) > SILENCE:
                    task.cancel()
            await first_ended(left.values())
