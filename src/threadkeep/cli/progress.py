"""How a run goes: counted from its events, pure. Times are seconds of one clock that never goes back."""

from collections import deque

import attrs

from threadkeep.api.rate_control import Traffic
from threadkeep.exporter.events import Event, FilesBegun, ThreadsBegun
from threadkeep.journal import Entry, FileEntry, Outcome
from threadkeep.validation.live import CheckBegun, Compared, LiveEvent

__all__ = ["Gauge", "Phase"]

# So many seconds back the rate of requests is taken.
_WINDOW = 10.0

# An estimate stands on so many at least, and on so many seconds.
_FEW, _SHORT = 3, 2.0


@attrs.define
class Phase:
    """Threads or files: one thing after another until all are done.

    Attributes:
        total: how many there are.
        before: how many of them were done before this run.
        begun_at: when the others were begun.
        now: how many of the others are done.
    """

    total: int
    before: int
    begun_at: float
    now: int = 0

    @property
    def done(self) -> int:
        """How many are done."""
        return self.before + self.now

    def left(self, at: float) -> float | None:
        """In how many seconds all will be done if it goes on as it went so far; None while too little is known."""
        seconds = at - self.begun_at
        if self.now < _FEW or seconds < _SHORT:
            return None
        return max(0, self.total - self.done) * seconds / self.now


@attrs.define
class Gauge:
    """What a run has come to so far.

    Attributes:
        threads: how far they are; None before they are begun.
        files: the same for files that are downloaded.
        messages: how many this run has exported, or compared.
        traffic: as it was sampled last.
    """

    threads: Phase | None = None
    files: Phase | None = None
    messages: int = 0
    traffic: Traffic = attrs.field(factory=lambda: Traffic(sent=0, refused=0, waits=0.0))
    _samples: deque[tuple[float, int]] = attrs.field(factory=deque)

    def take(self, event: Event | LiveEvent, at: float) -> None:
        """Count what has happened at this time."""
        if isinstance(event, ThreadsBegun):
            self.threads = Phase(event.total, event.before, at)
        elif isinstance(event, CheckBegun):
            self.threads = Phase(event.total, 0, at)
        elif isinstance(event, FilesBegun):
            self.files = Phase(event.total, event.before, at)
        elif isinstance(event, FileEntry) and self.files is not None:
            self.files.now += 1
        elif isinstance(event, Compared) and self.threads is not None:
            self.threads.now += 1
            self.messages += event.messages
        elif isinstance(event, Entry) and self.threads is not None:
            self.threads.now += 1
            self.messages += event.messages if event.outcome is Outcome.COMPLETE else 0

    def sample(self, traffic: Traffic, at: float) -> None:
        """Take note of how many requests there have been by this time."""
        self.traffic = traffic
        self._samples.append((at, traffic.sent))
        while len(self._samples) > 2 and self._samples[1][0] <= at - _WINDOW:
            self._samples.popleft()

    @property
    def rate(self) -> float | None:
        """Requests a second lately; None while that is not known."""
        (first_at, first), (last_at, last) = self._samples[0], self._samples[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else None

    @property
    def phase(self) -> Phase | None:
        """What is being done: files once they are begun, else threads."""
        return self.files or self.threads
