"""The disk as an export uses it: files that grow, files that are replaced whole, and a lock.

The one room that touches files for writing. What it promises is what a crash leaves: bytes that were synced stay, a
name that was synced with its folder stays, and everything later may be there or not.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

import portalocker

from threadkeep.errors import OutputUnusable

__all__ = ["Disk", "Growing", "OsDisk", "OsGrowing", "on_disk"]


@contextlib.contextmanager
def on_disk(what: Path | str) -> Iterator[None]:
    """Say which file it was that the disk refused.

    Raises:
        OutputUnusable: in the place of OSError.
    """
    try:
        yield
    except OSError as error:
        raise OutputUnusable(f"{what}: {error.strerror or error}") from error


class Growing(Protocol):
    """A file that grows at its end. Every method raises OSError."""

    end: int
    """How long it is, in bytes."""

    def write(self, content: bytes) -> None:
        """Append all of this."""
        ...

    def sync(self) -> None:
        """Bring what was written to the disk."""
        ...

    def cut(self, end: int) -> None:
        """Take back what stands behind this many bytes."""
        ...

    def is_in_place(self) -> bool:
        """Whether its name still leads to it: nobody has moved or deleted it."""
        ...

    def lock(self) -> bool:
        """Keep others from locking it, until it is closed. False when somebody else has locked it."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Disk(Protocol):
    """Where files are. Every method raises OSError."""

    def grow(self, path: Path, *, like: Path | None = None) -> Growing:
        """Open a file to append to it; it is created when it is not there.

        Args:
            path: its name.
            like: another file; who may read that may read this.
        """
        ...

    def read(self, path: Path) -> BinaryIO:
        """Open a file to read it."""
        ...

    def exists(self, path: Path) -> bool:
        """Whether anything stands there."""
        ...

    def put(self, path: Path, draft: Path, chunks: Iterator[bytes], *, like: Path | None = None) -> None:
        """Write a whole file in one step: it is there with all of this, synced, or as it was before.

        Who may read what stood there may read it, or, if given, who may read another file that it is to be like. What
        stands at the draft's name gives way; where that is a link, what it leads to stays as it is.
        """
        ...

    def rename(self, path: Path, new: Path) -> None:
        """Give a file another name; what stands there gives way to it."""
        ...

    def remove(self, path: Path) -> None:
        """Delete a file, if it is there."""
        ...

    def sync_names(self, folder: Path) -> None:
        """Bring the names in a folder to the disk."""
        ...


class OsGrowing:
    """A real file that grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Unbuffered: what a full disk refused must not be tried again behind our back when the file is closed.
        self._file = path.open("ab", buffering=0)
        self.end = self._file.seek(0, os.SEEK_END)

    def write(self, content: bytes) -> None:
        """Append all of this."""
        rest = memoryview(content)
        while rest:
            written = self._file.write(rest)
            self.end += written
            rest = rest[written:]

    def sync(self) -> None:
        """Bring what was written to the disk."""
        os.fsync(self._file.fileno())

    def cut(self, end: int) -> None:
        """Take back what stands behind this many bytes."""
        self._file.truncate(end)
        self.end = end

    def is_in_place(self) -> bool:
        """Whether its name still leads to it: nobody has moved or deleted it."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False

    def lock(self) -> bool:
        """Keep others from locking it, until it is closed. False when somebody else has locked it."""
        try:
            portalocker.lock(self._file, portalocker.LOCK_EX | portalocker.LOCK_NB)
        except portalocker.AlreadyLocked:
            return False
        except portalocker.LockException as error:  # some network file systems have no locks
            raise OSError(errno.ENOLCK, f"it cannot be locked: {error.args[0]}") from error
        return self.is_in_place()

    def close(self) -> None:
        """Let go of it."""
        self._file.close()


class OsDisk:
    """The real disk."""

    def grow(self, path: Path, *, like: Path | None = None) -> OsGrowing:
        """Open a file to append to it; it is created when it is not there."""
        if like is not None:
            _make_like(path, like)
        return OsGrowing(path)

    def read(self, path: Path) -> BinaryIO:
        """Open a file to read it."""
        return path.open("rb")

    def exists(self, path: Path) -> bool:
        """Whether anything stands there."""
        return os.path.lexists(path)

    def put(self, path: Path, draft: Path, chunks: Iterator[bytes], *, like: Path | None = None) -> None:
        """Write a whole file in one step: it is there with all of this, synced, or as it was before."""
        mode = _mode(path if like is None else like)
        draft.unlink(missing_ok=True)
        with open(draft, "xb", opener=partial(os.open, mode=0o666 if mode is None else mode)) as file:
            if mode is not None:
                draft.chmod(mode)  # whatever the umask is
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        self.sync_names(path.parent)

    def rename(self, path: Path, new: Path) -> None:
        """Give a file another name; what stands there gives way to it."""
        path.replace(new)  # on Windows `rename` refuses then

    def remove(self, path: Path) -> None:
        """Delete a file, if it is there."""
        path.unlink(missing_ok=True)

    def sync_names(self, folder: Path) -> None:
        """Bring the names in a folder to the disk; Windows has no such call, and some file systems refuse it."""
        with contextlib.suppress(OSError):
            number = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(number)
            finally:
                os.close(number)


def _make_like(path: Path, other: Path) -> None:
    """Give a file the mode of another, before anything is written to it."""
    mode = _mode(other)
    if mode is not None:
        path.touch(mode)
        path.chmod(mode)  # whatever the umask is, and whatever it was when it was left over


def _mode(path: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError):
        return stat.S_IMODE(path.stat().st_mode)
    return None
