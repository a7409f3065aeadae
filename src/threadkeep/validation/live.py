"""An export held against the live API: every thread walked again, and compared with its lines.

An async shell round `threadkeep.validation.live_compare`. Of a thread of the export no more is kept than each message's
id, place and digest, and only while it is walked. A thread is compared when its walk has come to its end: nothing is
said of one that the sunset cuts off in the middle.

Some of many threads, chosen by a seed: the same ones wherever and in whatever order they stand.
"""

import asyncio
import hashlib
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs

from threadkeep.api.client import ApiClient, PacingOptions, TransportLike
from threadkeep.api.rate_control import Traffic
from threadkeep.api.worker_pool import WorkerPool
from threadkeep.errors import ApiError, BadPage, Interrupted, RunEnded, ThreadkeepError, ThreadMissing
from threadkeep.readback import what_counts
from threadkeep.records.ndjson import encode_message
from threadkeep.serialization.id_lists import is_thread_id
from threadkeep.storage.paths import Paths
from threadkeep.threadlines import Place, changes, digest, rows
from threadkeep.validation.entrypoints import Validated
from threadkeep.validation.findings import Finding, Severity, finding
from threadkeep.validation.live_compare import Change, ExportedMessage, compare
from threadkeep.validation.report import Live, ValidationReport, collect

__all__ = [
    "CheckBegun",
    "CheckedExport",
    "Compared",
    "LiveEvent",
    "LiveOutcome",
    "ThreadToCheck",
    "check_live",
    "checked_export",
    "joined",
    "sample",
    "wanted_live",
]


@attrs.frozen(kw_only=True)
class CheckBegun:
    """The first of all: the threads are about to be walked.

    Attributes:
        total: how many are wanted.
        traffic: the requests of all keys together, whenever it is called in the loop of the run.
    """

    total: int
    traffic: Callable[[], Traffic]


@attrs.frozen(kw_only=True)
class Compared:
    """A thread of an export was held against the API, or could not be.

    Attributes:
        thread_id: its id.
        messages: how many the API has of it.
    """

    thread_id: str
    messages: int


LiveEvent = CheckBegun | Compared
"""What a check tells while it runs."""


def sample(thread_ids: Sequence[str], most: int, seed: int) -> tuple[str, ...]:
    """Choose some of these ids, in their order.

    Each id draws a number by itself, so the choice does not depend on their order, an id more or less changes at most
    one of the chosen, and a larger sample holds the smaller one of the same seed.

    Args:
        thread_ids: distinct.
        most: how many to choose; all where there are fewer.
        seed: another one, another choice.
    """
    chosen = set(heapq.nsmallest(most, thread_ids, key=lambda thread_id: _lot(thread_id, seed)))
    return tuple(thread_id for thread_id in thread_ids if thread_id in chosen)


def _lot(thread_id: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {thread_id}".encode("utf-8", "surrogatepass")).digest()


@attrs.frozen(kw_only=True)
class CheckedExport:
    """The export that is held against the API.

    Attributes:
        out: where its lines stand.
        name: of its file, for findings.
        assistant_id, flat: as its lines have them. Where a line has it otherwise, the comparison is merely slower.
    """

    out: Path
    name: str
    assistant_id: str
    flat: bool


@attrs.frozen(kw_only=True)
class ThreadToCheck:
    """A thread that is to be compared.

    Attributes:
        place: where its lines stand; None for a thread that has none.
        last_id: of the last message that the journal vouches for, where there is one.
    """

    thread_id: str
    place: Place | None = None
    last_id: str | None = None


@attrs.frozen(kw_only=True)
class LiveOutcome:
    """What came of a check.

    Attributes:
        findings: of all threads that were compared or could not be, in the order in which they were wanted.
        live: the counts.
        ended_by: what ended it before every thread had its turn; None when nothing did.
    """

    findings: tuple[Finding, ...]
    live: Live
    ended_by: ThreadkeepError | None = None


def wanted_live(found: Validated) -> tuple[ThreadToCheck, ...]:
    """The threads that the export claims to have, to be compared with the API.

    Without a journal these are those that have lines. A thread whose lines stand in two places is left out: only the
    first of them would be compared, and it wants another export in any case.
    """
    places = found.reading.threads
    complete = found.journal.complete if found.journal is not None else ()
    vouched = {entry.thread_id: entry.last_id for entry in complete}
    ids = vouched if found.journal is not None else dict.fromkeys(places)
    return tuple(
        ThreadToCheck(thread_id=thread_id, place=places.get(thread_id), last_id=last_id)
        for thread_id, last_id in ids.items()
        if thread_id not in found.reading.split
    )


def checked_export(found: Validated) -> CheckedExport:
    """What is compared with the API."""
    paths, reading = Paths(found.report.out), found.reading
    return CheckedExport(
        out=what_counts(paths, paths.out),
        name=paths.out.name,
        assistant_id=reading.assistant_id or "",
        flat=bool(reading.is_flat),
    )


def joined(report: ValidationReport, outcome: LiveOutcome, most: int) -> ValidationReport:
    """A report with what came of the live check.

    Args:
        report: without it.
        outcome: of the check.
        most: how many findings of each code are listed.
    """
    folded = collect(outcome.findings, most)
    return attrs.evolve(
        report,
        findings=(*report.findings, *folded.kept),
        counts={**report.counts, **folded.counts},
        severities={severity: count + folded.severities[severity] for severity, count in report.severities.items()},
        refetch=tuple(dict.fromkeys([*report.refetch, *folded.refetch])),
        live=outcome.live,
    )


async def check_live(
    wanted: Sequence[ThreadToCheck],
    transports: Sequence[TransportLike],
    export: CheckedExport,
    *,
    source: str,
    seed: int | None = None,
    concurrency: int = 64,
    pace: PacingOptions | None = None,
    on_event: Callable[[LiveEvent], None] = lambda _event: None,
    on_notice: Callable[[str], None] = lambda _text: None,
) -> LiveOutcome:
    """Compare threads. However it ends, what was compared counts, also when this task is cancelled: that is caught.

    Args:
        wanted: distinct threads.
        transports: where they are, once for each key. A thread stays with one of them, unless that one knows no such
            thread or is refused.
        export: what they are compared with.
        source: the address of the API, without secrets.
        seed: by which they were chosen; None when they are all.
        concurrency: how many threads are walked at a time.
        pace: how hard to ask.
        on_event: called at the beginning, and with each thread that is through.
        on_notice: called with a text for people when a key is refused and the others go on, and at the first sign
            that nobody is there.

    Raises:
        OutputUnusable: the export cannot be read, or was changed meanwhile.
    """
    pool = WorkerPool(transports, pace or PacingOptions(), concurrency, on_notice)
    check = _Check(pool, export, wanted, on_event)
    on_event(CheckBegun(total=len(wanted), traffic=lambda: pool.traffic))
    ended_by: ThreadkeepError | None = None
    try:
        await pool.run([one.thread_id for one in wanted], check.check)
        ended_by = pool.ended_by
    except asyncio.CancelledError:
        ended_by = Interrupted("interrupted")
    findings = (*check.findings(), *_of_left(check.left, ended_by))
    live = Live(
        source=source,
        wanted=len(wanted),
        compared=check.compared,
        new_messages=sum(one.code == "new_message" for one in findings),
        seed=seed,
        ended_by=None if ended_by is None else str(ended_by),
        left=check.left,
    )
    return LiveOutcome(findings=findings, live=live, ended_by=ended_by)


def _of_left(left: Sequence[str], ended_by: ThreadkeepError | None) -> Iterator[Finding]:
    """One note for all of them: it says nothing against the export, and `Live.left` has the ids."""
    if left:
        what = "1 thread was" if len(left) == 1 else f"{len(left):,} threads were"
        one = finding("not_compared", f"{what} not compared, since the check was ended: {ended_by}")
        yield attrs.evolve(one, severity=Severity.NOTE)


class _Check:
    """Walks threads, and keeps what is to be said of each."""

    def __init__(
        self,
        pool: WorkerPool,
        export: CheckedExport,
        wanted: Sequence[ThreadToCheck],
        on_event: Callable[[Compared], None],
    ) -> None:
        self._pool = pool
        self._export = export
        self._wanted = {one.thread_id: one for one in wanted}
        self._on_event = on_event
        self._walked = set[str]()
        self._said: dict[str, Sequence[Finding]] = {}  # of most threads there is nothing to say
        self._gone: dict[str, ThreadMissing] = {}
        self._not_compared: dict[str, str] = {}
        self._knows_any = False

    @property
    def compared(self) -> int:
        """How many threads were, those that are gone included, if that can be believed."""
        return len(self._walked) + (len(self._gone) if self._knows_any else 0)

    @property
    def left(self) -> tuple[str, ...]:
        """The ids of the threads that had no turn, or were cut off."""
        through = self._walked | self._gone.keys() | self._not_compared.keys()
        return tuple(thread_id for thread_id in self._wanted if thread_id not in through)

    def findings(self) -> Iterator[Finding]:
        """In the order in which the threads were wanted."""
        for thread_id, one in self._wanted.items():
            yield from self._said.get(thread_id, ())
            if thread_id in self._not_compared:
                yield self._of_thread("not_compared", f"no comparison: {self._not_compared[thread_id]}", one)
            if thread_id in self._gone:
                yield self._of_gone(self._gone[thread_id], one)

    async def check(self, thread_id: str, client: ApiClient) -> None:
        """With one key, and with the others where that one knows no such thread: it may be another project's."""
        if not is_thread_id(thread_id):
            self._not_compared[thread_id] = "its id is none that could be asked for"
            self._on_event(Compared(thread_id=thread_id, messages=0))
            return
        keys, goes_on = deque(self._pool.clients_from(client)), True
        while goes_on:
            walked = _ThreadComparison(self._wanted[thread_id], self._export)
            problem = await self._walk(walked, keys.popleft())
            goes_on = isinstance(problem, ThreadMissing) and not walked.begun and bool(keys)
            if problem is not None and not goes_on:
                self._give_up(walked, problem)

    async def _walk(self, walked: "_ThreadComparison", client: ApiClient) -> ApiError | None:
        """Walk a thread and compare it, or say why it cannot be, unless that has ended the check."""
        try:
            await walked.fetch(client)
        except RunEnded as ending:
            self._pool.reassign(client, walked.thread_id, ending)
        except ApiError as problem:
            return problem
        else:
            self._pool.record_response()
            self._knows_any = True
            self._walked.add(walked.thread_id)
            if findings := walked.findings():
                self._said[walked.thread_id] = findings
            self._on_event(Compared(thread_id=walked.thread_id, messages=len(walked.ids)))
        return None

    def _give_up(self, walked: "_ThreadComparison", problem: ApiError) -> None:
        self._knows_any |= walked.begun
        if not isinstance(problem, ThreadMissing):
            self._not_compared[walked.thread_id] = str(problem)
        elif self._pool.is_refused and not walked.begun:
            self._not_compared[walked.thread_id] = f"a key was refused, and no other knows this thread: {problem}"
        else:
            self._gone[walked.thread_id] = problem
        self._on_event(Compared(thread_id=walked.thread_id, messages=0))
        self._pool.record_failure(problem)

    def _of_gone(self, problem: ThreadMissing, wanted: ThreadToCheck) -> Finding:
        """Where not a single thread is known, the key is more likely another project's than all of them deleted."""
        if self._knows_any:
            return self._of_thread("deleted_thread", f"the API does not know the thread: {problem}", wanted)
        what = "no thread of the export is known there: all are deleted, or the key is another project's"
        return self._of_thread("not_compared", f"{what}: {problem}", wanted)

    def _of_thread(self, code: str, what: str, wanted: ThreadToCheck) -> Finding:
        place = wanted.place
        where = {} if place is None else {"file": self._export.name, "line": place.line}
        return finding(code, what, thread_id=wanted.thread_id, **where)


class _ThreadComparison:
    """A thread that is walked, and held against its lines page by page."""

    def __init__(self, wanted: ThreadToCheck, export: CheckedExport) -> None:
        self.thread_id = wanted.thread_id
        self.ids: list[str] = []
        self._wanted = wanted
        self._export = export
        self._here: dict[str, ExportedMessage] | None = None
        self._changed: dict[str, Change] = {}

    @property
    def begun(self) -> bool:
        """Whether any page has come."""
        return self._here is not None

    async def fetch(self, client: ApiClient) -> None:
        """Walk the thread to its end.

        Raises:
            ApiError: a leaf of it.
            OutputUnusable: the export cannot be read.
        """
        path = f"/threads/{quote(self.thread_id, safe='')}/messages"
        async for page in client.walk(path, thread_id=self.thread_id):
            if self._here is None:
                self._here = await asyncio.to_thread(self._read)
            doubted = list(self._doubted(self._here, page.rows))
            self.ids += [row["id"] for row in page.rows]
            if doubted:
                self._changed |= await asyncio.to_thread(self._changes, doubted)

    def findings(self) -> list[Finding]:
        """What is to be said of the whole thread."""
        return list(
            compare(
                self.thread_id,
                (self._here or {}).values(),
                self.ids,
                self._changed,
                file=self._export.name,
                last_id=self._wanted.last_id,
            )
        )

    def _read(self) -> dict[str, ExportedMessage]:
        """The messages of the export by id; of two with one id the first counts."""
        place = self._wanted.place
        found = [] if place is None else rows(self._export.out, place)
        here: dict[str, ExportedMessage] = {}
        for row in found:
            here.setdefault(row.message_id, row)
        return here

    def _changes(self, doubted: Sequence[tuple[ExportedMessage, Mapping[str, Any]]]) -> dict[str, Change]:
        return dict(changes(self._export.out, doubted))

    def _doubted(
        self, here: Mapping[str, ExportedMessage], page: Iterable[Mapping[str, Any]]
    ) -> Iterator[tuple[ExportedMessage, Mapping[str, Any]]]:
        """The messages whose lines are not what the exporter would write now."""
        for raw in page:
            row = here.get(raw["id"])
            if row is not None and digest(self._line(raw)) != row.digest:
                yield row, raw

    def _line(self, raw: Mapping[str, Any]) -> bytes:
        try:
            return encode_message(raw, assistant_id=self._export.assistant_id, flat=self._export.flat)
        except ValueError as error:
            raise BadPage(f"the message {raw['id']} cannot be written: {error}") from None
