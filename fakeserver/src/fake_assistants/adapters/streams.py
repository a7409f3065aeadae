"""Share one fake between threads: the lock, and streams that hold it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import RLock
from typing import Protocol, Self

from fake_assistants.http.message import Chunk, Reply, Request


def new_lock() -> AbstractContextManager[bool]:
    """Return a lock for `with`. It is reentrant: the predicate of a script may read the fake."""
    return RLock()


class LockedChunks:
    """A stream that holds the lock while a chunk is taken, since each chunk may change the database.

    Garbage collection does not take the lock, since it may run in a thread that waits for it. A caller that leaves a
    stream before its end must close it.
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
        """Release the stream. May be called twice, and by any thread."""
        with self._lock:
            release(self._chunks)
            self._chunks = iter(())


def release(chunks: Iterator[Chunk] | None) -> None:
    """Close a stream that has a `close` method, as generators do; None and other iterators are ignored."""
    close = getattr(chunks, "close", None)
    if close is not None:
        close()


@contextmanager
def released_on_error(chunks: Iterator[Chunk] | None) -> Iterator[None]:
    """Release the stream at once if anything is raised inside, also a cancellation."""
    try:
        yield
    except BaseException:
        release(chunks)
        raise


class Handler(Protocol):
    """Anything that answers requests."""

    def handle(self, request: Request) -> Reply: ...
