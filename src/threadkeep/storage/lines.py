"""Read the lines of the files of an export, of any size, without ever holding an endless one."""

import hashlib
import os
from collections.abc import Iterator
from typing import BinaryIO

from threadkeep.errors import OutputUnusable

__all__ = [
    "CHUNK",
    "LINE_LIMIT",
    "blocks",
    "chunks",
    "digest_of",
    "lines_from",
    "lines_in",
    "refuse_endless",
    "size_of",
]

CHUNK = 1024 * 1024

LINE_LIMIT = 256 * 1024 * 1024
"""No line is longer, in bytes: a message holds far less, and a file without a newline is no NDJSON."""


def lines_from(file: BinaryIO, name: str) -> Iterator[bytes]:
    """Yield the lines of a file from its place on, with their newlines; the last one may have none.

    Args:
        file: at the beginning of a line.
        name: of the file, for the error.

    Raises:
        OutputUnusable: a line is longer than `LINE_LIMIT`.
    """
    while line := file.readline(LINE_LIMIT + 1):
        if len(line) > LINE_LIMIT:
            raise OutputUnusable(f"{name} is no NDJSON: it has {LINE_LIMIT:,} bytes without a newline.")
        yield line


def lines_in(file: BinaryIO, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Yield the lines of a range of bytes. What the range cuts off at its ends is a line too.

    The caller may read elsewhere in the file between two lines.

    Args:
        file: of any place.
        name: of the file, for the error.
        start: the first byte.
        end: the byte behind the last one; None for the end of the file.

    Raises:
        OutputUnusable: a line is longer than `LINE_LIMIT`.
    """
    end = size_of(file) if end is None else end
    while start < end:
        file.seek(start)
        if not (line := file.readline(min(LINE_LIMIT + 1, end - start))):
            return
        if len(line) > LINE_LIMIT:
            raise OutputUnusable(f"{name} is no NDJSON: it has {LINE_LIMIT:,} bytes without a newline.")
        start += len(line)
        yield line


def blocks(file: BinaryIO, name: str, start: int, end: int) -> Iterator[bytes]:
    """Yield a range of bytes in blocks of complete lines; the last line may have no newline.

    The place of the file is neither used nor changed: anybody may read elsewhere between two blocks.

    Raises:
        OutputUnusable: a line is longer than `LINE_LIMIT`.
    """
    held: list[bytes] = []  # the beginning of a line
    while start < end and (chunk := os.pread(file.fileno(), min(CHUNK, end - start), start)):
        start += len(chunk)
        lines, newline, rest = chunk.rpartition(b"\n")
        if newline:
            yield b"".join([*held, lines, newline])
            held = []
        held.append(rest)
        if len(held) * CHUNK > LINE_LIMIT + CHUNK:
            raise OutputUnusable(f"{name} is no NDJSON: it has {LINE_LIMIT:,} bytes without a newline.")
    if any(held):
        yield b"".join(held)


def refuse_endless(file: BinaryIO, name: str) -> None:
    """Refuse a file that does not begin as NDJSON does, before an endless line of it, of a sparse file, is read.

    Raises:
        OutputUnusable: its first `CHUNK` bytes have no newline, and are not the beginning of an object.
    """
    file.seek(0)
    beginning = file.read(CHUNK)
    if len(beginning) == CHUNK and b"\n" not in beginning and not beginning.startswith(b"{"):
        raise OutputUnusable(f"{name} is no NDJSON: its first {CHUNK:,} bytes are no JSON and have no newline.")


def size_of(file: BinaryIO) -> int:
    """Return the size of an open file, in bytes."""
    return os.fstat(file.fileno()).st_size


def chunks(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    """Yield a range of bytes; less, when the file ends before it does."""
    file.seek(start)
    while start < end and (chunk := file.read(min(CHUNK, end - start))):
        start += len(chunk)
        yield chunk


def digest_of(file: BinaryIO, start: int, end: int) -> str | None:
    """Return the sha256 of a range of bytes; None when the file ends before it does."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks(file, start, end):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest() if size == end - start else None
