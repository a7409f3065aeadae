"""A command in a terminal of its own, a real pseudo-terminal, which a test types into and reads from."""

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from processes import THREADKEEP

__all__ = ["END", "INTERRUPT", "Terminal", "in_terminal"]

# Seconds after which a process is thought to hang. No test waits for them.
_PATIENCE = 120

# Makes the terminal that of the process, so that Ctrl-C is a signal, and becomes the command.
_IN_CONTROL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)

INTERRUPT, END = "\x03", "\x04"
"""What Ctrl-C and Ctrl-D send."""


class Terminal:
    """A terminal in which a command runs.

    Attributes:
        shown: all that it has shown so far, with LF as the end of a line.
    """

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self._master, self._process = master, process
        self._bytes = b""
        self._seen = 0
        self._signal: signal.Signals | None = None

    @property
    def pid(self) -> int:
        """That of the command."""
        return self._process.pid

    @property
    def shown(self) -> str:
        return self._bytes.decode("utf-8", "replace").replace("\r\n", "\n")

    def type(self, keys: str | bytes) -> None:
        """Type some keys."""
        os.write(self._master, keys.encode() if isinstance(keys, str) else keys)

    def wait_for(self, text: str) -> str:
        """Read until this is shown behind what was waited for before, and return what is between the two."""
        while (at := self.shown.find(text, self._seen)) < 0:
            if not self._read():
                raise AssertionError(f"the command has ended, and {text!r} was not shown:\n{self.shown}")
        between = self.shown[self._seen : at]
        self._seen = at + len(text)
        return between

    def interrupt(self, text: str) -> None:
        """Press Ctrl-C, until this is shown."""
        self._signal = signal.SIGINT
        self.type(INTERRUPT)
        self.wait_for(text)
        self._signal = None

    def terminate(self) -> int:
        """Send SIGTERM until the command has ended, and return the exit code."""
        self._signal = signal.SIGTERM
        self._process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        """Read to the end, and return the exit code."""
        while self._read():
            pass
        return self._process.wait(_PATIENCE)

    def _read(self) -> bool:
        for _ in range(_PATIENCE):
            ready, _, _ = select.select([self._master], [], [], 1)
            if ready:
                break
            if self._signal is not None:  # readline misses one that comes between the prompt and its wait for keys
                self._process.send_signal(self._signal)
        else:
            raise AssertionError(f"nothing came for {_PATIENCE} s after:\n{self.shown}")
        try:
            read = os.read(self._master, 65536)
        except OSError:  # Linux: nobody has the other side open any more
            read = b""
        self._bytes += read
        return bool(read)


@contextlib.contextmanager
def in_terminal(*arguments: object, **environment: str) -> Iterator[Terminal]:
    """The command, running in a terminal; killed at the end if it still is."""
    master, slave = os.openpty()
    command = [sys.executable, "-S", "-c", _IN_CONTROL, *THREADKEEP, *map(str, arguments)]
    # A terminal that has no control sequences: readline sends none of its own.
    settings: dict[str, Any] = {"env": {**os.environ, "TERM": "dumb", **environment}, "start_new_session": True}
    with subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        **settings,
    ) as process:
        os.close(slave)
        try:
            yield Terminal(master, process)
        finally:
            process.kill()
            os.close(master)
