"""Fetch what a run is to fetch: the threads, and then the files that they refer to.

At most ``concurrency`` threads are walked at a time, and their pages committed as they come. A thread that failed is
asked for once more when all others are through. The sunset, a rejected key, a wrong address or a silent server end the
run: no more is asked, and answers on their way are still stored.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import attrs

from threadkeep.api.client import PacingOptions, TransportLike
from threadkeep.api.worker_pool import WorkerPool, traffic_of
from threadkeep.errors import ApiGone, RunEnded
from threadkeep.exporter.commits import Commits
from threadkeep.exporter.events import Event, Notice, ThreadsBegun
from threadkeep.exporter.files import FileRound
from threadkeep.exporter.threads import ThreadRound
from threadkeep.storage.index import DownloadRow
from threadkeep.storage.store import Plan, Store

__all__ = ["ExportOptions", "FilesToFetch", "fetch_all"]


@attrs.frozen(kw_only=True)
class ExportOptions:
    """How to export.

    Attributes:
        assistant_id: the assistant that the export is for; "auto" for each thread's own.
        flat: write flat lines.
        include: what to save next to the messages, of `threadkeep.storage.paths.SIDECAR_KINDS`.
        files: download the files that messages refer to, and steps if runs are saved.
        refresh: ask for the threads that are complete too.
        concurrency: how many threads are walked at a time.
        pace: how hard to ask.
    """

    assistant_id: str
    flat: bool = False
    include: tuple[str, ...] = ()
    files: bool = False
    refresh: bool = False
    concurrency: int = 64
    pace: PacingOptions = attrs.field(factory=PacingOptions)


@attrs.frozen
class FilesToFetch:
    """The files that complete threads refer to, and what became of files before."""

    folder: Path
    wanted: Iterable[str]
    known: Mapping[str, DownloadRow]


async def fetch_all(
    store: Store,
    commits: Commits,
    plan: Plan,
    transports: Sequence[TransportLike],
    options: ExportOptions,
    *,
    resumed: bool,
    files: Callable[[], FilesToFetch],
    on_event: Callable[[Event], None],
) -> None:
    """Fetch every thread that the store is to ask for, and the files.

    Args:
        store: with its plan.
        commits: where pages and outcomes go.
        plan: of the store.
        transports: where the threads are, once for each key. A thread stays with one of them, unless that one knows no
            such thread or is rejected.
        options: how.
        resumed: the store may hold pages of threads that were cut off.
        files: returns which files to fetch, when the threads are through.
        on_event: receives the events.

    Raises:
        RunEnded: the run ended before every thread had its turn. What came is in the store.
        OutputUnusable: the disk refuses.
    """
    pools = [_pool(transports, options, on_event)]
    before = plan.listed - plan.ask
    on_event(ThreadsBegun(total=plan.listed, before=before, traffic=lambda: traffic_of(pools)))
    try:
        await ThreadRound(pools[0], store, commits, options.include, resumed=resumed).run()
        if options.files and isinstance(pools[0].ended_by, ApiGone | None):  # files outlived the threads (quoted)
            found = await commits.call(files)
            pools.append(_pool(transports, options, on_event))
            await FileRound(pools[1], found.folder, commits, found.wanted, found.known, on_event).run()
    finally:
        await commits.settle()
    endings: list[RunEnded] = [pool.ended_by for pool in pools if pool.ended_by is not None]
    if endings:
        raise endings[0]


def _pool(transports: Sequence[TransportLike], options: ExportOptions, on_event: Callable[[Event], None]) -> WorkerPool:
    return WorkerPool(transports, options.pace, options.concurrency, lambda text: on_event(Notice(text)))
