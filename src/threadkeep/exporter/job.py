"""One export from end to end: a session on the disk, and what is fetched for it."""

import asyncio
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import attrs
import msgspec

from threadkeep.api.client import TransportLike
from threadkeep.errors import Interrupted, OutputUnusable, RunEnded, ServerUnreachable, ThreadkeepError, WrongAddress
from threadkeep.exporter.commits import Commits, StoreThread
from threadkeep.exporter.engine import ExportOptions, FilesToFetch, fetch_all
from threadkeep.exporter.events import Event, Notice
from threadkeep.storage.damage import index_rows
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.index import DownloadRow, IndexHeader, IndexRow, Outcome
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.session import InvalidId, Session, ThreadList, download_rows

__all__ = ["CONCURRENCY", "DEFAULTS", "RETRIES", "ExportResult", "InvalidId", "Job", "carry_out"]

DEFAULTS = ExportOptions(assistant_id="")
"""What counts where nothing else is given, at the command line and from Python."""

CONCURRENCY = (1, 256)
"""The fewest threads at a time, and the most."""

RETRIES = (0, 100)
"""The same for retries of a request."""

_EXAMPLES = 20


@attrs.frozen(kw_only=True)
class Job:
    """One export to be made.

    Attributes:
        ids: the thread ids with their places in the list, from 1. Read once, and never held together.
        paths: where the export goes.
        options: how it is made.
        done: ids that are saved elsewhere: they are left out of the list.
        drop: ids that are not wanted any more.
        limit: how many of the list to take; None for all.
        fresh: begin anew; an export that is there is kept under another name.
    """

    ids: Iterable[tuple[int, str]]
    paths: Paths
    options: ExportOptions
    done: Iterable[str] = ()
    drop: Iterable[str] = ()
    limit: int | None = None
    fresh: bool = False


@attrs.frozen(kw_only=True)
class ExportResult:
    """What an export came to.

    Attributes:
        paths: where its files are.
        manifest: of what is written; None if nothing is.
        outcomes: how many threads have each outcome, those of earlier runs too.
        fetched, messages: how many threads this run has completed, and with how many messages.
        seconds: how long this run took.
        already_complete: how many listed threads needed no request.
        left_over: how many threads of earlier runs are not complete, and were not in the list.
        invalid: the first entries of the list that cannot be thread ids.
        invalid_count: how many there are.
        not_refreshed: how many threads were to be refreshed and are as they were.
        not_refreshed_examples: the first of them, and why.
        ended_by: what ended the run before every thread had its turn; None when nothing did.
    """

    paths: Paths
    manifest: Manifest | None
    outcomes: Mapping[str, int]
    fetched: int
    messages: int
    seconds: float
    already_complete: int
    left_over: int = 0
    invalid: tuple[InvalidId, ...] = ()
    invalid_count: int = 0
    not_refreshed: int = 0
    not_refreshed_examples: tuple[tuple[str, str], ...] = ()
    ended_by: ThreadkeepError | None

    @property
    def is_complete(self) -> bool:
        """Whether every wanted thread is in the export, and refreshed where that was wanted."""
        return (
            self.ended_by is None
            and self.manifest is not None
            and self.manifest.is_complete
            and not self.invalid_count
            and not self.not_refreshed
        )

    def problems(self) -> Iterator[IndexRow]:
        """Yield the rows of the threads that are not complete, from the index.

        Raises:
            OutputUnusable: the index cannot be read.
        """
        with open_file_set(self.paths) as files:
            index = files.files.get("index")
            for row in index_rows(index, self.paths.index.name) if index is not None else ():
                if row.outcome not in (Outcome.COMPLETE, Outcome.DROPPED):
                    yield row

    def downloads(self) -> Iterator[DownloadRow]:
        """Yield what became of each file, from the list of downloads.

        Raises:
            OutputUnusable: the list cannot be read.
        """
        with open_file_set(self.paths) as files:
            yield from download_rows(files).values()


async def carry_out(
    job: Job,
    transports: Sequence[TransportLike],
    source: str,
    *,
    now: Callable[[], datetime],
    on_event: Callable[[Event], None] = lambda _event: None,
) -> ExportResult:
    """Make an export, or resume one. However it ends, what was fetched is safe.

    When the run ends by itself, its files are written. When this task is cancelled, which is caught, or the disk is
    full, the working store stays for the next run.

    Args:
        job: what to export.
        transports: where from, once for each key.
        source: their address, without secrets.
        now: returns the time, in UTC.
        on_event: receives the events.

    Raises:
        OutputUnusable: the export cannot be begun.
        UnreadableIds: the list of ids cannot be read; nothing has been begun.
        Interrupted: this task was cancelled before anything was asked.
    """
    started, over, thread = now(), threading.Event(), StoreThread()
    session = Session(job.paths, started, lambda: _raise_if(over))
    try:
        await thread.finish(lambda: _begin(session, job, source), over.set)
        _raise_if(over)
        for text in session.notices:
            on_event(Notice(text))
        ended_by = await _fetched(session, job, thread, transports, on_event)
        return await thread.finish(lambda: _end(session, job, ended_by, now), lambda: None)
    finally:
        await thread.finish(session.close, lambda: None)
        thread.close()


def _raise_if(over: threading.Event) -> None:
    if over.is_set():
        raise Interrupted("interrupted")


def _begin(session: Session, job: Job, source: str) -> None:
    options = job.options
    given = {"assistant_id": options.assistant_id, "flat": options.flat, "include": options.include}
    header = msgspec.convert({"source": source, **given}, IndexHeader)
    wanted = ThreadList(ids=job.ids, done=job.done, drop=job.drop, limit=job.limit, refresh=options.refresh)
    session.begin(header, wanted, fresh=job.fresh)


async def _fetched(
    session: Session,
    job: Job,
    thread: StoreThread,
    transports: Sequence[TransportLike],
    on_event: Callable[[Event], None],
) -> ThreadkeepError | None:
    """Fetch everything, and return what ended that before its time."""
    commits = Commits(session.store, thread, on_event, session.progress)

    def files() -> FilesToFetch:
        return FilesToFetch(job.paths.files, dict.fromkeys(session.files_of_complete()), session.known_downloads())

    try:
        await fetch_all(
            session.store,
            commits,
            session.plan,
            transports,
            job.options,
            resumed=session.resumed,
            files=files,
            on_event=on_event,
        )
    except (RunEnded, OutputUnusable) as error:
        return error
    except asyncio.CancelledError:
        return Interrupted("interrupted")
    finally:
        session.progress = commits.progress
    return None


def _end(session: Session, job: Job, ended_by: ThreadkeepError | None, now: Callable[[], datetime]) -> ExportResult:
    """Write what was fetched, if the run has ended by itself, and return what it came to."""
    manifest = session.manifest
    not_refreshed, examples = session.store.not_refreshed(_EXAMPLES)
    outcomes = session.store.outcomes()
    if not isinstance(ended_by, Interrupted | OutputUnusable):
        try:
            manifest = _written(session, job, ended_by, now)
        except OutputUnusable as error:
            ended_by = error
        else:
            outcomes = manifest.outcomes if manifest is not None else outcomes
    finished = now()
    return ExportResult(
        paths=job.paths,
        manifest=manifest,
        outcomes=dict.fromkeys(map(str, Outcome), 0) | dict(outcomes),
        fetched=session.progress.complete - session.begun.complete,
        messages=session.progress.messages - session.begun.messages,
        seconds=(finished - session.started_at).total_seconds(),
        already_complete=session.plan.listed - session.plan.ask,
        left_over=session.plan.left_over,
        invalid=tuple(session.invalid),
        invalid_count=session.invalid_count,
        not_refreshed=not_refreshed,
        not_refreshed_examples=tuple((one, why or "the run ended before its turn") for one, why in examples),
        ended_by=ended_by,
    )


def _written(
    session: Session, job: Job, ended_by: ThreadkeepError | None, now: Callable[[], datetime]
) -> Manifest | None:
    manifest = session.manifest
    is_elsewhere = isinstance(ended_by, WrongAddress | ServerUnreachable)
    if is_elsewhere and session.old is None and not session.store.has_content and not session.store.facts.fresh:
        session.forget_store()
        return None
    if manifest is not None and not session.has_news and (manifest.ended_by is None) == (ended_by is None):
        session.forget_store()
        return manifest
    words = None if ended_by is None else str(ended_by)
    return session.write(words, now(), with_downloads=job.options.files)
