"""One event loop in a thread of its own, for libraries that are async only.

A pool of connections belongs to the event loop that opened it. Since everything of such a library runs in this loop,
a history can be used from any thread, from any event loop, and from none.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run_in_background"]

_T = TypeVar("_T")


class _Background:
    """The loop, started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="threadkeep-history", daemon=True).start()
            return self._loop


_background = _Background()


def _start_again() -> None:
    """Forget the loop in a forked child, in which its thread does not run."""
    global _background
    _background = _Background()


os.register_at_fork(after_in_child=_start_again)


def run_in_background(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine in the background loop, and wait for its result. Not to be called in that loop."""
    return asyncio.run_coroutine_threadsafe(coroutine, _background.loop()).result()
