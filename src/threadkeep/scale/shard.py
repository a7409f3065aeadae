"""Export one shard, wherever that is: into a working folder of this machine, and from there into the output store.

The working folder outlives the process, so a later attempt on the same machine resumes there. When the export of the
shard has ended by itself, its files become objects that are named by their digests, and then its marker, which makes
them count: see `threadkeep.scale.generations`. A shard that is not complete is done again by a later run, which begins
with the objects of the newest marker, and puts the next one.
"""

import asyncio
import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from threadkeep.api.calls import DEFAULT_CONCURRENCY, DEFAULT_RETRIES
from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource
from threadkeep.api.keys import Key
from threadkeep.api.rate_control import Traffic
from threadkeep.clock import now
from threadkeep.errors import ApiGone, Interrupted, OutputUnusable, ThreadkeepError
from threadkeep.exporter.events import Event, Notice, ThreadsBegun
from threadkeep.exporter.job import Job, carry_out
from threadkeep.scale.generations import newest_generation
from threadkeep.scale.object_store import ObjectMissing, ObjectStore
from threadkeep.scale.plan import planned_header
from threadkeep.scale.plan_objects import PlannedShard
from threadkeep.scale.shard_commit import ShardCommit
from threadkeep.scale.working_folders import locked_folder, working_folder
from threadkeep.serialization.thread_ids import ListedId
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import on_disk
from threadkeep.storage.session import ThreadList, write

__all__ = [
    "Shard",
    "ShardResult",
    "Stop",
    "export_shard",
    "put_fetched",
]

# Seconds between two looks at whether the work is to stop.
_TICK = 0.2


@attrs.frozen(kw_only=True)
class Shard:
    """One shard to be exported.

    Attributes:
        planned: which threads it has, and what the export is of.
        files: download the files that messages refer to, and steps if runs are saved.
        concurrency: how many threads are walked at a time.
        rpm, max_retries: as of `threadkeep.api.client.PacingOptions`.
    """

    planned: PlannedShard
    files: bool = False
    concurrency: int = DEFAULT_CONCURRENCY
    rpm: int | None = None
    max_retries: int = DEFAULT_RETRIES

    @property
    def name(self) -> str:
        """Its name in the plan."""
        return self.planned.name


@attrs.frozen(kw_only=True)
class ShardResult:
    """What came of a shard.

    Attributes:
        outcomes: how many of its threads have each outcome in the output store; None if this attempt has put nothing.
        messages: how many are there.
        is_complete: whether nothing is left to be done.
        requests: how many this attempt has sent.
        ended_by: the error that ended it before every thread had its turn; None if none did.
    """

    name: str
    outcomes: Mapping[str, int] | None = None
    messages: int = 0
    is_complete: bool = False
    requests: int = 0
    ended_by: ThreadkeepError | None = None


@attrs.define
class Stop:
    """Asks an export for its end from another thread.

    Attributes:
        is_gone: the API is gone, so what has been fetched is to be put into the output store before that.
    """

    is_gone: bool = False
    _event: threading.Event = attrs.field(factory=threading.Event, init=False)

    def set(self, *, is_gone: bool = False) -> None:
        """Ask for it."""
        self.is_gone = self.is_gone or is_gone
        self._event.set()

    @property
    def is_set(self) -> bool:
        """Whether the end was asked for."""
        return self._event.is_set()


def export_shard(
    shard: Shard,
    key: Key | ApiSource,
    store: ObjectStore,
    *,
    stop: Stop | None = None,
    on_event: Callable[[Event], None] = lambda _event: None,
    work: Path | None = None,
) -> ShardResult:
    """Export a shard, or resume it, and put it into the output store. What is done already costs no request.

    Args:
        shard: what to export.
        key: to ask with, at the address that the shard's header has; or the source, with one key.
        store: where it goes.
        stop: ends it before its time.
        on_event: receives the events of the export, in its event loop.
        work: the folder of working folders; None for ``THREADKEEP_WORK``, else one in the user's cache.

    Raises:
        OutputUnusable: the working folder or the output store refuses; or the store has another plan, or none.
    """
    planned = shard.planned
    source = key if isinstance(key, ApiSource) else ApiSource(base_url=planned.header.source, keys=(key,))
    stop = stop or Stop()
    _refuse_other_store(store, planned)
    with working_folder(shard.name, work) as folder:
        newest = newest_generation(store, planned)
        if newest is not None and newest.is_done(files=shard.files):
            shutil.rmtree(folder)
            return _result(shard, newest.sound)
        commit = ShardCommit(planned, store, files=shard.files)
        if newest is not None and not any(folder.iterdir()):
            commit.with_generation(newest, folder)
        paths, listener = Paths(folder / "out.ndjson"), _Listener(on_event, commit.notices)
        manifest, ended_by = asyncio.run(_carried_out(_job(shard, paths), source, stop, listener))
        if isinstance(ended_by, Interrupted) and stop.is_gone:
            ended_by = ApiGone("the API is gone")
            manifest = _written(paths)
        if manifest is not None:
            manifest = commit.committed(paths, was_cut_off=ended_by is not None)
            shutil.rmtree(folder)
        return attrs.evolve(_result(shard, manifest), requests=listener.sent, ended_by=ended_by)


def put_fetched(shard: Shard, store: ObjectStore, folder: Path) -> ShardResult | None:
    """Put into the output store what an earlier attempt at a shard has fetched. No request is sent.

    Args:
        shard: what was exported.
        store: where it goes.
        folder: one of `working_folders`. It is removed, unless nothing was fetched and the shard is not complete.

    Returns:
        What came of the shard; None if another attempt is at work in the folder, or was.

    Raises:
        OutputUnusable: the disk or the output store refuses.
    """
    with contextlib.ExitStack() as opened:
        try:
            opened.enter_context(locked_folder(folder))
        except OutputUnusable:
            return None
        if not folder.is_dir():
            return None
        newest, paths = newest_generation(store, shard.planned), Paths(folder / "out.ndjson")
        with on_disk(folder):
            if newest is not None and newest.is_done(files=shard.files):
                shutil.rmtree(folder)
                return _result(shard, newest.sound)
            manifest = _written(paths)
            if manifest is not None:
                manifest = ShardCommit(shard.planned, store, files=shard.files).committed(paths, was_cut_off=True)
                shutil.rmtree(folder)
        return _result(shard, manifest)


def _written(paths: Paths) -> Manifest | None:
    """Write what was fetched, without the API; return None if nothing was."""
    with contextlib.suppress(OutputUnusable):
        return write(paths.out)
    return None


def _refuse_other_store(store: ObjectStore, planned: PlannedShard) -> None:
    """Refuse a store that is another one than that in which the shard was planned, such as a folder of this host."""
    try:
        is_other = planned_header(store).export_id != planned.export_id
    except ObjectMissing:
        is_other = True
    if is_other:
        raise OutputUnusable(
            f"{store.url} on this machine has another plan, or none. Every worker must reach the folder in which the"
            " export was planned, at the same path: mount it there, or use a bucket."
        )


def _result(shard: Shard, manifest: Manifest | None) -> ShardResult:
    if manifest is None:
        return ShardResult(name=shard.name)
    return ShardResult(
        name=shard.name,
        outcomes=manifest.outcomes,
        messages=manifest.totals.messages,
        is_complete=manifest.is_complete and (manifest.downloads is not None or not shard.files),
    )


# --- the export


def _listed(planned: PlannedShard) -> Iterator[ListedId]:
    for place, thread_id in enumerate(planned.ids, 1):
        yield ListedId(place, thread_id, planned.assistants.get(thread_id))


def _job(shard: Shard, paths: Paths) -> Job:
    return Job(
        wanted=ThreadList(ids=_listed(shard.planned)),
        paths=paths,
        assistant_id=shard.planned.header.assistant_id,
        flat=shard.planned.header.flat,
        include=shard.planned.header.include,
        files=shard.files,
        concurrency=shard.concurrency,
        pace=PacingOptions(rpm=shard.rpm, max_retries=shard.max_retries),
    )


@attrs.define
class _Listener:
    """Passes the events on, after some notices, and knows the requests."""

    _on_event: Callable[[Event], None]
    _notices: Sequence[str] = ()
    sent: int = attrs.field(default=0, init=False)
    _traffic: Callable[[], Traffic] | None = attrs.field(default=None, init=False)

    def take(self, event: Event) -> None:
        """Pass an event on."""
        if isinstance(event, ThreadsBegun):
            self._traffic = event.traffic
            for text in self._notices:
                self._on_event(Notice(text))
        self._on_event(event)

    def finish(self) -> None:
        """Count the requests, in the event loop of the export."""
        self.sent = 0 if self._traffic is None else self._traffic().sent


async def _carried_out(
    job: Job, source: ApiSource, stop: Stop, listener: _Listener
) -> tuple[Manifest | None, ThreadkeepError | None]:
    """Make an export; return its manifest, None if nothing was written, and what has ended it before its time."""
    from threadkeep.api.transport import connect_all  # imports the SDK, which only workers need

    async with contextlib.AsyncExitStack() as opened:
        transports = [await opened.enter_async_context(one) for one in connect_all(source)]
        export = carry_out(job, transports, transports[0].address, now=now, on_event=listener.take)
        task = asyncio.create_task(export)
        while not stop.is_set and not task.done():
            await asyncio.wait({task}, timeout=_TICK)
        task.cancel()
        try:
            result = await task
        except (Interrupted, asyncio.CancelledError):
            return None, Interrupted("interrupted")
        finally:
            listener.finish()
    is_unwritten = isinstance(result.ended_by, Interrupted | OutputUnusable)
    return None if is_unwritten else result.manifest, result.ended_by
