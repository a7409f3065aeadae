"""What the scheduler and the workers of Dask run for an export in shards.

Nothing here outlives a task, but for the key pair of the process and what was fetched, in working folders.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import attrs

from threadkeep.api.rate_control import Traffic
from threadkeep.errors import OutputUnusable, ThreadkeepError
from threadkeep.exporter.events import Event, Notice, ThreadEnded, ThreadsBegun
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.open_store import open_store
from threadkeep.scale.plan import FIRST, read_plan
from threadkeep.scale.plan_objects import PlannedShard
from threadkeep.scale.sealing import public_key, unseal
from threadkeep.scale.shard import Shard, ShardResult, Stop, export_shard, put_fetched
from threadkeep.scale.working_folders import work_folder, working_folders
from threadkeep.storage.index import Outcome
from threadkeep.storage.private_files import on_disk

__all__ = ["WorkerUnusable", "digest_of_plan", "heard_of", "meet", "put_shards", "run_shard", "stop_run"]

_NO_TRAFFIC = Traffic(sent=0, refused=0, pause=0.0)

# Seconds between two messages of a worker.
_OFTEN = 0.5

# Bytes that a working folder must have room for.
_ROOM = 1 << 20


class WorkerUnusable(OutputUnusable):
    """A worker cannot do any shard: its working folder refuses, its output store is another one, and so on."""


def heard_of(dask_scheduler: Any) -> dict[str, float]:
    """Return how many seconds ago the scheduler has heard of each worker."""
    from distributed.metrics import time

    now = time()
    return {address: now - worker.last_seen for address, worker in dask_scheduler.workers.items()}


def digest_of_plan(store: ObjectStore) -> str | None:
    """Return the digest of the first object of the plan, by which a worker knows the output store of the command.

    It is None if there is no such object.
    """
    content = store.get(FIRST)
    return None if content is None else sha256(content).hexdigest()


async def meet(url: str, plan: str | None) -> bytes:
    """Look at whether a worker can be used, and return the public key of its process.

    Args:
        url: of the output store.
        plan: as `digest_of_plan`.

    Raises:
        WorkerUnusable: its working folder refuses, or the output store is not the same one here.
    """
    await asyncio.to_thread(_check, url, plan)
    return public_key()


def _check(url: str, plan: str | None) -> None:
    _check_work_folder()
    try:
        found = digest_of_plan(open_store(url))
    except ThreadkeepError as error:
        raise WorkerUnusable(str(error)) from None
    if found != plan:
        raise WorkerUnusable(
            f"{url} is not the same place on this worker as where the command runs: {FIRST} is"
            f" {'missing' if found is None else 'another one'}. Choose a folder that all machines share, or a bucket."
        )


def _check_work_folder() -> None:
    folder = work_folder()
    try:
        with on_disk(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(_ROOM))
                file.flush()
                os.fsync(file.fileno())
    except OutputUnusable as error:
        raise WorkerUnusable(f"the working folder cannot be used: {error}") from None


_STOPS: dict[str, Stop] = {}
"""By the names of the runs that have a shard here, or one on its way here."""


def stop_run(run: str, is_gone: bool) -> None:
    """Ask the shard of a run for its end, also one that has not begun."""
    _STOPS.setdefault(run, Stop()).set(is_gone=is_gone)


@attrs.define
class _TaskStop(Stop):
    """Also asks for the end when nobody wants the task any more: the command that sent it is gone."""

    asked: Stop = attrs.field(kw_only=True)
    is_wanted: Callable[[], bool] = attrs.field(kw_only=True)

    @property
    def is_set(self) -> bool:
        """Whether the end was asked for."""
        self.is_gone = self.asked.is_gone
        return self.asked.is_set or not self.is_wanted()


def run_shard(run: str, shard: Shard, url: str, sealed: bytes) -> ShardResult | None:
    """Do a shard on a worker.

    Args:
        run: a name for the run, and the topic of its messages.
        shard: what to export.
        url: where it goes.
        sealed: the source.

    Returns:
        What came of it; None if the source was sealed for another process, which had this address before.
    """
    from distributed import get_worker

    source = unseal(sealed)
    if source is None:
        return None
    worker = get_worker()
    task = worker.get_current_task()

    def is_wanted() -> bool:
        found = worker.state.tasks.get(task)
        return found is not None and found.state == "executing"

    stop = _TaskStop(asked=_STOPS.setdefault(run, Stop()), is_wanted=is_wanted)
    reporter = _Reporter(shard.name, lambda told: worker.log_event(run, told))
    try:
        result = export_shard(shard, source, open_store(url), stop=stop, on_event=reporter.take)
    except ThreadkeepError as error:
        result = ShardResult(name=shard.name, requests=reporter.requests, ended_by=error)
    finally:
        _STOPS.pop(run, None)
    reporter.send(result.requests)
    result = _with_fault(result)
    _cut_off_causes(result.ended_by)
    return result


def _cut_off_causes(error: BaseException | None) -> None:
    """Leave away what has led to an error: it travels with it, and errors of the SDK cannot be unpickled."""
    if error is not None:
        error.__cause__ = error.__context__ = error.__traceback__ = None


def _with_fault(result: ShardResult) -> ShardResult:
    """Tell a fault of this worker, which would meet any shard, from one of the shard."""
    if isinstance(result.ended_by, OutputUnusable):
        try:
            _check_work_folder()
        except WorkerUnusable as fault:
            return attrs.evolve(result, ended_by=fault)
    return result


def put_shards(url: str, files: bool) -> list[tuple[PlannedShard, ShardResult]]:
    """Put into the output store what attempts on this machine have fetched and not put. No request is sent.

    Args:
        url: of the output store.
        files: as of `threadkeep.scale.shard.Shard`.

    Returns:
        What came of each shard that has a working folder here in which no other attempt is at work.
    """
    results = list[tuple[PlannedShard, ShardResult | None]]()
    store, left = open_store(url), working_folders()
    for part in read_plan(store) if left else ():
        for planned in part.shards:
            for folder in left.get(planned.name, ()):
                try:
                    results.append((planned, put_fetched(Shard(planned=planned, files=files), store, folder)))
                except ThreadkeepError as error:
                    results.append((planned, ShardResult(name=planned.name, ended_by=error)))
    for _, result in results:
        _cut_off_causes(None if result is None else result.ended_by)
    return [(planned, result) for planned, result in results if result is not None]


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

    @property
    def requests(self) -> int:
        """How many were sent when it was last told."""
        return self._last.sent

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
        self._last = self._traffic()
        if time - self._sent_at >= _OFTEN:
            self._sent_at = time
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
