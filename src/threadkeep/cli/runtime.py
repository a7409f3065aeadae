"""Asking an API from the command line: connect, and look again and again at how it goes.

Polite requests to end: Ctrl-C, SIGTERM, a lost terminal. What somebody had ignored, as nohup does, stays so.
"""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from threadkeep.api.endpoints import ApiSource
from threadkeep.cli.progress_display import Screen

__all__ = ["ask", "cancelled_by_signals", "interrupted_by_signals", "looked_at"]

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


_T = TypeVar("_T")


def ask(source: ApiSource, work: Callable[[Sequence[Any]], Coroutine[Any, Any, _T]]) -> _T:
    """Make the clients of a source, and do the work with them in an event loop of its own.

    Args:
        source: where to ask.
        work: takes a client for each key; it opens and closes them.

    Raises:
        AccessRefused, MalformedAddress, ServerUnreachable: as `threadkeep.api.transport.connect_all`. What the work
        raises.
    """
    with _rare_collections():
        # Only here, since importing the SDK takes most of a second that no other command needs.
        from threadkeep.api.transport import connect_all

        gc.freeze()
        transports = connect_all(source)
        return asyncio.run(work(transports))


@contextlib.asynccontextmanager
async def looked_at(screen: Screen) -> AsyncIterator[None]:
    """Show how it goes, again and again."""
    looking = asyncio.create_task(_look(screen))
    try:
        yield
    finally:
        looking.cancel()


async def _look(screen: Screen) -> None:
    with contextlib.suppress(OSError):  # a terminal that has gone away is no reason to end an export
        while True:
            screen.tick()
            await asyncio.sleep(screen.interval)


@contextlib.contextmanager
def _rare_collections() -> Iterator[None]:
    """Collect garbage seldom: pages of JSON are trees that free themselves, and looking for cycles in them, and in
    the SDK's classes, was a third of a run's time."""
    usual = gc.get_threshold()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()
