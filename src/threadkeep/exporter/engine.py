"""The export: many threads at once, each written whole, and then the files that they refer to.

An async shell round the pure steps of `threadkeep.api.pagination`. At most ``concurrency`` threads are walked at a
time, each through its own spool; one writer puts them into the export. What cannot be exported has its reason in the
journal. A thread that failed is walked once more when all others are through. The sunset, a refused key, a wrong
address or a silent server end the run: no more is asked, answers on their way are still taken, and the pages of
threads that were cut off are kept aside.
"""

from collections.abc import Callable, Iterable, Sequence

import attrs

from threadkeep.api.client import PacingOptions, TransportLike
from threadkeep.api.worker_pool import WorkerPool, traffic_of
from threadkeep.errors import ApiGone, RunEnded
from threadkeep.exporter.commits import Writer
from threadkeep.exporter.events import Event, Notice, ThreadsBegun
from threadkeep.exporter.files import FileRound
from threadkeep.exporter.threads import ThreadDownload, ThreadRound
from threadkeep.outfiles import OutFiles

__all__ = ["Options", "export_threads"]


@attrs.frozen(kw_only=True)
class Options:
    """How to export.

    Attributes:
        assistant_id: the assistant that the export is for.
        flat: write flat lines.
        include: what to save beside the messages, of `threadkeep.storage.paths.SIDECAR_KINDS`.
        files: download the files that messages refer to, and steps where runs are saved.
        refresh: ask for the threads that are complete too. What stands of one stays until it is complete again.
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


async def export_threads(
    thread_ids: Iterable[str],
    transports: Sequence[TransportLike],
    out: OutFiles,
    options: Options,
    *,
    on_event: Callable[[Event], None] = lambda _event: None,
) -> None:
    """Export every thread that can be; afterwards ``out.journal`` says what became of each.

    Args:
        thread_ids: distinct; a malformed one costs no request, and one that is complete in ``out`` none either,
            unless it is to be refreshed.
        transports: where the threads are, once for each key. A thread stays with one of them, unless that one knows no
            such thread or is refused.
        out: where they go.
        options: how.
        on_event: called with each thread's journal entry when that is on the disk, and with what else is to be told.

    Raises:
        RunEnded: the run ended before every thread had its turn. What came is in the files.
        OutputUnusable: the disk refuses.
    """
    wanted = list(thread_ids)
    waiting = [thread_id for thread_id in wanted if options.refresh or not out.stands(thread_id)]
    writer = Writer(out, on_event)
    pools = [_pool(transports, options, on_event)]

    def new(thread_id: str) -> ThreadDownload:
        return _walked(thread_id, out, options)

    on_event(ThreadsBegun(total=len(wanted), before=len(wanted) - len(waiting), traffic=lambda: traffic_of(pools)))
    await ThreadRound(pools[0], out, writer, new).go(waiting)
    if options.files and isinstance(pools[0].ended_by, ApiGone | None):  # files outlived the threads (quoted)
        pools.append(_pool(transports, options, on_event))
        await FileRound(pools[1], out, writer, on_event).go()
    endings: list[RunEnded] = [pool.ended_by for pool in pools if pool.ended_by is not None]
    if endings:
        raise endings[0]


def _pool(transports: Sequence[TransportLike], options: Options, on_event: Callable[[Event], None]) -> WorkerPool:
    return WorkerPool(transports, options.pace, options.concurrency, lambda text: on_event(Notice(text)))


def _walked(thread_id: str, out: OutFiles, options: Options) -> ThreadDownload:
    return ThreadDownload(
        thread_id,
        out,
        assistant_id=options.assistant_id,
        flat=options.flat,
        include=options.include,
        files=options.files,
    )
