"""A server in the foreground of a process, until a signal ends it."""

import os
import signal
import sys
from threading import Event

from fake_assistants.skins.asgi import AsgiApp
from fake_assistants.skins.server import serving

# Seconds that open requests are given at the end; with the rest it stays within a second.
_PATIENCE = 0.5

# Windows does not wake a thread that waits without a limit, in seconds.
_GLANCE = 0.5


def serve_until_told(app: AsgiApp, *, host: str, port: int, base_path: str = "/v1") -> None:
    """Say on stdout where it listens, and serve until SIGTERM or SIGINT. Raises OSError."""
    told = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    with serving(app, host=host, port=port, patience=_PATIENCE, base_path=base_path) as server:
        _say(f"listening on {server.base_url}\n")
        while not told.is_set():
            told.wait(_GLANCE)


def _say(line: str) -> None:
    """Write to stdout at once. Where nobody reads it any more, whatever comes later goes nowhere."""
    try:
        sys.stdout.write(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
