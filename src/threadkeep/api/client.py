"""Walk a list over the network: the requests of one key, paced, and asked again where that may help."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from threadkeep.api.pagination import LIMIT, Page, Walk, advance, read_object, read_page
from threadkeep.api.rate_control import Traffic
from threadkeep.api.throttle import PacingOptions, Throttle
from threadkeep.errors import ApiError, BadPage, RateLimited, RequestFailed, RunEnded

__all__ = ["ApiClient", "PacingOptions", "TransportLike"]

_T = TypeVar("_T")

_EXPONENTIAL = wait_random_exponential(multiplier=0.5, max=8)


class TransportLike(Protocol):
    """What is asked of the API: `threadkeep.api.transport.Transport`, or a stand-in."""

    answered: bool
    """Whether the address has answered as an Assistants API yet. A page that was believed sets it."""

    async def get(self, path: str, params: Mapping[str, Any]) -> bytes:
        """Fetch the body of a success, or raise a leaf of `ApiError`."""
        ...

    async def download(self, file_id: str, into: Callable[[AsyncIterator[bytes]], Awaitable[_T]]) -> _T:
        """Fetch what a file holds, piece by piece, or raise a leaf of `ApiError`."""
        ...


class ApiClient:
    """Walks lists of one API, all with one key and at one pace.

    Args:
        transport: what is asked.
        pace: how hard.
        on_retry: called with what went wrong before it is asked again. 429s are not told.
    """

    def __init__(
        self,
        transport: TransportLike,
        pace: PacingOptions,
        on_retry: Callable[[ApiError], None] = lambda _problem: None,
    ) -> None:
        self._transport = transport
        self._on_retry = on_retry
        self._throttle = Throttle(pace)
        self._retrying = AsyncRetrying(
            retry=retry_if_exception(_may_ask_again),
            stop=stop_after_attempt(pace.max_retries + 1),
            wait=_before_retry,
            before_sleep=self._tell,
            sleep=self._throttle.rest,
            reraise=True,
        )

    def _tell(self, state: RetryCallState) -> None:
        self._on_retry(_problem(state))

    @property
    def ended_by(self) -> RunEnded | None:
        """What ended the run, if anything has. Then nothing more is asked; answers on their way still count."""
        return self._throttle.ended_by

    @ended_by.setter
    def ended_by(self, ending: RunEnded | None) -> None:
        self._throttle.ended_by = ending

    @property
    def traffic(self) -> Traffic:
        """What has been asked so far, for a screen."""
        return self._throttle.traffic

    async def walk(
        self,
        path: str,
        *,
        thread_id: str | None = None,
        run_id: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Page]:
        """Yield a list's pages, oldest first, each believed.

        Args:
            path: of the list, below the base URL.
            thread_id: the thread that every row must belong to; None for lists of other things.
            run_id: the run that every row must belong to, for lists of steps.
            params: more of the query.

        Raises:
            ApiError: a leaf of it, `ended_by` too. The pages before were whole.
        """
        walk, seen = Walk(), set[str]()
        while not walk.done:
            after = {"after": walk.cursor} if walk.cursor else {}
            query = {**(params or {}), "limit": LIMIT, "order": "asc", **after}

            def read(body: bytes, walk: Walk = walk) -> tuple[Page, Walk]:
                page = read_page(body, thread_id=thread_id, run_id=run_id)
                return page, advance(walk, page, seen)

            page, walk = await self._ask(path, query, read)
            seen.update(row["id"] for row in page.rows)
            yield page

    async def fetch(self, path: str, *, object_id: str | None = None) -> Mapping[str, Any]:
        """Fetch one object.

        Args:
            path: of the object, below the base URL.
            object_id: the id that it must have; None where any will do.

        Raises:
            ApiError: a leaf of it. `BadPage` is an answer that is no such object, however often it was asked for.
        """
        return await self._ask(path, {}, lambda body: read_object(body, object_id=object_id))

    async def download(self, file_id: str, into: Callable[[AsyncIterator[bytes]], Awaitable[_T]]) -> _T:
        """Fetch what a file holds.

        Args:
            file_id: one that needs no quoting in a path.
            into: takes the pieces, from the first one again at each retry, and gives what this gives.

        Raises:
            ApiError: a leaf of it.
        """
        return await self._retrying.copy()(self._in_turn, lambda: self._transport.download(file_id, into))

    async def _ask(self, path: str, query: Mapping[str, Any], read: Callable[[bytes], _T]) -> _T:
        return await self._retrying.copy()(self._believe, path, query, read)

    async def _believe(self, path: str, query: Mapping[str, Any], read: Callable[[bytes], _T]) -> _T:
        believed = read(await self._in_turn(lambda: self._transport.get(path, query)))
        self._transport.answered = True
        return believed

    async def _in_turn(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Ask until the rate limit lets the request pass."""
        while True:
            slot = await self._throttle.take()
            try:
                answer = await ask()
            except RateLimited as refusal:
                self._throttle.refused(slot, refusal)
            except BaseException as problem:
                self._throttle.granted() if _tells_of_the_quota(problem) else self._throttle.dropped()
                raise
            else:
                self._throttle.granted()
                return answer


def _tells_of_the_quota(problem: BaseException) -> bool:
    return isinstance(problem, ApiError) and not (isinstance(problem, RequestFailed) and problem.again)


def _may_ask_again(problem: BaseException) -> bool:
    return isinstance(problem, BadPage) or (isinstance(problem, RequestFailed) and problem.again)


def _before_retry(state: RetryCallState) -> float:
    """Seconds, random and growing, and no fewer than the server asks for."""
    problem = _problem(state)
    hint = problem.retry_after if isinstance(problem, RequestFailed) else None
    return max(hint or 0.0, _EXPONENTIAL(state))


def _problem(state: RetryCallState) -> ApiError:
    problem = state.outcome.exception() if state.outcome is not None else None
    assert isinstance(problem, ApiError)  # nothing else is asked again
    return problem
