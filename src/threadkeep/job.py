"""One export from end to end: the files begun or gone on with, the threads walked, the manifest written."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from importlib.metadata import version
from platform import python_version

import attrs

from threadkeep.errors import Interrupted, OutputUnusable, RunEnded, ThreadkeepError
from threadkeep.events import Event
from threadkeep.exporter import Options, export_threads
from threadkeep.journal import Entry, FileOutcome, Header
from threadkeep.manifest import Ending, Manifest, build
from threadkeep.outfiles import OutFiles
from threadkeep.paths import Paths
from threadkeep.walker import Api

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
        fresh: begin anew; an export that stands there is kept under another name.
    """

    ids: tuple[str, ...]
    paths: Paths
    options: Options
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
        ended_by: what ended the run before every thread had its turn; None when nothing did.
    """

    paths: Paths
    manifest: Manifest
    problems: tuple[Entry, ...]
    seconds: float
    resumed: int
    ended_by: ThreadkeepError | None

    @property
    def is_whole(self) -> bool:
        """Whether every wanted thread is in the export."""
        failed = any(file.outcome is FileOutcome.FAILED for file in self.manifest.files)
        unfinished = self.manifest.unfinished or self.manifest.unfinished_files
        return self.ended_by is None and not self.problems and not unfinished and not failed


async def carry_out(
    job: Job,
    apis: Sequence[Api],
    source: str,
    *,
    now: Callable[[], datetime],
    on_event: Callable[[Event], None] = lambda _event: None,
) -> Result:
    """Make an export, and write its manifest however it ends, also when this task is cancelled: that is caught.

    Args:
        job: what to export.
        apis: where from, once for each key.
        source: their address, without secrets.
        now: the time, in UTC.
        on_event: see `threadkeep.exporter.export_threads`.

    Raises:
        OutputUnusable: the files cannot be begun, or not be brought to their end.
    """
    started = now()
    with OutFiles.begin(job.paths, _header(job, source, started), fresh=job.fresh) as out:
        resumed = len(out.journal.complete)
        ended_by = await _ending(export_threads(job.ids, apis, out, job.options, on_event=on_event))
        finished = now()
        manifest = build(out.header, out.journal, _manifest_ending(job, finished, ended_by), _versions())
        with contextlib.suppress(OutputUnusable) if isinstance(ended_by, OutputUnusable) else contextlib.nullcontext():
            out.finish(manifest)
        return Result(
            paths=job.paths,
            manifest=manifest,
            problems=out.journal.not_complete,
            seconds=(finished - started).total_seconds(),
            resumed=resumed,
            ended_by=ended_by,
        )


def _header(job: Job, source: str, started: datetime) -> Header:
    return Header(
        source=source,
        assistant_id=job.options.assistant_id,
        flat=job.options.flat,
        started_at=started.isoformat(timespec="seconds"),
        include=job.options.include,
        files=job.options.files,
    )


def _manifest_ending(job: Job, finished: datetime, ended_by: ThreadkeepError | None) -> Ending:
    return Ending(
        finished_at=finished.isoformat(timespec="seconds"),
        listed=job.ids,
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
