"""Export one shard, wherever that is: into a working folder of this machine, and from there into the output store.

The working folder outlives the process, so a later attempt on the same machine resumes there. When the export of the
shard has ended by itself, its files become objects that are named by their digests, and then its manifest, which makes
them count: ``shards/NAME/manifest-0001.json``. A shard that is not complete is done again by a later run, which begins
with the objects of the newest manifest, and puts the next one.
"""

import asyncio
import contextlib
import os
import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

import attrs
import msgspec

from threadkeep.api.calls import DEFAULT_CONCURRENCY, DEFAULT_RETRIES
from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource
from threadkeep.api.keys import Key
from threadkeep.api.rate_control import Traffic
from threadkeep.clock import now
from threadkeep.errors import ApiGone, Interrupted, OutputUnusable, ThreadkeepError
from threadkeep.exporter.events import Event, ThreadsBegun
from threadkeep.exporter.job import Job, carry_out
from threadkeep.scale.object_store import ObjectStore
from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.index import DownloadOutcome, IndexHeader, Outcome
from threadkeep.storage.join import join_exports
from threadkeep.storage.lock import locked
from threadkeep.storage.manifest import Manifest, decode_manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import create, on_disk
from threadkeep.storage.session import ThreadList, download_rows, write

__all__ = [
    "Generation",
    "Shard",
    "ShardResult",
    "Stop",
    "StoredObject",
    "export_shard",
    "fetch_generation",
    "is_done",
    "newest_generation",
    "newest_generations",
    "objects_of",
    "put_fetched",
    "work_folder",
    "working_folders",
]

_WORKING_FOLDER = re.compile(r"(\d{6,}-\d{4,})-[0-9a-f]{16}(?:\.\d+)?")

_MANIFEST = re.compile(r"shards/([^/]+)/manifest-(\d{4,})\.json")

# Seconds between two looks at whether the work is to stop.
_TICK = 0.2

# More attempts than this are never at work on one shard on one machine.
_FOLDERS = 100

# So many manifests are read at a time.
_READERS = 16


@attrs.frozen(kw_only=True)
class Shard:
    """One shard to be exported.

    Attributes:
        name: of the plan.
        ids: of its threads.
        header: what the export is of.
        files: download the files that messages refer to, and steps if runs are saved.
        concurrency: how many threads are walked at a time.
        rpm, max_retries: as of `threadkeep.api.client.PacingOptions`.
    """

    name: str
    ids: tuple[str, ...] = attrs.field(repr=False)
    header: IndexHeader
    files: bool = False
    concurrency: int = DEFAULT_CONCURRENCY
    rpm: int | None = None
    max_retries: int = DEFAULT_RETRIES


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


@attrs.frozen
class Generation:
    """A manifest of a shard, and its number. The greatest one counts."""

    number: int
    manifest: Manifest


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
        OutputUnusable: the working folder or the output store refuses.
    """
    source = key if isinstance(key, ApiSource) else ApiSource(base_url=shard.header.source, keys=(key,))
    stop = stop or Stop()
    with _working_folder(shard, store, work) as folder:
        newest = newest_generation(store, shard.name)
        if newest is not None and is_done(newest.manifest, shard):
            shutil.rmtree(folder)
            return _result(shard, newest.manifest)
        paths, base = Paths(folder / "out.ndjson"), 0
        if newest is not None and not any(folder.iterdir()):
            _begin_with(store, shard.name, newest, folder)
            base = newest.number
        listener = _Listener(on_event)
        manifest, ended_by = asyncio.run(_carried_out(_job(shard, paths), source, stop, listener))
        if isinstance(ended_by, Interrupted) and stop.is_gone:
            ended_by = ApiGone("the API is gone")
            with contextlib.suppress(OutputUnusable):  # nothing has been fetched
                manifest = write(paths.out)
        if manifest is not None:
            manifest = _committed(shard, store, paths, base, was_cut_off=ended_by is not None)
            shutil.rmtree(folder)
        return attrs.evolve(_result(shard, manifest), requests=listener.sent, ended_by=ended_by)


def put_fetched(shard: Shard, store: ObjectStore, folder: Path) -> ShardResult | None:
    """Put into the output store what an earlier attempt at a shard has fetched. No request is sent.

    Args:
        shard: what was exported.
        store: where it goes.
        folder: a working folder of `working_folders`. It is removed.

    Returns:
        What came of the shard; None if another attempt is at work in the folder, or was.

    Raises:
        OutputUnusable: the disk or the output store refuses.
    """
    with contextlib.ExitStack() as opened:
        try:
            opened.enter_context(locked(folder.with_name(f"{folder.name}.lock"), seconds=0))
        except OutputUnusable:
            return None
        if not folder.is_dir():
            return None
        paths, newest = Paths(folder / "out.ndjson"), newest_generation(store, shard.name)
        manifest = None if newest is None else newest.manifest
        with on_disk(folder):
            if any(folder.iterdir()) and (manifest is None or not is_done(manifest, shard)):
                write(paths.out)
                manifest = _committed(shard, store, paths, 0, was_cut_off=True)
            shutil.rmtree(folder)
        return _result(shard, manifest)


def is_done(manifest: Manifest, shard: Shard) -> bool:
    """Return whether nothing of a shard is left to be done."""
    return manifest.is_complete and (manifest.downloads is not None or not shard.files)


def _result(shard: Shard, manifest: Manifest | None) -> ShardResult:
    if manifest is None:
        return ShardResult(name=shard.name)
    return ShardResult(
        name=shard.name,
        outcomes=manifest.outcomes,
        messages=manifest.totals.messages,
        is_complete=is_done(manifest, shard),
    )


# --- the export


def _job(shard: Shard, paths: Paths) -> Job:
    return Job(
        wanted=ThreadList(ids=enumerate(shard.ids, 1)),
        paths=paths,
        assistant_id=shard.header.assistant_id,
        flat=shard.header.flat,
        include=shard.header.include,
        files=shard.files,
        concurrency=shard.concurrency,
        pace=PacingOptions(rpm=shard.rpm, max_retries=shard.max_retries),
    )


@attrs.define
class _Listener:
    """Passes the events on, and knows the requests."""

    _on_event: Callable[[Event], None]
    sent: int = attrs.field(default=0, init=False)
    _traffic: Callable[[], Traffic] | None = attrs.field(default=None, init=False)

    def take(self, event: Event) -> None:
        """Pass an event on."""
        if isinstance(event, ThreadsBegun):
            self._traffic = event.traffic
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
def _working_folder(shard: Shard, store: ObjectStore, work: Path | None) -> Iterator[Path]:
    """Yield a folder of this attempt alone. What another attempt has left there, it resumes."""
    parent = _folder_of(store, work)
    what = dumps([msgspec.to_builtins(shard.header), shard.ids])
    name = f"{shard.name}-{blake2b(what, digest_size=8).hexdigest()}"
    with on_disk(parent):
        parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        parent.mkdir(mode=0o700, exist_ok=True)
    for number in range(1, _FOLDERS):
        folder = parent / (name if number == 1 else f"{name}.{number}")
        with contextlib.ExitStack() as opened:
            try:
                opened.enter_context(locked(folder.with_name(f"{folder.name}.lock"), seconds=0))
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


def _folder_of(store: ObjectStore, work: Path | None) -> Path:
    return (work or work_folder()) / blake2b(store.url.encode(), digest_size=12).hexdigest()


def working_folders(store: ObjectStore, work: Path | None = None) -> dict[str, list[Path]]:
    """Return the working folders that attempts have left on this machine, by the names of their shards.

    Raises:
        OutputUnusable: the disk refuses.
    """
    parent, found = _folder_of(store, work), dict[str, list[Path]]()
    with on_disk(parent):
        for path in sorted(parent.iterdir()) if parent.is_dir() else ():
            if (match := _WORKING_FOLDER.fullmatch(path.name)) is not None:
                found.setdefault(match[1], []).append(path)
    return found


def work_folder() -> Path:
    """Return the folder of the working folders of this machine."""
    given = os.environ.get("THREADKEEP_WORK")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "threadkeep"


def _begin_with(store: ObjectStore, name: str, newest: Generation, folder: Path) -> None:
    """Put the files of a generation into an empty working folder: all of them or none."""
    draft = folder.with_name(f"{folder.name}.fetched")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    fetch_generation(store, name, newest, Paths(draft / "out.ndjson"))
    draft.rename(folder)


# --- the output store


def newest_generation(store: ObjectStore, name: str) -> Generation | None:
    """Return the manifest of a shard that counts; None if there is none."""
    return _newest(store, f"shards/{name}").get(name)


def newest_generations(store: ObjectStore) -> dict[str, Generation]:
    """Return the manifests that count, by the names of their shards."""
    return _newest(store, "shards")


def _newest(store: ObjectStore, below: str) -> dict[str, Generation]:
    numbers = Counter[str]()
    for name in store.names(below):
        if (found := _MANIFEST.fullmatch(name)) is not None:
            numbers[found[1]] = max(numbers[found[1]], int(found[2]))

    def read(shard: str) -> Generation:
        name = _manifest_name(shard, numbers[shard])
        try:
            return Generation(numbers[shard], decode_manifest(store.get(name) or b""))
        except ValueError as error:
            raise OutputUnusable(f"{store.url}/{name} is damaged: {error}") from None

    with ThreadPoolExecutor(_READERS) as readers:
        return dict(zip(numbers, readers.map(read, numbers), strict=True))


def _manifest_name(shard: str, number: int) -> str:
    return f"shards/{shard}/manifest-{number:04}.json"


@attrs.frozen
class StoredObject:
    """An object of a shard: its name below that of the shard, the file that it is, and its digest."""

    name: str
    path: Path
    sha256: str


def objects_of(manifest: Manifest, paths: Paths) -> Iterator[StoredObject]:
    """Yield the objects of a shard, but for its manifest.

    Files that were downloaded are the last: the list of them, which comes before, must be there when they are reached.
    """
    for kind, claim in manifest.files.items():
        yield StoredObject(f"{claim.sha256}.{kind}", paths.written[kind], claim.sha256)
    with open_file_set(paths) as files:
        rows = download_rows(files).values()
    for row in rows:
        if row.outcome is DownloadOutcome.SAVED and row.name is not None and row.sha256 is not None:
            yield StoredObject(f"files/{row.sha256}", paths.files / row.name, row.sha256)


def fetch_generation(
    store: ObjectStore, name: str, generation: Generation, paths: Paths, *, is_checked: bool = True
) -> None:
    """Write the files of a shard. The manifest comes last.

    Args:
        store: where they are.
        name: of the shard.
        generation: which files.
        paths: where they go.
        is_checked: compare their digests. Without it, they are only to be read, and by somebody who does: those of a
            folder may be linked.

    Raises:
        ObjectMissing: an object is missing.
        OutputUnusable: an object is damaged; or the store or the disk refuses.
    """
    for one in objects_of(generation.manifest, paths):
        if one.path.parent == paths.files:
            with on_disk(paths.files):
                paths.files.mkdir(mode=0o700, exist_ok=True)
        if is_checked:
            store.fetch(f"shards/{name}/{one.name}", one.path, one.sha256)
        else:
            store.place(f"shards/{name}/{one.name}", one.path)
    content = store.get(_manifest_name(name, generation.number)) or b""
    with on_disk(paths.manifest), create(paths.manifest) as file:
        file.write(content)


def _committed(shard: Shard, store: ObjectStore, paths: Paths, base: int, *, was_cut_off: bool) -> Manifest | None:
    """Put the files of a shard into the store, and return the manifest that counts there; None if there is none.

    Args:
        shard: what it is of.
        store: where they go.
        paths: of the files.
        base: the generation that they were made from; 0 for none.
        was_cut_off: the export has ended before every thread had its turn: without anything in it, it is not put.
    """
    while True:
        with on_disk(paths.manifest):
            content = paths.manifest.read_bytes()
        own = decode_manifest(content)
        newest = newest_generation(store, shard.name)
        if newest is not None:
            if is_done(newest.manifest, shard) or newest.manifest.files == own.files:
                return newest.manifest  # another run was first, or nothing new came
            if newest.number != base:  # neither has all of the other
                paths, base = _joined(shard, store, newest, paths), newest.number
                continue
        elif was_cut_off and own.outcomes.get(Outcome.UNFINISHED, 0) == own.totals.threads:
            return None
        _put_files(shard, store, paths, own)
        number = 1 if newest is None else newest.number + 1
        if store.create(_manifest_name(shard.name, number), content):
            return own


def _put_files(shard: Shard, store: ObjectStore, paths: Paths, manifest: Manifest) -> None:
    for one in objects_of(manifest, paths):
        name = f"shards/{shard.name}/{one.name}"
        if not store.create(name, one.path):
            raise OutputUnusable(
                f"{store.url}/{name} is not what its name says: somebody has changed it. Remove it,"
                " and run the same command again."
            )


def _joined(shard: Shard, store: ObjectStore, theirs: Generation, ours: Paths) -> Paths:
    """Join a shard with what another run has of it, so that nothing is lost."""
    folder = ours.out.parent / f"with-{theirs.number:04}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    other, joined = Paths(folder / "theirs.ndjson"), Paths(folder / "out.ndjson")
    fetch_generation(store, shard.name, theirs, other)
    join_exports([other, ours], joined, shard.ids)
    return joined
