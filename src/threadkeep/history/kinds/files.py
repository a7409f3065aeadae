"""The file of a history on the disk: locked for each change, replaced in one step, set aside when it is damaged."""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from threadkeep.clock import now
from threadkeep.errors import HistoryDamaged, HistoryUnusable
from threadkeep.storage.private_files import sync_folder

__all__ = [
    "create_private",
    "is_there",
    "locked",
    "named",
    "open_file",
    "read_file",
    "replace_file",
    "resolved",
    "set_aside",
    "store_path",
    "take_aside",
]


def resolved(path: str | Path) -> Path:
    """Return where a file truly is: a link is followed, so that what is replaced is the file and not the link.

    Raises:
        HistoryUnusable: links that lead in a circle, or a name that the system refuses.
    """
    with named(path):
        try:
            return Path(os.path.realpath(path))
        except ValueError as error:
            raise HistoryUnusable(f"{str(path)!r} is no file name: {error}") from None


def store_path(path: str | Path) -> Path:
    """Return where the file of a history is, or will be: a history that cannot be written is refused when it is opened.

    Raises:
        HistoryUnusable: there is no such folder; or as `resolved` does.
    """
    found = resolved(path)
    if not found.parent.is_dir():
        what = "is not a folder" if os.path.lexists(found.parent) else "does not exist"
        raise HistoryUnusable(f"{found.parent} {what}. Create the folder, or choose another place.")
    return found


@contextlib.contextmanager
def named(path: Path | str) -> Iterator[None]:
    """Name the file in an error of the operating system.

    Raises:
        HistoryUnusable: in the place of OSError.
    """
    try:
        yield
    except FileNotFoundError:
        folder = Path(path).parent
        if folder.is_dir():
            raise HistoryUnusable(f"{path} does not exist.") from None
        raise HistoryUnusable(f"The folder {folder} does not exist. Create it, or choose another place.") from None
    except OSError as error:
        raise HistoryUnusable(f"{path}: {error.strerror or error}. Nothing was changed.") from error


def is_there(path: Path) -> bool:
    """Return whether there is something of a name.

    Raises:
        HistoryUnusable: the system does not say.
    """
    with named(path):
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


@contextlib.contextmanager
def locked(path: Path, *, for_reading: bool = False) -> Iterator[None]:
    """Hold the lock of a history file against other threads and processes; wait for it as long as it takes.

    It is an flock on ``NAME.lock``, which stays there: the file itself is replaced, and with it a lock on it. The
    system releases the lock of a process that ends. It is released by name, since a forked child holds it too.

    Args:
        path: of the history.
        for_reading: if the user may not have the lock, continue without it.

    Raises:
        HistoryUnusable: the lock file cannot be created.
    """
    lock = path.with_name(f"{path.name}.lock")
    with named(lock):
        try:
            number = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            if not for_reading or error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            number = None
    if number is None:
        yield
        return
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(number, fcntl.LOCK_UN)
    finally:
        os.close(number)


def open_file(path: Path, flags: int) -> int | None:
    """Open a file and return its descriptor; None if there is none. A pipe is not waited for.

    Args:
        path: of the file.
        flags: of `os.open`, how it is opened.

    Raises:
        HistoryUnusable: it cannot be opened, or is no regular file.
    """
    with named(path):
        try:
            number = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISREG(os.fstat(number).st_mode):
            return number
        os.close(number)
        raise HistoryUnusable(f"{path} is not a regular file. Choose another name.")


def read_file(path: Path) -> bytes | None:
    """Return the content of a file; None if there is none.

    Raises:
        HistoryUnusable: it cannot be read, or is no regular file.
    """
    number = open_file(path, os.O_RDONLY)
    if number is None:
        return None
    with named(path), os.fdopen(number, "rb") as file:
        return file.read()


def replace_file(path: Path, content: bytes) -> None:
    """Put a new content in the place of a file, in one step: a reader sees the old one or the new one, and a kill, too.

    To be called with the lock held. The permissions stay; a new file is private.

    Raises:
        HistoryUnusable: the disk reports an error. The old content is there as before.
    """
    new = path.with_name(f"{path.name}.new")
    with named(path):
        try:
            with os.fdopen(create_private(new), "wb") as file:
                file.write(content)
                file.flush()
                with contextlib.suppress(FileNotFoundError):
                    before = os.stat(path)
                    os.fchmod(file.fileno(), stat.S_IMODE(before.st_mode))
                os.fsync(file.fileno())
            os.replace(new, path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def create_private(path: Path) -> int:
    """Create a file that only its owner may read, in the place of what has the name; return its descriptor.

    Raises:
        OSError: it cannot be created.
    """
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def set_aside(
    path: Path,
    reason: str,
    recoverable: Callable[[Path], int],
    companions: tuple[str, ...] = (),
    *,
    many_sessions: bool,
) -> HistoryDamaged:
    """Move a damaged file to another name, byte for byte. To be called with the lock held.

    Args:
        path: of the file.
        reason: what is wrong with it.
        recoverable: counts the items that can be recovered from the file of a name.
        companions: endings of files that belong to it, and are moved with it.
        many_sessions: it holds those of several sessions, which the error says.

    Returns:
        The error that names the new place, to be raised.
    """

    def error(what: str, place: Path) -> HistoryDamaged:
        count = recoverable(place)
        found = ("1 item" if count == 1 else f"{count} items") + (
            ", those of all sessions; add a session id to get those of one" if many_sessions else ""
        )
        call = f"threadkeep.recover({str(place)!r})"
        words = f"{path} is damaged: {reason}. {what} Nothing was deleted: {call} returns {found}."
        return HistoryDamaged(words, place=str(place), recoverable=count)

    try:
        aside = take_aside(path)
        for ending in companions:
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{path}{ending}", f"{aside}{ending}")
    except OSError as refused:
        return error(f"It could not be moved away ({refused.strerror or refused}).", path)
    return error(f"It was moved to {aside}, and the history is empty now.", aside)


def take_aside(path: Path, name: str | None = None) -> Path:
    """Move a file to ``NAME.corrupt-TIME``, never over another one; return its new path.

    Args:
        path: of the file.
        name: of the history, if the file has another one.

    Raises:
        OSError: it cannot be moved.
    """
    first = f"{name or path.name}.corrupt-{now():%Y%m%dT%H%M%SZ}"
    number = 1
    while True:
        aside = path.with_name(first if number == 1 else f"{first}-{number}")
        number += 1
        try:
            os.link(path, aside, follow_symlinks=False)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK):
                raise
            if aside.exists():  # a file system without links
                continue
            os.rename(path, aside)
        else:
            os.unlink(path)
        sync_folder(path.parent)
        return aside
