"""What an export holds of a thread, kept when the thread is written down anew and the server has less of it.

Messages are deleted, and an API that is being switched off may give empty lists. What was exported once stays.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import IO, BinaryIO

import attrs

from threadkeep.account import Finished
from threadkeep.disk import Disk, on_disk
from threadkeep.errors import OutputUnusable
from threadkeep.journal import Entry, Journal
from threadkeep.jsontext import loads
from threadkeep.merging import merged
from threadkeep.paths import Paths
from threadkeep.resume import Stretch, chunks
from threadkeep.rewrite import Standing, standing
from threadkeep.spool import Spool

__all__ = ["Exported", "ids_in", "with_what_vanished"]

_At = tuple[IO[bytes], int, int]  # a file, and where in it a line begins and ends
_Rows = list[tuple[str, _At]]


def with_what_vanished(
    one: Finished, before: Entry, found: Sequence[Stretch], paths: Paths, disk: Disk, opened: contextlib.ExitStack
) -> Finished:
    """Give a complete thread with those lines of its old version put back whose ids the new one has not.

    Args:
        one: the thread as the server gives it now.
        before: its entry until now.
        found: where the lines of that are.
        paths: of the export.
        disk: what it is on.
        opened: closes the new spools in the end.

    Raises:
        OutputUnusable: the old lines were changed since, or the disk refuses.
    """
    assert isinstance(one.entry, Entry)
    assert one.lines is not None
    old = {stretch.path: stretch for stretch in found}
    lines = _joined(one.lines, old[paths.out], "message_id", paths, disk, opened)
    beside = dict(one.beside)
    runs = old.get(paths.beside("runs"))
    if runs is not None and "runs" in beside:
        beside["runs"] = _joined(beside["runs"], runs, "run_id", paths, disk, opened)
    if lines is one.lines and all(beside[kind] is spool for kind, spool in one.beside.items()):
        return one
    entry = attrs.evolve(
        one.entry,
        messages=lines.lines,
        first_id=lines.first_id,
        last_id=lines.last_id,
        files=tuple(dict.fromkeys((*before.files, *one.entry.files))),
    )
    return Finished(entry=entry, lines=lines, beside=beside)


def ids_in(stretch: Stretch, disk: Disk) -> frozenset[str]:
    """The ids of the messages that stand in a stretch of the export.

    Raises:
        OutputUnusable: they were changed since, or the disk refuses.
    """
    if stretch.is_empty:
        return frozenset()
    with on_disk(stretch.path), disk.read(stretch.path) as file:
        return frozenset(row_id for row_id, _ in _rows_of(stretch, file, "message_id"))


class Exported:
    """Says which messages the export has of a thread; none of one that is not complete, or cannot be read.

    Args:
        paths: of the export.
        journal: its journal.
        disk: what it is on.
    """

    def __init__(self, paths: Paths, journal: Journal, disk: Disk) -> None:
        self._paths, self._journal, self._disk = paths, journal, disk
        self._ids: dict[str, frozenset[str]] = {}

    def __call__(self, thread_id: str) -> frozenset[str]:
        """The ids of its messages."""
        if thread_id not in self._ids:
            self._ids[thread_id] = self._read(thread_id)
        return self._ids[thread_id]

    def _read(self, thread_id: str) -> frozenset[str]:
        with contextlib.suppress(OutputUnusable):  # whoever asks keeps all then
            for stretch in self._found.get(thread_id, ())[:1]:
                return ids_in(stretch, self._disk)
        return frozenset()

    @cached_property
    def _found(self) -> Standing:
        return standing(self._paths, self._journal)


def _joined(new: Spool, old: Stretch, key: str, paths: Paths, disk: Disk, opened: contextlib.ExitStack) -> Spool:
    """The new lines themselves where nothing has vanished."""
    if old.is_empty or new.sha256 == old.sha256:
        return new
    with on_disk(old.path), disk.read(old.path) as file:
        before = _rows_of(old, file, key)
        now = _rows(new.file, 0, key)
        if {row_id for row_id, _ in before} <= {row_id for row_id, _ in now}:
            return new
        joined = Spool(paths.out.parent)
        opened.callback(joined.close)
        for row_id, (source, start, end) in merged(before, now):
            source.seek(start)
            joined.add([row_id], [source.read(end - start - 1)])
        return joined


def _rows_of(stretch: Stretch, file: BinaryIO, key: str) -> _Rows:
    digest = hashlib.sha256()
    file.seek(stretch.start)
    for chunk, _ in chunks(file, stretch.start, stretch.end):
        digest.update(chunk)
    if digest.hexdigest() != stretch.sha256:
        raise OutputUnusable(f"{stretch.path} was changed by somebody else while {stretch.thread_id} was refreshed")
    return _rows(file, stretch.start, key, stretch.lines)


def _rows(file: IO[bytes], start: int, key: str, most: int | None = None) -> _Rows:
    """Lines that are JSON objects, as whoever wrote them knows."""
    return [(loads(line)[key], (file, place, end)) for line, place, end in _lines(file, start, most)]


def _lines(file: IO[bytes], start: int, most: int | None) -> Iterator[tuple[bytes, int, int]]:
    file.seek(start)
    number = 0
    while number != most and (line := file.readline()):
        yield line, start, start + len(line)
        start, number = start + len(line), number + 1
