"""The lock that lets a server on a thread and a test share one fake."""

from contextlib import AbstractContextManager
from threading import Lock


def new_lock() -> AbstractContextManager[bool]:
    """A lock, to be used with `with`."""
    return Lock()
