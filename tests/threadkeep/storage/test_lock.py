"""One writer at a time: the lock of an export, between processes and in one, and what it says to others."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from threadkeep.errors import OutputUnusable
from threadkeep.storage import lock
from threadkeep.storage.lock import LockHolder, held_by, locked

HOLD = """
import sys
from pathlib import Path
from threadkeep.storage.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The lock of an export."""
    return tmp_path / "out.ndjson.lock"


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock is tried for once more only."""
    monkeypatch.setattr(lock, "_SECONDS", 0.0)


@contextmanager
def another_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_refused_and_named(path: Path) -> None:
    """Until the holder ends, even by a kill; the file that it leaves hinders nobody."""
    with another_process(path) as process:
        words = (
            rf"out\.ndjson is being written by another threadkeep \(process {process.pid}\)\. Wait until it has ended"
        )
        with pytest.raises(OutputUnusable, match=words), locked(path):
            pass
        assert held_by(path) == LockHolder(socket.gethostname(), process.pid, here=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert path.exists()
        assert held_by(path) is None
        with locked(path):
            assert held_by(path) == LockHolder(socket.gethostname(), os.getpid(), here=True)
    assert not path.exists()
    assert held_by(path) is None


def test_a_second_one_in_this_process_is_refused(path: Path) -> None:
    """And does not release the first one's."""
    with locked(path):
        with pytest.raises(OutputUnusable), locked(path):
            pass
        assert held_by(path) is not None


def test_a_lock_file_that_is_deleted_meanwhile_is_not_held(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its holder deletes it between the opening and the locking: whoever has locked it takes another one."""
    flock, deleted = fcntl.flock, list[bool]()

    def racing(number: int, kind: int) -> None:
        if not deleted:
            path.unlink()
            deleted.append(True)
        flock(number, kind)

    monkeypatch.setattr(lock, "_SECONDS", 1.0)
    monkeypatch.setattr(lock, "_PAUSE", 0.0)
    monkeypatch.setattr(fcntl, "flock", racing)
    with locked(path):
        assert deleted
        assert json.loads(path.read_bytes())["pid"] == os.getpid()


def test_a_lock_file_that_is_replaced_meanwhile_is_not_held(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else holds the one that has its name now."""
    flock, replaced = fcntl.flock, list[BinaryIO]()

    def racing(number: int, kind: int) -> None:
        if not replaced:
            path.unlink()
            replaced.append(path.open("wb"))
            flock(replaced[0].fileno(), fcntl.LOCK_EX)
        flock(number, kind)

    monkeypatch.setattr(fcntl, "flock", racing)
    with pytest.raises(OutputUnusable, match=r"by another threadkeep\."), locked(path):
        pass
    replaced[0].close()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"host": 1, "pid": 2}', b'{"host": "a", "pid": "b"}'])
def test_a_lock_that_says_nothing_is_a_lock_all_the_same(content: bytes, path: Path) -> None:
    """Its holder is about to say it."""
    path.write_bytes(content)
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert held_by(path) == LockHolder("this machine", 0, here=True)
    assert held_by(path) is None


def test_a_lock_of_another_machine_counts_as_held(path: Path) -> None:
    """From here nobody can tell whether its process is alive; to write is not forbidden by it."""
    path.write_bytes(b'{"host": "elsewhere", "pid": 7}\n')
    holder = held_by(path)
    assert (holder, str(holder)) == (LockHolder("elsewhere", 7, here=False), "process 7 on elsewhere")
    with locked(path):
        pass


def test_a_link_at_its_name_is_refused(path: Path, tmp_path: Path) -> None:
    """And what it leads to stays as it is."""
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    path.symlink_to(mine)
    with pytest.raises(OutputUnusable, match="is a symbolic link"), locked(path):
        pass
    with pytest.raises(OutputUnusable):
        held_by(path)
    assert mine.read_bytes() == b"mine"


def test_a_folder_that_cannot_be_written_to(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file, and no lock is left open."""
    with pytest.raises(OutputUnusable, match="No such file or directory"), locked(path.with_name("no") / "lock"):
        pass

    def refuse(_number: int, _size: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "ftruncate", refuse)
        with pytest.raises(OutputUnusable, match="No space left on device"), locked(path):
            pass
    with locked(path):
        pass


def test_it_is_private(path: Path) -> None:
    """As everything else."""
    with locked(path):
        assert path.stat().st_mode & 0o777 == 0o600
