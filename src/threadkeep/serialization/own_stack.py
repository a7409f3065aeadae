"""Work that recurses, whatever is left of the caller's stack.

How deep a value may be nested must not depend on who reads it: a file is not damaged because its reader was called by
many functions.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["NestedTooDeeply", "on_own_stack", "with_room"]

_T = TypeVar("_T")


class NestedTooDeeply(ValueError):
    """A value has so many levels that a stack of its own is too small for it."""


def with_room(work: Callable[[], _T]) -> _T:
    """Return what a function returns. If the stack is too small for it, it is called again `on_own_stack`.

    Raises:
        NestedTooDeeply: that was too small, too.
        RecursionError: the caller's stack is used up.
    """
    try:
        return work()
    except RecursionError:
        pass
    return on_own_stack(work)


def on_own_stack(work: Callable[[], _T]) -> _T:
    """Call a function in a thread of its own, whose stack is empty, and return what it returns.

    Raises:
        NestedTooDeeply: the function raised RecursionError.
    """
    with ThreadPoolExecutor(max_workers=1) as executor:
        future = executor.submit(work)
        if isinstance(future.exception(), RecursionError):
            raise NestedTooDeeply("nested too deeply")
        return future.result()
