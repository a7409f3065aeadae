"""The lines of one thread on their way to a file, in memory first and on the disk when they are many."""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from threadkeep.disk import on_disk

__all__ = ["Bodies", "Spool"]

# A thread below this many bytes never touches the disk twice.
_SPOOL_BYTES = 8 * 1024 * 1024

_WHAT = "the pages of a thread"


def _throw_away(file: IO[bytes]) -> None:
    """What is still in memory then has no place on a full disk, and needs none."""
    with contextlib.suppress(OSError):
        file.close()


class Bodies:
    """The bodies of a thread's pages, as they came."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES, dir=str(folder))  # noqa: SIM115 - see close
        self._sizes: list[int] = []

    def add(self, body: bytes) -> None:
        """Take one more.

        Raises:
            OutputUnusable: the disk refuses.
        """
        with on_disk(_WHAT):
            self._file.write(body)
        self._sizes.append(len(body))

    def each(self) -> Iterator[bytes]:
        """All of them, in their order.

        Raises:
            OutputUnusable: the disk refuses.
        """
        with on_disk(_WHAT):
            self._file.seek(0)
        for size in self._sizes:
            with on_disk(_WHAT):
                body = self._file.read(size)
            yield body

    def close(self) -> None:
        """Let go of the memory, or of the disk."""
        _throw_away(self._file)


class Spool:
    """Lines that will go into a file together or not at all."""

    def __init__(self, folder: Path) -> None:
        # The disk that the export will need anyway, not the one for temporary files, which may be memory.
        self._file = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES, dir=str(folder))  # noqa: SIM115 - see close
        self._digest = hashlib.sha256()
        self.first_id: str | None = None
        self.last_id: str | None = None
        self.lines = 0

    def add(self, ids: Sequence[str], lines: Sequence[bytes]) -> None:
        """Take some lines, without their newlines, and the ids of what stands on them.

        Raises:
            OutputUnusable: the disk refuses.
        """
        if not lines:
            return
        whole = b"\n".join([*lines, b""])
        with on_disk(_WHAT):
            self._file.write(whole)
        self._digest.update(whole)
        self.first_id = self.first_id or ids[0]
        self.last_id = ids[-1]
        self.lines += len(lines)

    @property
    def sha256(self) -> str:
        """Of all lines so far, newlines included."""
        return self._digest.hexdigest()

    @property
    def file(self) -> IO[bytes]:
        """All lines, to be read; it stands anywhere."""
        return self._file

    def chunks(self) -> Iterator[bytes]:
        """All lines, in pieces of a megabyte. Raises OSError."""
        self._file.seek(0)
        while chunk := self._file.read(1024 * 1024):
            yield chunk

    def close(self) -> None:
        """Let go of the memory, or of the disk."""
        _throw_away(self._file)
