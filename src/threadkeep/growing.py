"""The journal of an export and the files that it vouches for, open: appended to together, or not at all.

The lines are appended whole and synced, and only then does the journal vouch for them, synced too. So whatever it says
is in the files, wherever the power goes off.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from threadkeep.disk import Disk, Growing, on_disk
from threadkeep.errors import OutputUnusable
from threadkeep.journal import Span
from threadkeep.spool import Spool
from threadkeep.storage.paths import Paths

__all__ = ["GrowingFiles"]


class GrowingFiles:
    """The files of an export that grow. Where the disk refuses, every method raises OutputUnusable.

    Args:
        paths: of the export.
        disk: what it is on.

    Attributes:
        journal: the journal itself. It is open from the start, so that it can be locked and brought to its end.
    """

    def __init__(self, paths: Paths, disk: Disk) -> None:
        self._paths = paths
        self._disk = disk
        self._opened = contextlib.ExitStack()
        self._lines: dict[Path, Growing] = {}
        self.journal = self._open(paths.journal)

    def lock(self) -> None:
        """Keep others from writing the export, until it is closed.

        Raises:
            OutputUnusable: somebody else is writing it.
        """
        with on_disk(self._paths.out):
            locked = self.journal.lock()
        if not locked:
            raise OutputUnusable(f"another threadkeep is writing {self._paths.out}. Wait until it has ended.")

    def open(self, ends: Mapping[Path, int]) -> None:
        """Open the files of lines, and take off what the journal does not vouch for.

        Args:
            ends: how far it vouches for each.
        """
        self._lines = {path: self._open(path) for path in ends}
        for path, file in self._lines.items():
            with on_disk(path):
                file.cut(ends[path])
                file.sync()

    def end(self, path: Path) -> int:
        """How long a file of lines is, in bytes."""
        return self._lines[path].end

    def append(self, path: Path, spool: Spool) -> Span:
        """Append a thread's lines to a file; gives where they stand."""
        file = self._lines[path]
        with on_disk(path):
            for chunk in spool.chunks():
                file.write(chunk)
        return Span(lines=spool.lines, end_offset=file.end, sha256=spool.sha256)

    def sync(self) -> None:
        """Bring the lines to the disk."""
        for path, file in self._lines.items():
            with on_disk(path):
                file.sync()

    def vouch(self, content: bytes) -> None:
        """Append lines to the journal, for good; what they are of is on the disk."""
        self.check_in_place()
        with on_disk(self._paths.journal):
            self.journal.write(content)
            self.journal.sync()

    def check_in_place(self) -> None:
        """Make sure that all of them are where somebody will look for them.

        Raises:
            OutputUnusable: one was moved or deleted.
        """
        for path, file in {**self._lines, self._paths.journal: self.journal}.items():
            with on_disk(path):
                if not file.is_in_place():
                    raise OutputUnusable(f"{path} was moved or deleted while the export was written")

    @contextlib.contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Take back what was appended meanwhile when that ends in an exception."""
        files = [self.journal, *self._lines.values()]
        marks = [file.end for file in files]
        try:
            yield
        except Exception:
            _take_back(files, marks)
            raise

    def let_go(self) -> None:
        """Close the files of lines, since others take their places. Nothing more can be appended."""
        for path, file in self._lines.items():
            with on_disk(path):
                file.close()

    def close(self) -> None:
        """Close all of them, the journal last: then others may write."""
        with on_disk(self._paths.out):
            self._opened.close()

    def _open(self, path: Path) -> Growing:
        with on_disk(path):
            file = self._disk.grow(path)
        self._opened.callback(file.close)
        return file


def _take_back(files: Sequence[Growing], marks: Sequence[int]) -> None:
    """Cut what a full disk let us write, as far as it lets us; each before the next, the journal first.

    While the journal may still vouch for lines on the disk, they must stay.
    """
    with contextlib.suppress(OSError):
        for file, mark in zip(files, marks, strict=True):
            file.cut(mark)
            file.sync()
