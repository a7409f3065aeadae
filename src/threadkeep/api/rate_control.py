"""How fast one key is asked, pure: when the next request may go, and what each answer teaches. Time is a parameter.

How a server shares out its quota is not known, and the routes of the Assistants API carried no rate-limit headers
(recorded): a 429 is the only signal. So nothing is assumed before the first one; requests in flight grow from a few, by
half a round, as long as all goes well. Then:

* Everybody waits as long as the server says, or for a growing while where it says nothing or waiting has not helped.
* At two refusals the quota was used up both times. What was granted in between, divided by the time, is the quota.
* Requests go a little slower than that at first, then faster and faster, until the next refusal. The growth is
  counted in requests, some hundreds to a refusal, and steeper the longer none comes: an estimate that was too low, or
  a 429 with no quota behind it, is soon grown out of.

Refusals of requests that were in flight together are one signal. Requests that nobody wanted to send in time are made
up for, but not all at once. Held against buckets that fill evenly, windows of a minute, and stray refusals.
"""

from collections import deque

import attrs

__all__ = ["RateController", "RequestSlot", "Traffic"]

# In flight at first, and how many more for each request that is granted. Doubling would overshoot a small quota by
# twice as many refusals and reach 64 in flight only a tenth of a second sooner.
_FIRST_IN_FLIGHT = 8
_GROWTH = 0.5

# The rate between refusals: a cubic in requests, as in TCP's CUBIC. It starts a depth below the estimate, reaches it
# after a stride, and stands a depth above it after two, where a bucket that fills evenly is empty again. A stride is as
# many requests as the estimate stands on, within bounds: little is known after few.
_DEPTH = 0.1
_SHORTEST_STRIDE, _LONGEST_STRIDE = 10, 200

# Estimates look back over so many granted requests. More would be more exact, and blind to a quota that changes.
_BASELINE = 400

# An estimate that stood on so few requests, and was followed by so many strides without a refusal, was too low, and so
# was everything that was measured with it.
_LITTLE, _OUTGROWN = 50, 4

# What was not sent in time is made up for, at most so many seconds' worth, and so many times as fast as the rate, but
# for clumps that the grain of timers makes.
_CREDIT_SECONDS = 1.0
_CATCH_UP = 2.0
_CLUMP_SECONDS = 0.02

# So many seconds' worth of a given limit may go at once: one at a time, the grain of timers would halve the rate that
# is allowed. Servers are thought to allow a whole second's worth, and latency that varies makes clumps of its own.
_BURST_SECONDS = 0.5

# Pauses of our own, in seconds. A quota that is renewed every minute is not missed by more than the longest.
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.25, 15.0

# Sums of fractions of seconds are not exact.
_GRAIN = 1e-9


@attrs.frozen(kw_only=True)
class Traffic:
    """What a screen shows.

    Attributes:
        sent: requests, retries included.
        refused: how many of them were answered 429.
        waits: for how many seconds nothing is sent since the server asked for it; 0 if it did not.
    """

    sent: int
    refused: int
    waits: float


@attrs.frozen
class RequestSlot:
    """One request on its way: how many went before it, and when it went, in seconds."""

    number: int
    sent_at: float


@attrs.frozen
class _Refusal:
    """When the quota was used up, or will be renewed, and how many requests had been granted by then."""

    at: float
    granted: int


@attrs.define
class RateController:
    """The rate of all requests that share one quota. Times are seconds of one clock that never goes back.

    Attributes:
        limit: requests a second at most; None where only the server says what is too many.
        sent: how many have been sent.
        refused: how many were answered 429.
        waits_until: nothing is sent before.
        fruitless: how many pauses there have been in a row with nothing granted after them, this one included.
        fruitless_since: when the first of them began.
        rate: the quota in requests a second, as far as it is known; None before two refusals.
    """

    limit: float | None = None
    sent: int = 0
    refused: int = 0
    waits_until: float = float("-inf")
    fruitless: int = 0
    fruitless_since: float = 0.0
    rate: float | None = None
    _in_flight: int = 0
    _window: float = _FIRST_IN_FLIGHT
    _threshold: float = float("inf")
    _refusals: deque[_Refusal] = attrs.field(factory=deque)
    _signal_ends: int = 0
    _stride: int = _SHORTEST_STRIDE
    _kept: int = 0
    _credit: float = 0.0
    _credited_at: float = 0.0
    _next_at: float = float("-inf")
    _allowance: float = 0.0
    _allowed_at: float = float("-inf")

    def wait(self, now: float) -> float:
        """Say how many seconds the next request must wait; infinity is until something has been answered."""
        if now < self.waits_until:
            return self.waits_until - now
        if self._in_flight >= (1 if self.fruitless > 1 else self._window):
            return float("inf")
        limited = self._limited(now, self.limit) if self.limit is not None else 0.0
        if self.rate is None:
            return limited
        speed = self._speed(self.rate)
        self._accrue(now, speed)
        missing = (1 - self._credit) / speed if self._credit < 1 - _GRAIN else 0.0
        return max(limited, missing, self._next_at - now)

    def send(self, now: float) -> RequestSlot:
        """Take a slot for a request that goes now, its wait being 0."""
        slot = RequestSlot(self.sent, now)
        self.sent += 1
        self._in_flight += 1
        self._allowance -= 1
        if self.rate is not None:
            self._credit -= 1
            self._kept += self._credit < 1  # while it catches up, or is asked for less, it is not tried
            self._next_at = max(self._next_at, now - _CLUMP_SECONDS) + 1 / (_CATCH_UP * self._speed(self.rate))
        return slot

    def drop(self) -> None:
        """A request ended in something that says nothing about the quota."""
        self._in_flight -= 1

    def grant(self) -> None:
        """A request was not refused. If as many were in flight as might be, there may be more."""
        if self._in_flight >= self._window - 1:
            self._window += _GROWTH if self._window < self._threshold else 1 / self._window
        self._in_flight -= 1
        self.fruitless = 0

    def refuse(self, slot: RequestSlot, now: float, *, retry_after: float | None, jitter: float) -> None:
        """A request was answered 429.

        Args:
            slot: the request's.
            now: when the answer came.
            retry_after: the seconds that the server asks for.
            jitter: a random number from 0 to 1, so that several processes do not come back at once.
        """
        self._in_flight -= 1
        if slot.number >= self._signal_ends:
            if not self.fruitless:
                self._look_back(slot, retry_after or 0.0)
            self._slow_down(now)
        self.refused += 1
        self.waits_until = max(self.waits_until, now + self._pause(retry_after, jitter))

    def _limited(self, now: float, limit: float) -> float:
        """The seconds until the limit lets a request pass: evenly, and a little at once after a while without any."""
        self._allowance = min(self._allowance + (now - self._allowed_at) * limit, max(1.0, limit * _BURST_SECONDS))
        self._allowed_at = now
        return (1 - self._allowance) / limit if self._allowance < 1 - _GRAIN else 0.0

    def _look_back(self, slot: RequestSlot, pause: float) -> None:
        """Estimate the quota from what was granted since an older refusal.

        A pause that the server asks for ends when the quota is renewed. That moment is the same in every window, and
        as good as the refusal itself where the quota is renewed all the time.
        """
        here = _Refusal(slot.sent_at + pause, slot.number - self.refused)
        points = self._refusals
        if (
            self.rate is not None
            and self._stride <= _LITTLE
            and self._kept > _OUTGROWN * self._stride
            and len(points) > 1
        ):
            self.rate, self._stride = self._speed(self.rate) / 2, _SHORTEST_STRIDE
            points.clear()
        while len(points) > 1 and here.granted - points[1].granted >= _BASELINE:
            points.popleft()
        if points and here.granted > points[0].granted and here.at > points[0].at:
            granted = here.granted - points[0].granted
            self.rate = granted / (here.at - points[0].at)
            self._stride = min(_LONGEST_STRIDE, max(_SHORTEST_STRIDE, granted))
        points.append(here)

    def _slow_down(self, now: float) -> None:
        self._signal_ends = self.sent
        self.fruitless_since = self.fruitless_since if self.fruitless else now
        self.fruitless += 1
        if self.rate is None:
            self._threshold = self._window / 2
            self._window = 1
        self._credit, self._credited_at, self._kept = 0.0, now, 0

    def _pause(self, retry_after: float | None, jitter: float) -> float:
        growing = min(_SHORTEST_PAUSE * 2.0 ** min(self.fruitless, 10) * (0.5 + jitter / 2), _LONGEST_PAUSE)
        if retry_after is None:
            return growing
        return retry_after if self.fruitless <= 1 else max(retry_after, growing)

    def _speed(self, rate: float) -> float:
        """The requests a second to send now. No stride is shorter than two rounds, since refusals come a round late."""
        beyond = self._kept / max(self._stride, 2 * self._in_flight) - 1
        return rate * (1 + _DEPTH * beyond * beyond * beyond)

    def _accrue(self, now: float, speed: float) -> None:
        """Add what the time since has brought to the credit."""
        self._credit = min(self._credit + (now - self._credited_at) * speed, max(1.0, speed * _CREDIT_SECONDS))
        self._credited_at = now
