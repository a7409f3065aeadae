"""Fetch lists, objects and files with one key: at its pace, and with retries where they may help.

The asyncio shell around `threadkeep.api.pagination` and `threadkeep.api.rate_control`.
"""

import asyncio
import random  # noqa: TID251 - the default of a parameter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO, Protocol, TypeVar

import attrs
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from threadkeep.api.error_mapping import MAX_WAIT
from threadkeep.api.pagination import LIMIT, Page, Walk, read_object, read_page
from threadkeep.api.rate_control import RateController, RequestSlot, Traffic
from threadkeep.errors import ApiError, BadPage, QuotaSpent, RateLimited, RunEnded, WrongAddress

__all__ = ["ApiClient", "PacingOptions", "TransportLike"]

_T = TypeVar("_T")

_BACKOFF = wait_random_exponential(multiplier=0.5, max=8)

# A run ends after so many seconds of refusals only: a quota that is renewed every minute is waited for twice. What a
# server names as a wait is waited for, as long as all of it is no more than `MAX_WAIT`.
_PATIENCE = 120.0

# More than any machine can send in a minute, and not too large for a float.
_MAX_RPM = 1_000_000_000


class TransportLike(Protocol):
    """`threadkeep.api.transport.Transport`, which is not imported here since that imports the SDK."""

    answered: bool
    key_line: int | None

    @property
    def library(self) -> str: ...

    def use_aiohttp(self) -> bool: ...

    async def get(self, path: str, params: Mapping[str, Any], *, is_again: bool = False) -> bytes: ...

    async def download(
        self, file_id: str, into: Callable[[AsyncIterator[bytes]], Awaitable[_T]], size: int | None
    ) -> _T: ...

    async def stream(self, path: str, into: Callable[[AsyncIterator[bytes]], Awaitable[_T]]) -> _T: ...

    async def post(self, path: str, body: Mapping[str, Any]) -> bytes: ...

    async def upload(self, file: BinaryIO, *, name: str, size: int, purpose: str) -> bytes: ...

    def finish(self, problem: ApiError) -> ApiError: ...

    def is_secret_in(self, names: Iterable[str]) -> bool: ...


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

    def refuse_unusable_id(self, name: str) -> None:
        """Refuse an id that the server gives something and that cannot be kept.

        Raises:
            BadPage: it is not Unicode, or holds a key, a token or a password, or a part of one.
        """
        if any("\ud800" <= letter <= "\udfff" for letter in name):
            raise BadPage("the server gives an id that is not Unicode")
        if self._transport.is_secret_in((name,)):
            raise BadPage("the server gives an id that holds a part of the key or password that was sent")

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
        walk = Walk.behind(walked)

        def read(body: bytes, *, is_again: bool = False) -> Page | None:
            page = read_page(body, thread_id=thread_id, run_id=run_id)
            if self._transport.is_secret_in((page.last_id or "", *(row["id"] for row in page.rows))):
                raise BadPage("an id of the page holds a part of the key or password that was sent")
            return walk.take(page) if page.rows or walk.was_last or is_again else None

        while not walk.is_over:
            after = {"after": walk.cursor} if walk.cursor else {}
            query = {**(params or {}), "limit": LIMIT, "order": "asc", **after}
            # The caller alone holds the page: the thousands of objects of each that waits somewhere cost the garbage
            # collector as much as the page cost before.
            pages = [await self._get(path, query, read)]
            if pages[0] is None:
                # Nothing in an empty page says whose it is, and servers and proxies have mixed answers up. It counts
                # when it comes again over another connection.
                pages = [await self._get(path, query, partial(read, is_again=True), is_again=True)]
            yield pages.pop()  # type: ignore[misc]  # the second one is taken as it is

    async def fetch(self, path: str, *, object_id: str | None = None) -> Mapping[str, Any]:
        """Return the object at a path below the base URL. If an id is given, the object must have it.

        Raises:
            ApiError: `BadPage` if every answer is another object, or none.
        """
        return await self._get(path, {}, lambda body: read_object(body, object_id=object_id))

    async def download(
        self, file_id: str, into: Callable[[AsyncIterator[bytes]], Awaitable[_T]], size: int | None = None
    ) -> _T:
        """Pass the content of a file to ``into`` in chunks, from the first one again at each retry; return its result.

        Args:
            size: of the file in bytes, as its object says: not much more is taken.

        Raises:
            ApiError: there is no usable answer.
        """
        return await self._retried(lambda: self._send(lambda: self._transport.download(file_id, into, size)))

    async def stream(self, path: str, into: Callable[[AsyncIterator[bytes]], Awaitable[_T]]) -> _T:
        """Pass the body of an answer of any size to ``into``, as `download` does with the content of a file.

        Raises:
            ApiError: there is no usable answer; what ``into`` raises, too.
        """

        async def get() -> _T:
            value = await self._send(lambda: self._transport.stream(path, into))
            self._transport.answered = True
            return value

        return await self._retried(get)

    async def post(self, path: str, body: Mapping[str, Any], read: Callable[[bytes], _T]) -> _T:
        """Send a JSON object, and return what ``read`` makes of the body of a success.

        It is sent once, and again only after 429. Whoever calls this decides what follows an error: after one that is
        ``unconfirmed`` the server may have done what was asked for, and the same request would do it twice.

        Raises:
            ApiError: there is no usable answer; what ``read`` raises, too.
        """
        return await self._write(lambda: self._transport.post(path, body), read)

    async def upload(self, file: BinaryIO, *, name: str, size: int, purpose: str, read: Callable[[bytes], _T]) -> _T:
        """Send a file of so many bytes as `post` sends an object."""
        return await self._write(lambda: self._transport.upload(file, name=name, size=size, purpose=purpose), read)

    async def _write(self, send: Callable[[], Awaitable[bytes]], read: Callable[[bytes], _T]) -> _T:
        was_sent = False

        async def request() -> bytes:
            nonlocal was_sent
            was_sent = True
            try:
                return await send()
            except RateLimited:
                was_sent = False  # what ends the run while this waits for its turn is no answer to it
                raise

        try:
            answer = read(await self._send(request))
        except ApiError as problem:
            # Whoever answers with a web page, and never with anything else, is no such API.
            is_elsewhere = not self._transport.answered and _is_web_page(problem)
            problem = self._transport.finish(problem)
            problem.unconfirmed |= was_sent and not is_elsewhere and _may_have_been_done(problem)
            raise problem from None
        self._transport.answered = True
        return answer

    async def pause(self, seconds: float) -> None:
        """Wait, at most until the run ends."""
        await self._sleep(seconds)

    async def retried(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Call until no error is raised that a retry may help against, as often as a request is repeated.

        Raises:
            ApiError: the last one.
        """
        return await self._retried(attempt)

    async def _get(
        self, path: str, query: Mapping[str, Any], read: Callable[[bytes], _T], *, is_again: bool = False
    ) -> _T:
        async def get() -> _T:
            value = read(await self._send(lambda: self._transport.get(path, query, is_again=is_again)))
            self._transport.answered = True
            return value

        return await self._retried(get)

    async def _retried(self, request: Callable[[], Awaitable[_T]]) -> _T:
        async def attempt() -> _T:
            try:
                return await request()
            except ApiError as problem:
                raise self._transport.finish(problem) from None  # the SDK's own error shows the key

        try:
            return await attempt()
        except ApiError as problem:
            first = [problem]

        async def repeat() -> _T:
            if first:  # the attempt that was made before: what counts them costs a twentieth of a page
                raise first.pop()
            return await attempt()

        try:
            return await self._retrying.copy()(repeat)
        except ApiError as problem:
            problem.may_retry = False  # it has been retried
            raise

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
                patience = _PATIENCE if refusal.retry_after is None else MAX_WAIT
                if controller.pauses_in_a_row > self._pace.max_retries and seconds >= patience:
                    words = self._transport.finish(refusal)
                    self.end(QuotaSpent(f"the server answered every request with 429 for {seconds:.0f} s: {words}"))
            except BaseException as problem:
                if isinstance(problem, ApiError) and (not problem.may_retry or isinstance(problem, BadPage)):
                    controller.record_granted(slot, self._pace.clock())
                else:
                    controller.record_unknown()
                raise
            else:
                controller.record_granted(slot, self._pace.clock())
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


def _may_have_been_done(problem: ApiError) -> bool:
    """Return whether a write may have been carried out.

    What was refused or redirected, or never reached the server, was not; nor was what reached no such API.
    """
    is_refused = problem.status is not None and 300 <= problem.status < 500 and problem.status not in (408, 409)
    return problem.was_sent and not is_refused and not isinstance(problem, WrongAddress)


def _is_web_page(problem: ApiError) -> bool:
    """Return whether a success is a web page: an error may be one too, of a gateway in between."""
    body = problem.quoted
    return isinstance(problem, BadPage) and isinstance(body, bytes) and body.lstrip()[:1] == b"<"


def _problem(state: RetryCallState) -> ApiError:
    problem = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(problem, ApiError)  # nothing else is retried
    return problem
