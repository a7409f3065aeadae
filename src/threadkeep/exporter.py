"""The export: walk many threads at once, and write each whole.

An async shell round the pure steps of `threadkeep.paging`. At most ``concurrency`` threads are walked at a time,
each through its own spool; one writer puts them into the export. What cannot be exported has its reason in the
journal. A thread that failed is walked once more when all others are through. The sunset, a refused key, a wrong
address or a silent server end the run: no more is asked, answers on their way are still taken, and the pages of
threads that were cut off are kept aside.
"""

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence

import attrs

from threadkeep.downloads import Downloads
from threadkeep.errors import (
    AccessRefused,
    ApiError,
    ApiGone,
    BadPage,
    IdRefused,
    RequestFailed,
    RunEnded,
    ServerUnreachable,
    ThreadMissing,
)
from threadkeep.events import Event, FilesBegun, Notice, ThreadsBegun
from threadkeep.ids import is_thread_id
from threadkeep.journal import Entry, FileEntry, FileOutcome, Outcome
from threadkeep.outfiles import Finished, OutFiles
from threadkeep.pace import Traffic
from threadkeep.walked import Walked
from threadkeep.walker import Api, Pace, Walker
from threadkeep.writer import Writer

__all__ = ["Options", "export_threads"]

_OUTCOMES: dict[type[ApiError], Outcome] = {
    ThreadMissing: Outcome.MISSING,
    IdRefused: Outcome.INVALID,
    BadPage: Outcome.FAILED,
    RequestFailed: Outcome.FAILED,
}

# What a file is to a key of another project, or to one that may ask for threads only.
_PERHAPS_ANOTHERS = (FileOutcome.MISSING, FileOutcome.NOT_ALLOWED)


@attrs.frozen(kw_only=True)
class Options:
    """How to export.

    Attributes:
        assistant_id: the assistant that the export is for.
        flat: write flat lines.
        include: what to save beside the messages, of `threadkeep.paths.BESIDE`.
        files: download the files that messages refer to, and steps where runs are saved.
        concurrency: how many threads are walked at a time.
        pace: how hard to ask.
    """

    assistant_id: str
    flat: bool = False
    include: tuple[str, ...] = ()
    files: bool = False
    concurrency: int = 64
    pace: Pace = attrs.field(factory=Pace)


async def export_threads(
    thread_ids: Iterable[str],
    apis: Sequence[Api],
    out: OutFiles,
    options: Options,
    *,
    on_event: Callable[[Event], None] = lambda _event: None,
) -> None:
    """Export every thread that can be; afterwards ``out.journal`` says what became of each.

    Args:
        thread_ids: distinct; a malformed one costs no request, and one that is complete in ``out`` none either.
        apis: where the threads are, once for each key. A thread stays with one of them, unless that one knows no such
            thread or is refused.
        out: where they go.
        options: how.
        on_event: called with each thread's journal entry when that is on the disk, and with what else is to be told.

    Raises:
        RunEnded: the run ended before every thread had its turn. What came is in the files.
        OutputUnusable: the disk refuses.
    """
    complete = {entry.thread_id for entry in out.journal.complete}
    wanted = list(thread_ids)
    waiting = [thread_id for thread_id in wanted if thread_id not in complete]
    writer = Writer(out, on_event)
    run = _Run(apis, out, options, writer, on_event)
    on_event(ThreadsBegun(total=len(wanted), before=len(wanted) - len(waiting), traffic=run.traffic))
    await run.go(waiting)
    if run.ended_by is not None:
        raise run.ended_by


_Work = Callable[[str, Walker], Awaitable[None]]


class _Run:
    """One run over many threads: its requests, and the place where each thread's fate is written down."""

    def __init__(
        self, apis: Sequence[Api], out: OutFiles, options: Options, writer: Writer, on_event: Callable[[Event], None]
    ) -> None:
        self._apis = apis
        self._out = out
        self._options = options
        self._writer = writer
        self._on_event = on_event
        self._walkers = [Walker(api, options.pace) for api in apis]
        self._earlier: list[Walker] = []
        self._waiting: deque[str] = deque()
        self._failed: dict[str, Entry] | None = {}  # in the first round: those that get another chance
        self._silent = 0
        self.ended_by: RunEnded | None = None

    def traffic(self) -> Traffic:
        """The requests of all keys together. Everybody waits when every key that may still be used does."""
        seen = [walker.traffic for walker in (*self._earlier, *self._walkers)]
        return Traffic(
            sent=sum(traffic.sent for traffic in seen),
            refused=sum(traffic.refused for traffic in seen),
            waits=min((walker.traffic.waits for walker in self._walkers if walker.ended_by is None), default=0.0),
        )

    async def go(self, thread_ids: Sequence[str]) -> None:
        """Walk all of these, and those that failed once more."""
        await self._round(thread_ids, self._export)
        failed, self._failed = self._failed or {}, None
        if self.ended_by is None:
            await self._round(list(failed), self._export)
        if self.ended_by is not None:
            settled = self._out.journal.entries  # before the loop, since each asking copies it
            for entry in [entry for thread_id, entry in failed.items() if thread_id not in settled]:
                await self._settle(entry)
        if self._options.files and (self.ended_by is None or isinstance(self.ended_by, ApiGone)):
            await self._save_files()

    async def _save_files(self) -> None:
        """Also when the threads are gone: files outlived the Assistants API (quoted)."""
        ending, self.ended_by = self.ended_by, None
        self._earlier += self._walkers
        self._walkers = [Walker(api, self._options.pace) for api in self._apis]
        downloads, referred = self._out.downloads(), self._out.journal.wanted_files
        wanted = [file_id for file_id in referred if not await asyncio.to_thread(downloads.is_over, file_id)]
        self._on_event(FilesBegun(total=len(referred), before=len(referred) - len(wanted)))
        await self._round(wanted, functools.partial(self._save, downloads))
        self.ended_by = ending or self.ended_by

    async def _save(self, downloads: Downloads, file_id: str, walker: Walker) -> None:
        """With one key, and with the others where that one may not have it: it may be another project's."""
        others = [other for other in self._walkers if other is not walker and other.ended_by is None]
        found: list[FileEntry] = []
        for key in (walker, *others):
            try:
                found.append(await downloads.save(file_id, key))
            except RunEnded as ending:
                if not self._goes_to_another_key(file_id, key, ending):
                    self._end_run(ending)
                return
            if found[-1].outcome not in _PERHAPS_ANOTHERS:
                break
        known = (entry for entry in reversed(found) if entry.outcome is not FileOutcome.MISSING)
        await self._writer.put(Finished(entry=self._doubted(next(known, found[0]))))

    def _doubted(self, entry: FileEntry) -> FileEntry:
        """Nobody knows what a refused key would have said."""
        is_refused = any(isinstance(walker.ended_by, AccessRefused) for walker in self._walkers)
        if entry.outcome is FileOutcome.MISSING and is_refused:
            reason = f"{entry.reason}; a key was refused that may know it"
            return attrs.evolve(entry, outcome=FileOutcome.FAILED, reason=reason)
        return entry

    async def _round(self, ids: Sequence[str], work: _Work) -> None:
        self._waiting.extend(ids)
        while self._waiting and self.ended_by is None:
            await self._all_at_work([walker for walker in self._walkers if walker.ended_by is None], work)
        self._waiting.clear()

    async def _all_at_work(self, walkers: Sequence[Walker], work: _Work) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(min(self._options.concurrency, len(self._waiting))):
                    group.create_task(self._keep_at(work, walkers[number % len(walkers)]))
        except BaseExceptionGroup as problems:
            # The first problem ended the run; the others are its echo in the other workers.
            raise problems.exceptions[0] from None

    async def _keep_at(self, work: _Work, walker: Walker) -> None:
        """Take one id after another, until there are none or the walker may go on no longer."""
        while walker.ended_by is None and self._waiting:
            await work(self._waiting.popleft(), walker)

    async def _export(self, thread_id: str, walker: Walker) -> None:
        """With one key, and with the others where that one knows no such thread: it may be another project's."""
        if not is_thread_id(thread_id):
            await self._settle(Entry(thread_id=thread_id, outcome=Outcome.INVALID, reason="not a thread id"))
            return
        others = [other for other in self._walkers if other is not walker and other.ended_by is None]
        keys, goes_on = deque([walker, *others]), True
        while goes_on:
            with contextlib.closing(self._new(thread_id)) as walked:
                problem = await self._walk(walked, keys.popleft())
                goes_on = isinstance(problem, ThreadMissing) and bool(keys)
                if problem is not None and not goes_on:
                    await self._give_up(walked, problem)

    def _new(self, thread_id: str) -> Walked:
        options = self._options
        return Walked(
            thread_id,
            self._out,
            assistant_id=options.assistant_id,
            flat=options.flat,
            include=options.include,
            files=options.files,
        )

    async def _walk(self, walked: Walked, walker: Walker) -> ApiError | None:
        """Walk a thread and write it down, or say why it cannot be, unless that has ended the run."""
        try:
            await walked.fetch(walker)
        except RunEnded as ending:
            await self._end(walked, walker, ending)
        except ApiError as problem:
            return problem
        else:
            self._silent = 0
            await self._writer.put(walked.finished())
        return None

    async def _end(self, walked: Walked, walker: Walker, ending: RunEnded) -> None:
        """A refused key ends its own work; the others take that over. Everything else ends the run."""
        if not self._goes_to_another_key(walked.thread_id, walker, ending):
            self._end_run(ending)
            await self._keep_partial(walked, ending)

    def _goes_to_another_key(self, wanted: str, walker: Walker, ending: RunEnded) -> bool:
        is_told, walker.ended_by = walker.ended_by is not None, walker.ended_by or ending
        if not isinstance(ending, AccessRefused) or all(other.ended_by is not None for other in self._walkers):
            return False
        self._waiting.append(wanted)
        if not is_told:
            self._on_event(Notice(f"a key was refused, the others go on: {ending}"))
        return True

    def _end_run(self, ending: RunEnded) -> None:
        self.ended_by = self.ended_by or ending
        for walker in self._walkers:
            walker.ended_by = walker.ended_by or ending

    async def _give_up(self, walked: Walked, problem: ApiError) -> None:
        reason = str(problem)
        if walked.messages:  # they may never come again: the end of an API may begin with failures
            self._out.add_partial(walked.full())
            gone = isinstance(problem, ThreadMissing)
            what = "it was deleted while it was walked" if gone else "it could not be walked on"
            reason = f"{what}, {walked.messages} messages are kept in the partial file: {problem}"
        entry = Entry(thread_id=walked.thread_id, outcome=_OUTCOMES[type(problem)], reason=reason)
        if entry.outcome is Outcome.FAILED and self._failed is not None:
            self._failed[entry.thread_id] = entry
        else:
            await self._settle(entry)
        self._count_silence(problem)

    def _count_silence(self, problem: ApiError) -> None:
        """A server that answers nobody any more is not asked about every thread in turn."""
        silent = isinstance(problem, RequestFailed) and problem.unreachable
        self._silent = self._silent + 1 if silent else 0
        patience = max(16, 2 * self._options.concurrency) if any(api.answered for api in self._apis) else 1
        if self._silent >= patience:
            self._end_run(ServerUnreachable(str(problem)))

    async def _keep_partial(self, walked: Walked, ending: RunEnded) -> None:
        """Pages that came before the end may never come again, whatever the end was taken for."""
        if walked.messages:
            self._out.add_partial(walked.full())
            await self._settle(
                Entry(
                    thread_id=walked.thread_id,
                    outcome=Outcome.PARTIAL,
                    messages=walked.messages,
                    first_id=walked.lines.first_id,
                    last_id=walked.lines.last_id,
                    cursor=walked.lines.last_id,
                    reason=str(ending),
                )
            )

    async def _settle(self, entry: Entry) -> None:
        await self._writer.put(Finished(entry=entry))
