"""The thread on which a run uses its store and reads its export, so that an event loop never waits for the disk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, TypeVarTuple

__all__ = ["StoreThread"]

_T = TypeVar("_T")
_Arguments = TypeVarTuple("_Arguments")


class StoreThread:
    """The one thread that uses the store."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="threadkeep-store")

    def call(self, work: Callable[[*_Arguments], _T], *arguments: *_Arguments) -> "asyncio.Future[_T]":
        """Call something there, and return a future of what it returns."""
        return asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    async def finish(self, work: Callable[[], _T], on_cancel: Callable[[], None] = lambda: None) -> _T:
        """Call something there, to its end: when this task is cancelled meanwhile, ``on_cancel`` is called, no more.

        No task waits for the thread, since the end of an event loop would cancel it.
        """
        working = self.call(work)
        while not working.done():
            try:
                await asyncio.wait({working})
            except asyncio.CancelledError:
                on_cancel()
        return working.result()

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown(wait=True)
