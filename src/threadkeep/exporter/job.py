"""One export from end to end: the files begun or gone on with, the threads walked, the manifest written."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from datetime import datetime
from functools import partial
from importlib.metadata import version
from platform import python_version
from typing import TypeVar

import attrs

from threadkeep.api.client import TransportLike
from threadkeep.errors import Interrupted, OutputUnusable, RunEnded, ThreadkeepError
from threadkeep.exporter.engine import Options, export_threads
from threadkeep.exporter.events import Event, Notice
from threadkeep.healing import Asked
from threadkeep.journal import Entry, Header
from threadkeep.outfiles import OutFiles
from threadkeep.storage.manifest import Ending, Manifest, build
from threadkeep.storage.paths import Paths

__all__ = ["CONCURRENCY", "RETRIES", "USUAL", "Job", "Result", "carry_out"]

USUAL = Options(assistant_id="")
"""What counts where nothing else is said, at the command line and from Python."""

CONCURRENCY = (1, 256)
"""The fewest threads at a time, and the most."""

RETRIES = (0, 100)
"""The same for retries of a request."""


@attrs.frozen(kw_only=True)
class Job:
    """One export to be made.

    Attributes:
        ids: distinct thread ids.
        paths: where the export goes.
        options: how it is made.
        left_out: ids that are saved elsewhere; nobody is told that an earlier run was asked for them.
        fresh: begin anew; an export that stands there is kept under another name.
    """

    ids: tuple[str, ...]
    paths: Paths
    options: Options
    left_out: Set[str] = frozenset()
    fresh: bool = False


@attrs.frozen(kw_only=True)
class Result:
    """What an export came to.

    Attributes:
        paths: where its files are.
        manifest: what it claims.
        problems: the journal entries of the threads that are not whole in it.
        seconds: how long this run took.
        resumed: how many threads were complete before this run, and were not asked for.
        left_over: the unfinished threads that an earlier run was asked for, and this one was not.
        not_refreshed: the threads that were to be refreshed and are as they were, by id, and why.
        ended_by: what ended the run before every thread had its turn; None when nothing did.
    """

    paths: Paths
    manifest: Manifest
    problems: tuple[Entry, ...]
    seconds: float
    resumed: int
    left_over: tuple[str, ...] = ()
    not_refreshed: Mapping[str, str] = attrs.field(factory=dict)
    ended_by: ThreadkeepError | None

    @property
    def is_whole(self) -> bool:
        """Whether every wanted thread is in the export, and refreshed where that was wanted."""
        return self.ended_by is None and self.manifest.is_whole and not self.not_refreshed


async def carry_out(
    job: Job,
    transports: Sequence[TransportLike],
    source: str,
    *,
    now: Callable[[], datetime],
    on_event: Callable[[Event], None] = lambda _event: None,
) -> Result:
    """Make an export, and write its manifest however it ends, also when this task is cancelled: that is caught.

    Args:
        job: what to export.
        transports: where from, once for each key.
        source: their address, without secrets.
        now: the time, in UTC.
        on_event: see `threadkeep.exporter.engine.export_threads`; before that, a `Notice` where a damaged export is
            healed.

    Raises:
        OutputUnusable: the files cannot be begun, or not be brought to their end.
        Interrupted: this task was cancelled while the files were looked at: they are as they were.
    """
    started = now()
    begun, interrupted = await _begun(job, _header(job, source, started))
    with begun as out:
        for notice in out.notices:
            on_event(Notice(notice))
        again = frozenset(filter(out.stands, job.ids)) if job.options.refresh else frozenset()
        resumed = len(out.journal.complete) - len(again)
        exporting = partial(export_threads, job.ids, transports, out, job.options, on_event=on_event)
        ended_by = interrupted or await _ending(exporting())
        ended_by = await _without_what_is_superseded(out, ended_by)
        finished = now()
        manifest = build(out.header, out.journal, _manifest_ending(job, out, finished, ended_by), _versions())
        with contextlib.suppress(OutputUnusable) if isinstance(ended_by, OutputUnusable) else contextlib.nullcontext():
            out.finish(manifest)
        return Result(
            paths=job.paths,
            manifest=manifest,
            problems=out.journal.not_complete,
            seconds=(finished - started).total_seconds(),
            resumed=resumed,
            left_over=tuple(sorted(set(manifest.unfinished) - set(job.ids))),
            not_refreshed={name: out.not_refreshed.get(name, _NO_TURN) for name in sorted(filter(out.stands, again))},
            ended_by=ended_by,
        )


_T = TypeVar("_T")

_NO_TURN = "the run ended before it was asked for again"


def _header(job: Job, source: str, started: datetime) -> Header:
    return Header(
        source=source,
        assistant_id=job.options.assistant_id,
        flat=job.options.flat,
        started_at=started.isoformat(timespec="seconds"),
        include=job.options.include,
        files=job.options.files,
    )


async def _begun(job: Job, header: Header) -> tuple[OutFiles, Interrupted | None]:
    """Begin in a thread: what stands there is read to its last byte first, and a signal must be heard then too.

    Who is cancelled when that is over, and the last manifest is gone, has to write another.
    """
    over = threading.Event()
    asked = Asked(frozenset(job.ids), job.options.refresh, job.left_out)
    begin = partial(OutFiles.begin, job.paths, header, fresh=job.fresh, asked=asked, is_over=over.is_set)
    out = await _in_a_thread(begin, over.set)
    return out, Interrupted("interrupted") if over.is_set() else None


async def _without_what_is_superseded(out: OutFiles, ended_by: ThreadkeepError | None) -> ThreadkeepError | None:
    """Take out of the files what refreshed threads have left there, and say what has ended the run by then.

    That is not broken off: until it is done, threads stand twice in the export. A kill breaks it off, and then the
    next run does it.
    """
    over = threading.Event()
    if isinstance(ended_by, OutputUnusable):
        return ended_by
    try:
        await _in_a_thread(out.compact, over.set)
    except OutputUnusable as error:
        return error
    return ended_by or (Interrupted("interrupted") if over.is_set() else None)


async def _in_a_thread(work: Callable[[], _T], on_cancel: Callable[[], None]) -> _T:
    """Do something in a thread, to its end. ``on_cancel`` is called when this task is cancelled meanwhile.

    No task waits for the thread, since the end of an event loop would cancel it, and nobody would let go of the files.
    """
    working = asyncio.get_running_loop().run_in_executor(None, work)
    while not working.done():
        try:
            await asyncio.wait({working})
        except asyncio.CancelledError:
            on_cancel()
    return working.result()


def _manifest_ending(job: Job, out: OutFiles, finished: datetime, ended_by: ThreadkeepError | None) -> Ending:
    left_over = (thread_id for thread_id in out.left_over if thread_id not in job.left_out)
    return Ending(
        finished_at=finished.isoformat(timespec="seconds"),
        listed=tuple(dict.fromkeys([*job.ids, *left_over])),
        ended_by=None if ended_by is None else str(ended_by),
    )


async def _ending(exporting: Awaitable[None]) -> ThreadkeepError | None:
    try:
        await exporting
    except (RunEnded, OutputUnusable) as error:
        return error
    except asyncio.CancelledError:
        return Interrupted("interrupted")
    return None


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("threadkeep", "openai")} | {"python": python_version()}
