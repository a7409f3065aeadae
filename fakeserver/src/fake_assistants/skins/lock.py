"""The lock that lets a server on a thread and a test share one fake."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from threading import RLock
from typing import Self

from fake_assistants.exchange import Chunk
from fake_assistants.skins.chunks import release


def new_lock() -> AbstractContextManager[bool]:
    """A lock, to be used with `with`. Its holder may take it again: a script's predicate may look at the fake."""
    return RLock()


class LockedChunks:
    """A stream whose every step holds the lock: it is taken from outside, and each chunk moves the world on.

    Its end in garbage collection takes no lock, since that may happen wherever the lock is held already;
    so whoever leaves a stream before its end closes it.
    """

    def __init__(self, chunks: Iterator[Chunk], lock: AbstractContextManager[bool]) -> None:
        self._chunks = chunks
        self._lock = lock

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        with self._lock:
            return next(self._chunks)

    def close(self) -> None:
        """No more chunks; what the stream stood on is released. May be called twice, and by any thread."""
        with self._lock:
            release(self._chunks)
            self._chunks = iter(())
