"""The fake's clock: integer epoch seconds, set by hand or read from a time source."""

import copy
import math
from collections.abc import Callable

# The largest second that a clock can be set to, of either sign: dates and JSON readers fail beyond it.
LIMIT = 10**12

EPOCH = 1774963200  # 2026-03-31T13:20:00Z, the day of the newest recordings


def _still() -> float:
    return 0.0


class Clock:
    """A clock that can be set, frozen and advanced.

    Without a source it starts at `now` (epoch seconds, EPOCH by default) and changes only when set or advanced, so
    tests are the same on every run. With a source (a callable that returns epoch seconds, such as `time.time`) it shows
    the source's time until it is set or frozen.
    """

    def __init__(self, source: Callable[[], float] | None = None, *, now: int | None = None) -> None:
        self._source = source or _still
        self._start = (now if now is not None or source else EPOCH, source is None)
        self.restart()

    def restart(self) -> None:
        """Return to the time and state that the clock was created with."""
        now, self._frozen = self._start
        self._offset = 0
        self._stopped_at = self._reading()
        if now is not None:
            self.set(now=now)

    @property
    def frozen(self) -> bool:
        """Whether the clock is frozen."""
        return self._frozen

    def now(self) -> int:
        """Return the time, in whole epoch seconds."""
        return self._stopped_at if self._frozen else self._reading() + self._offset

    def exact(self) -> float:
        """Return the time, in epoch seconds with the source's fraction; `now` has its whole seconds."""
        return float(self._stopped_at) if self._frozen else self._source() + self._offset

    def copy(self) -> "Clock":
        """Return an independent clock with the same time, which `restart` returns to the same start."""
        return copy.copy(self)

    def set(self, *, now: int | None = None, frozen: bool | None = None) -> None:
        """Set the time to `now` (epoch seconds), and freeze or unfreeze the clock. None leaves either unchanged.

        Raises ValueError for a second beyond LIMIT, and then changes nothing.
        """
        if now is not None and abs(now) > LIMIT:
            raise ValueError(f"expected seconds from {-LIMIT} to {LIMIT}")
        target = self.now() if now is None else now
        self._frozen = self._frozen if frozen is None else frozen
        self._stopped_at = target
        self._offset = target - self._reading()

    def advance(self, seconds: int) -> None:
        """Advance by whole seconds; a negative number goes back. Raises ValueError as `set` does."""
        self.set(now=self.now() + seconds)

    def _reading(self) -> int:
        return math.floor(self._source())
