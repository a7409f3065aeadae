"""The partial file of an export: pages that may never come again, kept until their threads are whole."""

import contextlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from threadkeep.disk import Disk
from threadkeep.partial import lines_at, newest, records
from threadkeep.paths import Paths, draft

__all__ = ["PartialFile"]


class PartialFile:
    """The partial file. Every method raises OSError.

    Args:
        paths: of the export.
        disk: what it is on.
        flat: whether the export's lines are flat, which are too little for this file.
    """

    def __init__(self, paths: Paths, disk: Disk, *, flat: bool) -> None:
        self._paths = paths
        self._disk = disk
        self._flat = flat

    def mend(self) -> None:
        """Take back a line that a crash left half written, so that the next one does not go on from it."""
        if self._disk.exists(self._paths.partial):
            with self._disk.read(self._paths.partial) as file:
                whole = sum(len(line) for line in file if line.endswith(b"\n"))
            with contextlib.closing(self._disk.grow(self._paths.partial)) as growing:
                growing.cut(whole)

    def add(self, chunks: Iterator[bytes]) -> None:
        """Append whole lines. They are on the disk when this returns."""
        first = next(chunks, None)
        if first is None:
            return
        with contextlib.closing(self._disk.grow(self._paths.partial)) as file:
            file.write(first)
            for chunk in chunks:
                file.write(chunk)
            file.sync()
        self._disk.sync_names(self._paths.partial.parent)

    def keep_tail(self, end: int) -> None:
        """Keep what stands in the export behind the journal's end: it may never be given again."""
        self._keep(end, frozenset())

    def keep_others(self, kept: AbstractSet[str]) -> None:
        """Keep what can be read in the export of threads that do not stay in it."""
        self._keep(0, kept)

    def _keep(self, start: int, without: AbstractSet[str]) -> None:
        if self._flat or not self._disk.exists(self._paths.out):
            return
        with self._disk.read(self._paths.out) as file:
            file.seek(start)
            self.add(records(file, without=without))

    def tidy(self, complete: AbstractSet[str]) -> None:
        """Leave in it what is nowhere else: the newest line of each message of the other threads."""
        path = self._paths.partial
        if not self._disk.exists(path):
            return
        with self._disk.read(path) as file:
            kept = newest(file, complete)
            if kept:
                self._disk.put(path, draft(path), lines_at(file, kept))
        if not kept:
            self._disk.remove(path)
