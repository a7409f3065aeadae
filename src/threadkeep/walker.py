"""Walk a list over the network: the requests of one run, paced, and asked again when an answer is no page."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol

import attrs
from aiolimiter import AsyncLimiter
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from threadkeep.errors import BadPage, RunEnded
from threadkeep.paging import LIMIT, Page, Walk, advance, read_page

__all__ = ["Api", "Pace", "Walker"]


class Api(Protocol):
    """What is asked of the API: `threadkeep.sdk.Api`, or a stand-in."""

    answered: bool
    """Whether the address has answered as an Assistants API yet. A page that was believed sets it."""

    async def get(self, path: str, params: Mapping[str, Any]) -> bytes:
        """Fetch the body of a success, or raise a leaf of `ApiError`."""
        ...


@attrs.frozen(kw_only=True)
class Pace:
    """How hard to ask.

    Attributes:
        rpm: requests a minute at most, not counting the SDK's own retries; None for no limit of ours.
        max_retries: how often a page that is no page, or contradicts its cursor, is asked for again.
        sleep: waits so many seconds; a parameter so that tests need not.
    """

    rpm: int | None = None
    max_retries: int = 6
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Walker:
    """Walks lists of one API at one pace.

    Attributes:
        ended_by: what ended the run, if anything has. Then nothing more is asked; answers on their way still count.
    """

    def __init__(self, api: Api, pace: Pace) -> None:
        self._api = api
        self.ended_by: RunEnded | None = None
        self._limiter = _limiter(pace.rpm) if pace.rpm is not None else None
        self._retrying = AsyncRetrying(
            retry=retry_if_exception_type(BadPage),
            stop=stop_after_attempt(pace.max_retries + 1),
            wait=wait_random_exponential(multiplier=0.5, max=8),
            sleep=pace.sleep,
            reraise=True,
        )

    async def walk(self, path: str, *, thread_id: str | None = None) -> AsyncIterator[Page]:
        """Yield a list's pages, oldest first, each believed.

        Args:
            path: of the list, below the base URL.
            thread_id: the thread that every row must belong to; None for lists of other things.

        Raises:
            ApiError: a leaf of it, `ended_by` too. The pages before were whole.
        """
        walk, seen = Walk(), set[str]()
        while not walk.done:
            found: tuple[Page, Walk] = await self._retrying.copy()(self._step, path, walk, seen, thread_id)
            page, walk = found
            seen.update(row["id"] for row in page.rows)
            yield page

    async def _step(self, path: str, walk: Walk, seen: set[str], thread_id: str | None) -> tuple[Page, Walk]:
        if self._limiter is not None:
            await self._limiter.acquire()
        if self.ended_by is not None:
            raise self.ended_by
        params = {"limit": LIMIT, "order": "asc", **({"after": walk.cursor} if walk.cursor else {})}
        page = read_page(await self._api.get(path, params), thread_id=thread_id)
        further = advance(walk, page, seen)
        self._api.answered = True
        return page, further


def _limiter(rpm: int) -> AsyncLimiter:
    # A tenth of a second's worth at once: one at a time, the timer's grain would halve the rate that is allowed.
    burst = max(1.0, rpm / 600)
    return AsyncLimiter(burst, burst * 60 / rpm)
