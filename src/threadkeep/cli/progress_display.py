"""What a person sees while an export or a check runs, on standard error: bars in a terminal, or a line now and then."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from threadkeep.api.rate_control import Traffic
from threadkeep.cli.console import escape, problem_line, span
from threadkeep.cli.progress import Gauge, Phase
from threadkeep.exporter.events import Event, Notice, ThreadsBegun
from threadkeep.journal import Entry, FileEntry, FileOutcome, Outcome
from threadkeep.validation.live import CheckBegun, LiveEvent

__all__ = ["Screen", "wrapped"]

# Seconds between two looks at the run, in a terminal and elsewhere; and between two plain lines.
_LIVELY, _CALM, _SELDOM = 0.25, 1.0, 10.0

# No more problems than this are told one by one.
_MOST_PROBLEMS = 50

# Before a warning is built on an estimate, so many seconds must have passed.
_GROUNDED = 10.0


class _Bars(Progress):
    """The bars, and below them lines of words."""

    lines: Sequence[str] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        """What is drawn."""
        yield self.make_tasks_table(self.tasks)
        yield from (Text(line, no_wrap=True, overflow="ellipsis") for line in self.lines)


def wrapped(pieces: Iterable[str], width: int) -> list[str]:
    """Set pieces side by side, with commas, in lines that break between pieces only."""
    lines: list[str] = []
    for piece in pieces:
        if lines and len(lines[-1]) + len(piece) + 3 <= width:
            lines[-1] += f", {piece}"
        else:
            lines.append(piece)
    return lines


class Screen:
    """The progress of one run, and a line for each problem. Whoever runs it calls `tick` every `interval` seconds.

    Args:
        shown: whether there is progress at all; problems are told in any case.
        clock: the time in seconds, of the loop that the run is in.
        now: the time of day.
        sunset: when the API will go away, where that is known.
        console: where everything goes.
    """

    def __init__(
        self,
        *,
        shown: bool,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        sunset: datetime | None = None,
        console: Console | None = None,
    ) -> None:
        self._console = console or _standard_error()
        self._clock, self._now, self._sunset = clock, now, sunset
        self._shown = shown
        self._gauge = Gauge()
        self._traffic: Callable[[], Traffic] | None = None
        self._problems = 0
        self._warned = sunset is None
        self._told_at = clock()
        lively = shown and self._console.is_terminal and not self._console.is_dumb_terminal
        self._bars = _bars(self._console) if lively else None
        self._tasks: dict[str, TaskID] = {}
        self.interval = _LIVELY if lively else _CALM

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            with contextlib.suppress(OSError):
                self.tick(over=True)
                self._bars.stop()

    def take(self, event: Event | LiveEvent) -> None:
        """Count an event, and tell it if it is a problem."""
        self._gauge.take(event, self._clock())
        if isinstance(event, ThreadsBegun | CheckBegun):
            self._traffic = event.traffic
            self.tick()  # what is known beforehand is told at once, however short the run is
        elif isinstance(event, Notice):
            self._print(escape(event.text, 300))
        elif isinstance(event, FileEntry) and event.outcome is FileOutcome.FAILED:
            self._tell(f"{escape(event.file_id, 80)}: {event.outcome}: {escape(event.reason or '', 300)}")
        elif isinstance(event, Entry) and event.outcome is not Outcome.COMPLETE:
            self._tell(problem_line(event))

    def tick(self, *, over: bool = False) -> None:
        """Show how it goes; ``over`` is for the last time."""
        at, traffic = self._clock(), self._traffic
        if traffic is None:
            return
        self._gauge.sample(traffic(), at)
        self._warn_of_the_sunset(at)
        pieces = () if not self._shown else self._pieces(at, over=over)
        if self._bars is not None:
            self._draw(self._bars, pieces)
        elif self._shown and at - self._told_at >= _SELDOM:
            self._told_at = at
            self._print("threadkeep: " + ", ".join((*self._counts(), *pieces)))

    def _phases(self) -> list[tuple[str, Phase]]:
        named = (("threads", self._gauge.threads), ("files", self._gauge.files))
        return [(name, phase) for name, phase in named if phase is not None]

    def _counts(self) -> list[str]:
        return [f"{name} {phase.done:,} of {phase.total:,}" for name, phase in self._phases()]

    def _draw(self, bars: _Bars, pieces: tuple[str, ...]) -> None:
        for name, phase in self._phases():
            if name not in self._tasks:
                self._tasks[name] = bars.add_task(name, total=phase.total)
            bars.update(self._tasks[name], completed=phase.done)
        bars.lines = wrapped(pieces, bars.console.width)
        bars.refresh()

    def _pieces(self, at: float, *, over: bool) -> tuple[str, ...]:
        gauge = self._gauge
        left = None if gauge.phase is None or over else gauge.phase.left(at)
        until = 0.0 if self._sunset is None or over else (self._sunset - self._now()).total_seconds()
        rate = gauge.rate
        pieces = (
            f"{gauge.messages:,} messages",
            f"{gauge.traffic.sent:,} requests",
            f"{rate:,.1f} requests/s" if rate is not None and not over else "",
            f"{gauge.traffic.refused:,} answered 429",
            f"waiting {gauge.traffic.waits:.0f} s" if gauge.traffic.waits >= 1 and not over else "",
            f"about {span(left)} left" if left is not None else "",
            f"{span(until)} to the sunset" if until > 0 else "",
        )
        return tuple(piece for piece in pieces if piece)

    def _warn_of_the_sunset(self, at: float) -> None:
        """Once: when it is past, or as soon as the run is thought to last longer."""
        phase = self._gauge.threads
        if self._warned or self._sunset is None or phase is None or self._gauge.files is not None:
            return
        until = (self._sunset - self._now()).total_seconds()
        left = phase.left(at) if at - phase.begun_at >= _GROUNDED else None
        when = f"{self._sunset:%Y-%m-%d %H:%M %Z}"
        if until <= 0:
            self._warn(f"the sunset, {when}, is past: asking as long as there are answers")
        elif left is not None and left > until:
            self._warn(
                f"at this pace the export ends {span(left - until)} behind the sunset, {when}. More keys"
                " (--keys-file) or a higher --rpm or --concurrency may help; what matters most should stand first"
            )

    def _warn(self, words: str) -> None:
        self._warned = True
        self._print(f"threadkeep: {words}")

    def _tell(self, line: str) -> None:
        """A problem, unless there have been very many: a screen that runs over tells nobody anything."""
        self._problems += 1
        if self._problems <= _MOST_PROBLEMS:
            self._print(line)
        elif self._problems == _MOST_PROBLEMS + 1:
            self._print("threadkeep: more problems are not told here one by one; each has its reason in the journal")

    def _print(self, line: str) -> None:
        # A reader or a terminal that has gone away is no reason to end an export.
        with contextlib.suppress(OSError):
            if self._bars is not None:
                self._console.print(line, markup=False, highlight=False, soft_wrap=True)
                return
            self._console.file.write(f"{line}\n")
            self._console.file.flush()


def _standard_error() -> Console:
    """Bars are for terminals only, also where FORCE_COLOR asks for colours in a log."""
    return Console(stderr=True, force_terminal=sys.stderr is not None and sys.stderr.isatty())


def _bars(console: Console) -> _Bars:
    return _Bars(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.completed:,}/{task.total:,}", justify="right"),
        console=console,
        auto_refresh=False,
        expand=True,
    )
