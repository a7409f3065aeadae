"""The lines of the partial file: what of them is worth keeping. Pure but for the file they are read from."""

from collections.abc import Iterator, Set
from typing import BinaryIO

from threadkeep.codec import decode
from threadkeep.errors import MalformedLine
from threadkeep.records import MessageRecord

__all__ = ["lines_at", "newest", "records"]


def records(file: BinaryIO, *, without: Set[str] = frozenset()) -> Iterator[bytes]:
    """The whole lines from here on that are records, newlines included, but for those of some threads."""
    for line in file:
        record = _record(line) if line.endswith(b"\n") else None
        if record is not None and record.thread_id not in without:
            yield line


def newest(file: BinaryIO, complete: Set[str]) -> list[int]:
    """Where the newest line of each message begins, in the order in which the messages first came.

    Args:
        file: at its beginning.
        complete: the threads that need no keeping. Lines that cannot be read are kept.
    """
    places: dict[object, int] = {}
    place = 0
    for line in file:
        record = _record(line)
        if record is None:
            places[place] = place
        elif record.thread_id not in complete:
            places[record.thread_id, record.message_id] = place
        place += len(line)
    return list(places.values())


def lines_at(file: BinaryIO, places: list[int]) -> Iterator[bytes]:
    """The lines that begin at these bytes."""
    for place in places:
        file.seek(place)
        yield file.readline()


def _record(line: bytes) -> MessageRecord | None:
    try:
        return decode(line.removesuffix(b"\n"))
    except MalformedLine:
        return None
