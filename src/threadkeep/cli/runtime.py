"""Ask an API from the command line: connect, show progress, and treat signals as a request to end in order.

The signals are Ctrl-C, SIGTERM and a lost terminal. What somebody had ignored, as nohup does, stays ignored.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn, TypeAlias, TypeVar

import attrs

from threadkeep.api.endpoints import Api, ApiSource
from threadkeep.cli.console import print_error
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.progress_display import Screen
from threadkeep.clock import now

__all__ = ["ask", "interrupted_by_signals", "leave", "under_screen"]

_POLITE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# Seconds between two looks at a run.
_TICK = 0.25

_T = TypeVar("_T")
_Work: TypeAlias = Callable[[Sequence[Any], Screen], Coroutine[Any, Any, _T]]


@contextlib.contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Treat all of them as Ctrl-C in here, and ignore them afterwards: the exit code is known then."""
    for number in _not_ignored():
        signal.signal(number, signal.default_int_handler)
    yield
    for number in _not_ignored():
        signal.signal(number, signal.SIG_IGN)


def _not_ignored() -> list[signal.Signals]:
    return [number for number in _POLITE if signal.getsignal(number) is not signal.SIG_IGN]


def ask(
    source: ApiSource,
    work: _Work[_T],
    *,
    shown: bool,
    sunset: datetime | None = None,
    verbose: bool = False,
    unit: str = "messages",
    second: str = "files",
    api: Api = Api.ASSISTANTS,
    headers: Mapping[str, str] | None = None,
    is_last: bool = True,
) -> _T:
    """Connect to a source as `threadkeep.api.transport.connect_all` does, and do some work with it under a `Screen`.

    The work takes an open client for each key, and the screen, which counts this unit. A signal cancels it, once. One
    that comes when its result is known changes nothing, unless the command has more to do (``is_last`` is False): it is
    raised then.

    Raises:
        KeyboardInterrupt: such a signal has come.
    """
    usual = gc.get_threshold()
    # Pages of JSON are trees that free themselves: looking for cycles in them, and in the SDK's classes, was a third of
    # a run's time.
    gc.set_threshold(50_000, 20, 100)
    try:
        # Only here, since importing the SDK takes most of a second that no other command needs.
        from threadkeep.api.transport import connect_all

        gc.freeze()

        transports = connect_all(source, api=api, headers=headers)
        return under_screen(
            transports,
            work,
            shown=shown,
            sunset=sunset,
            verbose=verbose,
            unit=unit,
            second=second,
            is_last=is_last,
        )
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def under_screen(
    transports: Sequence[Any],
    work: _Work[_T],
    *,
    shown: bool,
    sunset: datetime | None = None,
    verbose: bool = False,
    unit: str = "messages",
    second: str = "files",
    is_last: bool = True,
    words_at_second: Sequence[str] = (),
) -> _T:
    """Do some work with transports, which are opened first, in an event loop and under a `Screen`; see `ask`.

    With ``words_at_second``, Ctrl-C once more ends the process at once, with these words about what is left: the work
    may wait for other machines.

    Raises:
        KeyboardInterrupt: a signal has come.
    """

    def screen(clock: Callable[[], float]) -> Screen:
        return Screen(shown=shown, clock=clock, now=now, sunset=sunset, verbose=verbose, unit=unit, second=second)

    result, is_interrupted = asyncio.run(_with_screen(transports, work, screen, words_at_second))
    if is_interrupted and not is_last:
        raise KeyboardInterrupt
    return result


async def _with_screen(
    transports: Sequence[Any],
    work: _Work[_T],
    make_screen: Callable[[Callable[[], float]], Screen],
    words_at_second: Sequence[str],
) -> tuple[_T, bool]:
    """Return the result, and whether a signal has come when it was known."""

    async def tick() -> None:
        while True:
            screen.tick()
            await asyncio.sleep(_TICK)

    async with contextlib.AsyncExitStack() as opened:
        signals = opened.enter_context(_cancelled_by_signals())
        for transport in transports:
            await opened.enter_async_context(transport)
        screen = opened.enter_context(make_screen(asyncio.get_running_loop().time))
        if screen.is_verbose:
            for number, transport in enumerate(transports, 1):
                transport.watch(screen.show_request, number)
        if words_at_second:
            signals.at_second = lambda: _leave(screen, words_at_second)
        opened.callback(asyncio.create_task(tick()).cancel)
        try:
            result = await work(transports, screen)
        finally:
            signals.settle()
    return result, signals.is_late


def _leave(screen: Screen, words: Sequence[str]) -> None:
    """End the process and those that it has started, without waiting for anything."""
    from multiprocessing import active_children  # other commands start none

    screen.__exit__()
    for child in active_children():  # else one that is just starting would print a traceback
        child.kill()
    print_error("interrupted", *words)
    leave(Exit.INTERRUPTED)


def leave(code: int) -> NoReturn:
    """End the process with a code, and wait for none of its threads."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


@attrs.define
class _Signals:
    """What the signals do to a task: the first one cancels it; when it is settled, none changes anything.

    Attributes:
        at_second: what Ctrl-C does that comes after that.
    """

    _task: asyncio.Task[Any]
    at_second: Callable[[], object] = attrs.field(default=lambda: None, init=False)
    _has_come: bool = attrs.field(default=False, init=False)
    _is_settled: bool = attrs.field(default=False, init=False)
    _is_cancelled: bool = attrs.field(default=False, init=False)

    @property
    def is_late(self) -> bool:
        """Whether a signal has come, and the task was not cancelled, since it was settled."""
        return self._has_come and not self._is_cancelled

    def take(self, number: int, *_frame: object) -> None:
        """Take a signal."""
        if self._has_come and number == signal.SIGINT and not self._is_settled:
            self.at_second()
        self._has_come = True
        self._task.get_loop().call_soon_threadsafe(self._cancel)

    def settle(self) -> None:
        """It is known what the task has come to."""
        self._is_settled = True

    def _cancel(self) -> None:
        if not self._is_settled and not self._is_cancelled:
            self._is_cancelled = True
            self._task.cancel()


@contextlib.contextmanager
def _cancelled_by_signals() -> Iterator[_Signals]:
    """Let the first of them cancel the task that is in here, so that it ends in order; the others change nothing."""
    task = asyncio.current_task()
    assert task is not None
    signals = _Signals(task)
    # Not by the loop, which would lose one that comes in its last turn.
    usual = {number: signal.signal(number, signals.take) for number in _not_ignored()}
    try:
        yield signals
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
