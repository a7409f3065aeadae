"""Calls that may hang, such as those of a store that does not answer: who awaits one can leave it behind."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

__all__ = ["are_any_left", "in_thread"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_THREADS = set[threading.Thread]()


async def in_thread(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call a function in a thread of its own. A cancellation does not wait for its end, nor does the event loop's."""
    called = Future[_T]()

    def call() -> None:
        called.set_running_or_notify_cancel()
        try:
            called.set_result(function(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it is raised where the call is awaited
            called.set_exception(error)
        finally:
            _THREADS.discard(threading.current_thread())

    thread = threading.Thread(target=call, daemon=True)
    _THREADS.add(thread)
    thread.start()
    return await asyncio.wrap_future(called)


def are_any_left() -> bool:
    """Return whether a call is still at work. The end of the process might wait for the threads that it has started."""
    return bool(_THREADS)
