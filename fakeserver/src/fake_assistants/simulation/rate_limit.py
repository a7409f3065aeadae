"""Limit the requests per minute with one token bucket for each key, by the fake's clock.

How the real API divided a minute is not known. Inferred: a bucket starts full and is refilled evenly; its capacity is
a minute's requests for small limits, and a second's for large ones.
"""

import attrs

from fake_assistants.simulation.clock import Clock

_MINUTE = 60

# Epoch seconds as floats are precise to a fraction of a microsecond only.
_TOLERANCE = 1e-6


@attrs.define
class _Bucket:
    tokens: float
    filled_at: float


class RateLimit:
    """Allows `rpm` requests per minute and key. Raises ValueError if it is less than 1."""

    def __init__(self, clock: Clock, rpm: int) -> None:
        if rpm < 1:
            raise ValueError("expected 1 request per minute or more")
        self.rpm = rpm
        self._clock = clock
        self._rate = rpm / _MINUTE
        self._buckets: dict[str, _Bucket] = {}

    @property
    def capacity(self) -> float:
        """The number of requests that a key can send at once."""
        return min(self.rpm, max(_MINUTE, self._rate))

    def wait(self, key: str) -> float:
        """Take a token and return 0; if there is none, return the seconds until there is one."""
        bucket = self._filled(key)
        if bucket.tokens + self._rate * _TOLERANCE < 1:
            return (1 - bucket.tokens) / self._rate
        bucket.tokens -= 1
        return 0.0

    def restart(self) -> None:
        """Refill every bucket."""
        self._buckets.clear()

    def copy(self, clock: Clock) -> "RateLimit":
        """Return the same limit on another clock, with all buckets full."""
        return RateLimit(clock, self.rpm)

    def _filled(self, key: str) -> _Bucket:
        """Return the bucket of a key, refilled for the elapsed time. A clock that was set back adds nothing."""
        now = self._clock.exact()
        bucket = self._buckets.setdefault(key, _Bucket(self.capacity, now))
        elapsed = max(0.0, now - bucket.filled_at)
        bucket.tokens = min(self.capacity, bucket.tokens + elapsed * self._rate)
        bucket.filled_at = now
        return bucket
