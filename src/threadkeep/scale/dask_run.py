"""An export whose shards are carried out by the workers of a Dask cluster.

Each worker is served by a coroutine of its own: it gives the worker one shard after another, with a key that no other
worker has, until there are no shards left or something is wrong with the worker or the key. A shard that could not be
done goes to another worker; one that is itself at fault is noted, and the others are done. What a worker says of a
shard counts when the command finds the same in its own output store.

The client is asynchronous: all of this runs in the event loop of the command.
"""

import asyncio
import contextlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import attrs

from threadkeep.api.endpoints import ApiSource
from threadkeep.api.secrets import Secrets
from threadkeep.clock import now
from threadkeep.errors import (
    AccessRefused,
    ApiGone,
    ExtraMissing,
    Interrupted,
    OutputUnusable,
    QuotaSpent,
    ThreadkeepError,
)
from threadkeep.exporter.events import Event, Notice, ThreadEnded, ThreadsBegun
from threadkeep.scale.abandonable import in_thread
from threadkeep.scale.cluster import Cluster, Connection, connected
from threadkeep.scale.dask_worker import WorkerUnusable, digest_of_plan, meet, put_shards, run_shard, stop_run
from threadkeep.scale.generations import newest_generation
from threadkeep.scale.keys import KeyRing
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.plan import Planned, PlannedShard, make_plan, read_plan
from threadkeep.scale.sealing import seal
from threadkeep.scale.shard import Shard, ShardResult
from threadkeep.scale.tally import Tally
from threadkeep.scale.working_folders import remove_working_folders, working_folders
from threadkeep.storage.index import IndexHeader, Outcome
from threadkeep.storage.session import InvalidId, ThreadList

__all__ = ["ScaleJob", "ScaleResult", "carry_out_on_dask"]

# Seconds between two looks at which workers there are.
_TICK = 0.5

# Seconds after which a worker of which the scheduler has not heard is named.
_SILENCE = 20

# Seconds for the shards at work to end in order, and for a worker to hear of that.
_PATIENCE, _ANSWER = 60, 5

# A shard that so many workers have not survived is thought to be their end.
_DEATHS = 20

# After so many shards in a row that were asked for and not put, the output store is thought to refuse them all.
_REFUSED = 10

_MOST_NAMED = 3


@attrs.frozen(kw_only=True)
class ScaleJob:
    """One export to be made in shards; what is not here is as of `threadkeep.exporter.job.Job`.

    Attributes:
        store: where it goes.
        cluster: who does it.
        rpm, max_retries, concurrency: of each worker.
    """

    wanted: ThreadList
    store: ObjectStore
    cluster: Cluster
    header: IndexHeader
    files: bool = False
    concurrency: int
    rpm: int | None
    max_retries: int

    def shard(self, planned: PlannedShard) -> Shard:
        """Return a shard as a worker is to do it."""
        return Shard(
            planned=planned,
            files=self.files,
            concurrency=self.concurrency,
            rpm=self.rpm,
            max_retries=self.max_retries,
        )


@attrs.frozen(kw_only=True)
class ScaleResult:
    """What an export in shards came to.

    Attributes:
        shards: how many there are.
        complete_shards: how many of them have nothing left to be done.
        outcomes: how many threads have each outcome.
        messages: how many are in the output store.
        requests: how many this run has sent.
        invalid, invalid_count: the first entries of the list that cannot be thread ids, and how many there are.
        ended_by: what ended the run before every thread had its turn, or kept some shards from theirs; None when
            nothing did.
    """

    shards: int
    complete_shards: int
    outcomes: Mapping[str, int]
    messages: int
    requests: int
    seconds: float
    invalid: tuple[InvalidId, ...]
    invalid_count: int
    ended_by: ThreadkeepError | None

    @property
    def is_complete(self) -> bool:
        """Whether every wanted thread is in the output store."""
        return self.ended_by is None and self.complete_shards == self.shards and not self.invalid_count


async def carry_out_on_dask(
    job: ScaleJob, keys: Sequence[ApiSource], *, on_event: Callable[[Event], None] = lambda _event: None
) -> ScaleResult:
    """Make an export in shards, or resume one. When this task is cancelled, which is caught, it can be resumed.

    Args:
        job: what to export.
        keys: the source, once for each key.
        on_event: receives the events of all shards.

    Raises:
        ExtraMissing: Dask is not installed, here or on the scheduler.
        Interrupted: the task was cancelled while the list was planned.
        OutputUnusable: the output store refuses, or holds something else.
        UnreadableIds: the list of ids cannot be read.
    """
    if find_spec("distributed") is None or find_spec("cryptography") is None:
        raise ExtraMissing("Dask is not installed: pip install 'threadkeep[dask]'.")
    started = now()
    try:
        planned, tally = await in_thread(_planned, job, min(len(keys), job.cluster.processes or len(keys)))
    except asyncio.CancelledError:
        raise Interrupted("interrupted") from None
    if job.wanted.form is not None:
        on_event(Notice(job.wanted.form, is_problem=False))
    on_event(ThreadsBegun(total=tally.threads, before=tally.complete, traffic=lambda: tally.traffic))
    ended_by: ThreadkeepError | None = None
    if tally.open_shards:
        try:
            ended_by = await _work_off(job, keys, tally, on_event)
        except asyncio.CancelledError:
            ended_by = Interrupted("interrupted")
    return ScaleResult(
        shards=tally.shards,
        complete_shards=tally.shards - len(tally.open_shards),
        outcomes=tally.outcomes(),
        messages=tally.messages,
        requests=tally.traffic.sent,
        seconds=(now() - started).total_seconds(),
        invalid=planned.invalid,
        invalid_count=planned.invalid_count,
        ended_by=ended_by,
    )


def _planned(job: ScaleJob, workers: int) -> tuple[Planned, Tally]:
    return make_plan(job.store, job.header, job.wanted, workers), Tally.of(job.store, files=job.files)


async def _work_off(
    job: ScaleJob, keys: Sequence[ApiSource], tally: Tally, on_event: Callable[[Event], None]
) -> ThreadkeepError | None:
    cluster = job.cluster
    if cluster.processes > len(keys):
        on_event(Notice(f"a worker needs a key of its own: {len(keys):,} of {cluster.processes:,} are started"))
        cluster = Cluster(processes=len(keys))
    try:
        plan = await in_thread(digest_of_plan, job.store)
        async with connected(cluster) as connection:
            return await _Run(job, connection, keys, tally, plan, on_event).to_its_end()
    except ThreadkeepError as error:
        return error


class _Run:
    """One run, from the first shard to the last.

    Args:
        plan: the digest of the first object of the plan.
    """

    def __init__(
        self,
        job: ScaleJob,
        connection: Connection,
        keys: Sequence[ApiSource],
        tally: Tally,
        plan: str | None,
        on_event: Callable[[Event], None],
    ) -> None:
        self._job, self._connection, self._tally, self._plan, self._on_event = job, connection, tally, plan, on_event
        self._keys, self._secrets = KeyRing(keys), _secrets_of(keys)
        self._name = f"threadkeep-{os.urandom(6).hex()}"  # two runs may share a cluster
        self._planned = _open_shards(job.store, frozenset(tally.open_shards))
        self._todo = deque[PlannedShard]()
        self._serving = dict[str, asyncio.Task[None]]()
        self._doing = dict[str, PlannedShard]()
        self._unusable = dict[str, WorkerUnusable]()
        self._silent = set[str]()
        self._faults = dict[str, ThreadkeepError]()
        self._refused_in_a_row = 0
        self._deaths, self._attempts, self._has_waited = Counter[str](), 0, False
        self._ended_by: ThreadkeepError | None = None

    async def to_its_end(self) -> ThreadkeepError | None:
        """Work off the shards, and return what ended that before its time, or kept some of them from being done."""
        self._connection.client.subscribe_topic(self._name, self._hear)
        try:
            await self._work_off()
        except asyncio.CancelledError:
            self._end(Interrupted("interrupted"))
        except ThreadkeepError as error:
            self._end(error)
        try:
            with contextlib.suppress(ThreadkeepError):  # the scheduler is gone
                await self._stop()
                if isinstance(self._ended_by, ApiGone):
                    await self._put_what_is_left()
                await self._tidy_up()
        finally:
            for task in self._serving.values():
                task.cancel()
            await asyncio.gather(*self._serving.values(), return_exceptions=True)
        return self._ended_by or _folded("shard", self._faults)

    # --- the workers

    async def _work_off(self) -> None:
        while self._ended_by is None:
            self._connection.restart_workers()
            heard = await self._connection.workers()
            self._part_with(heard)
            await self._refill(len(heard))
            if self._todo:
                self._employ(heard)
            elif not self._serving:
                return
            await self._wait(self._serving.values())
            for worker in [worker for worker, task in self._serving.items() if task.done()]:
                task = self._serving.pop(worker)
                if not task.cancelled():
                    task.result()

    async def _wait(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        """Wait for the next of them to end, but not for long."""
        if tasks := set(tasks):
            await asyncio.wait(tasks, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(_TICK)

    def _part_with(self, heard: Mapping[str, float]) -> None:
        """Have the shards of workers that are gone done by others, and name those that are silent."""
        for worker, task in self._serving.items():
            if worker not in heard and not task.done():
                task.cancel()
                self._say(f"the worker {worker} is gone: its shard and its key go to another one")
        for worker in self._doing:
            if heard.get(worker, 0) > _SILENCE:
                self._name_silent(worker)
        self._silent = {worker for worker in self._silent if heard.get(worker, 0) > _SILENCE}
        self._unusable = {worker: why for worker, why in self._unusable.items() if worker in heard}

    def _name_silent(self, worker: str) -> None:
        if worker not in self._silent:
            self._silent.add(worker)
            self._say(f"the worker {worker} does not answer: its shard waits until it does, or until it is gone")

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
            self._say("waiting for workers: the scheduler has none")
        idle = [worker for worker in heard if worker not in self._serving and worker not in self._unusable]
        for worker in sorted(idle, key=self._silent.__contains__)[: len(self._todo)]:
            key = self._keys.take()
            if key is None:
                break
            self._serving[worker] = asyncio.create_task(self._serve(worker, key))
        if heard and self._unusable.keys() == heard.keys() and (why := _folded("worker", self._unusable)):
            self._end(why)

    # --- one worker

    async def _serve(self, worker: str, key: int) -> None:
        """Give a worker one shard after another, with a key, as long as there are any and it does them."""
        try:
            met = await self._connection.call(worker, meet, self._job.store.url, self._plan)
            sealed, goes_on = seal(self._keys.keys[key], met), True
            while goes_on and self._todo and self._ended_by is None:
                planned = self._todo.popleft()
                self._doing[worker] = planned
                goes_on = await self._do(worker, key, planned, sealed)
                del self._doing[worker]
        except WorkerUnusable as error:
            self._give_up(worker, error)
        except OSError:
            self._name_silent(worker)
        except ThreadkeepError as error:
            self._end(error)
        finally:
            self._keys.give_back(key)
            if worker in self._doing:
                self._repeat(self._doing.pop(worker))

    async def _do(self, worker: str, key: int, planned: PlannedShard, sealed: bytes) -> bool:
        """Have a shard done; return whether the worker is to have another one."""
        what = (self._name, self._job.shard(planned), self._job.store.url, sealed)
        result = await self._result_of(worker, run_shard, *what)
        if isinstance(result, ShardResult):
            return await self._take(worker, key, planned, result)
        if isinstance(result, Exception):
            self._note(planned, ThreadkeepError(f"{type(result).__name__}: {result}"))
            return True
        self._repeat(planned)  # the process has ended; there may be another one at its address
        return False

    async def _result_of(self, worker: str, function: Callable[..., Any], *given: object) -> Any:
        """Return the result of a task on a worker, or what it raised; None if it was lost with its process."""
        from distributed import KilledWorker

        self._connection.refuse_closed()
        self._attempts += 1
        future = self._connection.client.submit(
            function, *given, key=f"{self._name}-{self._attempts}", workers=[worker], pure=False
        )

        async def result() -> Any:
            return await future

        waiting = asyncio.create_task(result())
        try:
            await asyncio.wait({waiting})
            error = None if waiting.cancelled() else waiting.exception()
            if waiting.cancelled() or isinstance(error, CancelledError | KilledWorker):
                self._connection.refuse_closed()
                return None
            return error or waiting.result()
        finally:
            waiting.cancel()
            future.release()

    async def _take(self, worker: str, key: int, planned: PlannedShard, result: ShardResult) -> bool:
        """Take what came of a shard; return whether the worker is to have another one."""
        error = await self._confirmed(planned, result)
        if isinstance(error, AccessRefused | QuotaSpent):
            self._todo.append(planned)
            self._retire(key, error)
        elif isinstance(error, WorkerUnusable):
            self._todo.append(planned)
            self._give_up(worker, error)
        elif isinstance(error, OutputUnusable):
            self._refused_in_a_row += result.requests > 0
            self._note(planned, error)
            return True
        elif isinstance(error, Interrupted):
            self._todo.append(planned)
        elif error is not None:
            self._end(error)
        else:
            self._refused_in_a_row = 0
        return error is None

    async def _confirmed(self, planned: PlannedShard, result: ShardResult) -> ThreadkeepError | None:
        """Take what the output store has of a shard; return what keeps it from being done, with what a worker says."""
        try:
            found = await in_thread(newest_generation, self._job.store, planned)
        except OutputUnusable as error:
            return result.ended_by or error
        for _ in range(self._tally.take(planned, found)):
            self._on_event(ThreadEnded(thread_id="", outcome=Outcome.COMPLETE, messages=0))
        if result.is_complete and planned.name in self._tally.open_shards:
            return WorkerUnusable(
                f"{self._job.store.url} is not the same place there as here: shard {planned.name} is not in it. Choose"
                " a folder that all machines share, or a bucket."
            )
        return result.ended_by

    # --- what is wrong

    def _repeat(self, planned: PlannedShard) -> None:
        """Have a shard done again whose worker is gone."""
        self._todo.append(planned)
        self._deaths[planned.name] += 1
        if self._deaths[planned.name] >= _DEATHS:
            self._end(ThreadkeepError(f"{_DEATHS} workers have ended while they did shard {planned.name}"))

    def _retire(self, key: int, why: ThreadkeepError) -> None:
        """Give a key to no worker any more."""
        self._keys.refuse(key)
        if self._keys.is_spent:
            self._end(why)
        else:
            self._say(f"a key was rejected, the run continues with the other keys: {why}")

    def _give_up(self, worker: str, why: WorkerUnusable) -> None:
        """Give a worker no shard any more."""
        self._unusable[worker] = self._cleaned(why)
        self._say(f"the worker {worker} is given no shards: {why}")

    def _note(self, planned: PlannedShard, why: ThreadkeepError) -> None:
        """Note a shard that cannot be done. The run ends if that seems to be so of any."""
        self._faults[planned.name] = self._cleaned(why)
        self._say(f"shard {planned.name} could not be done: {why}")
        if self._refused_in_a_row >= _REFUSED:
            self._end(_folded("shard", self._faults) or why)

    def _end(self, why: ThreadkeepError) -> None:
        self._ended_by = self._ended_by or self._cleaned(why)

    def _cleaned(self, error: Any) -> Any:
        """Remove the keys from an error: a worker knows its own only."""
        error.args = tuple(self._secrets.clean(one) if isinstance(one, str) else one for one in error.args)
        return error

    def _say(self, text: str) -> None:
        self._on_event(Notice(self._secrets.clean(text)))

    # --- the end

    async def _stop(self) -> None:
        """Ask the shards at work for their end, and wait for that: as long as they put something after the sunset."""
        is_gone = isinstance(self._ended_by, ApiGone)
        await asyncio.gather(*(self._tell_end(worker, is_gone) for worker in self._serving))
        await self._ended(self._serving, None if is_gone else _PATIENCE)

    async def _tell_end(self, worker: str, is_gone: bool) -> None:
        try:
            await self._connection.call(worker, stop_run, self._name, is_gone, seconds=_ANSWER)
        except (OSError, ThreadkeepError):
            self._serving[worker].cancel()
            self._say(f"the worker {worker} does not answer: what it has fetched stays in its working folder")

    async def _put_what_is_left(self) -> None:
        """Have every worker put what is in the working folders of its machine, whoever has left them."""

        async def put(worker: str) -> None:
            results = await self._result_of(worker, put_shards, self._job.store.url, self._job.files)
            if not isinstance(results, list):
                self._say(f"the worker {worker} could not put what its machine has: {results or 'it has ended'}")
                return
            for planned, result in results:
                await self._take_put(worker, planned, result)

        tasks = {worker: asyncio.create_task(put(worker)) for worker in await self._connection.workers()}
        await self._ended(tasks, None)
        for worker, task in tasks.items():
            if task.cancelled():
                self._say(f"the worker {worker} does not answer: it may not have put what its machine has")
            else:
                task.result()

    async def _tidy_up(self) -> None:
        """Have workers remove what earlier attempts have left of shards that are complete by now."""

        async def tidy_up(worker: str) -> None:
            with contextlib.suppress(OSError, WorkerUnusable):
                folders = await self._connection.call(worker, working_folders, seconds=_ANSWER)
                if complete := [name for name in folders if self._tally.is_complete(name)]:
                    await self._connection.call(worker, remove_working_folders, complete, seconds=_ANSWER)

        await asyncio.gather(*(tidy_up(worker) for worker in await self._connection.workers()))

    async def _take_put(self, worker: str, planned: PlannedShard, result: ShardResult) -> None:
        if result.outcomes is not None:
            await self._confirmed(planned, result)
        elif result.ended_by is not None:
            self._say(f"the worker {worker} could not put what it has of shard {result.name}: {result.ended_by}")

    async def _ended(self, tasks: Mapping[str, asyncio.Task[None]], seconds: float | None) -> None:
        """Wait for the end of what workers do, but for those that are gone or silent, and not longer than that."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while left := {worker: task for worker, task in tasks.items() if not task.done()}:
            heard = await self._connection.workers()
            is_late = seconds is not None and loop.time() - begun > seconds
            for worker, task in left.items():
                if is_late or heard.get(worker, _SILENCE + 1) > _SILENCE:
                    task.cancel()
            await self._wait(left.values())

    def _hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take what a worker tells of the shard that it is at."""
        told = event[1]
        self._tally.count_requests(told["attempt"], told["sent"], told["refused"])
        for text in told["notices"]:
            self._say(text)
        for thread_id, outcome, messages, reason in told["threads"]:
            ended = Outcome(outcome)
            if ended is Outcome.COMPLETE:
                self._tally.announce(told["shard"])
            reason = None if reason is None else self._secrets.clean(reason)
            self._on_event(ThreadEnded(thread_id=thread_id, outcome=ended, messages=messages, reason=reason))


def _open_shards(store: ObjectStore, names: frozenset[str]) -> Iterator[list[PlannedShard]]:
    for part in read_plan(store):
        yield [shard for shard in part.shards if shard.name in names]


def _secrets_of(keys: Sequence[ApiSource]) -> Secrets:
    secrets = Secrets()
    for source in keys:
        secrets.add(*(key.secret for key in source.keys), urlsplit(source.base_url or "").password)
    return secrets


def _folded(kind: str, faults: Mapping[str, ThreadkeepError]) -> ThreadkeepError | None:
    """Return one error for many, of the class of the first that has an exit code of its own; None if there are none."""
    if not faults:
        return None
    worst = next((why for why in faults.values() if isinstance(why, OutputUnusable)), None)
    by_reason = dict[str, list[str]]()
    for name, why in faults.items():
        by_reason.setdefault(str(why), []).append(name)
    said = [f"{kind} {_some(names)}: {why}" for why, names in by_reason.items()]
    return (ThreadkeepError if worst is None else OutputUnusable)(_some(said, "; "))


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = len(names) - _MOST_NAMED
    return between.join(names[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
