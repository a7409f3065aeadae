"""The lock of an export: one writer at a time, on this machine; a kill releases it.

It is an flock on ``OUT.lock``. The file is deleted when the lock is released, so whoever gets the lock checks that the
file is still the one at the name, and tries again if it is not.
"""

import contextlib
import fcntl
import os
import socket
import time  # noqa: TID251 - waits for a lock that is being released
from collections.abc import Iterator
from pathlib import Path

import attrs

from threadkeep.errors import OutputUnusable
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.storage.private_files import on_disk, refuse_irregular

__all__ = ["LockHolder", "held_by", "locked"]

# A lock that is being released, or looked at by `held_by`, is free again within milliseconds.
_SECONDS, _PAUSE = 1.0, 0.01


@attrs.frozen
class LockHolder:
    """Who holds a lock, as the lock file says. ``here`` is false when it names another machine."""

    host: str
    pid: int
    here: bool

    def __str__(self) -> str:
        return f"process {self.pid}" if self.here else f"process {self.pid} on {self.host}"


@contextlib.contextmanager
def locked(path: Path, seconds: float = _SECONDS) -> Iterator[None]:
    """Hold the lock of an export.

    Args:
        path: of the lock file.
        seconds: how long to wait for it.

    Raises:
        OutputUnusable: another process holds it, or the file cannot be created.
    """
    with on_disk(path):
        refuse_irregular(path, rewritten=True)
        number = _acquire(path, seconds)
        try:
            os.ftruncate(number, 0)
            os.pwrite(number, dumps({"host": socket.gethostname(), "pid": os.getpid()}) + b"\n", 0)
        except OSError:
            os.close(number)
            raise
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(number)


def held_by(path: Path) -> LockHolder | None:
    """Return who holds the lock of an export; None when nobody does.

    A lock file that names another machine counts as held: from here nobody can tell.

    Raises:
        OutputUnusable: the lock file cannot be looked at.
    """
    with on_disk(path):
        try:
            number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        try:
            holder = _named_in(os.pread(number, 4096, 0))
            if _lock(number, fcntl.LOCK_SH):
                return holder if holder is not None and not holder.here else None
            return holder or LockHolder("this machine", 0, here=True)
        finally:
            os.close(number)


def _named_in(content: bytes) -> LockHolder | None:
    try:
        row = loads(content)
        host, pid = row["host"], row["pid"]
    except (ValueError, LookupError, TypeError):
        return None
    if not isinstance(host, str) or not isinstance(pid, int):
        return None
    return LockHolder(host, pid, here=host == socket.gethostname())


def _acquire(path: Path, seconds: float) -> int:
    deadline = time.monotonic() + seconds
    while True:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        if _lock(number, fcntl.LOCK_EX) and _is_at(path, number):
            return number
        holder = _named_in(os.pread(number, 4096, 0))
        os.close(number)
        if time.monotonic() >= deadline:
            who = f" ({holder})" if holder is not None else ""
            raise OutputUnusable(
                f"{path.name.removesuffix('.lock')} is being written by another threadkeep{who}."
                " Wait until it has ended, or choose another OUT."
            )
        time.sleep(_PAUSE)


def _lock(number: int, kind: int) -> bool:
    try:
        fcntl.flock(number, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, number: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(number))
    except FileNotFoundError:
        return False
