"""What a person sees while an export or a check runs, on standard error: bars in a terminal, or a line now and then."""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from importlib.metadata import version
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, Task, TextColumn
from rich.text import Text

from threadkeep.api.rate_control import Traffic
from threadkeep.api.sent_requests import SentRequest
from threadkeep.cli.console import escape, request_line, span
from threadkeep.cli.problems import Problems
from threadkeep.exporter.events import Event, FilesBegun, Notice, ThreadEnded, ThreadsBegun
from threadkeep.storage.index import DownloadOutcome, Outcome

__all__ = ["Screen", "ThreadsBar", "time_left", "wrapped"]

# Seconds between two plain lines; and so many seconds back the rate of requests is taken.
_SELDOM, _WINDOW = 10.0, 10.0

# An estimate needs so many threads or files, and so many seconds; a warning built on one needs more seconds.
_FEW, _SHORT, _GROUNDED = 3, 2.0, 10.0


class _Bars(Progress):
    """The bars, and below them lines of words. Without a terminal its tasks only count."""

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


def time_left(task: Task) -> float | None:
    """Return in how many seconds a task will be done at the pace of this run; None while too little is known."""
    done, seconds = task.completed - task.fields["before"], task.elapsed or 0.0
    return max(0.0, task.remaining or 0.0) * seconds / done if done >= _FEW and seconds >= _SHORT else None


class Screen:
    """The progress of one run, where it is shown, and a line for each problem. Call `tick` several times a second.

    A reader or a terminal that has gone away is no reason to end an export: what is written to it is lost.

    Attributes:
        problems: those that were printed, or counted.

    Args:
        clock: the time in seconds, of the loop that the run is in; ``now`` is the time of day.
        sunset: when the API will go away, where that is known.
        verbose: print which libraries ask, too, and each request.
        unit: what threads consist of; and what comes behind the threads is ``second``.
        console: where everything goes; None for standard error, with bars in terminals only, whatever FORCE_COLOR says.

    Attributes:
        is_verbose: as given.
    """

    def __init__(
        self,
        *,
        shown: bool,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        sunset: datetime | None = None,
        verbose: bool = False,
        unit: str = "messages",
        second: str = "files",
        console: Console | None = None,
    ) -> None:
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._console = console or Console(stderr=True, force_terminal=is_terminal)
        self._clock, self._now, self._sunset, self._shown = clock, now, sunset, shown
        self._unit, self._second = unit, second
        self.is_verbose = verbose
        self._lively = shown and self._console.is_terminal and not self._console.is_dumb_terminal
        self._bars = _Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:,}/{task.total:,}", justify="right"),
            console=self._console,
            auto_refresh=False,
            expand=True,
            get_time=clock,
            speed_estimate_period=_WINDOW,
        )
        self._bars.add_task("requests", total=None, visible=False)
        self._traffic: Callable[[], Traffic] | None = None
        self._messages = 0
        self.problems = Problems()
        self._warned = sunset is None
        self._printed_at = clock()

    def __enter__(self) -> Self:
        if self._lively:
            self._bars.start()
        return self

    def __exit__(self, *_ended_by: object) -> None:
        for line in self.problems.rest():
            self._print(line)
        if self._lively:
            self.tick(over=True)
            with contextlib.suppress(OSError):
                self._bars.stop()

    def take(self, event: Event) -> None:
        """Count an event, and print it if it is a problem."""
        if isinstance(event, Notice):
            if not event.is_problem and not self._shown:
                return
            self._print(f"threadkeep: {escape(event.text, 1000)}")
        elif isinstance(event, ThreadsBegun | FilesBegun):
            name = "threads" if isinstance(event, ThreadsBegun) else self._second
            with contextlib.suppress(OSError):
                self._bars.add_task(name, total=event.total, completed=event.before, before=event.before)
            if isinstance(event, ThreadsBegun):
                self._traffic = event.traffic
                if self.is_verbose and event.library is not None:
                    names = ("openai", event.library)
                    self._print(f"threadkeep: asking with {' over '.join(f'{name} {version(name)}' for name in names)}")
                self.tick()  # what is known beforehand is shown at once, however short the run is
        else:
            self._bars.tasks[-1].completed += 1  # the files begin when the threads are through
            if isinstance(event, ThreadEnded) and event.outcome is Outcome.COMPLETE:
                self._messages += event.messages
            elif isinstance(event, ThreadEnded):
                self._print_problem(event.thread_id, event.outcome, event.reason)
            elif event.outcome is DownloadOutcome.FAILED:
                self._print_problem(event.file_id, event.outcome, event.reason)

    def show_request(self, sent: SentRequest) -> None:
        """Print the line about a request, above the bars."""
        self._print(request_line(sent))

    def tick(self, *, over: bool = False) -> None:
        """Show how it goes; ``over`` is for the last time."""
        if self._traffic is None:
            return
        traffic = self._traffic()
        requests, *phases = self._bars.tasks
        self._bars.update(requests.id, completed=traffic.sent)
        self._warn_of_the_sunset(phases)
        pieces = [*self._pieces(traffic, requests, None if over else phases[-1])]
        if self._lively:
            self._bars.lines = wrapped(pieces, self._console.width)
            with contextlib.suppress(OSError):
                self._bars.refresh()
        elif self._shown and self._clock() - self._printed_at >= _SELDOM:
            self._printed_at = self._clock()
            counts = [f"{task.description} {task.completed:,} of {task.total:,}" for task in phases]
            self._print("threadkeep: " + ", ".join([*counts, *pieces]))

    def _pieces(self, traffic: Traffic, requests: Task, phase: Task | None) -> Iterator[str]:
        """Say how it goes; ``phase`` is None when it is over."""
        yield f"{self._messages:,} {self._unit}"
        yield f"{traffic.sent:,} requests"
        if phase is not None and requests.speed is not None:
            yield f"{requests.speed:,.1f} requests/s"
        yield f"{traffic.refused:,} answered 429"
        if phase is None:
            return
        if traffic.pause >= 1:
            yield f"waiting {traffic.pause:.0f} s"
        if (left := time_left(phase)) is not None:
            yield f"about {span(left)} left"
        if self._sunset is not None and (until := (self._sunset - self._now()).total_seconds()) > 0:
            yield f"{span(until)} to the sunset"

    def _warn_of_the_sunset(self, phases: Sequence[Task]) -> None:
        """Once: when it is past, or as soon as the threads are thought to last longer."""
        if self._warned or self._sunset is None or len(phases) != 1:
            return
        until = (self._sunset - self._now()).total_seconds()
        left = time_left(phases[0]) if (phases[0].elapsed or 0.0) >= _GROUNDED else None
        when = f"{self._sunset:%Y-%m-%d %H:%M %Z}"
        if until <= 0:
            words = f"the sunset, {when}, is past: asking as long as there are answers"
        elif left is not None and left > until:
            words = (
                f"at this pace the export ends {span(left - until)} after the sunset, {when}. More keys"
                " (--keys-file) or a higher --rpm or --concurrency may help; list what matters most first"
            )
        else:
            return
        self._warned = True
        self._print(f"threadkeep: {words}")

    def _print_problem(self, name: str, outcome: str, reason: str | None) -> None:
        """Print a problem, unless there have been many like it."""
        line = self.problems.take(name, outcome, reason)
        if line is not None:
            self._print(line)

    def _print(self, line: str) -> None:
        with contextlib.suppress(OSError):
            if self._lively:
                self._console.print(line, markup=False, highlight=False, soft_wrap=True)
                return
            self._console.file.write(f"{line}\n")
            self._console.file.flush()


class ThreadsBar:
    """The progress of work on the threads of an export, where no API is asked.

    Args:
        shown: whether it is shown at all.
        clock: the time in seconds.
        console: as of a `Screen`.
    """

    _OFTEN = 0.1  # seconds between two pictures

    def __init__(self, *, shown: bool, clock: Callable[[], float], console: Console | None = None) -> None:
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._console = console or Console(stderr=True, force_terminal=is_terminal)
        self._shown, self._clock = shown, clock
        self._lively = shown and self._console.is_terminal and not self._console.is_dumb_terminal
        columns = TextColumn("{task.description}"), BarColumn(bar_width=None), TextColumn("{task.fields[counts]}")
        self._bars = Progress(*columns, console=self._console, auto_refresh=False, expand=True, get_time=clock)
        self._task = self._bars.add_task("threads", total=None, counts="")
        self._threads = self._messages = 0
        self._total: int | None = None
        self._shown_at = clock()

    def __enter__(self) -> Self:
        if self._lively:
            self._bars.start()
        return self

    def __exit__(self, *_ended_by: object) -> None:
        if self._lively:
            with contextlib.suppress(OSError):
                self._show()
                self._bars.stop()

    def take(self, messages: int, total: int | None) -> None:
        """Count a thread with its messages; ``total`` threads are expected."""
        self._threads, self._messages, self._total = self._threads + 1, self._messages + messages, total
        if self._shown and self._clock() - self._shown_at >= (self._OFTEN if self._lively else _SELDOM):
            self._shown_at = self._clock()
            with contextlib.suppress(OSError):
                self._show()

    def _show(self) -> None:
        counts = f"{self._threads:,}" if self._total is None else f"{self._threads:,} of {self._total:,}"
        counts += f", {self._messages:,} messages"
        if self._lively:
            self._bars.update(self._task, completed=self._threads, total=self._total, counts=counts)
            self._bars.refresh()
        else:
            self._console.file.write(f"threadkeep: threads {counts}\n")
            self._console.file.flush()
