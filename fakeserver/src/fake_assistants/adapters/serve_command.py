"""Serve in the foreground of a process until a signal."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue

from starlette.types import ASGIApp

from fake_assistants.adapters.server import serving
from fake_assistants.adapters.server_address import Server

# Seconds that open requests get at shutdown. The complete shutdown takes less than a second.
_SHUTDOWN_SECONDS = 0.5

# Windows does not wake a thread that waits without a timeout. In seconds.
_WAKE_UP = 0.5


class SignalWaiter:
    """Waits for a signal.

    threading.Event could deadlock: a handler that interrupts the waiting thread needs the lock that this thread holds.
    SimpleQueue is documented to be reentrant.
    """

    def __init__(self) -> None:
        self._signals: SimpleQueue[int] = SimpleQueue()

    def notify(self, number: int, _: object = None) -> None:
        """Handle a signal."""
        self._signals.put(number)

    def wait(self) -> None:
        """Block until a signal arrives."""
        has_come = False
        while not has_come:
            with suppress(Empty):
                self._signals.get(timeout=_WAKE_UP)
                has_come = True


def serve_until_signal(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    base_path: str = "/v1",
    warn: Callable[[], None] | None = None,
    notes: Callable[[Server], Iterable[str]] = lambda _: (),
) -> None:
    """Print the address on stdout, and serve until a signal ends it. Raises OSError if it cannot listen.

    The signals are SIGTERM, SIGINT and SIGHUP; a SIGHUP that is ignored, as nohup does it, stays ignored.

    `warn` is called first if other machines can reach the address. The lines of `notes` are printed after the address.
    """
    waiter = SignalWaiter()
    with (
        _handled_by(waiter.notify),
        serving(app, host=host, port=port, shutdown_seconds=_SHUTDOWN_SECONDS, base_path=base_path) as server,
    ):
        if warn and not server.is_private:
            warn()
        _print("".join(f"{line}\n" for line in (f"listening on {server.base_url}", *notes(server))))
        waiter.wait()


@contextmanager
def _handled_by(handler: Callable[[int, object], None]) -> Iterator[None]:
    """Let this handle the signals in here, and also afterwards: a second one must not stop what is saved at the end.

    When an exception leaves, nothing was served, and the handlers of before are set again.
    """
    numbers = [signal.SIGTERM, signal.SIGINT]
    hangup = getattr(signal, "SIGHUP", None)  # a closed terminal; Windows has none
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:
        numbers.append(hangup)
    usual = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    except BaseException:
        for number, before in usual.items():
            signal.signal(number, before)
        raise


def _print(text: str) -> None:
    """Write to stdout at once, if there is one. If that fails, discard all later output."""
    if sys.stdout is None:  # closed before Python began, as daemons do
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def now() -> float:
    """Return the wall clock's time, in epoch seconds."""
    return time.time()
