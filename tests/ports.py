"""Ports of loopback for tests that want one before anybody listens there."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["kept_port"]


@contextmanager
def kept_port() -> Iterator[int]:
    """A port at which nobody listens, kept from everybody but a server that is told to listen there.

    It is bound, so that no other socket of the machine is given it, and not listened at: connections are refused. A
    server that sets SO_REUSEADDR, as servers do, may bind it too.
    """
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        yield kept.getsockname()[1]
