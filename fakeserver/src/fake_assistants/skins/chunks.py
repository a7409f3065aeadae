"""The end of a stream, whoever made it and however it ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from fake_assistants.exchange import Chunk


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
