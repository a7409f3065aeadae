"""The lines of one thread in the file of an export, read again where they stand."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from threadkeep.disk import on_disk
from threadkeep.errors import OutputUnusable
from threadkeep.validation.live_compare import Change, ExportedMessage, change, read_line

__all__ = ["Place", "changes", "digest", "rows"]


class Place(Protocol):
    """Where a thread's lines stand, as `threadkeep.validation.scan.Place` says it."""

    @property
    def line(self) -> int:
        """The number of the first one, from 1."""
        ...

    @property
    def messages(self) -> int:
        """How many they are."""
        ...

    @property
    def start(self) -> int:
        """The byte at which the first one begins."""
        ...


def digest(line: bytes) -> bytes:
    """Give 128 bits of a line, without its newline."""
    return hashlib.blake2b(line, digest_size=16).digest()


def rows(out: Path, place: Place) -> Iterator[ExportedMessage]:
    """Read which messages stand there. Lines that cannot be read are passed over: they are told elsewhere.

    Raises:
        OutputUnusable: the file cannot be read, or is shorter than it was.
    """
    start = place.start
    with on_disk(out), out.open("rb") as file:
        file.seek(start)
        for number in range(place.line, place.line + place.messages):
            whole = file.readline()
            if not whole:
                raise OutputUnusable(f"{out} was changed while it was compared: line {number} is not there any more")
            line = whole.removesuffix(b"\n")
            said = read_line(line)
            if said is not None:
                yield ExportedMessage(said["message_id"], number, start, len(line), digest(line))
            start += len(whole)


def changes(out: Path, doubted: Iterable[tuple[ExportedMessage, Mapping[str, Any]]]) -> Iterator[tuple[str, Change]]:
    """Read lines again that are not what the API gives, and say how they differ, if they do.

    Args:
        out: the export.
        doubted: what stands there, and the API's message of the same id.

    Raises:
        OutputUnusable: the file cannot be read, or was changed.
    """
    with on_disk(out), out.open("rb") as file:
        for row, raw in doubted:
            file.seek(row.start)
            line = file.read(row.size)
            said = read_line(line)
            if digest(line) != row.digest or said is None:
                raise OutputUnusable(f"{out} was changed while it was compared: line {row.line} is another one now")
            found = change(said, raw)
            if found is not None:
                yield row.message_id, found
