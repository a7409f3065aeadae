"""Export one shard, wherever that is: into a working folder of this machine, and from there into the output store.

The working folder outlives the process, so a later attempt on the same machine resumes there. When the export of the
shard has ended by itself, its files become objects that are named by their digests, and then its marker, which makes
them count: see `threadkeep.scale.generations`. A shard that is not complete is done again by a later run, which begins
with the objects of the newest marker, and puts the next one.
"""

import asyncio
import contextlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
from threadkeep.scale.generations import Generation, encode_marker, marker_name, newest_generation, objects_of
from threadkeep.scale.object_store import ObjectDamaged, ObjectMissing, ObjectStore
from threadkeep.scale.plan import SHARD_NAME, PlannedShard, planned_header
from threadkeep.serialization.thread_ids import ListedId
from threadkeep.storage.index import Outcome
from threadkeep.storage.join import join_exports
from threadkeep.storage.lock import locked
from threadkeep.storage.manifest import Manifest, decode_manifest, encode_manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import create, on_disk
from threadkeep.storage.session import ThreadList, write

__all__ = [
    "Shard",
    "ShardResult",
    "Stop",
    "export_shard",
    "put_fetched",
    "remove_working_folders",
    "work_folder",
    "working_folders",
]

_WORKING_FOLDER = re.compile(rf"({SHARD_NAME})(\.[0-9]+)?")

# Seconds between two looks at whether the work is to stop.
_TICK = 0.2

# More attempts than this are never at work on one shard on one machine.
_FOLDERS = 100


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
    with _working_folder(planned, work) as folder:
        newest = newest_generation(store, planned)
        if newest is not None and newest.is_done(files=shard.files):
            shutil.rmtree(folder)
            return _result(shard, newest.sound)
        begun = _Begun(shard, store)
        if newest is not None and not any(folder.iterdir()):
            begun.with_generation(newest, folder)
        paths, listener = Paths(folder / "out.ndjson"), _Listener(on_event, begun.notices)
        manifest, ended_by = asyncio.run(_carried_out(_job(shard, paths), source, stop, listener))
        if isinstance(ended_by, Interrupted) and stop.is_gone:
            ended_by = ApiGone("the API is gone")
            with contextlib.suppress(OutputUnusable):  # nothing has been fetched
                manifest = write(paths.out)
        if manifest is not None:
            manifest = begun.committed(paths, was_cut_off=ended_by is not None)
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
            opened.enter_context(_locked(folder))
        except OutputUnusable:
            return None
        if not folder.is_dir():
            return None
        newest, paths = newest_generation(store, shard.planned), Paths(folder / "out.ndjson")
        with on_disk(folder):
            if newest is not None and newest.is_done(files=shard.files):
                shutil.rmtree(folder)
                return _result(shard, newest.sound)
            manifest = None
            with contextlib.suppress(OutputUnusable):  # nothing has been fetched
                manifest = write(paths.out)
            if manifest is not None:
                manifest = _Begun(shard, store).committed(paths, was_cut_off=True)
                shutil.rmtree(folder)
        return _result(shard, manifest)


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


# --- the working folder


@contextlib.contextmanager
def _working_folder(planned: PlannedShard, work: Path | None) -> Iterator[Path]:
    """Yield a folder of this attempt alone. What another attempt has left there, it resumes."""
    parent = work or work_folder()
    with on_disk(parent):
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(1, _FOLDERS):
        folder = parent / (planned.name if number == 1 else f"{planned.name}.{number}")
        with contextlib.ExitStack() as opened:
            try:
                opened.enter_context(_locked(folder))
            except OutputUnusable:  # another run is at work on the same shard
                if number == _FOLDERS - 1:
                    raise
                continue
            with on_disk(folder):
                folder.mkdir(mode=0o700, exist_ok=True)
                yield folder
                if folder.exists() and not any(folder.iterdir()):
                    folder.rmdir()
            return


def _locked(folder: Path) -> contextlib.AbstractContextManager[None]:
    return locked(folder.with_name(f"{folder.name}.lock"), seconds=0)


def work_folder() -> Path:
    """Return the folder of the working folders of this machine."""
    given = os.environ.get("THREADKEEP_WORK")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "threadkeep"


def working_folders(work: Path | None = None) -> dict[str, list[Path]]:
    """Return the working folders that attempts at shards have left on this machine, by the names of the shards.

    Args:
        work: as of `export_shard`.

    Raises:
        OutputUnusable: the disk refuses.
    """
    parent, found = work or work_folder(), dict[str, list[Path]]()
    with on_disk(parent):
        for path in sorted(parent.iterdir()) if parent.is_dir() else ():
            if (match := _WORKING_FOLDER.fullmatch(path.name)) is not None:
                found.setdefault(match[1], []).append(path)
    return found


def remove_working_folders(shards: Collection[str], work: Path | None = None) -> None:
    """Remove the working folders of shards that are complete in the output store, but for those that are in use.

    Args:
        shards: their names.
        work: as of `export_shard`.

    Raises:
        OutputUnusable: the disk refuses.
    """
    found = working_folders(work)
    for folder in (folder for name in found.keys() & {*shards} for folder in found[name]):
        with contextlib.suppress(OutputUnusable), _locked(folder), on_disk(folder):
            shutil.rmtree(_draft_of(folder), ignore_errors=True)
            shutil.rmtree(folder)


def _draft_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.fetched")


# --- the output store


def _fetch_generation(store: ObjectStore, name: str, generation: Generation, paths: Paths) -> None:
    """Write the files of a shard, and compare their digests. The manifest comes last.

    Args:
        store: where they are.
        name: of the shard.
        generation: which files.
        paths: where they go.

    Raises:
        ObjectDamaged: an object is missing or damaged.
        OutputUnusable: the store or the disk refuses.
    """
    if generation.sound is None:
        raise ObjectDamaged(f"{store.url}: {'; '.join(map(str, generation.faults))}.")
    for one in objects_of(generation.sound, paths):
        if one.path.parent == paths.files:
            with on_disk(paths.files):
                paths.files.mkdir(mode=0o700, exist_ok=True)
        store.fetch(f"shards/{name}/{one.name}", one.path, one.sha256)
    with on_disk(paths.manifest), create(paths.manifest) as file:
        file.write(encode_manifest(generation.sound))


@attrs.define
class _Begun:
    """An attempt at a shard, and what it knows of the generations in the output store.

    Attributes:
        notices: what a person should know, in sentences.
        base: the number of the generation that the working folder has all of; 0 for none.
        damaged: the numbers of those of which something cannot be used, though their sizes are right.
    """

    shard: Shard
    store: ObjectStore
    notices: list[str] = attrs.field(factory=list, init=False)
    base: int = attrs.field(default=0, init=False)
    damaged: set[int] = attrs.field(factory=set, init=False)

    def with_generation(self, newest: Generation, folder: Path) -> None:
        """Put the files of a generation into an empty working folder: all of them or, if it is damaged, none."""
        draft = _draft_of(folder)
        if self._fetched(newest, draft, "out.ndjson"):
            draft.rename(folder)
            self.base = newest.number
        else:
            shutil.rmtree(draft)

    def _fetched(self, generation: Generation, folder: Path, name: str) -> bool:
        """Fetch a generation into a new folder, and return False if it is damaged."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            _fetch_generation(self.store, self.shard.name, generation, Paths(folder / name))
        except ObjectDamaged as error:
            self.damaged.add(generation.number)
            self.notices.append(f"the threads of shard {self.shard.name} are fetched again: {error}")
            return False
        return True

    def committed(self, paths: Paths, *, was_cut_off: bool) -> Manifest | None:
        """Put the files of a shard into the store, and return the manifest that counts there; None if there is none.

        Args:
            paths: of the files.
            was_cut_off: the export has ended before every thread had its turn: without anything in it, it is not put.
        """
        while True:
            with on_disk(paths.manifest):
                own = decode_manifest(paths.manifest.read_bytes())
            newest = newest_generation(self.store, self.shard.planned)
            if newest is None or newest.number in self.damaged or newest.sound is None:
                if was_cut_off and own.outcomes.get(Outcome.UNFINISHED, 0) == own.totals.threads:
                    return None
            elif newest.is_done(files=self.shard.files) or newest.sound.files == own.files:
                return newest.sound  # another run was first, or nothing new came
            elif newest.number != self.base:  # neither has all of the other
                paths = self._joined(newest, paths)
                continue
            if self._is_put(paths, own, 1 if newest is None else newest.number + 1):
                return own

    def _joined(self, theirs: Generation, ours: Paths) -> Paths:
        """Join a shard with what another run has of it, so that nothing is lost; only ours, if theirs is damaged."""
        folder = ours.out.parent / f"with-{theirs.number:04}"
        if not self._fetched(theirs, folder, "theirs.ndjson"):
            return ours
        joined = Paths(folder / "out.ndjson")
        join_exports([Paths(folder / "theirs.ndjson"), ours], joined, self.shard.planned.ids)
        self.base = theirs.number
        return joined

    def _is_put(self, paths: Paths, manifest: Manifest, number: int) -> bool:
        """Put the files, then the marker; return False if another run has put one of that number."""
        sizes = dict[str, int]()
        for one in objects_of(manifest, paths):
            with on_disk(one.path):
                sizes[one.name] = one.path.stat().st_size
            self.store.put_named(f"shards/{self.shard.name}/{one.name}", one.path)
        marker = encode_marker(self.shard.name, sizes, manifest)
        return self.store.create(marker_name(self.shard.name, number), marker)
