"""The command as a process of its own, for tests."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from command import Done
from watched import Watched

__all__ = ["THREADKEEP", "ended", "run_alone", "signalled", "started"]

THREADKEEP = [sys.executable, "-m", "threadkeep"]

# Seconds after which a process is thought to hang. No test waits for them.
_PATIENCE = 300


@contextmanager
def started(*arguments: object, by: Sequence[str] = (), **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The command, running, ``by`` another one if need be; killed at the end if it still is."""
    command = [*by, *THREADKEEP, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[bytes]) -> Done:
    """What a process came to, when it has ended."""
    out, err = process.communicate(timeout=_PATIENCE)
    return Done(process.returncode, out.decode(), err.decode())


def run_alone(*arguments: object, **options: Any) -> Done:
    """The command, to its end."""
    with started(*arguments, **options) as process:
        return ended(process)


def signalled(
    fake: Watched, number: int, *arguments: object, times: int = 1, by: Sequence[str] = (), **moment: Any
) -> Done:
    """The command, to its end, with a signal that comes at a moment of the fake, as `Watched.before` takes it."""
    running: Future[subprocess.Popen[bytes]] = Future()

    def send() -> None:
        for _ in range(times):
            running.result(_PATIENCE).send_signal(number)

    fake.before(send, **moment)
    with started(*arguments, by=by) as process:
        running.set_result(process)
        return ended(process)
