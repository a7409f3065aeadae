"""The limit of requests a minute, for each key a bucket of tokens by the fake's clock.

How the real API shared out a minute is not known. Inferred: a bucket that is full at first and is filled evenly; it
holds a minute's worth for small limits, and a second's worth for great ones.
"""

import attrs

from fake_assistants.simulation.clock import Clock

_MINUTE = 60

# Epoch seconds are known to a fraction of a microsecond only.
_GRAIN = 1e-6


@attrs.define
class _Bucket:
    tokens: float
    filled_at: float


class RateLimit:
    """`rpm` requests a minute and key. Raises ValueError for less than 1."""

    def __init__(self, clock: Clock, rpm: int) -> None:
        if rpm < 1:
            raise ValueError("expected 1 request per minute or more")
        self.rpm = rpm
        self._clock = clock
        self._rate = rpm / _MINUTE
        self._buckets: dict[str, _Bucket] = {}

    @property
    def capacity(self) -> float:
        """How many requests may come at once."""
        return min(self.rpm, max(_MINUTE, self._rate))

    def wait(self, key: str) -> float:
        """Take a token and answer 0; or take none and answer the seconds until there is one."""
        bucket = self._filled(key)
        if bucket.tokens + self._rate * _GRAIN < 1:
            return (1 - bucket.tokens) / self._rate
        bucket.tokens -= 1
        return 0.0

    def restart(self) -> None:
        """Every bucket is full."""
        self._buckets.clear()

    def copy(self, clock: Clock) -> "RateLimit":
        """The same limit by another clock, all buckets full."""
        return RateLimit(clock, self.rpm)

    def _filled(self, key: str) -> _Bucket:
        """The bucket of a key with what the time since has brought; a clock that goes back brings nothing."""
        now = self._clock.exact()
        bucket = self._buckets.setdefault(key, _Bucket(self.capacity, now))
        elapsed = max(0.0, now - bucket.filled_at)
        bucket.tokens = min(self.capacity, bucket.tokens + elapsed * self._rate)
        bucket.filled_at = now
        return bucket
