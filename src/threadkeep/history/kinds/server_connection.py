"""A connection to a server of histories, for a library that is async only.

The client lives in the background loop, to which its sockets belong. It does one piece of work at a time, so that one
history has one connection. A client that is not closed is closed when it is no longer used.
"""

import asyncio
import os
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

import attrs

from threadkeep.history.background_loop import run_in_background

__all__ = ["ServerConnection"]

_C = TypeVar("_C")
_T = TypeVar("_T")


@attrs.frozen(eq=False)
class _Opened(Generic[_C]):
    client: _C
    process: int = attrs.field(factory=os.getpid)
    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)


# The sockets of a client that was inherited by a fork are those of the parent, whose session with the server would end
# if they were closed in order. They are never closed here.
_inherited: list[Any] = []


class ServerConnection(Generic[_C]):
    """A client that is opened when it is first needed, and again in a forked child.

    Args:
        connect: makes the client. It is called in the background loop.
        disconnect: closes the connections of a client. The client may be used afterwards, and connects again.
    """

    def __init__(self, connect: Callable[[], _C], disconnect: Callable[[_C], Coroutine[Any, Any, None]]) -> None:
        self._connect = connect
        self._disconnect = disconnect
        self._opened: _Opened[_C] | None = None

    def run(self, work: Callable[[_C], Coroutine[Any, Any, _T]]) -> _T:
        """Do work with the client and return its result."""
        return run_in_background(self._run(work))

    def close(self) -> None:
        """Close the connections, if there are any."""
        if self._opened is not None and self._opened.process == os.getpid():
            self.run(self._disconnect)

    async def _run(self, work: Callable[[_C], Coroutine[Any, Any, _T]]) -> _T:
        opened = self._current()
        async with opened.lock:
            return await work(opened.client)

    def _current(self) -> _Opened[_C]:
        if self._opened is None or self._opened.process != os.getpid():
            self._opened = opened = _Opened(self._connect())
            loop = asyncio.get_running_loop()
            finalizer = weakref.finalize(self, _close_later, opened, self._disconnect, loop)
            finalizer.atexit = False  # the system closes the sockets of a process that ends
        return self._opened


def _close_later(
    opened: _Opened[_C], disconnect: Callable[[_C], Coroutine[Any, Any, None]], loop: asyncio.AbstractEventLoop
) -> None:
    """Close a client whose history was garbage-collected, at any moment and in any thread: nothing is waited for."""
    if opened.process == os.getpid():
        loop.call_soon_threadsafe(lambda: loop.create_task(disconnect(opened.client)))
    else:
        _inherited.append(opened)
