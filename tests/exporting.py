"""An export in this process over the real SDK and a canned server or a fake, and servers that come to an end."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from unittest import mock

from openai import AsyncOpenAI

from canned import HTTP, async_client, client_of
from canned_threads import ThreadServer, message, thread_of
from fake_assistants import FakeAssistants
from threadkeep.api.client import PacingOptions
from threadkeep.api.transport import Transport
from threadkeep.errors import OutputUnusable, ThreadkeepError
from threadkeep.exporter.events import Event, Notice, ThreadEnded
from threadkeep.exporter.job import ExportResult, Job, carry_out
from threadkeep.records.ndjson import decode
from threadkeep.serialization.thread_ids import ListedId
from threadkeep.storage import session
from threadkeep.storage.index import IndexRow, Outcome, decode_row
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.session import ThreadList
from threadkeep.storage.sharding import Shard
from threadkeep.storage.store import Store

__all__ = [
    "ASSISTANT",
    "PATIENCE",
    "SOURCE",
    "Answering",
    "Ending",
    "Export",
    "Spoiled",
    "cut_off_at_commit",
    "no_room_to_write",
    "no_wait",
    "now",
    "silence",
    "threads_of",
]

ASSISTANT = "asst_abc123"
SOURCE = "https://api.test/v1"
PATIENCE = 300  # seconds after which a test is thought to hang


def now() -> datetime:
    """The time, which is always the same."""
    return datetime(2026, 8, 1, tzinfo=UTC)


async def no_wait(_seconds: float) -> None:
    """Waits not at all, but lets the others go on."""
    await asyncio.sleep(0)


class Export:
    """An export into a folder, and what came of it.

    Attributes:
        result: of the last run.
        events: of all runs.
        thread_ended: set when a thread has ended.
    """

    result: ExportResult

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "out.ndjson")
        self.events: list[Event] = []
        self.thread_ended = asyncio.Event()

    def hear(self, event: Event) -> None:
        """Keep an event."""
        self.events.append(event)
        if isinstance(event, ThreadEnded):
            self.thread_ended.set()

    async def run(
        self,
        ids: Iterable[str],
        *servers: Any,
        done: Iterable[str] = (),
        drop: Iterable[str] = (),
        limit: int | None = None,
        refresh: bool = False,
        shard: Shard | None = None,
        source: str = SOURCE,
        **options: Any,
    ) -> "Export":
        """Export these threads from a server or a client, or from several keys' points of view."""
        wanted = ThreadList(
            ids=map(ListedId, count(1), ids), done=done, drop=drop, limit=limit, shard=shard, refresh=refresh
        )
        usual = {"assistant_id": ASSISTANT, "pace": PacingOptions(max_retries=2, sleep=no_wait)}
        job = Job(wanted=wanted, paths=self.paths, **{**usual, **options})
        async with contextlib.AsyncExitStack() as opened:
            apis = [await opened.enter_async_context(Transport(_client(server))) for server in servers]
            self.result = await carry_out(job, apis, source, now=now, on_event=self.hear)
        return self

    def run_alone(self, ids: Iterable[str], *servers: Any, **options: Any) -> "Export":
        """Do the same, in an event loop of its own."""
        return asyncio.run(self.run(ids, *servers, **options))

    def write(self) -> Manifest:
        """Write what a run that was cut off has left."""
        with mock.patch("threadkeep.storage.session.now", now):
            return session.write(self.paths.out, on_notice=lambda text: self.events.append(Notice(text)))

    @property
    def ended_by(self) -> ThreadkeepError | None:
        """What ended the last run before its time."""
        return self.result.ended_by

    @property
    def lines(self) -> list[bytes]:
        """The export's lines."""
        return self.paths.out.read_bytes().splitlines(keepends=True)

    @property
    def rows(self) -> dict[str, IndexRow]:
        """The rows of the index, by thread."""
        lines = self.paths.index.read_bytes().split(b"\n")[1:]
        return {row.thread_id: row for row in map(decode_row, filter(None, lines))}

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """What became of each thread."""
        return {thread_id: row.outcome for thread_id, row in self.rows.items()}

    @property
    def notices(self) -> list[str]:
        """What a person is to know."""
        return [event.text for event in self.events if isinstance(event, Notice)]

    def messages(self, path: Path | None = None) -> dict[str, list[dict[str, Any]]]:
        """What a file holds, by thread; nothing where there is none."""
        path = path or self.paths.out
        found: dict[str, list[dict[str, Any]]] = {}
        for line in (path.read_bytes() if path.exists() else b"").split(b"\n")[:-1]:
            record = decode(line)
            found.setdefault(record.thread_id, []).append(dict(record.raw))
        return found

    def sidecar(self, kind: str) -> list[Any]:
        """The rows of a sidecar file."""
        return [json.loads(line) for line in self.paths.sidecar(kind).read_bytes().split(b"\n")[:-1]]

    def contents(self) -> dict[str, bytes]:
        """Every file in the folder, but for the lock, by its name."""
        folder = self.paths.out.parent
        found = (path for path in folder.rglob("*") if path.is_file() and path != self.paths.lock)
        return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def _client(server: Any) -> Any:
    if isinstance(server, AsyncOpenAI):
        return server
    return client_of(server.async_transport()) if isinstance(server, FakeAssistants) else async_client(server)


@contextlib.contextmanager
def no_room_to_write() -> Iterator[None]:
    """A run fetches everything, and cannot write it: all of it stays in the working store."""
    with mock.patch("threadkeep.storage.session.write_new_set", side_effect=OutputUnusable("no room")):
        yield


@contextlib.contextmanager
def cut_off_at_commit(number: int) -> Iterator[None]:
    """A run is cut off: the commit of this number, from 0, and those behind it are not made, and nothing is written."""
    apply, made = Store.apply, iter(range(number))

    def counted(store: Store, *arguments: Any) -> None:
        if next(made, None) is None:
            raise OutputUnusable("cut off")
        apply(store, *arguments)

    with mock.patch.object(Store, "apply", counted):
        yield


def threads_of(**sizes: int) -> dict[str, list[dict[str, Any]]]:
    """Threads of ordinary messages, by name and size."""
    return {
        f"thread_{name}": [message(f"thread_{name}", number) for number in range(size)] for name, size in sizes.items()
    }


class Answering(ThreadServer):
    """Answers by a function of the request and of how often its URL was asked, and honestly where that gives None."""

    def __init__(self, threads: Any, answer: Callable[[Any, int], Any]) -> None:
        super().__init__(threads)
        self._answer = answer

    def spoil(self, request: Any, times: int) -> Any:
        return self._answer(request, times)


class Spoiled(ThreadServer):
    """Spoils the second page of thread_a, the first ``times`` that it is asked for."""

    def __init__(self, threads: Any, answer: Any, times: int) -> None:
        super().__init__(threads)
        self._answer, self._times = answer, times

    def spoil(self, request: Any, times: int) -> Any:
        if thread_of(request.url) == "thread_a" and "after" in request.url.params and times <= self._times:
            return self._answer(self.honest(request))
        return None


class Ending(ThreadServer):
    """Answers every request after the first ``count`` with the end."""

    def __init__(self, threads: Any, end: Any, count: int) -> None:
        super().__init__(threads)
        self._end, self._count = end, count

    def spoil(self, request: Any, times: int) -> Any:
        del request, times
        return self._end() if len(self.asked) > self._count else None


def silence() -> Any:
    """No answer at all."""
    raise HTTP.ConnectError("no route to host")
