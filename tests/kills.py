"""Kill a process between two changes that it makes to the disk, for tests; and play such changes back, one by one.

As a program, ``python kills.py N ARGUMENT...`` is the command ``threadkeep ARGUMENT...``, killed before its Nth change.
"""

import contextlib
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

__all__ = ["after_kills", "command_killed_at", "dying_at", "killed_at", "recorded"]

_CHANGES = ("rename", "replace", "unlink", "link", "mkdir", "open")


def _counting(at: Callable[[str, tuple[Any, ...]], None]) -> contextlib.ExitStack:
    """Call something before each change of the disk by a function of `os`."""
    patched = contextlib.ExitStack()
    for name in _CHANGES:
        real = getattr(os, name)

        def change(*arguments: Any, name: str = name, real: Callable[..., Any] = real, **options: Any) -> Any:
            creates = name != "open" or arguments[1] & os.O_CREAT
            if creates and (name != "unlink" or os.path.lexists(arguments[0])):
                at(name, arguments)
            return real(*arguments, **options)

        patched.enter_context(mock.patch.object(os, name, change))
    return patched


def killed_at(nth: int, work: Callable[[], object]) -> bool:
    """Do something in a process of its own, and kill that before its nth change of the disk, from 1.

    Returns:
        Whether it was killed; False if it came to its end before.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the child of a process with threads: it uses none of them
        child = os.fork()
    if not child:
        _work_and_die(nth, work)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "it failed by itself"
    return False


def dying_at(nth: int) -> contextlib.ExitStack:
    """Kill this process before its nth change of the disk in here."""
    left = nth

    def count(_name: str, _arguments: tuple[Any, ...]) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    return _counting(count)


def _work_and_die(nth: int, work: Callable[[], object]) -> None:
    try:
        with dying_at(nth):
            work()
    except BaseException as error:  # noqa: BLE001 - nothing may come back into the test of the parent
        os.write(2, f"{error!r}\n".encode())
        os._exit(1)
    os._exit(0)


def after_kills(prepare: Callable[[int], Callable[[], object]]) -> Iterator[int]:
    """Kill something before each of its changes of the disk in turn, and yield the number of each.

    Args:
        prepare: makes what is to be killed ready, and returns what to do then.
    """
    nth = 1
    while killed_at(nth, prepare(nth)):
        yield nth
        nth += 1


def recorded(work: Callable[[], object]) -> list[Callable[[], object]]:
    """Do something, and return the renames and removals that it made, each to be made again elsewhere.

    What is recorded is done for good: give it a copy of a folder, and put that back before the changes are played.
    """
    found: list[tuple[str, tuple[Any, ...]]] = []
    with _counting(lambda name, arguments: found.append((name, arguments))):
        work()
    return [
        lambda name=name, arguments=arguments: _again(name, arguments)  # type: ignore[misc]
        for name, arguments in found
        if name in ("rename", "replace", "unlink")
    ]


def _again(name: str, arguments: tuple[Any, ...]) -> None:
    with contextlib.suppress(FileNotFoundError):
        getattr(os, name)(*map(Path, arguments))


def command_killed_at(nth: int, *arguments: object) -> bool:
    """Run the command in a process of its own, and kill that before its nth change of the disk; was it killed?"""
    command = [sys.executable, __file__, str(nth), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr.decode()
    return done.returncode == -signal.SIGKILL


def _command() -> None:
    from threadkeep.cli.main import run

    code = run(sys.argv[2:])
    assert code in (0, 1), f"it has ended with {code}"


if __name__ == "__main__":
    _work_and_die(int(sys.argv[1]), _command)
