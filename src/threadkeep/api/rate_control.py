"""The request rate of one key: when the next request may be sent, and what each answer changes. Pure.

How a server divides its quota is not known, and the routes of the Assistants API had no rate-limit headers (recorded):
a 429 is the only signal. After it every request waits as long as the server says, or for growing pauses if it does not
say or if waiting did not help.

* With a given limit, requests are spread evenly, a hair below it. A refusal costs its wait and nothing else, as long as
  what the server grants agrees with the limit.
* Without a limit, the number of requests in flight doubles in the time of an answer, or in a seventh of a second if
  answers come faster, until the first refusal. Requests are spread over the time of an answer.
* A cycle is what lies between the ends of two pauses. It gives two bounds of the quota: the requests granted in it,
  divided by its time, since what a server renews in a pause may be lost; and the rate at which one was refused. A pause
  that is longer than a bucket needs ends with a window of the server's clock: what was granted in it is the quota.
* The next cycle begins at the lower bound, is between the two after a stride, at the upper one after two strides, and
  then leaves it behind faster and faster. So the bounds close in on the quota, and a quota that was raised is found.
* Each refusal costs its pause and the refused requests. Strides grow from cycle to cycle until both are little of one.

Refusals of requests that were in flight together are one signal. Requests that were not sent in time are caught up, a
few at a time: the server may allow no more. Tested against buckets that fill evenly, of any depth, windows of seconds
and minutes, other clients, and single refusals without a quota.
"""

import math
from collections import deque

import attrs

__all__ = ["RateController", "RequestSlot", "Traffic"]

# So much of a given limit is used.
_MARGIN = 0.99

# Real buckets are at least so many requests deep.
_DEPTH = 5

# As many requests are in flight at first. Each granted one allows one more, or less if answers come fast: at most so
# many for each second of latency. The faster the growth, the more are refused at its end. The gain makes sure that all
# that are allowed are in flight.
_GROWTH, _START_GAIN = 5.0, 1.25

# Requests that are late are caught up at once, so many and so many seconds' worth: the event loop may be busy for a
# while. What a given limit leaves of a minute is never exceeded by that.
_BURST, _BURST_SECONDS = 3.0, 0.08

# Our own pauses, in seconds, if the server names none. A quota that is renewed every minute is not missed by more than
# the longest.
_MIN_PAUSE, _MAX_PAUSE = 0.25, 8.0

# Bounds are based on the last granted requests, so many. More would be more exact, but blind to a changed quota.
_BASELINE = 400

# The logarithm of the ratio of the rate at a bound to the one between the bounds, within limits.
_MIN_SPREAD, _MAX_SPREAD = 0.04, 1.75

# A server may round a wait up by so many seconds, in which it grants nothing of what it renews.
_ROUNDING = 1.0

# A stride is at least so many seconds and requests, and at most so many times the cycle before it, until it is so many
# seconds, so many pauses, and so many requests to each refusal.
_MIN_STRIDE_SECONDS, _MIN_STRIDE_REQUESTS, _STRIDE_CYCLES = 0.5, 12, 2.0
_STRIDE_SECONDS, _STRIDE_PAUSES, _STRIDE_REQUESTS = 8.0, 25, 60

# If a quota that was used so far is suddenly empty, it was lowered: try so much of it.
_LOWERED = 0.7

# A rate never falls below one request in so many seconds.
_SLOWEST = 50.0

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
    """One request in flight: how many were sent before it, when, and at which rate (None: as fast as answers come)."""

    number: int
    sent_at: float
    rate: float | None


@attrs.frozen
class _CycleStart:
    """When a pause ended, and how many requests had been granted by then."""

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
        rate: the estimated quota in requests a second; None before the first refusal.
    """

    limit: float | None = None
    sent: int = 0
    refused: int = 0
    paused_until: float = float("-inf")
    pauses_in_a_row: int = 0
    first_pause_at: float = 0.0
    rate: float | None = None
    _granted: int = 0
    _in_flight: int = 0
    _window: float = _DEPTH
    _next_signal: int = 0  # refusals of requests with a smaller number belong to the last signal
    _refused_rate: float = 0.0
    _is_pausing: bool = False  # from a refusal to the first request that is granted after it
    _cycles: deque[_CycleStart] = attrs.field(factory=deque)
    _cycle_at: float = 0.0  # moves on while requests are fewer than allowed
    _stride: float = _MIN_STRIDE_SECONDS
    _spread: float = _MIN_SPREAD
    _unnamed: float = 0.0  # so much longer than the server named was the last pause
    _mean_pause: float | None = None
    _latency: float | None = None
    _mean_refused: float = 1.0
    _refused_before: int = 0
    _credit: float = 1.0
    _credit_at: float | None = None

    def wait(self, now: float) -> float:
        """Return the seconds until the next request may be sent; infinity means until something has been answered."""
        if now < self.paused_until:
            return self.paused_until - now
        if self._in_flight >= self._most_in_flight:
            return math.inf
        rate = self._rate_at(now)
        if rate is None:
            return 0.0
        self._accrue(now, rate)
        return (1 - self._credit) / rate if self._credit < 1 - _EPSILON else 0.0

    def send(self, now: float) -> RequestSlot:
        """Return the slot of a request that is sent now, its wait being 0."""
        slot = RequestSlot(self.sent, now, self._rate_at(now))
        if not self._cycles:
            self._cycles.append(_CycleStart(now, 0))
        self.sent += 1
        self._in_flight += 1
        self._credit -= slot.rate is not None
        return slot

    def record_unknown(self) -> None:
        """Record a request that ended in something that says nothing about the quota."""
        self._in_flight -= 1

    def record_granted(self, slot: RequestSlot, now: float) -> None:
        """Record a request that was not refused. If all allowed requests were in flight, more are allowed."""
        latency = max(now - slot.sent_at, _EPSILON)
        self._latency = latency if self._latency is None else self._latency + (latency - self._latency) / 8
        if self._in_flight >= self._window / _START_GAIN - 1:
            self._window += min(1.0, _GROWTH * self._latency)
        self._in_flight -= 1
        if slot.number >= self._next_signal:
            if self._is_pausing:
                self._begin_cycle(slot.sent_at)
            self.pauses_in_a_row = 0
        self._granted += 1

    def record_refused(self, slot: RequestSlot, now: float, *, retry_after: float | None, jitter: float) -> None:
        """Record a request that was answered with 429.

        Args:
            slot: the request's.
            now: when the answer came.
            retry_after: the seconds that the server asks to wait.
            jitter: a random number from 0 to 1, so that several processes do not continue at the same moment.
        """
        self._in_flight -= 1
        self.refused += 1
        if slot.number >= self._next_signal:
            self._next_signal = self.sent
            if not self._is_pausing:
                self._is_pausing, self.first_pause_at = True, now
                # A rate that was allowed was not always reached.
                reached = (self.sent - slot.number) / max(now - slot.sent_at, _EPSILON)
                self._refused_rate = reached if slot.rate is None else min(slot.rate, reached)
            self.pauses_in_a_row += 1
        pause = self._pause(retry_after, jitter)
        self._unnamed = pause - (retry_after or 0.0)
        self.paused_until = max(self.paused_until, now + pause)
        self._cycle_at = self._credit_at = self.paused_until
        self._credit = min(self._credit, 1.0)

    @property
    def _most_in_flight(self) -> float:
        is_starting = self.limit is None and self.rate is None
        if self.pauses_in_a_row > 1 or (self._is_pausing and is_starting):
            return 1
        return self._window if is_starting else math.inf

    def _rate_at(self, now: float) -> float | None:
        """Return the requests a second to send now; None for as many as are allowed in flight."""
        most = math.inf if self.limit is None else self.limit * _MARGIN
        if self.rate is None and self.limit is None:
            return None if self._latency is None else _START_GAIN * self._window / self._latency
        if self.rate is None:
            return most
        strides = max(0.0, now - self._cycle_at) / self._stride - 1
        return min(most, self.rate * math.exp(min(self._spread * strides**3, 50.0)))

    def _accrue(self, now: float, rate: float) -> None:
        most = max(_BURST, rate * _BURST_SECONDS)
        if self.limit is not None:
            most = max(1.0, min(most, (1 - _MARGIN) * self.limit * 60))
        if self._credit_at is None:
            self._credit, self._credit_at = most, now
        credit = self._credit + max(0.0, now - self._credit_at) * rate
        self._cycle_at += max(0.0, credit - most) / rate
        self._credit, self._credit_at = min(credit, most), max(now, self._credit_at)

    def _pause(self, retry_after: float | None, jitter: float) -> float:
        growing = min(_MIN_PAUSE * 2.0 ** min(self.pauses_in_a_row - 1, 10) * (0.5 + jitter / 2), _MAX_PAUSE)
        has_helped = retry_after is not None and self.pauses_in_a_row <= 1
        return max(retry_after or 0.0, 0.0 if has_helped else growing)

    def _begin_cycle(self, now: float) -> None:
        """Estimate the quota at the end of a pause, when the first request is granted again."""
        pause = self.paused_until - self.first_pause_at
        self._mean_pause = pause if self._mean_pause is None else (self._mean_pause + pause) / 2
        refused = self.refused - self._refused_before
        self._mean_refused = 0.6 * self._mean_refused + 0.4 * refused if len(self._cycles) > 2 else refused
        self._refused_before = self.refused
        if len(self._cycles) == 2 and not self._cycles[0].granted:
            self._cycles.popleft()  # the first cycle has the burst that every server allows at first
        while len(self._cycles) > 1 and self._granted - self._cycles[1].granted >= _BASELINE:
            self._cycles.popleft()
        last = self._cycles[-1]
        granted, seconds = self._granted - self._cycles[0].granted, max(now - self._cycles[0].at, 0.01)
        self._cycles.append(_CycleStart(now, self._granted))
        self._cycle_at, self._is_pausing = now, False
        if self.limit is not None and granted + _DEPTH >= self.limit * _MARGIN * max(seconds - pause, seconds / 8):
            self.rate = None
            return
        low = max(granted, 0.5) / seconds
        if self._has_ended_a_window(pause, low):
            high = low * seconds / max(seconds - self._unnamed, seconds / 8)
        else:
            high = max(self._refused_rate, (granted + _DEPTH) / seconds)
        if self.rate is not None and self._granted - last.granted < _DEPTH and low > _LOWERED * self.rate:
            low = high = _LOWERED * self.rate
        self.rate = max(math.sqrt(low * high), 1 / _SLOWEST)
        self._spread = min(max(math.log(high / low) / 2, _MIN_SPREAD), _MAX_SPREAD)
        self._stride = self._stride_after(now - last.at, self.rate, self._mean_pause)

    def _has_ended_a_window(self, pause: float, rate: float) -> bool:
        """Return whether a pause was longer than a bucket of this rate needs until it grants again."""
        return pause > self.pauses_in_a_row * (_ROUNDING + (self._latency or 0.0)) + _DEPTH / rate

    def _stride_after(self, cycle: float, rate: float, mean_pause: float) -> float:
        """Return the seconds of a stride that follows a cycle of so many seconds."""
        least = max(_MIN_STRIDE_SECONDS, _MIN_STRIDE_REQUESTS / rate, self._latency or 0.0)
        longest = cycle * min(_STRIDE_CYCLES, 1 / (2 * self._spread))  # shorter where the bounds are wide
        pauses = _STRIDE_PAUSES * min(mean_pause, _ROUNDING)
        enough = max(_STRIDE_SECONDS, pauses, _STRIDE_REQUESTS * self._mean_refused / rate)
        return max(least, min(longest, enough))
