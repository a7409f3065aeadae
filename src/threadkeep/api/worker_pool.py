"""A pool of workers over several API keys. When a key is rejected, its pending ids go to the remaining keys."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from threadkeep.api.client import ApiClient, PacingOptions, TransportLike
from threadkeep.api.keys import name_of_key
from threadkeep.api.rate_control import Traffic
from threadkeep.errors import (
    AccessRefused,
    ApiError,
    BadPage,
    QuotaSpent,
    RequestFailed,
    RunEnded,
    ServerUnreachable,
)

__all__ = ["Work", "WorkerPool", "one_batch", "traffic_of"]

_T = TypeVar("_T")

# So many seconds a person should know of.
_LONG = 30.0

Work = Callable[[str, ApiClient], Awaitable[None]]
"""Processes one id with one key."""


async def one_batch(ids: Sequence[str]) -> AsyncIterator[Sequence[str]]:
    """Yield all ids in one batch."""
    yield ids


class WorkerPool:
    """Workers that share a queue of ids.

    Args:
        transports: one for each key.
        pace: of the requests with each key.
        concurrency: the number of workers.
        on_notice: called with a text for people when a key is rejected and the run continues with the other keys, and
            at the first sign that the server does not answer.

    Attributes:
        ended_by: the error that ended the work before every id was processed; None if none did.
    """

    def __init__(
        self,
        transports: Sequence[TransportLike],
        pace: PacingOptions,
        concurrency: int,
        on_notice: Callable[[str], None],
    ) -> None:
        self._transports = transports
        self._clients = [ApiClient(transport, pace, self._report_silence) for transport in transports]
        self._concurrency = concurrency
        self._on_notice = on_notice
        self._queue: deque[str] = deque()
        self._refill = asyncio.Lock()
        self._has_more = False
        self._failures_in_a_row = 0
        self._silence_is_reported = False
        self.ended_by: RunEnded | None = None

    @property
    def traffic(self) -> Traffic:
        """The requests of all keys together. The pool pauses while every usable key does."""
        pause = min((client.traffic.pause for client in self._usable), default=0.0)
        return _sum([client.traffic for client in self._clients], pause)

    @property
    def _usable(self) -> list[ApiClient]:
        return [client for client in self._clients if client.ended_by is None]

    async def run(self, batches: AsyncIterator[Sequence[str]], work: Work) -> None:
        """Process every id, unless the run ends before. The ids are taken batch by batch, never all at once."""
        self._has_more = True
        while (self._queue or self._has_more) and self.ended_by is None:
            clients = self._usable
            try:
                async with asyncio.TaskGroup() as group:
                    for number in range(self._concurrency):
                        group.create_task(self._run_worker(batches, work, clients[number % len(clients)]))
            except BaseExceptionGroup as problems:
                # The first problem ended the run; the others follow from it in the other workers.
                raise problems.exceptions[0] from None
        self._queue.clear()

    async def _run_worker(self, batches: AsyncIterator[Sequence[str]], work: Work, client: ApiClient) -> None:
        """Process one id after another, until there are none or the client is not usable any more."""
        while client.ended_by is None and await self._fill(batches):
            if client.ended_by is None:
                await work(self._queue.popleft(), client)

    async def _fill(self, batches: AsyncIterator[Sequence[str]]) -> bool:
        """Fill an empty queue, and return whether it has an id. No other task can take it before the caller does."""
        async with self._refill:
            while not self._queue and self._has_more:
                batch = await anext(batches, None)
                self._has_more = batch is not None
                self._queue.extend(batch or ())
        return bool(self._queue)

    async def ask(
        self,
        pending: str,
        client: ApiClient,
        request: Callable[[ApiClient], Awaitable[_T]],
        is_anothers: Callable[[ApiError], bool],
    ) -> _T:
        """Ask with one key, then with the others as long as the answer may be another key's: of another project.

        Args:
            pending: the id that is processed: it goes to another key if this one is rejected.
            client: the key to ask with first.
            request: asks with a key.
            is_anothers: whether an error may mean that another key has what is asked for.

        Raises:
            RunEnded: another key takes the id over, or the work has ended.
            ApiError: why no key has it. What only a rejected key might know is failed, and not missing.
        """
        problems = list[ApiError]()
        for key in (client, *(other for other in self._usable if other is not client)):
            try:
                answer = await request(key)
            except ApiError as problem:
                if is_anothers(problem):
                    problems.append(problem)
                    continue
                if isinstance(problem, RunEnded):
                    self._reassign(key, pending, problem)
                raise
            self._failures_in_a_row = 0
            return answer
        refused = [self._name_of(one) for one in self._clients if isinstance(one.ended_by, AccessRefused)]
        if problems[-1].status == 404 and refused:
            were = "was" if len(refused) == 1 else "were"
            raise RequestFailed(f"no other key knows this, and {' and '.join(refused)} {were} rejected: {problems[-1]}")
        # That a key may not have it says more than that another does not know it.
        raise next((problem for problem in reversed(problems) if problem.status != 404), problems[0])

    def _reassign(self, client: ApiClient, pending: str, ending: RunEnded) -> None:
        """End a client whose key was rejected and queue its pending id for the others; any other error ends the run."""
        was_usable = client.ended_by is None
        client.end(ending)
        if isinstance(ending, AccessRefused) and self._usable:
            self._queue.append(pending)
            if was_usable:
                name = self._name_of(client)
                self._on_notice(f"{name} was rejected, the run continues with the other keys: {ending}")
            return
        if isinstance(ending, AccessRefused | QuotaSpent) and len(self._clients) > 1:
            ending.args = (f"{self._name_of(client)}: {ending}",)
        self.end(ending)

    def _name_of(self, client: ApiClient) -> str:
        number = self._clients.index(client)
        return name_of_key(number + 1, self._transports[number].key_line)

    def end(self, ending: RunEnded) -> None:
        """End the work, unless it has ended already. No more is sent; answers on their way still count."""
        self.ended_by = self.ended_by or ending
        for client in self._clients:
            client.end(ending)

    def _report_silence(self, problem: ApiError) -> None:
        """Report at once that a server cannot be reached, or asks for a long wait: all retries take a while."""
        seconds = problem.retry_after or 0.0
        if not self._silence_is_reported and (problem.unreachable or seconds >= _LONG):
            self._silence_is_reported = True
            self._on_notice(f"{problem}; retrying{f' in {seconds:,.0f} s' if seconds else ''}")

    def record_failure(self, problem: ApiError) -> None:
        """Record a failed id, and end the run if the server answers no request, or never answered as an API."""
        answered = any(transport.answered for transport in self._transports)
        counts = problem.unreachable or (not answered and isinstance(problem, BadPage | RequestFailed))
        self._failures_in_a_row = self._failures_in_a_row + 1 if counts else 0
        # A write that may have been carried out was sent only once; everything else was repeated.
        is_silent = problem.unreachable and not answered and not problem.unconfirmed
        if self._failures_in_a_row >= (1 if is_silent else max(16, 2 * self._concurrency)):
            self.end(ServerUnreachable(str(problem)))


def traffic_of(pools: Sequence[WorkerPool]) -> Traffic:
    """Return the requests of pools that run one after another; only the last one can pause."""
    traffic = [pool.traffic for pool in pools]
    return _sum(traffic, traffic[-1].pause)


def _sum(traffic: Sequence[Traffic], pause: float) -> Traffic:
    return Traffic(sent=sum(one.sent for one in traffic), refused=sum(one.refused for one in traffic), pause=pause)
