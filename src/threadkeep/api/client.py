"""Fetch lists, objects and files with one key: at its pace, and with retries where they may help.

The asyncio shell around `threadkeep.api.pagination` and `threadkeep.api.rate_control`.
"""

import asyncio
import random  # noqa: TID251 - the default of a parameter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import attrs
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from threadkeep.api.pagination import LIMIT, Page, is_last_page, read_object, read_page
from threadkeep.api.rate_control import RateController, RequestSlot, Traffic
from threadkeep.errors import ApiError, BadPage, QuotaSpent, RateLimited, RunEnded

__all__ = ["ApiClient", "PacingOptions", "TransportLike"]

_T = TypeVar("_T")

_BACKOFF = wait_random_exponential(multiplier=0.5, max=8)

# A run ends after so many seconds of refusals only: a quota that is renewed every minute is waited for twice.
_PATIENCE = 120.0

# More than any machine can send in a minute, and not too large for a float.
_MAX_RPM = 1_000_000_000


class TransportLike(Protocol):
    """`threadkeep.api.transport.Transport`, which is not imported here since that imports the SDK."""

    answered: bool

    async def get(self, path: str, params: Mapping[str, Any]) -> bytes: ...

    async def download(self, file_id: str, into: Callable[[AsyncIterator[bytes]], Awaitable[_T]]) -> _T: ...


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


@attrs.frozen(kw_only=True)
class PacingOptions:
    """The pace of requests.

    Attributes:
        rpm: requests a minute at most, retries included; None to find the server's limit by its refusals. A server that
            refuses sooner is obeyed in either case.
        max_retries: how often a failed request is repeated. Refusals by the rate limit do not count, as long as any
            request succeeds.
        sleep: waits so many seconds.
        clock: the time in seconds, from any beginning.
        jitter: a random number from 0 to 1.
    """

    rpm: int | None = None
    max_retries: int = 6
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = _loop_time
    jitter: Callable[[], float] = random.random


class ApiClient:
    """Sends requests to one API, all with one key and at one pace.

    Args:
        transport: sends them.
        pace: how fast, and how often a failed one is repeated.
        on_retry: called with the error before each retry, except after a 429.

    Attributes:
        ended_by: the error that ended the run; None while it continues.
    """

    def __init__(
        self,
        transport: TransportLike,
        pace: PacingOptions,
        on_retry: Callable[[ApiError], None] = lambda _problem: None,
    ) -> None:
        self.ended_by: RunEnded | None = None
        self._transport = transport
        self._pace = pace
        self._controller = RateController(limit=None if pace.rpm is None else min(pace.rpm, _MAX_RPM) / 60)
        self._queue = asyncio.Lock()
        self._answered = asyncio.Event()
        self._ended = asyncio.Event()
        self._retrying = AsyncRetrying(
            retry=retry_if_exception(lambda problem: isinstance(problem, ApiError) and problem.may_retry),
            stop=stop_after_attempt(pace.max_retries + 1),
            wait=lambda state: max(_problem(state).retry_after or 0.0, _BACKOFF(state)),
            before_sleep=lambda state: on_retry(_problem(state)),
            sleep=self._sleep,
            reraise=True,
        )

    def end(self, ending: RunEnded) -> None:
        """End the run, unless it has ended already. No more is sent; answers on their way still count."""
        self.ended_by = self.ended_by or ending
        self._ended.set()
        self._answered.set()

    @property
    def traffic(self) -> Traffic:
        """The requests so far."""
        pause = max(0.0, self._controller.paused_until - self._pace.clock())
        return Traffic(sent=self._controller.sent, refused=self._controller.refused, pause=pause)

    async def walk(
        self,
        path: str,
        *,
        thread_id: str | None = None,
        run_id: str | None = None,
        params: Mapping[str, Any] | None = None,
        walked: Sequence[str] = (),
    ) -> AsyncIterator[Page]:
        """Yield the pages of a list, oldest first. If a thread or run is given, every row must belong to it.

        Args:
            path: of the list, below the base URL.
            params: of the query, next to limit, order and cursor.
            walked: the ids of the rows that an earlier walk yielded, in order. This one continues after them.

        Raises:
            ApiError: the pages before are complete.
        """
        cursor, seen, is_last = walked[-1] if walked else None, set(walked), False

        def read(body: bytes) -> tuple[Page, bool]:
            page = read_page(body, thread_id=thread_id, run_id=run_id)
            return page, is_last_page(page, cursor, seen)

        while not is_last:
            after = {"after": cursor} if cursor else {}
            query = {**(params or {}), "limit": LIMIT, "order": "asc", **after}
            page, is_last = await self._get(path, query, read)
            seen.update(row["id"] for row in page.rows)
            cursor = page.rows[-1]["id"] if page.rows else cursor
            # The caller alone holds the page: the thousands of objects of each that waits somewhere cost the garbage
            # collector as much as the page cost before.
            pages = [page]
            del page
            yield pages.pop()

    async def fetch(self, path: str, *, object_id: str | None = None) -> Mapping[str, Any]:
        """Return the object at a path below the base URL. If an id is given, the object must have it.

        Raises:
            ApiError: `BadPage` if every answer is another object, or none.
        """
        return await self._get(path, {}, lambda body: read_object(body, object_id=object_id))

    async def download(self, file_id: str, into: Callable[[AsyncIterator[bytes]], Awaitable[_T]]) -> _T:
        """Pass the content of a file to ``into`` in chunks, from the first one again at each retry; return its result.

        Raises:
            ApiError: there is no usable answer.
        """
        return await self._retrying.copy()(self._send, lambda: self._transport.download(file_id, into))

    async def _get(self, path: str, query: Mapping[str, Any], read: Callable[[bytes], _T]) -> _T:
        async def get() -> _T:
            value = read(await self._send(lambda: self._transport.get(path, query)))
            self._transport.answered = True
            return value

        return await self._retrying.copy()(get)

    async def _send(self, request: Callable[[], Awaitable[_T]]) -> _T:
        """Send a request when the rate limit allows it, and again after each 429."""
        controller = self._controller
        while True:
            slot = await self._next_slot()
            try:
                answer = await request()
            except RateLimited as refusal:
                now, jitter = self._pace.clock(), self._pace.jitter()
                controller.record_refused(slot, now, retry_after=refusal.retry_after, jitter=jitter)
                seconds = now - controller.first_pause_at
                if controller.pauses_in_a_row > self._pace.max_retries and seconds >= _PATIENCE:
                    self.end(QuotaSpent(f"the server answered every request with 429 for {seconds:.0f} s: {refusal}"))
            except BaseException as problem:
                if isinstance(problem, ApiError) and (not problem.may_retry or isinstance(problem, BadPage)):
                    controller.record_granted(slot)
                else:
                    controller.record_unknown()
                raise
            else:
                controller.record_granted(slot)
                return answer
            finally:
                self._answered.set()

    async def _next_slot(self) -> RequestSlot:
        """Wait until a request may be sent, first come, first served, and raise `ended_by` if the run ends."""
        async with self._queue:
            while self.ended_by is None and (seconds := self._controller.wait(self._pace.clock())):
                if seconds < float("inf"):
                    await self._sleep(seconds)
                else:
                    self._answered.clear()
                    await self._answered.wait()
            if self.ended_by is not None:
                raise self.ended_by
            return self._controller.send(self._pace.clock())

    async def _sleep(self, seconds: float) -> None:
        """Sleep, at most until the run ends."""
        tasks = [asyncio.ensure_future(self._pace.sleep(seconds)), asyncio.ensure_future(self._ended.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()


def _problem(state: RetryCallState) -> ApiError:
    problem = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(problem, ApiError)  # nothing else is retried
    return problem
