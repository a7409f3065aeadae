"""Asking an API from the command line: connect, and look again and again at how it goes."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from threadkeep.api.endpoints import Source
from threadkeep.cli.progress_display import Screen

__all__ = ["ask", "looked_at"]

_T = TypeVar("_T")


def ask(source: Source, work: Callable[[Sequence[Any]], Coroutine[Any, Any, _T]]) -> _T:
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
        apis = connect_all(source)
        return asyncio.run(work(apis))


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
