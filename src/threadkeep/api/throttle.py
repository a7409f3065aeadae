"""Slots to ask, one after another at the rate of one key: the asyncio shell round `threadkeep.api.rate_control`."""

import asyncio
import random  # noqa: TID251 - the default of a parameter
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from threadkeep.api.rate_control import RateController, RequestSlot, Traffic
from threadkeep.errors import QuotaSpent, RateLimited, RunEnded

__all__ = ["PacingOptions", "Throttle"]

# So long nothing must have been granted before a run is ended, in seconds: a quota that is renewed every minute is
# waited for twice.
_PATIENCE = 120.0

# More than any machine can ask in a minute, and no number too large for the sums.
_ENDLESS = 1_000_000_000


def _loop_time() -> float:
    return asyncio.get_running_loop().time()


@attrs.frozen(kw_only=True)
class PacingOptions:
    """How hard to ask.

    Attributes:
        rpm: requests a minute at most, retries counted; None to find the server's limit by its refusals. A server
            that refuses sooner is obeyed in either case.
        max_retries: how often a request that failed is tried again. Refusals by the rate limit do not count, as long
            as anything is granted to anybody.
        sleep: waits so many seconds.
        clock: the time in seconds, from any beginning.
        jitter: a random number from 0 to 1.
    """

    rpm: int | None = None
    max_retries: int = 6
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = _loop_time
    jitter: Callable[[], float] = random.random


class Throttle:
    """Who asks with one key takes a turn first, and says afterwards what came of it."""

    def __init__(self, pace: PacingOptions) -> None:
        self._pace = pace
        self._controller = RateController(limit=None if pace.rpm is None else min(pace.rpm, _ENDLESS) / 60)
        self._queue = asyncio.Lock()
        self._answered = asyncio.Event()
        self._over: asyncio.Future[None] | None = None  # made when somebody first waits, in the loop of a run
        self._ended_by: RunEnded | None = None

    @property
    def ended_by(self) -> RunEnded | None:
        """What ended the run, if anything has. Nobody gets a turn any more then, nor waits for one."""
        return self._ended_by

    @ended_by.setter
    def ended_by(self, ending: RunEnded | None) -> None:
        self._ended_by = ending
        self._answered.set()
        self._wake()

    @property
    def traffic(self) -> Traffic:
        """The counts, for a screen."""
        waits = max(0.0, self._controller.waits_until - self._pace.clock())
        return Traffic(sent=self._controller.sent, refused=self._controller.refused, waits=waits)

    async def take(self) -> RequestSlot:
        """Wait for a turn, first come, first served.

        Raises:
            RunEnded: `ended_by`.
        """
        async with self._queue:
            while self._ended_by is None and (seconds := self._controller.wait(self._pace.clock())):
                await self._wait(seconds)
            if self._ended_by is not None:
                raise self._ended_by
            return self._controller.send(self._pace.clock())

    def granted(self) -> None:
        """There was an answer other than a refusal by the rate limit."""
        self._controller.grant()
        self._answered.set()

    def dropped(self) -> None:
        """There was none that says anything about the quota."""
        self._controller.drop()
        self._answered.set()

    def refused(self, slot: RequestSlot, refusal: RateLimited) -> None:
        """Everybody waits. Where nothing has been granted to anybody for long, the run is over."""
        now = self._pace.clock()
        self._controller.refuse(slot, now, retry_after=refusal.retry_after, jitter=self._pace.jitter())
        self._answered.set()
        in_vain = (
            self._controller.fruitless > self._pace.max_retries and now - self._controller.fruitless_since >= _PATIENCE
        )
        if in_vain and self._ended_by is None:
            seconds = now - self._controller.fruitless_since
            self.ended_by = QuotaSpent(f"nothing was granted to anybody for {seconds:.0f} s: {refusal}")

    async def rest(self, seconds: float) -> None:
        """Wait so many seconds before a retry, or until the run is over."""
        await self._unless_over(self._pace.sleep(seconds))

    async def _wait(self, seconds: float) -> None:
        if seconds == float("inf"):
            self._answered.clear()
            await self._answered.wait()
        else:
            await self._unless_over(self._pace.sleep(seconds))

    def _wake(self) -> None:
        """Let nobody wait who waits for a run that has ended."""
        if self._ended_by is not None and self._over is not None and not self._over.done():
            self._over.set_result(None)

    async def _unless_over(self, thing: Awaitable[Any]) -> None:
        self._over = self._over or asyncio.get_running_loop().create_future()
        self._wake()
        task = asyncio.ensure_future(thing)
        try:
            await asyncio.wait((task, self._over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
