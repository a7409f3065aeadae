"""A connection to a server of histories, for a library that is async only.

The client lives in the background loop, to which its sockets belong. It does one piece of work at a time, so that one
history has one connection. A client that was not closed is closed when its history is garbage-collected, and when the
interpreter ends.
"""

import asyncio
import atexit
import ctypes
import os
import weakref
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar

import attrs

from threadkeep.history.background_loop import run_in_background

__all__ = ["ServerConnection"]

_C = TypeVar("_C")
_T = TypeVar("_T")


@attrs.frozen(eq=False)
class _Opened(Generic[_C]):
    client: _C
    disconnect: Callable[[_C], Coroutine[Any, Any, None]]
    lock: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    async def close(self) -> None:
        async with self.lock:
            await self.disconnect(self.client)


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
        self._finalizer: weakref.finalize[..., Any] | None = None

    def run(self, work: Callable[[_C], Coroutine[Any, Any, _T]]) -> _T:
        """Do work with the client and return its result."""
        return run_in_background(self._run(work))

    def close(self) -> None:
        """Close the connections, if there are any."""
        if self._opened is not None:
            run_in_background(self._opened.close())

    def close_at_exit(self) -> None:
        """Close the connections unless work is being done, which may never end."""
        if self._opened is not None and not self._opened.lock.locked():
            with suppress(Exception):  # nobody is left to handle it
                self.close()

    def leave_to_parent(self) -> None:
        """Forget a client that was inherited by a fork, without a destructor that touches what the parent uses.

        The sockets, the selector of the event loop and the database files are shared. The reference that is added here
        is never removed, so that nothing is destroyed even when the interpreter ends.
        """
        if self._opened is not None and self._finalizer is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._opened))
            self._finalizer.detach()
            self._opened = None

    async def _run(self, work: Callable[[_C], Coroutine[Any, Any, _T]]) -> _T:
        if self._opened is None:
            self._opened = _Opened(self._connect(), self._disconnect)
            self._finalizer = weakref.finalize(self, _close_later, self._opened, asyncio.get_running_loop())
            self._finalizer.atexit = False
            _connections.add(self)
        opened = self._opened
        async with opened.lock:
            return await work(opened.client)


def _close_later(opened: _Opened[Any], loop: asyncio.AbstractEventLoop) -> None:
    """Close a client whose history was garbage-collected, at any moment and in any thread: nothing is waited for."""
    loop.call_soon_threadsafe(lambda: loop.create_task(opened.close()))


_connections: weakref.WeakSet[ServerConnection[Any]] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for connection in list(_connections):
        connection.close_at_exit()


def _leave_all() -> None:
    for connection in list(_connections):
        connection.leave_to_parent()


os.register_at_fork(after_in_child=_leave_all)
