"""The request rate of one key: when the next request may be sent, and what each answer changes. Pure.

How a server divides its quota is not known, and the routes of the Assistants API had no rate-limit headers (recorded):
a 429 is the only signal. So nothing is assumed before the first one. The number of requests in flight starts low and
grows by half a round, as long as no request is refused. Then:

* Every request waits as long as the server says, or for growing pauses if it does not say or if waiting did not help.
* At two refusals the quota was used up both times. The requests granted in between, divided by the time, are the quota.
* Requests are sent a little slower than that at first, then faster and faster, until the next refusal. The growth is
  counted in requests, some hundreds to a refusal, and is steeper the longer none comes. So an estimate that was too
  low, or a 429 without a quota, does not slow the run for long.

Refusals of requests that were in flight together are one signal. Requests that were not sent in time are caught up, but
not all at once. Tested against buckets that fill evenly, windows of a minute, and single refusals without a quota.
"""

from collections import deque

import attrs

__all__ = ["RateController", "RequestSlot", "Traffic"]

# The requests in flight at first, and how many more for each one that is granted. Doubling would overshoot a small
# quota by twice as many refusals, and reach 64 in flight only a tenth of a second sooner.
_FIRST_IN_FLIGHT = 8
_GROWTH = 0.5

# The rate between refusals: a cubic in requests, as in TCP's CUBIC. It starts a depth below the estimate, reaches it
# after a stride, and is a depth above it after two, when a bucket that fills evenly is empty again. A stride is as many
# requests as the estimate is based on, within bounds: little is known after few.
_DEPTH = 0.1
_MIN_STRIDE, _MAX_STRIDE = 10, 200

# Estimates are based on the last granted requests, so many. More would be more exact, but blind to a changed quota.
_BASELINE = 400

# An estimate based on so few requests, and followed by so many strides without a refusal, was too low. So was
# everything that was measured with it.
_FEW_REQUESTS, _MANY_STRIDES = 50, 4

# Late requests are caught up, at most so many seconds' worth, and so many times as fast as the rate, apart from bursts
# due to the resolution of timers.
_CREDIT_SECONDS = 1.0
_CATCH_UP = 2.0
_TIMER_SECONDS = 0.02

# So many seconds' worth of a given limit may be sent at once: one at a time, the resolution of timers would halve the
# rate. Servers are believed to allow a whole second's worth, and latency that varies makes bursts of its own.
_BURST_SECONDS = 0.5

# Our own pauses, in seconds. A quota that is renewed every minute is not missed by more than the longest.
_MIN_PAUSE, _MAX_PAUSE = 0.25, 15.0

# Sums of fractions of seconds are not exact.
_EPSILON = 1e-9


@attrs.frozen(kw_only=True)
class Traffic:
    """Requests so far.

    Attributes:
        sent: requests, retries included.
        refused: how many of them were answered with 429.
        pause: the seconds until the next request, while the rate limit pauses all requests; else 0.
    """

    sent: int
    refused: int
    pause: float


@attrs.frozen
class RequestSlot:
    """One request in flight: how many were sent before it, and when it was sent, in seconds."""

    number: int
    sent_at: float


@attrs.frozen
class _Refusal:
    """When the quota was used up, or will be renewed, and how many requests had been granted by then."""

    at: float
    granted: int


@attrs.define
class RateController:
    """The rate of all requests that share one quota. Times are seconds of one monotonic clock.

    Attributes:
        limit: requests a second at most; None if only the server limits them.
        sent: how many have been sent.
        refused: how many were answered with 429.
        paused_until: nothing is sent before.
        pauses_in_a_row: the number of pauses since a request was granted.
        first_pause_at: when the first of them began.
        rate: the estimated quota in requests a second; None before two refusals.
    """

    limit: float | None = None
    sent: int = 0
    refused: int = 0
    paused_until: float = float("-inf")
    pauses_in_a_row: int = 0
    first_pause_at: float = 0.0
    rate: float | None = None
    _in_flight: int = 0
    _window: float = _FIRST_IN_FLIGHT
    _threshold: float = float("inf")
    _refusals: deque[_Refusal] = attrs.field(factory=deque)
    _next_signal: int = 0  # refusals of requests with a smaller number belong to the last signal
    _stride: int = _MIN_STRIDE
    _at_full_rate: int = 0  # requests since the last signal, except while catching up or sending less
    _credit: float = 0.0
    _credit_at: float = 0.0
    _next_at: float = float("-inf")
    _allowance: float = 0.0
    _allowance_at: float = float("-inf")

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may be sent; infinity means until something has been answered."""
        if now < self.paused_until:
            return self.paused_until - now
        if self._in_flight >= (1 if self.pauses_in_a_row > 1 else self._window):
            return float("inf")
        limited = self._limit_wait(now, self.limit) if self.limit is not None else 0.0
        if self.rate is None:
            return limited
        speed = self._speed(self.rate)
        self._credit = min(self._credit + (now - self._credit_at) * speed, max(1.0, speed * _CREDIT_SECONDS))
        self._credit_at = now
        missing = (1 - self._credit) / speed if self._credit < 1 - _EPSILON else 0.0
        return max(limited, missing, self._next_at - now)

    def send(self, now: float) -> RequestSlot:
        """Return the slot of a request that is sent now, its wait being 0."""
        slot = RequestSlot(self.sent, now)
        self.sent += 1
        self._in_flight += 1
        self._allowance -= 1
        if self.rate is not None:
            self._credit -= 1
            self._at_full_rate += self._credit < 1
            self._next_at = max(self._next_at, now - _TIMER_SECONDS) + 1 / (_CATCH_UP * self._speed(self.rate))
        return slot

    def record_unknown(self) -> None:
        """Record a request that ended in something that says nothing about the quota."""
        self._in_flight -= 1

    def record_granted(self) -> None:
        """Record a request that was not refused. If all allowed requests were in flight, more are allowed."""
        if self._in_flight >= self._window - 1:
            self._window += _GROWTH if self._window < self._threshold else 1 / self._window
        self._in_flight -= 1
        self.pauses_in_a_row = 0

    def record_refused(self, slot: RequestSlot, now: float, *, retry_after: float | None, jitter: float) -> None:
        """Record a request that was answered with 429.

        Args:
            slot: the request's.
            now: when the answer came.
            retry_after: the seconds that the server asks to wait.
            jitter: a random number from 0 to 1, so that several processes do not continue at the same moment.
        """
        self._in_flight -= 1
        if slot.number >= self._next_signal:
            if not self.pauses_in_a_row:
                self._estimate(_Refusal(slot.sent_at + (retry_after or 0.0), slot.number - self.refused))
                self.first_pause_at = now
            self.pauses_in_a_row += 1
            self._next_signal = self.sent
            self._credit, self._credit_at, self._at_full_rate = 0.0, now, 0
            if self.rate is None:
                self._threshold, self._window = self._window / 2, 1
        self.refused += 1
        self.paused_until = max(self.paused_until, now + self._pause(retry_after, jitter))

    def _limit_wait(self, now: float, limit: float) -> float:
        """Return the seconds until the limit allows a request: evenly, and a few at once after a time without any."""
        self._allowance = min(self._allowance + (now - self._allowance_at) * limit, max(1.0, limit * _BURST_SECONDS))
        self._allowance_at = now
        return (1 - self._allowance) / limit if self._allowance < 1 - _EPSILON else 0.0

    def _estimate(self, refusal: _Refusal) -> None:
        """Estimate the quota from the requests granted since an older refusal.

        If the server asks for a pause, the refusal counts at its end, when the quota is renewed: that moment is the
        same in every window, and as good as the refusal itself if the quota is renewed all the time.
        """
        points = self._refusals
        is_well_founded = self._stride > _FEW_REQUESTS or len(points) <= 1
        if self.rate is not None and not is_well_founded and self._at_full_rate > _MANY_STRIDES * self._stride:
            self.rate, self._stride = self._speed(self.rate) / 2, _MIN_STRIDE
            points.clear()
        while len(points) > 1 and refusal.granted - points[1].granted >= _BASELINE:
            points.popleft()
        if points and refusal.granted > points[0].granted and refusal.at > points[0].at:
            granted = refusal.granted - points[0].granted
            self.rate = granted / (refusal.at - points[0].at)
            self._stride = min(_MAX_STRIDE, max(_MIN_STRIDE, granted))
        points.append(refusal)

    def _pause(self, retry_after: float | None, jitter: float) -> float:
        growing = min(_MIN_PAUSE * 2.0 ** min(self.pauses_in_a_row, 10) * (0.5 + jitter / 2), _MAX_PAUSE)
        if retry_after is None:
            return growing
        return retry_after if self.pauses_in_a_row <= 1 else max(retry_after, growing)

    def _speed(self, rate: float) -> float:
        """Return the requests a second to send now. A stride has two rounds at least: refusals come a round late."""
        beyond = self._at_full_rate / max(self._stride, 2 * self._in_flight) - 1
        return rate * (1 + _DEPTH * beyond * beyond * beyond)
