"""The command as a process of its own, for tests."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["THREADKEEP", "started"]

THREADKEEP = [sys.executable, "-m", "threadkeep"]


@contextmanager
def started(*arguments: object, by: Sequence[str] = (), **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The command, running, ``by`` another one if need be; killed at the end if it still is."""
    command = [*by, *THREADKEEP, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        try:
            yield process
        finally:
            process.kill()
