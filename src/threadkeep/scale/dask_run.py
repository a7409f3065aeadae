"""An export whose shards are carried out by the workers of a Dask cluster: one on other machines, or one made here.

Each key is given to one worker, and with it a resource that the tasks of this run ask for; so a worker has one shard
and one key at a time. A worker that dies gives its key back, and Dask hands its shard to another one. Keys travel in
calls of their own, never in a task. The client is asynchronous: all of this runs in the event loop of the command.
"""

import asyncio
import contextlib
import os
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from threadkeep.api.endpoints import ApiSource, auth_and_keys, endpoint_of, without_secrets
from threadkeep.api.rate_control import Traffic
from threadkeep.clock import now
from threadkeep.errors import (
    AccessRefused,
    ApiGone,
    Interrupted,
    OutputUnusable,
    QuotaSpent,
    ServerUnreachable,
    ThreadkeepError,
)
from threadkeep.exporter.events import Event, Notice, ThreadEnded, ThreadsBegun
from threadkeep.scale.object_store import ObjectStore, open_store
from threadkeep.scale.plan import PlannedShard, make_plan, read_plan
from threadkeep.scale.shard import Shard, ShardResult, Stop, export_shard, is_done, newest_generations
from threadkeep.storage.index import IndexHeader, Outcome
from threadkeep.storage.session import InvalidId, ThreadList

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Cluster", "ScaleJob", "ScaleResult", "carry_out_on_dask", "keys_of"]

_NO_TRAFFIC = Traffic(sent=0, refused=0, pause=0.0)

# So many shards wait at the workers for each one that is at work, so that none is idle.
_IN_FLIGHT = 2

# Seconds between two looks at which workers there are, and between two messages of a worker.
_TICK, _OFTEN = 0.5, 0.5

# Seconds for the shards at work to end in order.
_PATIENCE = 60

# Dask takes a task that has met the end of so many workers for their cause. Here it is a shard that is resumed.
_ALLOWED_FAILURES = 100


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
            name=planned.name,
            ids=planned.ids,
            header=self.header,
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
        OutputUnusable: the output store refuses, or holds something else.
        UnreadableIds: the list of ids cannot be read.
    """
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
    try:
        import distributed  # noqa: F401 - whether it is there
    except ImportError:
        raise OutputUnusable("--dask runs on Dask: pip install 'threadkeep[dask]'.") from None
    try:
        async with _client(job.cluster) as client:
            return await _Run(job, client, _KeyRing(keys), tally, on_event).to_its_end()
    except OSError as error:
        return ServerUnreachable(f"the Dask scheduler does not answer: {error}")


@contextlib.asynccontextmanager
async def _client(cluster: Cluster) -> "AsyncIterator[Client]":
    import logging

    from distributed import Client, LocalCluster

    async with contextlib.AsyncExitStack() as opened:
        place: Any = cluster.address
        if cluster.address is None:
            place = await opened.enter_async_context(
                LocalCluster(  # type: ignore[no-untyped-call]
                    n_workers=cluster.processes,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=0,
                    dashboard_address=None,
                    asynchronous=True,
                    silence_logs=logging.CRITICAL,
                )
            )
        yield await opened.enter_async_context(Client(place, asynchronous=True))  # type: ignore[no-untyped-call]


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
        tally, generations = cls(), newest_generations(job.store)
        for _, shards in read_plan(job.store):
            for planned in shards:
                tally.shards += 1
                tally.threads += len(planned.ids)
                found = generations.get(planned.name)
                if found is None:
                    tally._know(planned.name, {Outcome.UNFINISHED: len(planned.ids)}, 0)
                    tally.open_shards.add(planned.name)
                else:
                    tally._know(planned.name, found.manifest.outcomes, found.manifest.totals.messages)
                    if not is_done(found.manifest, job.shard(planned)):
                        tally.open_shards.add(planned.name)
        return tally

    def _know(self, name: str, outcomes: Mapping[str, int], messages: int) -> None:
        before, had = self._known.get(name, ({}, 0))
        self._outcomes.subtract(before)
        self._outcomes.update(outcomes)
        self.messages += messages - had
        self._known[name] = outcomes, messages

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

    def lost(self, workers: Sequence[str]) -> list[str]:
        """Take back the keys of workers that are gone, and return these."""
        gone = [worker for worker in self.given if worker not in workers]
        self._free.extend(self.given.pop(worker) for worker in gone)
        return gone

    def share(self, workers: Sequence[str]) -> Iterator[tuple[str, int]]:
        """Yield a key for each worker that has none, as long as there are keys."""
        for worker in workers:
            if worker not in self.given and self._free:
                self.given[worker] = self._free.popleft()
                yield worker, self.given[worker]

    def retire(self, number: int) -> str | None:
        """Give a key to nobody any more, and return the worker that has it; None if that is known already."""
        if number in self._refused:
            return None
        self._refused.add(number)
        for worker, one in list(self.given.items()):
            if one == number:
                del self.given[worker]
                return worker
        self._free.remove(number)
        return None


# --- the side of the command


class _Run:
    """One run, from the first task to the last."""

    def __init__(
        self,
        job: ScaleJob,
        client: "Client",
        keys: _KeyRing,
        tally: _Tally,
        on_event: Callable[[Event], None],
    ) -> None:
        self._job, self._client, self._keys, self._tally, self._on_event = job, client, keys, tally, on_event
        self._name = f"threadkeep-{os.urandom(6).hex()}"  # of the resource; two runs may share a cluster
        open_shards = frozenset(tally.open_shards)
        self._todo = (one for _, shards in read_plan(job.store) for one in shards if one.name in open_shards)
        self._again: deque[PlannedShard] = deque()
        self._running: dict[asyncio.Task[Any], PlannedShard] = {}
        self._attempts = 0
        self._ended_by: ThreadkeepError | None = None
        self._has_waited = False

    async def to_its_end(self) -> ThreadkeepError | None:
        """Work off the shards, and return what ended that before its time."""
        client: Any = self._client
        await client.run_on_scheduler(_allow_failures)
        client.subscribe_topic(self._name, self._hear)
        try:
            await self._loop()
        except asyncio.CancelledError:
            self._ended_by = Interrupted("interrupted")
        if self._running:
            await self._stop()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await client.run(_take_key, self._name, workers=list(self._keys.given), on_error="ignore")
        return self._ended_by

    async def _loop(self) -> None:
        while self._ended_by is None:
            await self._share_keys()
            more = await asyncio.to_thread(self._next_shards, _IN_FLIGHT * len(self._keys.given) - len(self._running))
            for planned in more:
                self._submit(planned)
            if not self._running and self._keys.given:
                return
            if not self._running:
                await asyncio.sleep(_TICK)
                continue
            done, _ = await asyncio.wait(self._running, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await self._take(task)

    async def _share_keys(self) -> None:
        client: Any = self._client
        workers = list(await client.nthreads())
        for worker in self._keys.lost(workers):
            self._on_event(Notice(f"the worker {worker} is gone: its shard and its key go to another one"))
        for worker, number in self._keys.share(workers):
            source = self._keys.keys[number]
            await client.run(_give_key, self._name, number, source, workers=[worker], on_error="ignore")
        if not workers and not self._has_waited:
            self._has_waited = True
            self._on_event(Notice("waiting for workers: the scheduler has none"))

    def _next_shards(self, most: int) -> list[PlannedShard]:
        found = list[PlannedShard]()
        while len(found) < most:
            one = self._again.popleft() if self._again else next(self._todo, None)
            if one is None:
                break
            found.append(one)
        return found

    def _submit(self, planned: PlannedShard) -> None:
        self._attempts += 1
        client: Any = self._client
        future = client.submit(
            _run_shard,
            self._name,
            self._job.shard(planned),
            self._job.store.url,
            key=f"{self._name}-{planned.name}-{self._attempts}",
            resources={self._name: 1},
            pure=False,
        )

        async def result() -> Any:
            try:
                return await future
            finally:
                future.release()

        self._running[asyncio.create_task(result())] = planned

    async def _take(self, task: "asyncio.Task[Any]") -> None:
        """Take the result of a task."""
        planned = self._running.pop(task)
        if task.cancelled():  # by the scheduler, which has lost it
            self._again.append(planned)
            return
        error = task.exception()
        if error is not None:
            self._ended_by = self._ended_by or (
                error
                if isinstance(error, ThreadkeepError)
                else ThreadkeepError(f"a worker could not do shard {planned.name}: {type(error).__name__}: {error}")
            )
            return
        number, result = task.result()
        for _ in range(self._tally.take(result)):
            self._on_event(ThreadEnded(thread_id="", outcome=Outcome.COMPLETE, messages=0))
        if isinstance(result.ended_by, AccessRefused | QuotaSpent):
            self._again.append(planned)
            await self._retire(number, result.ended_by)
        elif isinstance(result.ended_by, Interrupted):
            self._again.append(planned)
        elif result.ended_by is not None:
            self._ended_by = self._ended_by or result.ended_by

    async def _retire(self, number: int, why: ThreadkeepError) -> None:
        worker = self._keys.retire(number)
        if self._keys.is_spent:
            self._ended_by = self._ended_by or why
        elif worker is not None:
            self._on_event(Notice(f"a key was rejected, the run continues with the other keys: {why}"))
        if worker is not None:
            client: Any = self._client
            await client.run(_take_key, self._name, workers=[worker], on_error="ignore")

    async def _stop(self) -> None:
        """Ask every worker for its end, and wait for that."""
        client: Any = self._client
        is_gone = isinstance(self._ended_by, ApiGone)
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await client.run(_stop_run, self._name, is_gone, workers=list(self._keys.given), on_error="ignore")
            await asyncio.wait(self._running, timeout=_PATIENCE)
        for task in [task for task in self._running if task.done()]:
            await self._take(task)
        for task in self._running:
            task.cancel()

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


# --- the side of the scheduler and of a worker


def _allow_failures(dask_scheduler: Any) -> None:
    dask_scheduler.allowed_failures = max(dask_scheduler.allowed_failures, _ALLOWED_FAILURES)


@attrs.define
class _Given:
    """What a worker has for a run."""

    number: int
    source: ApiSource = attrs.field(repr=False)
    stop: Stop = attrs.field(factory=Stop)


_GIVEN: dict[str, _Given] = {}
"""By the name of the run."""


async def _give_key(run: str, number: int, source: ApiSource, dask_worker: Any) -> None:
    _GIVEN[run] = _Given(number, source)
    await dask_worker.set_resources(**{run: 1})


async def _take_key(run: str, dask_worker: Any) -> None:
    await dask_worker.set_resources(**{run: 0})
    _GIVEN.pop(run, None)


def _stop_run(run: str, is_gone: bool) -> None:
    if run in _GIVEN:
        _GIVEN[run].stop.set(is_gone=is_gone)


def _run_shard(run: str, shard: Shard, url: str) -> tuple[int, ShardResult]:
    """Do a shard on a worker, and return the number of its key, too."""
    from distributed import get_worker

    given = _GIVEN.get(run)
    if given is None or given.stop.is_set:  # the key was taken back when this task was on its way
        return -1, ShardResult(name=shard.name, ended_by=Interrupted("interrupted"))
    worker = get_worker()
    reporter = _Reporter(shard.name, lambda told: worker.log_event(run, told))
    try:
        result = export_shard(shard, given.source, open_store(url), stop=given.stop, on_event=reporter.take)
    except ThreadkeepError as error:
        result = ShardResult(name=shard.name, ended_by=error)
    reporter.send(result.requests)
    return given.number, result


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
