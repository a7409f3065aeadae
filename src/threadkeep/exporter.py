"""The export: walk many threads at once, and write each whole.

An async shell round the pure steps of `threadkeep.paging`. At most ``concurrency`` threads are walked at a time,
each through its own spool; one writer puts them into the export. What cannot be exported has its reason in the
journal. A problem with one thread is that thread's own; the sunset, a refused key, a wrong address or a silent
server end the run: no more is asked, answers on their way are still taken, and the pages of threads that were cut
off are kept aside.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import attrs

from threadkeep.codec import encode_message
from threadkeep.errors import (
    ApiError,
    BadPage,
    IdRefused,
    RequestFailed,
    RunEnded,
    ServerUnreachable,
    ThreadMissing,
)
from threadkeep.ids import is_thread_id
from threadkeep.journal import Entry, Outcome
from threadkeep.outfiles import OutFiles, Spool
from threadkeep.walker import Api, Pace, Walker

__all__ = ["Options", "export_threads"]

_OUTCOMES: dict[type[ApiError], Outcome] = {
    ThreadMissing: Outcome.MISSING,
    IdRefused: Outcome.INVALID,
    BadPage: Outcome.FAILED,
    RequestFailed: Outcome.FAILED,
}


@attrs.frozen(kw_only=True)
class Options:
    """How to export.

    Attributes:
        assistant_id: the assistant that the export is for.
        flat: write flat lines.
        concurrency: how many threads are walked at a time.
        pace: how hard to ask.
    """

    assistant_id: str
    flat: bool = False
    concurrency: int = 64
    pace: Pace = attrs.field(factory=Pace)


async def export_threads(
    thread_ids: Sequence[str],
    api: Api,
    out: OutFiles,
    options: Options,
    *,
    on_entry: Callable[[Entry], None] = lambda _entry: None,
) -> None:
    """Export every thread that can be; afterwards ``out.journal`` says what became of each.

    Args:
        thread_ids: distinct; a malformed one costs no request.
        api: where the threads are.
        out: where they go.
        options: how.
        on_entry: called with each thread's journal entry.

    Raises:
        RunEnded: the run ended before every thread had its turn. What came is in the files.
        OutputUnusable: the disk refuses.
    """
    run = _Run(api, out, options, on_entry)
    waiting = iter(thread_ids)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(options.concurrency, len(thread_ids))):
                group.create_task(run.work(waiting))
    except BaseExceptionGroup as problems:
        # The first problem ended the run; the others are its echo in the other workers.
        raise problems.exceptions[0] from None
    if run.ended_by is not None:
        raise run.ended_by


class _Run:
    """One run over many threads: its requests, and the place where each thread's fate is written down."""

    def __init__(self, api: Api, out: OutFiles, options: Options, on_entry: Callable[[Entry], None]) -> None:
        self._api = api
        self._out = out
        self._options = options
        self._on_entry = on_entry
        self._walker = Walker(api, options.pace)
        self._silent = 0

    @property
    def ended_by(self) -> RunEnded | None:
        """What ended the run before every thread had its turn."""
        return self._walker.ended_by

    async def work(self, waiting: Iterator[str]) -> None:
        """Take one thread after another, until there are none or the run has ended."""
        while self.ended_by is None and (thread_id := next(waiting, None)) is not None:
            if is_thread_id(thread_id):
                await self._export(thread_id)
            else:
                self._settle(Entry(thread_id=thread_id, outcome=Outcome.INVALID, reason="not a thread id"))

    async def _export(self, thread_id: str) -> None:
        with contextlib.closing(_Walked(thread_id, self._out, self._options)) as walked:
            try:
                await walked.fetch(self._walker)
            except RunEnded as ending:
                self._walker.ended_by = self.ended_by or ending
                self._keep_partial(walked, ending)
            except ApiError as problem:
                self._give_up(walked, problem)
            else:
                self._silent = 0
                self._on_entry(self._out.add_thread(thread_id, walked.lines))

    def _give_up(self, walked: "_Walked", problem: ApiError) -> None:
        reason = str(problem)
        if isinstance(problem, ThreadMissing) and walked.full.messages:
            self._out.add_partial(walked.full)
            reason += f" It was deleted while it was walked: {walked.full.messages} messages kept in the partial file."
        self._settle(Entry(thread_id=walked.thread_id, outcome=_OUTCOMES[type(problem)], reason=reason))
        self._count_silence(problem)

    def _count_silence(self, problem: ApiError) -> None:
        """A server that answers nobody any more is not asked about every thread in turn."""
        silent = isinstance(problem, RequestFailed) and problem.unreachable
        self._silent = self._silent + 1 if silent else 0
        patience = 2 * self._options.concurrency if self._api.answered else 1
        if self._silent >= patience and self.ended_by is None:
            self._walker.ended_by = ServerUnreachable(str(problem))

    def _keep_partial(self, walked: "_Walked", ending: RunEnded) -> None:
        """Pages that came before the end may never come again, whatever the end was taken for."""
        if walked.full.messages:
            self._out.add_partial(walked.full)
            self._settle(
                Entry(
                    thread_id=walked.thread_id,
                    outcome=Outcome.PARTIAL,
                    messages=walked.full.messages,
                    first_id=walked.full.first_id,
                    last_id=walked.full.last_id,
                    cursor=walked.full.last_id,
                    reason=str(ending),
                )
            )

    def _settle(self, entry: Entry) -> None:
        self._on_entry(self._out.add_entry(entry))


class _Walked:
    """One thread on its way into the export.

    ``lines`` is what the export will hold, ``full`` what the partial file would: full lines also when flat ones
    are asked for.
    """

    def __init__(self, thread_id: str, out: OutFiles, options: Options) -> None:
        self.thread_id = thread_id
        self._options = options
        self.full: Spool = out.spool()
        self.lines: Spool = out.spool() if options.flat else self.full

    async def fetch(self, walker: Walker) -> None:
        """Walk the thread to its end."""
        path = f"/threads/{quote(self.thread_id, safe='')}/messages"
        async for page in walker.walk(path, thread_id=self.thread_id):
            self._add(page.rows, self.full, flat=False)
            if self._options.flat:
                self._add(page.rows, self.lines, flat=True)

    def _add(self, rows: Sequence[Mapping[str, Any]], spool: Spool, *, flat: bool) -> None:
        assistant_id = self._options.assistant_id
        try:
            lines = [encode_message(row, assistant_id=assistant_id, flat=flat) for row in rows]
        except ValueError as error:
            raise BadPage(f"a message of the page that ends with {rows[-1]['id']} cannot be written: {error}") from None
        spool.add([row["id"] for row in rows], lines)

    def close(self) -> None:
        self.full.close()
        self.lines.close()
