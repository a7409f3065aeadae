"""Real servers of histories for tests: Redis and PostgreSQL of this machine, on free ports, with passwords."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from glob import glob
from pathlib import Path
from typing import Any, ClassVar, cast
from urllib.parse import quote

import asyncpg  # type: ignore[import-untyped]
import attrs
from agents import SessionABC
from agents.extensions.memory import RedisSession, SQLAlchemySession
from redis import Redis

from ports import kept_port

__all__ = ["PASSWORD", "PostgresqlServed", "RedisServed", "Served", "postgresql", "redis"]

PASSWORD = "s3cret/@:%&?# é"
"""Of both servers; every character that is special in a URL is in it."""

# Seconds after which a server is thought not to start, or not to end. No test waits for them.
_PATIENCE = 120


@attrs.frozen
class Served(ABC):
    """A server that runs.

    Attributes:
        port: where it listens on loopback.
    """

    scheme: ClassVar[str]
    user: ClassVar[str]
    database: ClassVar[str]

    port: int

    def url(self, *, password: str = PASSWORD, database: str | None = None, port: int | None = None) -> str:
        """The URL of a history there."""
        place = f"127.0.0.1:{self.port if port is None else port}"
        name = self.database if database is None else database
        return f"{self.scheme}://{self.user}:{quote(password, safe='')}@{place}/{quote(name, safe='')}"

    @abstractmethod
    def emptied(self) -> str:
        """The URL of a database there that is empty."""

    @abstractmethod
    def spoil(self, url: str, session_id: str, index: int, text: str | bytes) -> int:
        """Put another text in the place of an item, and return the number of its row."""

    @abstractmethod
    def texts(self, url: str, session_id: str) -> list[str]:
        """The stored texts of the items of a session."""

    @abstractmethod
    def names(self, url: str) -> set[str]:
        """The keys or tables that are there."""

    @abstractmethod
    def connections(self) -> int:
        """How many clients are connected, this one aside."""

    @abstractmethod
    def disconnect_all(self) -> None:
        """End the connection of every client but this one."""

    @abstractmethod
    def sdk_session(self, url: str, session_id: str) -> AbstractAsyncContextManager[SessionABC]:
        """The Agents SDK's own session, in the running event loop."""


class RedisServed(Served):
    """A Redis. It has one database for all tests, which is emptied."""

    scheme = "redis"
    user = "default"
    database = "0"

    @contextmanager
    def client(self, url: str | None = None) -> Iterator[Redis]:
        """A client of its own."""
        with Redis.from_url(url or self.url()) as client:
            yield client

    def emptied(self) -> str:
        with self.client() as client:
            client.flushall()
        return self.url()

    def spoil(self, url: str, session_id: str, index: int, text: str | bytes) -> int:
        with self.client(url) as client:
            client.lset(f"agents:session:{session_id}:messages", index, cast(str, text))
        return index

    def texts(self, url: str, session_id: str) -> list[str]:
        with self.client(url) as client:
            found: list[bytes] = cast(Any, client.lrange(f"agents:session:{session_id}:messages", 0, -1))
        return [text.decode() for text in found]

    def names(self, url: str) -> set[str]:
        with self.client(url) as client:
            return {key.decode() for key in cast(Any, client.keys())}

    def connections(self) -> int:
        with self.client() as client:
            return len(cast(Any, client.client_list())) - 1

    def disconnect_all(self) -> None:
        with self.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)

    @asynccontextmanager
    async def sdk_session(self, url: str, session_id: str) -> AsyncIterator[SessionABC]:
        session = RedisSession.from_url(session_id, url=url)
        try:
            yield session
        finally:
            await session.close()


class PostgresqlServed(Served):
    """A PostgreSQL. It has one database for all tests, which is emptied."""

    scheme = "postgresql+asyncpg"
    user = "somebody"
    database = "postgres"

    async def connect(self, database: str = database) -> Any:
        """A connection of asyncpg."""
        return await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=self.user, password=PASSWORD, database=database
        )

    def ask(self, query: str, *values: object, url: str | None = None) -> list[Any]:
        """The rows of a query."""

        async def ask() -> list[Any]:
            connection = await self.connect(self.database if url is None else url.rpartition("/")[2])
            try:
                return list(await connection.fetch(query, *values))
            finally:
                await connection.close()

        with ThreadPoolExecutor(1) as threads:  # there may be an event loop in this one
            return threads.submit(asyncio.run, ask()).result()

    def emptied(self) -> str:
        self.ask("DROP SCHEMA IF EXISTS public CASCADE")
        self.ask("CREATE SCHEMA public")
        return self.url()

    def spoil(self, url: str, session_id: str, index: int, text: str | bytes) -> int:
        own = self.ask("SELECT id FROM agent_messages WHERE session_id = $1 ORDER BY id", session_id, url=url)
        number: int = own[index]["id"]
        self.ask("UPDATE agent_messages SET message_data = $1 WHERE id = $2", text, number, url=url)
        return number

    def texts(self, url: str, session_id: str) -> list[str]:
        query = "SELECT message_data FROM agent_messages WHERE session_id = $1 ORDER BY created_at, id"
        return [row["message_data"] for row in self.ask(query, session_id, url=url)]

    def names(self, url: str) -> set[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        return {row["tablename"] for row in self.ask(query, url=url)}

    def connections(self) -> int:
        return len(self.ask(f"SELECT pid FROM pg_stat_activity WHERE {_OTHERS}"))

    def disconnect_all(self) -> None:
        self.ask(f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE {_OTHERS}")

    @asynccontextmanager
    async def sdk_session(self, url: str, session_id: str) -> AsyncIterator[SessionABC]:
        session = SQLAlchemySession.from_url(session_id, url=url, create_tables=True)
        try:
            yield session
        finally:
            await session.engine.dispose()


_OTHERS = "backend_type = 'client backend' AND pid <> pg_backend_pid()"


@contextmanager
def redis() -> Iterator[RedisServed]:
    """A Redis without files."""
    program = _program("redis-server", "redis-server")
    with tempfile.TemporaryDirectory() as folder, kept_port() as port:
        options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "requirepass": PASSWORD}
        command = [program, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]
        with _running(command, "Ready to accept connections", signal.SIGTERM):
            yield RedisServed(port)


@contextmanager
def postgresql() -> Iterator[PostgresqlServed]:
    """A PostgreSQL with a new cluster. It refuses to run as root: then it runs as Debian's user for it."""
    initdb, postgres = _program("initdb", "postgresql"), _program("postgres", "postgresql")
    owner: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory() as folder, kept_port() as port:
        secret = Path(folder, "password")
        secret.write_text(PASSWORD, encoding="utf-8")
        for path in (folder, secret) if owner else ():
            shutil.chown(path, "postgres", "postgres")
        data = str(Path(folder, "data"))
        options = [
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            f"--username={PostgresqlServed.user}",
            "--encoding=UTF8",
            "--no-sync",
        ]
        made = subprocess.run(
            [initdb, data, "--locale=C", *options], capture_output=True, text=True, check=False, cwd=folder, **owner
        )
        assert made.returncode == 0, made.stderr
        # Without fsync. The time zone is not UTC, so that a local time is not mistaken for one of UTC.
        words = ["-D", data, "-F", "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-c", "timezone=Asia/Kathmandu"]
        with _running([postgres, *words], "database system is ready to accept connections", signal.SIGQUIT, **owner):
            yield PostgresqlServed(port)


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
