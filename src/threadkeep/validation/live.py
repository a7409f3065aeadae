"""Compare an export with the live API: walk every thread again, and hold its messages against its lines.

An async shell around `threadkeep.validation.live_compare`. Of the export's lines only ids and places are in memory, and
only while their thread is walked. A thread is compared when its walk has come to its end, so nothing is
reported of one that the sunset cuts off in the middle.
"""

import asyncio
import hashlib
import heapq
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import attrs

from threadkeep.api.client import ApiClient, PacingOptions, TransportLike
from threadkeep.api.rate_control import Traffic
from threadkeep.api.worker_pool import WorkerPool, one_batch
from threadkeep.errors import (
    ApiError,
    BadPage,
    Interrupted,
    OutputUnusable,
    RunEnded,
    ServerUnreachable,
    ThreadkeepError,
    ThreadMissing,
)
from threadkeep.records.ndjson import encode_message
from threadkeep.serialization.thread_ids import is_thread_id
from threadkeep.storage.damage import index_rows
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.index import Outcome
from threadkeep.storage.lines import lines_in, size_of
from threadkeep.storage.paths import Paths
from threadkeep.validation.entrypoints import Validated
from threadkeep.validation.findings import Finding, Severity, finding
from threadkeep.validation.live_compare import Change, ExportedMessage, change, compare, read_line
from threadkeep.validation.report import Live, ValidationReport
from threadkeep.validation.scan import Place

__all__ = ["CheckedExport", "LiveOutcome", "ThreadToCheck", "check_live", "checked_export", "joined", "sample"]


def sample(thread_ids: Sequence[str], most: int, seed: int) -> tuple[str, ...]:
    """Choose so many of these distinct ids, or all if there are fewer, in their order.

    Each id draws a number by itself, so the choice does not depend on their order, an id more or less changes at most
    one of the chosen, and a larger sample holds the smaller one of the same seed.
    """

    def lot(thread_id: str) -> bytes:
        return hashlib.sha256(f"{seed} {thread_id}".encode("utf-8", "surrogatepass")).digest()

    chosen = set(heapq.nsmallest(most, thread_ids, key=lot))
    return tuple(thread_id for thread_id in thread_ids if thread_id in chosen)


@attrs.frozen(kw_only=True)
class ThreadToCheck:
    """A thread that is to be compared.

    Attributes:
        place: of its lines; None for a thread that has none.
        last_id: of its last message, by the index.
        assistant_id: of its lines. If a line has another, the comparison is only slower.
    """

    thread_id: str
    place: Place | None = None
    last_id: str | None = None
    assistant_id: str | None = None


@attrs.frozen(kw_only=True)
class CheckedExport:
    """The export that is compared.

    Attributes:
        size: of OUT, in bytes.
        flat: the form of its lines. If a line has another, the comparison is only slower.
        threads: distinct.
        seed: by which they were chosen; None when they are all.
    """

    out: Path
    size: int
    flat: bool
    threads: Sequence[ThreadToCheck]
    seed: int | None = None


def checked_export(found: Validated, *, most: int | None = None, seed: int = 0) -> CheckedExport:
    """Return the threads that an export claims to have, or a sample of them. OutputUnusable: the index cannot be read.

    Without an index these are those that have lines. A thread whose lines are not together is left out: only the first
    of them would be compared, and it is to be fetched again in any case.
    """
    report, places = found.report, found.places
    with open_file_set(Paths(report.out)) as files:
        if (index := files.files.get("index")) is None:
            of_all = None if found.header is None else found.header.assistant_id
            claimed = [ThreadToCheck(thread_id=one, place=places[one], assistant_id=of_all) for one in places]
        else:
            claimed = [
                ThreadToCheck(
                    thread_id=row.thread_id,
                    place=places.get(row.thread_id),
                    last_id=row.last_id,
                    assistant_id=row.assistant_id,
                )
                for row in index_rows(index, files.paths.index.name)
                if row.outcome is Outcome.COMPLETE
            ]
    threads = {one.thread_id: one for one in claimed if one.thread_id not in found.split}
    return CheckedExport(
        out=report.out,
        size=report.totals.bytes,
        flat=found.is_flat,
        threads=[threads[one] for one in (threads if most is None else sample(list(threads), most, seed))],
        seed=None if most is None else seed,
    )


@attrs.frozen(kw_only=True)
class LiveOutcome:
    """The findings of all threads that were compared or could not be, in the order of the export, the counts, and what
    ended the check before every thread had its turn; None when nothing did.
    """

    findings: tuple[Finding, ...]
    live: Live
    ended_by: ThreadkeepError | None = None


def joined(report: ValidationReport, outcome: LiveOutcome, most: int) -> ValidationReport:
    """Return a report with the result of the live check, and no more than ``most`` listed findings of each code."""
    return attrs.evolve(report.with_findings(outcome.findings, most), live=outcome.live)


async def check_live(
    export: CheckedExport,
    transports: Sequence[TransportLike],
    *,
    source: str,
    concurrency: int = 64,
    pace: PacingOptions | None = None,
    on_begin: Callable[[Callable[[], Traffic]], object] = lambda _traffic: None,
    on_compared: Callable[[str, int], object] = lambda _thread_id, _messages: None,
    on_notice: Callable[[str], None] = lambda _text: None,
) -> LiveOutcome:
    """Compare threads. However it ends, what was compared counts, also when this task is cancelled: that is caught.

    Args:
        export: what to compare.
        transports: where the threads are, once for each key. A thread stays with one of them, unless that one knows no
            such thread or is refused.
        source: the address of the API, without secrets.
        concurrency, pace: how many threads are walked at a time, and how hard to ask.
        on_begin: called with a function that returns the requests of all keys together, in this event loop.
        on_compared: called with the id of each thread that was compared or could not be, and how many messages the API
            has of it.
        on_notice: see `WorkerPool`.

    Raises:
        OutputUnusable: the export cannot be read, or was changed meanwhile.
    """
    pool = WorkerPool(transports, pace or PacingOptions(), concurrency, on_notice)
    with open_file_set(Paths(export.out)) as files:
        file = files.files.get("out")
        if (0 if file is None else size_of(file)) != export.size:
            raise OutputUnusable(f"{export.out} was changed after it was validated. Validate it again.")
        threads = {one.thread_id: one for one in export.threads}
        check = _Check(threads, pool, export, file or io.BytesIO(), on_compared)
        on_begin(lambda: pool.traffic)
        ended_by: ThreadkeepError | None = None
        try:
            await pool.run(one_batch([*threads]), check.check)
            ended_by = pool.ended_by
            if isinstance(ended_by, ServerUnreachable):
                check.forget_unreachable()
        except asyncio.CancelledError:
            ended_by = Interrupted("interrupted")
    findings = list(check.findings())
    left = tuple(thread_id for thread_id in threads if thread_id not in check.results)
    if left:  # one note for all of them: it is nothing against the export
        what = "1 thread was" if len(left) == 1 else f"{len(left):,} threads were"
        what = f"{what} not compared, since the check was ended: {ended_by}"
        findings.append(finding("not_compared", what, severity=Severity.NOTE))
    live = Live(
        source=source,
        wanted=len(threads),
        compared=sum(not isinstance(one, Exception) or check.is_gone(one) for one in check.results.values()),
        new_messages=sum(one.code == "new_message" for one in findings),
        seed=export.seed,
        ended_by=None if ended_by is None else str(ended_by),
        left=left,
    )
    return LiveOutcome(findings=tuple(findings), live=live, ended_by=ended_by)


@attrs.define
class _Check:
    """Walks threads, and collects what came of each: its findings, or why it could not be compared."""

    threads: Mapping[str, ThreadToCheck]
    _pool: WorkerPool
    _export: CheckedExport
    _file: BinaryIO
    _on_compared: Callable[[str, int], object]
    results: dict[str, Sequence[Finding] | Exception] = attrs.Factory(dict)
    _lock: threading.Lock = attrs.Factory(threading.Lock)
    _knows_any: bool = False

    async def check(self, thread_id: str, client: ApiClient) -> None:
        """Walk a thread and compare it."""
        comparison = _Comparison(thread_id, self.threads[thread_id], self._export, self._file, self._lock)
        problem: Exception | None = None
        try:
            if not is_thread_id(thread_id):
                problem = ValueError("its id cannot be asked for")
            else:
                await self._pool.ask(thread_id, client, comparison.run, comparison.may_be_anothers)
        except RunEnded:
            return
        except ApiError as error:
            problem = error
        self._knows_any |= comparison.has_answer or problem is None
        self.results[thread_id] = comparison.findings() if problem is None else problem
        self._on_compared(thread_id, len(comparison.ids) if problem is None else 0)
        if isinstance(problem, ApiError):
            self._pool.record_failure(problem)

    def forget_unreachable(self) -> None:
        """Forget the threads that no server answered for: they are among those that are left."""
        gone = [key for key, one in self.results.items() if isinstance(one, ApiError) and one.unreachable]
        for thread_id in gone:
            del self.results[thread_id]

    def is_gone(self, problem: Exception) -> bool:
        """Whether the thread is deleted. A key that knows no thread at all is more likely another project's."""
        return isinstance(problem, ThreadMissing) and self._knows_any

    def findings(self) -> Iterator[Finding]:
        """Yield all findings, in the order of the export."""
        for thread_id, thread in self.threads.items():
            result = self.results.get(thread_id, ())
            if not isinstance(result, Exception):
                yield from result
                continue
            code, what = "not_compared", "no comparison"
            if self.is_gone(result):
                code, what = "deleted_thread", "the API does not know the thread"
            elif isinstance(result, ThreadMissing):
                what = "no thread of the export is known there: all are deleted, or the key is another project's"
            name, line = (self._export.out.name, thread.place.line) if thread.place is not None else (None, None)
            yield finding(code, f"{what}: {result}", file=name, line=line, thread_id=thread_id)


@attrs.define
class _Comparison:
    """A thread that is walked, and compared with its lines page by page.

    The file stays open from thread to thread, so that it is the same to the end; one thread at a time reads it.
    """

    thread_id: str
    _thread: ThreadToCheck
    _export: CheckedExport
    _file: BinaryIO
    _lock: threading.Lock
    has_answer: bool = False
    ids: list[str] = attrs.Factory(list)
    _here: dict[str, ExportedMessage] = attrs.Factory(dict)
    _changed: dict[str, Change] = attrs.Factory(dict)

    async def run(self, client: ApiClient) -> None:
        """Walk the thread to its end."""
        path = f"/threads/{quote(self.thread_id, safe='')}/messages"
        async for page in client.walk(path, thread_id=self.thread_id):
            await asyncio.to_thread(self._take, page.rows)

    def may_be_anothers(self, problem: ApiError) -> bool:
        """Whether another key may know the thread."""
        return isinstance(problem, ThreadMissing) and not self.has_answer

    def findings(self) -> tuple[Finding, ...]:
        """Return the findings of the thread, once it is walked."""
        name, last_id = self._export.out.name, self._thread.last_id
        return tuple(compare(self.thread_id, self._here, self.ids, self._changed, file=name, last_id=last_id))

    def _take(self, page: Sequence[Mapping[str, Any]]) -> None:
        with self._lock:
            if not self.has_answer:
                self.has_answer = True
                self._find_messages()
            for raw in page:
                self.ids.append(raw["id"])
                if raw["id"] in self._here and (how := self._change(raw)) is not None:
                    self._changed[raw["id"]] = how

    def _find_messages(self) -> None:
        """Lines that cannot be read are passed over: they have findings of their own. So has a repeated id."""
        if (place := self._thread.place) is None:
            return
        start = place.start
        for number, line in enumerate(lines_in(self._file, self._export.out.name, start, place.end), place.line):
            if (value := read_line(line)) is not None:
                self._here.setdefault(value["message_id"], ExportedMessage(number, start, len(line)))
            start += len(line)

    def _change(self, raw: Mapping[str, Any]) -> Change | None:
        """Return how a message differs from its line, which is read again."""
        row = self._here[raw["id"]]
        try:
            written = encode_message(raw, assistant_id=self._thread.assistant_id, flat=self._export.flat)
        except ValueError as error:
            raise BadPage(f"the message {raw['id']} cannot be written: {error}") from None
        self._file.seek(row.start)
        line = self._file.read(row.size)
        if line == written + b"\n":
            return None
        value = read_line(line)
        if value is None or value["message_id"] != raw["id"]:
            what = f"was changed while it was compared: line {row.line} is another one now"
            raise OutputUnusable(f"{self._export.out} {what}")
        return change(value, raw)
