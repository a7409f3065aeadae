"""One export from end to end: a session on the disk, and what is fetched for it."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import attrs
import msgspec

from threadkeep.api.calls import DEFAULT_CONCURRENCY
from threadkeep.api.client import PacingOptions, TransportLike
from threadkeep.api.worker_pool import WorkerPool, traffic_of
from threadkeep.errors import ApiGone, Interrupted, OutputUnusable, ServerUnreachable, ThreadkeepError, WrongAddress
from threadkeep.exporter.commits import Commits
from threadkeep.exporter.events import Event, Notice, ThreadsBegun
from threadkeep.exporter.files import FileRound
from threadkeep.exporter.threads import Authors, ThreadRound
from threadkeep.storage.damage import download_rows, index_rows
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.index import DownloadOutcome, DownloadRow, IndexHeader, IndexRow, Outcome
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.session import InvalidId, Session, ThreadList
from threadkeep.storage.store import Progress
from threadkeep.storage.store_thread import StoreThread

__all__ = ["ExportResult", "Job", "carry_out"]

_EXAMPLES = 20

# So many threads of a run that wrote nothing are listed as its problems.
_PROBLEMS = 1000

# With fewer threads the HTTP library is little of a run.
_MANY_THREADS = 200


@attrs.frozen(kw_only=True)
class Job:
    """One export to be made.

    Attributes:
        wanted: which threads it is for.
        paths: where it goes.
        assistant_id: the assistant that it is for; "auto" for each thread's own.
        flat: write flat lines.
        include: what to save next to the messages, of `threadkeep.storage.paths.SIDECAR_KINDS`.
        files: download the files that messages refer to, and steps if runs are saved.
        fresh: begin anew; an export that is there is kept under another name.
        concurrency: how many threads are walked at a time.
        pace: how hard to ask.
    """

    wanted: ThreadList
    paths: Paths
    assistant_id: str
    flat: bool = False
    include: tuple[str, ...] = ()
    files: bool = False
    fresh: bool = False
    concurrency: int = DEFAULT_CONCURRENCY
    pace: PacingOptions = attrs.field(factory=PacingOptions)


@attrs.frozen(kw_only=True)
class ExportResult:
    """What an export came to.

    Attributes:
        paths: where its files are.
        manifest: of what is written; None if nothing is.
        outcomes: how many threads have each outcome, those of earlier runs too.
        is_written: whether this run has written the files; not if they are as they were, or it was interrupted.
        fetched, messages: how many threads this run has completed, and with how many messages.
        stored: the counts of the working store, which may have been begun by an earlier run.
        seconds: how long this run took.
        already_complete: how many listed threads needed no request.
        left_over: how many threads of earlier runs are not complete, and were not in the list.
        invalid: the first entries of the list that cannot be thread ids.
        invalid_count: how many there are.
        not_refreshed: how many threads were to be refreshed and are as they were.
        not_refreshed_examples: the first of them, and why.
        other_assistants: how many of the messages that this run fetched each other assistant than the one of the
            export wrote; empty with "auto".
        has_no_file: whether files were asked for, and none is there, since the API does not have them any more.
        ended_by: what ended the run before every thread had its turn; None when nothing did.
    """

    paths: Paths
    manifest: Manifest | None
    is_written: bool
    outcomes: Mapping[str, int]
    fetched: int
    messages: int
    stored: Progress
    seconds: float
    already_complete: int
    left_over: int = 0
    invalid: tuple[InvalidId, ...] = ()
    invalid_count: int = 0
    not_refreshed: int = 0
    not_refreshed_examples: tuple[tuple[str, str], ...] = ()
    other_assistants: Mapping[str, int] = attrs.field(factory=dict)
    has_no_file: bool = False
    ended_by: ThreadkeepError | None
    _unwritten: tuple[IndexRow, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every wanted thread is in the export, refreshed where that was wanted, with files where they were."""
        return (
            self.ended_by is None
            and self.manifest is not None
            and self.manifest.is_complete
            and not self.invalid_count
            and not self.not_refreshed
            and not self.has_no_file
        )

    def problems(self) -> Iterator[IndexRow]:
        """Yield the rows of the threads that are not complete, from the index.

        A run that ended early may have written nothing. If there is no index then, they are the first 1,000.

        Raises:
            OutputUnusable: the index cannot be read.
        """
        with open_file_set(self.paths) as files:
            index = files.files.get("index")
            for row in index_rows(index, self.paths.index.name) if index is not None else self._unwritten:
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

    def check() -> None:
        if over.is_set():
            raise Interrupted("interrupted")

    session = Session(job.paths, started, check)
    given = {"assistant_id": job.assistant_id, "flat": job.flat, "include": job.include}
    header = msgspec.convert({"source": source, **given}, IndexHeader)
    try:
        await thread.finish(lambda: session.begin(header, job.wanted, fresh=job.fresh), on_cancel=over.set)
        check()
        if job.wanted.form is not None:
            on_event(Notice(job.wanted.form, is_problem=False))
        for text in session.notices:
            on_event(Notice(text))
        authors = Authors()
        ended_by = await _fetch(session, job, thread, transports, on_event, authors)
        return await thread.finish(lambda: _end(session, job, ended_by, now, authors))
    finally:
        await thread.finish(session.close)
        thread.close()


async def _fetch(
    session: Session,
    job: Job,
    thread: StoreThread,
    transports: Sequence[TransportLike],
    on_event: Callable[[Event], None],
    authors: Authors,
) -> ThreadkeepError | None:
    """Fetch the threads, then the files that they refer to, and return what ended that before its time.

    At most ``concurrency`` threads are walked at a time, and their pages committed as they come. A thread that failed
    is asked for once more when all others are through. The sunset, a rejected key, a wrong address or a silent server
    end the run: no more is asked, and answers on their way are still stored.
    """
    store, plan = session.store, session.plan
    commits = Commits(store, thread, on_event, session.progress)

    def pool() -> WorkerPool:
        return WorkerPool(transports, job.pace, job.concurrency, lambda text: on_event(Notice(text)))

    pools = [pool()]
    try:
        try:
            before = plan.listed - plan.ask
            if plan.ask >= _MANY_THREADS:
                for transport in transports:
                    transport.use_aiohttp()
            library = transports[0].library
            on_event(ThreadsBegun(total=plan.listed, before=before, library=library, traffic=lambda: traffic_of(pools)))
            await ThreadRound(pools[0], store, commits, job.include, authors, session.resumed).run()
            if job.files and isinstance(pools[0].ended_by, ApiGone | None):  # files outlived the threads (quoted)
                wanted = await thread.call(lambda: list(dict.fromkeys(session.files_of_complete())))
                known = await thread.call(session.known_downloads)
                pools.append(pool())
                await FileRound(pools[1], job.paths.files, commits, wanted, known, on_event).run()
        finally:
            await commits.settle()
    except OutputUnusable as error:
        return error
    except asyncio.CancelledError:
        return Interrupted("interrupted")
    finally:
        session.progress, session.http_library = commits.progress, transports[0].library
    return next((pool.ended_by for pool in pools if pool.ended_by is not None), None)


def _end(
    session: Session, job: Job, ended_by: ThreadkeepError | None, now: Callable[[], datetime], authors: Authors
) -> ExportResult:
    """Write what was fetched, if the run has ended by itself, and return what it came to."""
    manifest = session.manifest
    not_refreshed, examples = session.store.not_refreshed(_EXAMPLES)
    outcomes: Mapping[str, int] = session.store.outcomes()
    unwritten = tuple(
        IndexRow(thread_id=one, assistant_id=None, outcome=Outcome(outcome), reason=reason)
        for one, outcome, reason in session.store.problems(0 if ended_by is None or manifest is not None else _PROBLEMS)
    )
    if not isinstance(ended_by, Interrupted | OutputUnusable):
        try:
            manifest = _write(session, job, ended_by, now)
        except OutputUnusable as error:
            ended_by = error
        else:
            outcomes = manifest.outcomes if manifest is not None else outcomes
    return ExportResult(
        paths=job.paths,
        manifest=manifest,
        is_written=manifest is not session.manifest,
        outcomes=dict.fromkeys(map(str, Outcome), 0) | dict(outcomes),
        fetched=session.progress.complete - session.begun.complete,
        messages=session.progress.messages - session.begun.messages,
        stored=session.progress,
        seconds=(now() - session.started_at).total_seconds(),
        already_complete=session.plan.listed - session.plan.ask,
        left_over=session.plan.left_over,
        invalid=tuple(session.invalid.examples),
        invalid_count=session.invalid.count,
        not_refreshed=not_refreshed,
        not_refreshed_examples=tuple((one, why or "the run ended before its turn") for one, why in examples),
        other_assistants=dict(authors.others),
        has_no_file=job.files and manifest is not None and _has_no_file(manifest.downloads or {}),
        ended_by=ended_by,
        unwritten=unwritten if manifest is None else (),
    )


def _has_no_file(downloads: Mapping[str, int]) -> bool:
    """Return whether none of the files came. What the API gives to nobody is not waited for."""
    return downloads.get(DownloadOutcome.MISSING, 0) > 0 and not downloads.get(DownloadOutcome.SAVED, 0)


def _write(
    session: Session, job: Job, ended_by: ThreadkeepError | None, now: Callable[[], datetime]
) -> Manifest | None:
    """Write the files anew, unless they would be as they are, or nothing is there and nothing came."""
    manifest, store = session.manifest, session.store
    is_elsewhere = isinstance(ended_by, WrongAddress | ServerUnreachable)
    has_nothing = session.old is None and not store.has_content and not store.facts.fresh
    is_as_before = manifest is not None and (manifest.ended_by is None) == (ended_by is None)
    if (is_elsewhere and has_nothing) or (is_as_before and not session.has_news):
        session.forget_store()
        return manifest
    words = None if ended_by is None else str(ended_by)
    return session.write(words, now(), with_downloads=job.files)
