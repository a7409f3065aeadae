"""Threads on their way into Engramia: each pattern is sent once, and those without an answer are looked up in a list.

Patterns have no order, so one whose answer was lost stops none of the others. The list of all patterns is read once
before the first one is sent, once a round if anything is unknown, and once or a few times for a verification.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import attrs

from threadkeep.api.client import ApiClient
from threadkeep.conversion.job import Options
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.source import Thread
from threadkeep.errors import AccessRefused, ApiError, QuotaSpent, RequestFailed, RunEnded
from threadkeep.migration.destination import OtherItems, PushContext
from threadkeep.migration.engramia.pattern_store import PatternStore, Place, StoredPattern
from threadkeep.migration.engramia.patterns import Pattern, fingerprint, patterns_of
from threadkeep.migration.engramia.requests import (
    EXPORT,
    LEARN,
    Comparison,
    ExportReader,
    Outcome,
    Sent,
    Stored,
    compare,
    outcome,
    read_learned,
    task_hash,
)
from threadkeep.migration.store import StoredThread

__all__ = ["PatternDelivery", "Patterns"]

_T = TypeVar("_T")

# So many patterns are compared together: all their texts are in memory.
_TOGETHER = 20_000

_MOST_NAMED = 5

_REDACTED, _RUN = "redacted", "run_id"
_WHY_LOST = {
    _REDACTED: "the server has put [REDACTED] in the place of what it takes for a secret or an address",
    _RUN: "the server's storage does not keep it: which thread a pattern is from is not known there",
}


class _NotListed(RequestFailed):
    """The key may not list patterns."""


@attrs.define
class PatternDelivery:
    """Sends a thread, or says whether its patterns are there.

    Attributes:
        thread: as it is read from the export.
        sent: how many patterns this run has sent.
        behind: 0: patterns have no order.
        is_certain: True: of each it is known at the end of a round whether it is there.
    """

    thread: Thread
    _target: "Patterns"
    sent: int = attrs.field(default=0, init=False)
    behind: int = attrs.field(default=0, init=False)
    is_certain: bool = attrs.field(default=True, init=False)

    def may_be_anothers(self, _problem: ApiError) -> bool:
        """Return False: there is one key."""
        return False

    async def run(self, client: ApiClient) -> None:
        """Send the patterns that were not sent yet.

        Raises:
            ApiError: some are not there, or it is not known whether they are. The store says which.
            OtherItems: other patterns were sent for this thread than it has now.
            MalformedLine, OutputUnusable: the export or the store cannot be read.
        """
        target, thread_id = self._target, self.thread.thread_id
        known = await target.call(target.store.of_thread, thread_id)
        self.sent += target.arrived.pop(thread_id, 0)
        refused, count = list[str](), 0
        for pattern in patterns_of(self.thread, target.options):
            before = known.pop(count, None)
            if before is None:
                refused += await self._send(client, (thread_id, count), pattern)
            elif before.fingerprint != fingerprint(pattern.line):
                raise OtherItems(f"pattern {count + 1} is another one now, by the export or the options, than was sent")
            count += 1
        if known:
            raise OtherItems(f"fewer patterns, by the export or the options, than were sent: {count:,} now")
        if refused:
            raise RequestFailed(f"{len(refused):,} of {count:,} patterns refused: {'; '.join(refused[:_MOST_NAMED])}")
        if unknown := await target.call(target.store.count_unknown, thread_id):
            raise RequestFailed(f"{_unknown(unknown)}: there was no answer")
        await target.call(target.context.store.done, thread_id, count, "", True, False)

    async def verify(self, client: ApiClient) -> None:
        """Look for the patterns.

        Raises:
            ApiError: there is no usable answer.
            OtherItems: some are gone, changed, or there more than once.
        """
        if (problem := await self._target.problem_of(self.thread.thread_id, client)) is not None:
            raise OtherItems(problem)

    async def _send(self, client: ApiClient, place: Place, pattern: Pattern) -> Sequence[str]:
        """Send a pattern, and return why it is refused if it is. What has no answer stays unknown.

        Raises:
            ApiError: it was not stored; or there is no sign of the server.
        """
        target, line = self._target, pattern.line
        await target.prepare(client)
        await target.call(target.store.sending, place, fingerprint(line), task_hash(line["task"]))
        try:
            problem = await _learn(client, line)
        except ApiError:
            await target.call(target.store.not_stored, [place])
            raise
        if problem is None:
            await target.call(target.store.stored, [place])
            self.sent += 1
        elif outcome(problem) is Outcome.REFUSED:
            await target.call(target.store.not_stored, [place])
            return (f"the one of {pattern.message_ids[-1]}: {problem}",)
        elif problem.unreachable:
            raise problem
        return ()


async def _learn(client: ApiClient, line: Mapping[str, Any]) -> ApiError | None:
    """Send a line, and again as long as that can do no harm. Return the error if it is refused, or perhaps stored.

    Raises:
        ApiError: it was not stored.
    """

    async def attempt() -> ApiError | None:
        try:
            await client.post(LEARN, line, read_learned)
        except ApiError as problem:
            meaning = outcome(problem)
            if meaning is Outcome.FULL:
                raise QuotaSpent(f"the server has as many patterns as it takes: {problem}") from None
            if meaning is Outcome.FAILED:
                raise
            return problem
        return None

    return await client.retried(attempt)


@attrs.frozen
class _Found:
    """A pattern that was sent, as the export has it.

    Attributes:
        row: what the store has of it.
        answer_id: the message that became ``code``.
    """

    row: StoredPattern
    answer_id: str

    @property
    def place(self) -> Place:
        """Its place in the export."""
        return self.row.place


@attrs.define
class Patterns:
    """A project of Engramia as a destination.

    Attributes:
        context: what it works with.
        options: of the items.
        store: of the patterns.
        arrived: how many patterns of each thread this run has found in the list.
    """

    context: PushContext
    options: Options = attrs.field(init=False)
    store: PatternStore = attrs.field(init=False)
    arrived: Counter[str] = attrs.field(factory=Counter, init=False)
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)
    _is_prepared: bool = attrs.field(default=False, init=False)
    _verified: Mapping[str, str] | ApiError | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.options, self.store = self.context.options, self.context.store.patterns

    async def call(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Call something on the thread of the store."""
        return await self.context.thread.call(work, *arguments)

    def delivery(self, thread: Thread) -> PatternDelivery:
        """Return what sends a thread."""
        return PatternDelivery(thread, self)

    async def prepare(self, client: ApiClient) -> None:
        """List what is there before the first pattern is sent: it is not ours."""
        async with self._lock:
            if self._is_prepared:
                return
            if not await self.call(self.store.is_begun) and not await self.call(self.store.is_listed):
                try:
                    keys = await _listed(client, lambda patterns: (pattern.key for pattern in patterns))
                except _NotListed as problem:
                    self.context.notify(f"a pattern without an answer will not be sent again: {problem}")
                else:
                    await self.call(self.store.list_before, keys)
            self._is_prepared = True

    async def settle(self, client: ApiClient, _rows: Sequence[StoredThread]) -> None:
        """Look for the patterns that had no answer, in this run or another. Those that are not there are sent again.

        Raises:
            ApiError: there is no usable answer.
        """
        try:
            await self._settle(client)
            why = "what the server has may be these, or others like them"
        except _NotListed as problem:
            why = str(problem)
        finally:
            await self.call(self.store.resume)
        for thread_id, count in await self.call(self.store.unknown):
            await self.call(self.context.store.failed, thread_id, f"{_unknown(count)}: {why}")

    async def _settle(self, client: ApiClient) -> None:
        sent, left = await self.call(self._in_export, await self.call(self.store.in_question))
        if self.context.anew:
            await self.call(self.store.not_stored, [row.place for row in left if not row.is_stored])
            left = [row for row in left if row.is_stored]
        lost = {row.task_hash for row in left}
        found = await self._compare(client, [one for one in sent if task_hash(one.line["task"]) not in lost])
        await self.call(self.store.not_stored, _places(found.missing))
        if await self.call(self.store.is_listed):  # otherwise they may have been there before
            await self.call(self.store.stored, _places(found.arrived))
            self.arrived.update(thread_id for thread_id, _ in _places(found.arrived))

    async def problem_of(self, thread_id: str, client: ApiClient) -> str | None:
        """Return what is wrong with the patterns of a thread. Those of all threads are compared at the first call.

        Raises:
            ApiError: there is no usable answer.
        """
        async with self._lock:
            if self._verified is None:
                try:
                    self._verified = await self._verify(client)
                except RunEnded:
                    raise
                except ApiError as problem:
                    self._verified = problem
        if isinstance(self._verified, ApiError):
            raise RequestFailed(str(self._verified))
        return self._verified.get(thread_id)

    async def _verify(self, client: ApiClient) -> Mapping[str, str]:
        problems, losses = defaultdict[str, list[tuple[int, str]]](list), list[Loss]()
        parts = -(-await self.call(self.store.count) // _TOGETHER)
        for number in range(parts):
            sent, left = await self.call(self._in_export, await self.call(self.store.part, number, parts))
            found = await self._compare(client, sent)
            for (thread_id, place), words in _problems(found, {row.task_hash for row in left}):
                problems[thread_id].append((place, f"pattern {place + 1} {words}"))
            losses += _losses(found)
        await self.call(self.context.store.found_lost, [*_WHY_LOST], losses)
        return {thread_id: _first([words for _, words in sorted(rows)]) for thread_id, rows in problems.items()}

    async def _compare(self, client: ApiClient, sent: Sequence[Sent[_Found]]) -> Comparison[_Found]:
        if not sent:
            return Comparison()
        tasks = {task_hash(one.line["task"]) for one in sent}
        before = await self.call(self.store.before)

        def ours(patterns: Iterable[Stored]) -> Iterable[Stored]:
            return (pattern for pattern in patterns if pattern.task_hash in tasks and pattern.key not in before)

        return compare(sent, await _listed(client, ours))

    def _in_export(self, rows: Iterable[StoredPattern]) -> tuple[list[Sent[_Found]], list[StoredPattern]]:
        """Return the patterns of rows, and the rows of which the export does not have the pattern any more."""
        left, sent = {row.place: row for row in rows}, list[Sent[_Found]]()
        thread_ids = {thread_id for thread_id, _ in left}
        for thread in self.context.threads():
            if thread.thread_id not in thread_ids:
                continue
            for number, pattern in enumerate(patterns_of(thread, self.options)):
                row = left.get((thread.thread_id, number))
                if row is not None and row.fingerprint == fingerprint(pattern.line):
                    del left[row.place]
                    sent.append(Sent(_Found(row, pattern.message_ids[-1]), pattern.line, row.is_stored))
        return sent, [*left.values()]


async def _listed(client: ApiClient, wanted: Callable[[Iterable[Stored]], Iterable[_T]]) -> list[_T]:
    """Read the list of all patterns, and return what is wanted of them. No more is in memory at a time.

    Raises:
        ApiError: there is no usable answer; `_NotListed` if the key may not.
    """

    async def read(chunks: AsyncIterator[bytes]) -> list[_T]:
        reader, found = ExportReader(), list[_T]()
        async for chunk in chunks:
            found += wanted(reader.feed(chunk))
        reader.close()
        return found

    try:
        return await client.stream(EXPORT, read)
    except AccessRefused as problem:
        if problem.status != 403:
            raise
        raise _NotListed(f"the key may not list patterns, which takes the role admin or owner: {problem}") from None


def _problems(found: Comparison[_Found], lost: set[str]) -> Iterable[tuple[Place, str]]:
    """Yield what is wrong with which pattern. Of some hashes patterns are known that the export does not have."""
    others = dict(found.foreign)
    for one in found.gone:
        key = others.get(one.row.task_hash)
        yield one.place, "is gone" if key is None else f"is gone or changed: {key} has its task"
    for one, key in found.doubled:
        if one.row.task_hash not in lost:
            yield one.place, f"is there more than once: {key}"


def _losses(found: Comparison[_Found]) -> Iterable[Loss]:
    for one in found.redacted:
        yield Loss(one.place[0], one.answer_id, _REDACTED, _WHY_LOST[_REDACTED])
    for thread_id in dict.fromkeys(one.place[0] for one in found.without_run):
        yield Loss(thread_id, None, _RUN, _WHY_LOST[_RUN])


def _places(found: Iterable[_Found]) -> list[Place]:
    return [one.place for one in found]


def _unknown(count: int) -> str:
    return f"it is not known whether {count:,} {'pattern has' if count == 1 else 'patterns have'} arrived"


def _first(words: Sequence[str]) -> str:
    more = f", and {len(words) - _MOST_NAMED:,} more" if len(words) > _MOST_NAMED else ""
    return f"{', '.join(words[:_MOST_NAMED])}{more}"
