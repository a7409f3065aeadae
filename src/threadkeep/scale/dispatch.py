"""Which worker does which shard, with which key.

Each worker is served by a coroutine of its own: it gives the worker one shard after another, with a key that no other
worker has, until there are no shards left or something is wrong with the worker or the key. A shard that could not be
done goes to another worker; one that is itself at fault is noted, and the others are done. What a worker says of a
shard counts when the command finds the same in its own output store.
"""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from threadkeep.api.endpoints import ApiSource
from threadkeep.api.keys import name_of_key
from threadkeep.errors import AccessRefused, ApiGone, Interrupted, OutputUnusable, QuotaSpent, ThreadkeepError
from threadkeep.scale.abandonable import in_thread
from threadkeep.scale.cluster import SILENCE, Connection
from threadkeep.scale.dask_worker import WorkerUnusable, meet, run_shard
from threadkeep.scale.job import ScaleJob
from threadkeep.scale.keys import KeyRing
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.plan import read_plan
from threadkeep.scale.plan_objects import PlannedShard
from threadkeep.scale.run_ending import RunEnding, first_ended
from threadkeep.scale.run_faults import RunFaults
from threadkeep.scale.run_report import RunReport
from threadkeep.scale.sealing import seal
from threadkeep.scale.shard import ShardResult

__all__ = ["Dispatch"]


class Dispatch:
    """One run, from the first shard to the last.

    Args:
        job: what to export.
        connection: to the workers.
        keys: the source, once for each key.
        report: of the run.
        plan: the digest of the first object of the plan.
    """

    def __init__(
        self, job: ScaleJob, connection: Connection, keys: Sequence[ApiSource], report: RunReport, plan: str | None
    ) -> None:
        self._job, self._connection, self._report, self._plan = job, connection, report, plan
        self._name = f"threadkeep-{os.urandom(6).hex()}"  # two runs may share a cluster
        self._keys, self._faults = KeyRing(keys), RunFaults(report)
        self._planned = _open_shards(job.store, frozenset(report.tally.open_shards))
        self._todo = deque[PlannedShard]()
        self._serving = dict[str, asyncio.Task[None]]()
        self._doing = dict[str, PlannedShard]()
        self._silent = set[str]()
        self._has_waited = False

    async def to_its_end(self) -> ThreadkeepError | None:
        """Work off the shards, and return what ended that before its time, or kept some of them from being done."""
        self._connection.client.subscribe_topic(self._name, self._report.hear)
        try:
            await self._work_off()
        except asyncio.CancelledError:
            self._faults.end(Interrupted("interrupted"))
            self._report.say("waiting for the workers to stop. Ctrl-C ends the command at once", is_problem=False)
        except ThreadkeepError as error:
            self._faults.end(error)
        try:
            with contextlib.suppress(ThreadkeepError):  # the scheduler is gone
                ending, is_gone = self._ending(), isinstance(self._faults.ended_by, ApiGone)
                await ending.stop(is_gone=is_gone)
                if is_gone:
                    await ending.put_what_is_left()
                await ending.tidy_up()
        finally:
            for task in self._serving.values():
                task.cancel()
            await asyncio.gather(*self._serving.values(), return_exceptions=True)
        return self._faults.result

    def _ending(self) -> RunEnding:
        return RunEnding(self._job, self._connection, self._report, self._name, self._serving)

    # --- the workers

    async def _work_off(self) -> None:
        while self._faults.ended_by is None:
            self._connection.restart_workers()
            heard = await self._connection.workers()
            self._part_with(heard)
            await self._refill(len(heard))
            if self._todo:
                self._employ(heard)
            elif not self._serving:
                return
            await first_ended(self._serving.values())
            for worker in [worker for worker, task in self._serving.items() if task.done()]:
                task = self._serving.pop(worker)
                if not task.cancelled():
                    task.result()

    def _part_with(self, heard: Mapping[str, float]) -> None:
        """Have the shards of workers that are gone done by others, and name those that are silent."""
        for worker, task in self._serving.items():
            if worker not in heard and not task.done():
                task.cancel()
                self._report.say(f"the worker {worker} is gone: its shard and its key go to another one")
        for worker in self._doing:
            if heard.get(worker, 0) > SILENCE:
                self._name_silent(worker)
        self._silent = {worker for worker in self._silent if heard.get(worker, 0) > SILENCE}
        self._faults.keep(heard)

    def _name_silent(self, worker: str) -> None:
        if worker not in self._silent:
            self._silent.add(worker)
            self._report.say(f"the worker {worker} does not answer: its shard waits until it does, or until it is gone")

    async def _refill(self, workers: int) -> None:
        """Have shards ready for every worker, as long as there are any."""
        while len(self._todo) <= workers:
            more = await in_thread(next, self._planned, None)
            if more is None:
                return
            self._todo += more

    def _employ(self, heard: Mapping[str, float]) -> None:
        """Give work and keys to workers that have none; to silent ones last."""
        if not heard and not self._has_waited:
            self._has_waited = True
            self._report.say("waiting for workers: the scheduler has none")
        idle = [worker for worker in heard if worker not in self._serving and self._faults.is_usable(worker)]
        for worker in sorted(idle, key=self._silent.__contains__)[: len(self._todo)]:
            key = self._keys.take()
            if key is None:
                break
            self._serving[worker] = asyncio.create_task(self._serve(worker, key))
        self._faults.end_without_workers(heard)

    # --- one worker

    async def _serve(self, worker: str, key: int) -> None:
        """Give a worker one shard after another, with a key, as long as there are any and it does them."""
        try:
            public_key = await self._connection.call(worker, meet, self._job.store.url, self._plan)
            sealed, is_given_more = seal(self._keys.keys[key], public_key), True
            while is_given_more and self._todo and self._faults.ended_by is None:
                planned = self._todo.popleft()
                self._doing[worker] = planned
                is_given_more = await self._do(worker, key, planned, sealed)
                del self._doing[worker]
        except WorkerUnusable as error:
            self._faults.give_up(worker, error)
        except OSError:
            self._name_silent(worker)
        except ThreadkeepError as error:
            self._faults.end(error)
        finally:
            self._keys.give_back(key)
            if worker in self._doing:
                self._repeat(self._doing.pop(worker))

    async def _do(self, worker: str, key: int, planned: PlannedShard, sealed: bytes) -> bool:
        """Have a shard done; return whether the worker is to have another one."""
        what = (self._name, self._job.shard(planned), self._job.store.url, sealed)
        result = await self._connection.result_of(self._name, worker, run_shard, *what)
        if isinstance(result, ShardResult):
            return await self._take(worker, key, planned, result)
        if isinstance(result, Exception):
            self._faults.note(planned.name, ThreadkeepError(f"{type(result).__name__}: {result}"))
            return True
        self._repeat(planned)  # the process has ended; there may be another one at its address
        return False

    async def _take(self, worker: str, key: int, planned: PlannedShard, result: ShardResult) -> bool:
        """Take what came of a shard; return whether the worker is to have another one."""
        error = await self._report.confirmed(planned, result)
        if isinstance(error, AccessRefused | QuotaSpent):
            self._todo.append(planned)
            self._retire(key, error)
        elif isinstance(error, WorkerUnusable):
            self._todo.append(planned)
            self._faults.give_up(worker, error)
        elif isinstance(error, OutputUnusable):
            self._faults.note_refused(planned.name, error, was_asked=result.requests > 0)
            return True
        elif isinstance(error, Interrupted):
            self._todo.append(planned)
        elif error is not None:
            self._faults.end(error)
        else:
            self._faults.count_done()
        return error is None

    def _repeat(self, planned: PlannedShard) -> None:
        """Have a shard done again whose worker is gone."""
        self._todo.append(planned)
        self._faults.count_death(planned.name)

    def _retire(self, key: int, why: ThreadkeepError) -> None:
        """Give a key to no worker any more."""
        self._keys.refuse(key)
        if self._keys.is_spent:
            self._faults.end(why)
        else:
            name = name_of_key(key + 1, next((one.line for one in self._keys.keys[key].keys), None))
            self._report.say(f"{name} was rejected, the run continues with the other keys: {why}")


def _open_shards(store: ObjectStore, names: frozenset[str]) -> Iterator[list[PlannedShard]]:
    for part in read_plan(store):
        yield [shard for shard in part.shards if shard.name in names]
