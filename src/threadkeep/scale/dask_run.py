"""An export whose shards are carried out by the workers of a Dask cluster: one on other machines, or one made here.

Each key is given to one worker, and each worker that has one gets one shard after another: there is never more than one
on its way to it, so that no two share a key. When a worker dies, its key and its shard go to others. Keys travel in
calls of their own, never in a task. The client is asynchronous: all of this runs in the event loop of the command.
"""

import asyncio
import contextlib
import os
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from importlib.util import find_spec
from typing import Any

import attrs

from threadkeep.api.endpoints import ApiSource, auth_and_keys, endpoint_of, without_secrets
from threadkeep.api.rate_control import Traffic
from threadkeep.clock import now
from threadkeep.errors import (
    AccessRefused,
    ApiGone,
    ExtraMissing,
    Interrupted,
    QuotaSpent,
    ServerUnreachable,
    ThreadkeepError,
)
from threadkeep.exporter.events import Event, Notice, ThreadEnded, ThreadsBegun
from threadkeep.scale.generations import newest_generations
from threadkeep.scale.object_store import ObjectStore, open_store
from threadkeep.scale.plan import PlannedShard, make_plan, read_plan
from threadkeep.scale.shard import Shard, ShardResult, Stop, export_shard, remove_working_folders, working_folders
from threadkeep.storage.index import IndexHeader, Outcome
from threadkeep.storage.session import InvalidId, ThreadList

__all__ = ["Cluster", "ScaleJob", "ScaleResult", "carry_out_on_dask", "keys_of"]

_NO_TRAFFIC = Traffic(sent=0, refused=0, pause=0.0)

# Seconds between two looks at which workers there are, and between two messages of a worker.
_TICK, _OFTEN = 0.5, 0.5

# Seconds for the shards at work to end in order.
_PATIENCE = 60

# A shard that so many workers have not survived is thought to be their end.
_DEATHS = 20


@attrs.frozen
class Cluster:
    """Where the workers are: the address of a scheduler, or how many processes of this machine."""

    address: str | None = None
    processes: int = 0

    @classmethod
    def parse(cls, text: str) -> "Cluster":
        """Read ``local:N``, or an address.

        Raises:
            ValueError: it is neither.
        """
        kind, _, rest = text.partition(":")
        if kind == "local":
            if not rest.isdecimal() or not 1 <= int(rest) <= 1000:
                raise ValueError(f"{text!r} is no number of processes, such as local:4")
            return cls(processes=int(rest))
        if not rest.startswith("//"):
            raise ValueError(f"{text!r} is neither an address, such as tcp://scheduler:8786, nor local:4")
        return cls(address=text)


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
        ended_by: what ended the run before every thread had its turn; None when nothing did.
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


def keys_of(source: ApiSource, environ: Mapping[str, str]) -> tuple[str, tuple[ApiSource, ...]]:
    """Return the address without secrets, and the source for each key, with nothing left to the workers' environment.

    Raises:
        AccessRefused: there is no key.
        MalformedAddress: as `threadkeep.api.endpoints.endpoint_of`.
    """
    endpoint = endpoint_of(source, environ)
    given = attrs.evolve(
        source,
        base_url=source.base_url
        if source.base_url is not None
        else environ.get("OPENAI_BASE_URL") or endpoint.base_url,
        api_version=endpoint.query.get("api-version"),
    )
    address = without_secrets(endpoint.base_url)
    if source.token_command is not None:
        return address, (given,)
    auth, keys = auth_and_keys(source, endpoint.provider, environ)
    return address, tuple(attrs.evolve(given, auth=auth, keys=(key,)) for key in keys)


async def carry_out_on_dask(
    job: ScaleJob, keys: Sequence[ApiSource], *, on_event: Callable[[Event], None] = lambda _event: None
) -> ScaleResult:
    """Make an export in shards, or resume one. When this task is cancelled, which is caught, it can be resumed.

    Args:
        job: what to export.
        keys: the source, once for each key.
        on_event: receives the events of all shards.

    Raises:
        ExtraMissing: Dask is not installed.
        OutputUnusable: the output store refuses, or holds something else.
        UnreadableIds: the list of ids cannot be read.
    """
    if find_spec("distributed") is None:
        raise ExtraMissing("Dask is not installed: pip install 'threadkeep[dask]'.")
    started, workers = now(), min(len(keys), job.cluster.processes or len(keys))
    planned = await asyncio.to_thread(make_plan, job.store, job.header, job.wanted, workers)
    tally = await asyncio.to_thread(_Tally.of, job)
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


async def _work_off(
    job: ScaleJob, keys: Sequence[ApiSource], tally: "_Tally", on_event: Callable[[Event], None]
) -> ThreadkeepError | None:
    cluster = job.cluster
    if cluster.processes > len(keys):
        on_event(Notice(f"a worker needs a key of its own: {len(keys):,} of {cluster.processes:,} are started"))
        cluster = Cluster(processes=len(keys))
    try:
        async with _connected(cluster) as (client, restart_workers):
            return await _Run(job, client, restart_workers, _KeyRing(keys), tally, on_event).to_its_end()
    except OSError as error:
        return ServerUnreachable(f"the Dask scheduler does not answer: {error}")


@contextlib.asynccontextmanager
async def _connected(cluster: Cluster) -> AsyncIterator[tuple[Any, Callable[[], None]]]:
    """Yield a client, and what starts those workers again that nobody else does."""
    from distributed import Client

    if cluster.address is not None:
        async with Client(cluster.address, asynchronous=True) as client:  # type: ignore[no-untyped-call]
            yield client, lambda: None
        return
    async with contextlib.AsyncExitStack() as opened:
        workers = await opened.enter_async_context(_local_cluster(cluster.processes))
        client = await opened.enter_async_context(Client(workers, asynchronous=True))  # type: ignore[no-untyped-call]
        yield client, lambda: _restart_workers(workers)


@contextlib.asynccontextmanager
async def _local_cluster(processes: int) -> AsyncIterator[Any]:
    import logging

    import dask
    from distributed import LocalCluster

    # Else it would give up a worker that takes longer to come back.
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1h"}):
        async with LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=processes,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address="127.0.0.1:0",
            asynchronous=True,
            silence_logs=logging.CRITICAL,
        ) as workers:
            yield workers


def _restart_workers(cluster: Any) -> None:
    """Start the processes again that have ended while they started: Dask restarts those only that had started."""
    from distributed.core import Status

    for nanny in cluster.workers.values():
        if nanny.process is not None and nanny.process.status is Status.stopped:
            task = asyncio.ensure_future(nanny.instantiate())
            _RESTARTS.add(task)
            task.add_done_callback(_RESTARTS.discard)


_RESTARTS = set[asyncio.Future[Any]]()
"""A task that nobody holds may vanish."""


# --- what is known of the shards


@attrs.define
class _Tally:
    """What came of each shard so far, and the requests of all workers."""

    threads: int = 0
    shards: int = 0
    messages: int = 0
    open_shards: set[str] = attrs.field(factory=set)
    _outcomes: Counter[str] = attrs.field(factory=Counter)
    _known: dict[str, tuple[Mapping[str, int], int]] = attrs.field(factory=dict)
    _sent: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    traffic: Traffic = _NO_TRAFFIC
    _announced: Counter[str] = attrs.field(factory=Counter)

    @classmethod
    def of(cls, job: ScaleJob) -> "_Tally":
        """Read what is in the output store."""
        tally = cls()
        for planned, found in newest_generations(job.store):
            tally.shards += 1
            tally.threads += len(planned.ids)
            manifest = None if found is None else found.sound
            if manifest is None:
                tally._know(planned.name, {Outcome.UNFINISHED: len(planned.ids)}, 0)
            else:
                tally._know(planned.name, manifest.outcomes, manifest.totals.messages)
            if found is None or not found.is_done(files=job.files):
                tally.open_shards.add(planned.name)
        return tally

    def _know(self, name: str, outcomes: Mapping[str, int], messages: int) -> None:
        before, had = self._known.get(name, ({}, 0))
        self._outcomes.subtract(before)
        self._outcomes.update(outcomes)
        self.messages += messages - had
        self._known[name] = outcomes, messages

    def is_complete(self, name: str) -> bool:
        """Return whether there is a shard of that name with nothing left to be done."""
        return name in self._known and name not in self.open_shards

    def outcomes(self) -> dict[str, int]:
        """Return how many threads have each outcome."""
        return {str(outcome): self._outcomes[outcome] for outcome in Outcome}

    @property
    def complete(self) -> int:
        """How many threads are complete."""
        return self._outcomes[Outcome.COMPLETE]

    def count_requests(self, attempt: str, sent: int, refused: int) -> None:
        """Take the requests of an attempt at a shard so far."""
        sent_before, refused_before = self._sent.get(attempt, (0, 0))
        self._sent[attempt] = sent, refused
        self.traffic = Traffic(
            sent=self.traffic.sent + sent - sent_before,
            refused=self.traffic.refused + refused - refused_before,
            pause=0.0,
        )

    def announce(self, name: str) -> None:
        """Count a thread that was shown."""
        self._announced[name] += 1

    def take(self, result: ShardResult) -> int:
        """Take what came of a shard; returns how many of its threads are complete and were not shown."""
        if result.outcomes is None:
            return 0
        before = self._known[result.name][0].get(Outcome.COMPLETE, 0)
        self._know(result.name, result.outcomes, result.messages)
        if result.is_complete:
            self.open_shards.discard(result.name)
        return max(0, result.outcomes.get(Outcome.COMPLETE, 0) - before - self._announced.pop(result.name, 0))


@attrs.define
class _KeyRing:
    """Which worker has which key."""

    keys: Sequence[ApiSource]
    given: dict[str, int] = attrs.field(factory=dict, init=False)
    _free: deque[int] = attrs.field(init=False)
    _refused: set[int] = attrs.field(factory=set, init=False)

    def __attrs_post_init__(self) -> None:
        self._free = deque(range(len(self.keys)))

    @property
    def is_spent(self) -> bool:
        """Whether every key was refused."""
        return len(self._refused) == len(self.keys)

    def take_back(self, worker: str) -> None:
        """Take back the key of a worker that has none any more."""
        if worker in self.given:
            self._free.append(self.given.pop(worker))

    def share(self, workers: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Yield a key for each worker that has none, as long as there are keys."""
        for worker in workers:
            if worker not in self.given and self._free:
                self.given[worker] = self._free.popleft()
                yield worker, self.given[worker]

    def retire(self, worker: str) -> None:
        """Give the key of a worker to nobody any more."""
        self._refused.add(self.given.pop(worker))


# --- the side of the command


@attrs.frozen
class _Task:
    """A shard at a worker, and the future of its result."""

    worker: str
    planned: PlannedShard
    future: Any


class _Run:
    """One run, from the first task to the last."""

    def __init__(
        self,
        job: ScaleJob,
        client: Any,
        restart_workers: Callable[[], None],
        keys: _KeyRing,
        tally: _Tally,
        on_event: Callable[[Event], None],
    ) -> None:
        self._job, self._client, self._keys, self._tally, self._on_event = job, client, keys, tally, on_event
        self._restart_workers = restart_workers
        self._name = f"threadkeep-{os.urandom(6).hex()}"  # two runs may share a cluster
        open_shards = frozenset(tally.open_shards)
        self._todo = (one for part in read_plan(job.store) for one in part.shards if one.name in open_shards)
        self._again: deque[PlannedShard] = deque()
        self._running: dict[asyncio.Task[Any], _Task] = {}
        self._deaths = Counter[str]()
        self._attempts = 0
        self._ended_by: ThreadkeepError | None = None
        self._has_waited = False

    async def to_its_end(self) -> ThreadkeepError | None:
        """Work off the shards, and return what ended that before its time."""
        self._client.subscribe_topic(self._name, self._hear)
        try:
            await self._loop()
        except asyncio.CancelledError:
            self._ended_by = Interrupted("interrupted")
        if self._running:
            await self._stop()
        with contextlib.suppress(OSError):
            await self._tidy_up()
            await self._tell(_take_key, list(self._keys.given))
        return self._ended_by

    async def _tidy_up(self) -> None:
        """Have workers remove what earlier attempts have left of shards that are complete by now."""
        left = await self._client.run(working_folders, on_error="ignore")
        for worker, folders in left.items():
            if complete := [name for name in folders if self._tally.is_complete(name)]:
                await self._client.run(remove_working_folders, complete, workers=[worker], on_error="ignore")

    async def _tell(self, what: Callable[..., Any], workers: list[str], *given: object) -> None:
        """Call a function on workers. Those that are gone are passed over."""
        if workers:
            await self._client.run(what, self._name, *given, workers=workers, on_error="ignore")

    async def _loop(self) -> None:
        while self._ended_by is None:
            self._restart_workers()
            await self._share_keys()
            busy = {task.worker for task in self._running.values()}
            idle = [worker for worker in self._keys.given if worker not in busy]
            for worker in idle:
                planned = await asyncio.to_thread(self._next_shard)
                if planned is not None:
                    self._submit(worker, planned)
            if self._running:
                done, _ = await asyncio.wait(self._running, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    await self._take(task)
            elif idle:
                return
            else:
                await asyncio.sleep(_TICK)

    async def _share_keys(self) -> None:
        """Give each worker a key, and take back what those had that are gone."""
        workers = list(await self._client.nthreads())
        for worker in [worker for worker in self._keys.given if worker not in workers]:
            self._keys.take_back(worker)
            self._on_event(Notice(f"the worker {worker} is gone: its shard and its key go to another one"))
        for waiting, task in list(self._running.items()):
            if task.worker not in workers and not waiting.done():
                del self._running[waiting]
                waiting.cancel()
                self._repeat(task.planned)
        for worker, number in self._keys.share(workers):
            await self._tell(_give_key, [worker], self._keys.keys[number])
        if not workers and not self._has_waited:
            self._has_waited = True
            self._on_event(Notice("waiting for workers: the scheduler has none"))

    def _next_shard(self) -> PlannedShard | None:
        return self._again.popleft() if self._again else next(self._todo, None)

    def _repeat(self, planned: PlannedShard) -> None:
        """Have a shard done again whose worker is gone."""
        self._again.append(planned)
        self._deaths[planned.name] += 1
        if self._deaths[planned.name] >= _DEATHS:
            self._end(ThreadkeepError(f"{_DEATHS} workers have ended while they did shard {planned.name}"))

    def _submit(self, worker: str, planned: PlannedShard) -> None:
        self._attempts += 1
        future = self._client.submit(
            _run_shard,
            self._name,
            self._job.shard(planned),
            self._job.store.url,
            key=f"{self._name}-{planned.name}-{self._attempts}",
            workers=[worker],
            pure=False,
        )

        async def result() -> Any:
            try:
                return await future
            finally:
                future.release()

        self._running[asyncio.create_task(result())] = _Task(worker, planned, future)

    async def _take(self, waiting: "asyncio.Task[Any]") -> None:
        """Take what came of a task."""
        from distributed import KilledWorker

        task = self._running.pop(waiting)
        error = None if waiting.cancelled() else waiting.exception()
        if waiting.cancelled() or isinstance(error, CancelledError | KilledWorker):
            if self._client.status != "running":
                self._end(ServerUnreachable("the Dask scheduler does not answer any more"))
            self._repeat(task.planned)
        elif error is not None:
            what = f"{type(error).__name__}: {error}"
            self._end(ThreadkeepError(f"a worker could not do shard {task.planned.name}: {what}"))
        else:
            await self._take_result(task, waiting.result())

    async def _take_result(self, task: _Task, result: ShardResult | None) -> None:
        if result is None:  # the worker has begun anew at the same address
            self._keys.take_back(task.worker)
            self._repeat(task.planned)
            return
        for _ in range(self._tally.take(result)):
            self._on_event(ThreadEnded(thread_id="", outcome=Outcome.COMPLETE, messages=0))
        if isinstance(result.ended_by, AccessRefused | QuotaSpent):
            self._again.append(task.planned)
            await self._retire(task.worker, result.ended_by)
        elif result.ended_by is not None:
            self._end(result.ended_by)

    async def _retire(self, worker: str, why: ThreadkeepError) -> None:
        self._keys.retire(worker)
        await self._tell(_take_key, [worker])
        if self._keys.is_spent:
            self._end(why)
        else:
            self._on_event(Notice(f"a key was rejected, the run continues with the other keys: {why}"))

    def _end(self, why: ThreadkeepError) -> None:
        self._ended_by = self._ended_by or why

    async def _stop(self) -> None:
        """Ask every worker for its end, and wait for that."""
        is_gone = isinstance(self._ended_by, ApiGone)
        with contextlib.suppress(OSError):
            await self._tell(_stop_run, list(self._keys.given), is_gone)
            await asyncio.wait(self._running, timeout=_PATIENCE)
        for waiting in list(self._running):
            if waiting.done():
                await self._take(waiting)
            else:
                waiting.cancel()

    def _hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take what a worker tells of the shard that it is at."""
        told = event[1]
        self._tally.count_requests(told["attempt"], told["sent"], told["refused"])
        for text in told["notices"]:
            self._on_event(Notice(text))
        for thread_id, outcome, messages, reason in told["threads"]:
            ended = Outcome(outcome)
            if ended is Outcome.COMPLETE:
                self._tally.announce(told["shard"])
            self._on_event(ThreadEnded(thread_id=thread_id, outcome=ended, messages=messages, reason=reason))


# --- the side of a worker


@attrs.define
class _Given:
    """What a worker has for a run."""

    source: ApiSource = attrs.field(repr=False)
    stop: Stop = attrs.field(factory=Stop)


_GIVEN: dict[str, _Given] = {}
"""By the name of the run."""


def _give_key(run: str, source: ApiSource) -> None:
    _GIVEN[run] = _Given(source)


def _take_key(run: str) -> None:
    _GIVEN.pop(run, None)


def _stop_run(run: str, is_gone: bool) -> None:
    if run in _GIVEN:
        _GIVEN[run].stop.set(is_gone=is_gone)


def _run_shard(run: str, shard: Shard, url: str) -> ShardResult | None:
    """Do a shard on a worker; None if it has no key for that."""
    from distributed import get_worker

    given = _GIVEN.get(run)
    if given is None:
        return None
    worker = get_worker()
    reporter = _Reporter(shard.name, lambda told: worker.log_event(run, told))
    try:
        result = export_shard(shard, given.source, open_store(url), stop=given.stop, on_event=reporter.take)
    except ThreadkeepError as error:
        result = ShardResult(name=shard.name, ended_by=error)
    reporter.send(result.requests)
    return result


class _Reporter:
    """Tells the command how a shard goes, not too often.

    Args:
        shard: its name.
        tell: sends a message, of JSON's types.
    """

    def __init__(self, shard: str, tell: Callable[[Mapping[str, Any]], object]) -> None:
        self._shard, self._tell = shard, tell
        self._attempt = f"{shard}-{os.getpid()}-{os.urandom(4).hex()}"
        self._threads: list[tuple[str, str, int, str | None]] = []
        self._notices: list[str] = []
        self._traffic: Callable[[], Traffic] = lambda: _NO_TRAFFIC
        self._last = _NO_TRAFFIC
        self._sent_at = float("-inf")

    def take(self, event: Event) -> None:
        """Take an event of the export, in its event loop."""
        if isinstance(event, ThreadsBegun):
            self._traffic = event.traffic
        elif isinstance(event, Notice):
            self._notices.append(event.text)
        elif isinstance(event, ThreadEnded):
            thread_id = "" if event.outcome is Outcome.COMPLETE else event.thread_id
            self._threads.append((thread_id, str(event.outcome), event.messages, event.reason))
        else:
            return
        time = asyncio.get_running_loop().time()
        if time - self._sent_at >= _OFTEN:
            self._sent_at = time
            self._last = self._traffic()
            self.send(self._last.sent)

    def send(self, requests: int) -> None:
        """Send what has come together, after so many requests."""
        told = {
            "shard": self._shard,
            "attempt": self._attempt,
            "sent": requests,
            "refused": self._last.refused,
            "threads": self._threads,
            "notices": self._notices,
        }
        self._threads, self._notices = [], []
        self._tell(told)
