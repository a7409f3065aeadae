"""A server in the foreground of a process, until a signal ends it."""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

from fake_assistants.adapters.asgi import AsgiApp
from fake_assistants.adapters.server import serving

# Seconds that open requests are given at the end; with the rest it stays within a second.
_PATIENCE = 0.5

# Windows does not wake a thread that waits without a limit, in seconds.
_GLANCE = 0.5


class SignalWaiter:
    """A signal that came, or will. What Event does is not enough: a handler that interrupts a waiting
    thread would wait for the lock which that thread holds. SimpleQueue is documented to be reentrant."""

    def __init__(self) -> None:
        self._signals: SimpleQueue[int] = SimpleQueue()

    def tell(self, number: int, _: object = None) -> None:
        """A signal handler."""
        self._signals.put(number)

    def wait(self) -> None:
        """Until it has been told."""
        is_told = False
        while not is_told:
            with suppress(Empty):
                self._signals.get(timeout=_GLANCE)
                is_told = True


def serve_until_told(
    app: AsgiApp, *, host: str, port: int, base_path: str = "/v1", warn: Callable[[], None] | None = None
) -> None:
    """Say on stdout where it listens, and serve until SIGTERM or SIGINT. Raises OSError when it cannot listen.

    `warn` is called before that is said, when other machines can reach the address.
    """
    told = SignalWaiter()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told.tell)
    with serving(app, host=host, port=port, patience=_PATIENCE, base_path=base_path) as server:
        if warn and not server.is_private:
            warn()
        _say(f"listening on {server.base_url}\n")
        told.wait()


def _say(line: str) -> None:
    """Write to stdout at once, if there is one. Where that fails, whatever comes later goes nowhere."""
    if sys.stdout is None:  # closed before Python began, as daemons do
        return
    try:
        sys.stdout.write(line)
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def now() -> float:
    """Epoch seconds."""
    return time.time()
