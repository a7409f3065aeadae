"""Open and create the files of an export: private, regular, and never through a link."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from threadkeep.errors import OutputUnusable
from threadkeep.storage.paths import is_prefix

__all__ = ["create", "on_disk", "open_regular", "refuse_irregular", "sync_folder"]


_FREE_SPACE, _PERMISSIONS = "Free some space, and run the same command again", "Check the permissions"

# What to do about an error of the operating system.
_NEXT_STEPS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), _FREE_SPACE),
    **dict.fromkeys((errno.EACCES, errno.EPERM), _PERMISSIONS),
    errno.EROFS: "Choose another folder",
    errno.EFBIG: "Raise the limit of the size of files, or choose another disk",
    errno.ENAMETOOLONG: "Choose a shorter name",
}


@contextlib.contextmanager
def on_disk(path: Path | str) -> Iterator[None]:
    """Name the file in an error of the operating system.

    Raises:
        OutputUnusable: in the place of OSError.
    """
    try:
        yield
    except OSError as error:
        step = f". {_NEXT_STEPS[error.errno]}." if error.errno in _NEXT_STEPS else ""
        raise OutputUnusable(f"{path}: {error.strerror or error}{step}") from error


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file to read it. A symbolic link is not followed, and a pipe is not waited for.

    Raises:
        FileNotFoundError: there is none.
        OutputUnusable: it is something else than a regular file.
        OSError: it cannot be opened.
    """
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _irregular(path) from None
        raise
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise _irregular(path)
    return os.fdopen(number, "rb")


def create(path: Path, *, mode: int = 0o600) -> BinaryIO:
    """Create a file that only its owner may read. What has the name is removed first; a link is not followed.

    Args:
        path: of the file.
        mode: the permissions, whatever the umask is.

    Raises:
        OSError: it cannot be created.
    """
    path.unlink(missing_ok=True)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    os.fchmod(number, mode)
    return os.fdopen(number, "wb")


def refuse_irregular(path: Path, *, folder: bool = False, rewritten: bool = False) -> None:
    """Refuse a name at which something else is than a regular file, or a folder where one is expected.

    Args:
        path: of the file.
        folder: a folder is expected.
        rewritten: the file is written to in place, so that no other name may lead to it.

    Raises:
        OutputUnusable: a link, a pipe, a device, or a folder in the place of a file, or the other way round.
        OSError: the disk does not say.
    """
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    if not (stat.S_ISDIR(found.st_mode) if folder else stat.S_ISREG(found.st_mode)):
        raise _irregular(path)
    if rewritten and found.st_nlink > 1:
        raise OutputUnusable(f"{path} has another name too (a hard link). Remove it, or choose another OUT.")


def _irregular(path: Path) -> OutputUnusable:
    if is_prefix(path):
        return OutputUnusable(
            f"{path} has an export in shards, which only --dask writes to. Give --dask, or another OUT."
        )
    what = "a symbolic link" if path.is_symlink() else "a folder" if path.is_dir() else "not a regular file"
    if path.is_dir() and not path.is_symlink():
        return OutputUnusable(f"{path} is {what}, and no file of an export. Move it away, or choose another OUT.")
    return OutputUnusable(f"{path} is {what}. Remove it, or choose another OUT.")


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk. Some file systems refuse the call; nothing can be done then."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(number)
        finally:
            os.close(number)
