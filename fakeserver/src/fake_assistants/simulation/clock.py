"""The fake's clock: integer epoch seconds, moved by hand or carried by a time source."""

import copy
import math
from collections.abc import Callable

# The farthest second that a clock can be set to, either way: beyond it, dates and JSON readers give out.
LIMIT = 10**12

EPOCH = 1774963200  # 2026-03-31T13:20:00Z, the day of the newest recordings


def _still() -> float:
    return 0.0


class Clock:
    """A clock that can be set, frozen and advanced.

    Without a source it stands at `now` (epoch seconds, EPOCH by default) and moves only when it is told:
    tests are the same on every run. With a source (a callable that gives epoch seconds, such as
    `time.time`) it shows the source's time until it is set or frozen.
    """

    def __init__(self, source: Callable[[], float] | None = None, *, now: int | None = None) -> None:
        self._source = source or _still
        self._start = (now if now is not None or source else EPOCH, source is None)
        self.restart()

    def restart(self) -> None:
        """Back to how the clock was made."""
        now, self._frozen = self._start
        self._offset = 0
        self._stopped_at = self._reading()
        if now is not None:
            self.set(now=now)

    @property
    def frozen(self) -> bool:
        """Whether the clock stands still."""
        return self._frozen

    def now(self) -> int:
        """The time, in whole epoch seconds."""
        return self._stopped_at if self._frozen else self._reading() + self._offset

    def exact(self) -> float:
        """The time, in epoch seconds with their fraction where the source has one; `now` is its whole seconds."""
        return float(self._stopped_at) if self._frozen else self._source() + self._offset

    def copy(self) -> "Clock":
        """A clock of its own that shows what this one shows, and goes back to the same beginning."""
        return copy.copy(self)

    def set(self, *, now: int | None = None, frozen: bool | None = None) -> None:
        """Show `now` (epoch seconds) from here on, and stand still or run. What is not given stays as it is.

        Raises ValueError for a second beyond LIMIT, and then nothing has changed.
        """
        if now is not None and abs(now) > LIMIT:
            raise ValueError(f"expected seconds from {-LIMIT} to {LIMIT}")
        target = self.now() if now is None else now
        self._frozen = self._frozen if frozen is None else frozen
        self._stopped_at = target
        self._offset = target - self._reading()

    def advance(self, seconds: int) -> None:
        """Move by whole seconds; a negative number moves back. Raises ValueError as `set` does."""
        self.set(now=self.now() + seconds)

    def _reading(self) -> int:
        return math.floor(self._source())
