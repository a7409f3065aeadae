"""A file whose lines belong to threads, held against the ranges of bytes that the rows of the index claim."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from threadkeep.serialization.lossless_json import loads, text_or_none
from threadkeep.storage.index import Span
from threadkeep.storage.lines import CHUNK, digest_of, lines_in, size_of

__all__ = ["SpanFile", "thread_of"]

_BEGINS = re.compile(rb'\{"thread_id":"([^"\\]+)"')


class SpanFile:
    """A file that is read in the order of the index. Bytes that no intact range claims are gaps.

    Attributes:
        size: of the file, in bytes; 0 where it is not there.
        reached: the end of the last intact range.
    """

    def __init__(self, name: str, file: BinaryIO | None) -> None:
        self.name = name
        self.file = file
        self.size = 0 if file is None else size_of(file)
        self.reached = 0
        self._gaps: list[tuple[int, int]] = []

    def take(self, span: Span, begins: bytes = b"") -> Iterable[bytes] | None:
        """Return a range in blocks of complete lines, if its bytes are as they were written and behind the last one.

        Args:
            span: the range.
            begins: with what it must begin, too.
        """
        if self.file is None or span.offset < self.reached or span.end > self.size:
            return None
        self.file.seek(span.offset)
        content = self.file.read(min(span.bytes, CHUNK))
        if not content.startswith(begins):
            return None
        blocks: Iterable[bytes] = (content,)
        if span.bytes <= CHUNK:
            digest: str | None = hashlib.sha256(content).hexdigest()
        else:
            blocks, digest = _blocks(self.file, span), digest_of(self.file, span.offset, span.end)
        if digest != span.sha256:
            return None
        if span.offset > self.reached:
            self._gaps.append((self.reached, span.offset))
        self.reached = span.end
        return blocks

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Yield the beginning and the end of each gap, once every range was taken."""
        yield from self._gaps
        if self.size > self.reached:
            yield self.reached, self.size

    def lines_in(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the lines of a range of bytes; see `threadkeep.storage.lines.lines_in`."""
        return lines_in(self.file, self.name, start, end) if self.file is not None else iter(())


def _blocks(file: BinaryIO, span: Span) -> Iterator[bytes]:
    place, block = span.offset, b"\n"
    while place < span.end and block:
        file.seek(place)
        block = file.read(min(CHUNK, span.end - place))
        if place + len(block) < span.end:
            block += next(lines_in(file, "", place + len(block), span.end), b"")
        place += len(block)
        yield block


def thread_of(line: bytes) -> str | None:
    """Return the thread that a line names. A line as it is written need not be parsed for that."""
    if (found := _BEGINS.match(line)) is not None:
        return found[1].decode("utf-8", "replace")
    try:
        value = loads(line)
    except ValueError:
        return None
    return text_or_none(value.get("thread_id")) if isinstance(value, dict) else None
