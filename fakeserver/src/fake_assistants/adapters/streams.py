"""The lock that lets a server on a thread and a test share one fake."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import RLock
from typing import Protocol, Self

from fake_assistants.http.message import Chunk, Reply, Request


def new_lock() -> AbstractContextManager[bool]:
    """A lock, to be used with `with`. Its holder may take it again: a script's predicate may look at the fake."""
    return RLock()


class LockedChunks:
    """A stream whose every step holds the lock: it is taken from outside, and each chunk moves the database on.

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


def release(chunks: Iterator[Chunk] | None) -> None:
    """Close a stream that can be closed, as generators can; None and what has no end of its own are left alone."""
    close = getattr(chunks, "close", None)
    if close is not None:
        close()


@contextmanager
def released_on_error(chunks: Iterator[Chunk] | None) -> Iterator[None]:
    """Whatever is raised inside, cancellation too, releases the stream at once."""
    try:
        yield
    except BaseException:
        release(chunks)
        raise


class Handler(Protocol):
    """Anything that answers requests."""

    def handle(self, request: Request) -> Reply: ...
