"""Polite requests to end: Ctrl-C, SIGTERM, a lost terminal. What somebody had ignored, as nohup does, stays so."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator

__all__ = ["cancelled_by_signals", "interrupted_by_signals"]

# Windows has no handlers in its event loops; there only Ctrl-C interrupts in order.
_POLITE = () if sys.platform == "win32" else (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Treat all of them as Ctrl-C from here on, and none of them any more behind it: the exit code is known then."""
    for number in _minded():
        signal.signal(number, signal.default_int_handler)
    yield
    for number in _minded():
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def cancelled_by_signals() -> Iterator[Callable[[], None]]:
    """Cancel the task that is in here at the first of them, so that it ends in order; the others change nothing.

    Gives what is to be called when it is known what the task has come to: from then on none of them changes anything.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    tasks = [task]
    usual = {number: signal.getsignal(number) for number in _minded()}

    def end() -> None:
        while tasks:
            tasks.pop().cancel()

    for number in usual:
        loop.add_signal_handler(number, end)
    try:
        yield tasks.clear
    finally:
        for number, handler in usual.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _minded() -> list[signal.Signals]:
    return [number for number in _POLITE if signal.getsignal(number) is not signal.SIG_IGN]
