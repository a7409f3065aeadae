"""The lines of the partial file: what of them is worth keeping. Pure but for the file they are read from."""

from collections.abc import Callable, Iterator, Mapping, Set
from typing import IO, BinaryIO

from threadkeep.errors import MalformedLine
from threadkeep.records.content import is_blank
from threadkeep.records.model import MessageRecord
from threadkeep.records.ndjson import decode
from threadkeep.serialization.lossless_json import loads

__all__ = ["lines_at", "newest", "records", "unlike"]


def unlike(file: IO[bytes], ids: Set[str]) -> Iterator[bytes]:
    """The lines of records, newlines included, but for those of some messages."""
    file.seek(0)
    return (line for line in file if loads(line)["message_id"] not in ids)


def records(file: BinaryIO, *, without: Set[str] = frozenset()) -> Iterator[bytes]:
    """The whole lines from here on that are records, newlines included, but for those of some threads."""
    for line in file:
        record = _record(line) if line.endswith(b"\n") else None
        if record is not None and record.thread_id not in without:
            yield line


def newest(file: BinaryIO, exported: Callable[[str], Mapping[str, bool]], *, flat: bool) -> list[int]:
    """Where the newest line of each message begins, in the order in which the messages first came.

    Args:
        file: at its beginning.
        exported: says which messages of a thread stand elsewhere, each with whether it says nothing there: then one
            that does is kept. So are lines that cannot be read.
        flat: whether what stands elsewhere is only the text.
    """
    places: dict[object, int] = {}
    place = 0
    for line in file:
        record = _record(line)
        if record is None:
            places[place] = place
        elif not _stands(record, exported(record.thread_id), flat=flat):
            places[record.thread_id, record.message_id] = place
        place += len(line)
    return list(places.values())


def _stands(record: MessageRecord, elsewhere: Mapping[str, bool], *, flat: bool) -> bool:
    """Whether a message is somewhere else with what it says."""
    is_blank_there = elsewhere.get(record.message_id)
    is_blank_here = not record.text.strip() if flat else is_blank(record.raw)
    return is_blank_there is not None and (not is_blank_there or is_blank_here)


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
