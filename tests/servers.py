"""Real servers of histories for tests: Redis and PostgreSQL of this machine, on free ports, with passwords."""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs

from ports import kept_port

__all__ = ["PASSWORD", "Served", "postgresql", "redis"]

PASSWORD = "s3cret/@:%&?# é"
"""Of both servers; every character that is special in a URL is in it."""

# Seconds after which a server is thought not to start, or not to end. No test waits for them.
_PATIENCE = 120


@attrs.frozen
class Served:
    """A server that runs.

    Attributes:
        scheme: of its URLs.
        user: whose password it takes.
        port: where it listens on loopback.
        database: the one that is there from the beginning.
    """

    scheme: str
    user: str
    port: int
    database: str

    def url(self, *, password: str = PASSWORD, database: str | None = None, port: int | None = None) -> str:
        """The URL of a history there."""
        place = f"127.0.0.1:{self.port if port is None else port}"
        name = self.database if database is None else database
        return f"{self.scheme}://{self.user}:{quote(password, safe='')}@{place}/{quote(name, safe='')}"


@contextmanager
def redis() -> Iterator[Served]:
    """A Redis without files."""
    program = _program("redis-server", "redis-server")
    with tempfile.TemporaryDirectory() as folder, kept_port() as port:
        options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "requirepass": PASSWORD}
        command = [program, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
        with _running(command, "Ready to accept connections", signal.SIGTERM):
            yield Served("redis", "default", port, "0")


@contextmanager
def postgresql() -> Iterator[Served]:
    """A PostgreSQL with a new cluster. It refuses to run as root: then it runs as Debian's user for it."""
    initdb, postgres = _program("initdb", "postgresql"), _program("postgres", "postgresql")
    owner: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as folder, kept_port() as port:
        secret = Path(folder, "password")
        secret.write_text(PASSWORD, encoding="utf-8")
        for path in (folder, secret) if owner else ():
            shutil.chown(path, "postgres", "postgres")
        data = str(Path(folder, "data"))
        options = ["--auth=scram-sha-256", f"--pwfile={secret}", "--username=somebody", "--encoding=UTF8", "--no-sync"]
        made = subprocess.run(
            [initdb, data, "--locale=C", *options], capture_output=True, text=True, check=False, cwd=folder, **owner
        )
        assert made.returncode == 0, made.stderr
        # Without fsync. The time zone is not UTC, so that a local time is not mistaken for one of UTC.
        words = ["-D", data, "-F", "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-c", "timezone=Asia/Kathmandu"]
        with _running([postgres, *words], "database system is ready to accept connections", signal.SIGINT, **owner):
            yield Served("postgresql+asyncpg", "somebody", port, "postgres")


@contextmanager
def _running(command: Sequence[str], ready: str, end: int, **options: Any) -> Iterator[None]:
    """A server from the moment when it says that it is ready."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", cwd="/", **options
    ) as process:
        started: Future[None] = Future()

        def follow() -> None:
            words = []
            assert process.stdout is not None
            for line in process.stdout:
                if not started.done():
                    words.append(line)
                    if ready in line:
                        started.set_result(None)
            if not started.done():
                started.set_exception(AssertionError(f"{command[0]} did not start:\n{''.join(words)}"))

        reader = threading.Thread(target=follow, name=f"log of {command[0]}")
        reader.start()
        try:
            started.result(_PATIENCE)
            yield
        finally:
            process.send_signal(end)
            try:
                process.wait(_PATIENCE)
            finally:
                process.kill()
                reader.join()


def _program(name: str, package: str) -> str:
    """The path of a program; Debian keeps those of PostgreSQL in a folder of their version."""
    found = [*sorted(glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True), shutil.which(name)]
    assert found[0] is not None, f"{name} is not installed. Install it: apt-get install {package}"
    return found[0]
