"""The partial file of an export: pages that may never come again, kept until their threads are whole."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from threadkeep.disk import Disk
from threadkeep.partial import lines_at, newest, records
from threadkeep.storage.paths import Paths, draft

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

    def add(self, chunks: Iterator[bytes]) -> int:
        """Append whole lines. They are on the disk when this returns.

        Returns:
            How many chunks there were.
        """
        first = next(chunks, None)
        if first is None:
            return 0
        count = 1
        with contextlib.closing(self._disk.grow(self._paths.partial, like=self._paths.out)) as file:
            file.write(first)
            for chunk in chunks:
                file.write(chunk)
                count += 1
            file.sync()
        self._disk.sync_names(self._paths.partial.parent)
        return count

    def end(self) -> int | None:
        """How long it is; None where there is none."""
        if not self._disk.exists(self._paths.partial):
            return None
        with contextlib.closing(self._disk.grow(self._paths.partial)) as file:
            return file.end

    def cut(self, end: int | None) -> None:
        """Take back what was added since it was so long."""
        if end is None:
            self._disk.remove(self._paths.partial)
            return
        with contextlib.closing(self._disk.grow(self._paths.partial)) as file:
            file.cut(end)
            file.sync()

    def keep_tail(self, end: int) -> None:
        """Keep what stands in the export behind the journal's end: it may never be given again."""
        self._keep(end, frozenset())

    def keep_others(self, kept: AbstractSet[str]) -> int:
        """Keep what can be read in the export of threads that do not stay in it.

        Returns:
            How many lines that is.
        """
        return self._keep(0, kept)

    def _keep(self, start: int, without: AbstractSet[str]) -> int:
        if self._flat or not self._disk.exists(self._paths.out):
            return 0
        with self._disk.read(self._paths.out) as file:
            file.seek(start)
            return self.add(records(file, without=without))

    def tidy(self, exported: Callable[[str], Mapping[str, bool]]) -> None:
        """Leave in it what is nowhere else: the newest line of each message.

        Args:
            exported: gives the ids of the messages that the export has of a thread, each with whether it is blank.
        """
        path = self._paths.partial
        if not self._disk.exists(path):
            return
        with self._disk.read(path) as file:
            kept = newest(file, exported, flat=self._flat)
            if kept:
                self._disk.put(path, draft(path), lines_at(file, kept))
        if not kept:
            self._disk.remove(path)
