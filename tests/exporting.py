"""An export over the real SDK and a canned server, for tests, and servers that come to an end."""

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from canned import HTTP, async_client
from canned_threads import ThreadServer, message, thread_of
from threadkeep.api.client import PacingOptions
from threadkeep.api.transport import Transport
from threadkeep.errors import RunEnded
from threadkeep.exporter.engine import Options, export_threads
from threadkeep.exporter.events import Event
from threadkeep.journal import Entry, Header, Journal, Outcome
from threadkeep.outfiles import OutFiles
from threadkeep.records.ndjson import decode
from threadkeep.storage.paths import Paths

__all__ = ["ASSISTANT", "PATIENCE", "Ending", "Export", "Spoiled", "no_wait", "silence", "threads_of"]

ASSISTANT = "asst_abc123"
PATIENCE = 300  # seconds after which a test is thought to hang


async def no_wait(_seconds: float) -> None:
    """Waits not at all, but lets the others go on."""
    await asyncio.sleep(0)


class Export:
    """An export into a folder, and what came of it."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "out.ndjson")
        self.ended_by: RunEnded | None = None
        self.reported: list[Event] = []
        self.told = asyncio.Event()

    def hear(self, event: Event) -> None:
        """Keep what is reported; `told` is set when a thread's fate is."""
        self.reported.append(event)
        if isinstance(event, Entry):
            self.told.set()

    async def run(self, ids: Sequence[str], *servers: Any, **options: Any) -> "Export":
        """Export these threads from a server, or from several keys' points of view."""
        header = Header(source="https://api.test/v1", assistant_id=ASSISTANT, flat=False, started_at="now")
        chosen = Options(assistant_id=ASSISTANT, **{"pace": PacingOptions(max_retries=2, sleep=no_wait), **options})
        with OutFiles.begin(self.paths, header) as out:
            async with contextlib.AsyncExitStack() as opened:
                apis = [await opened.enter_async_context(Transport(async_client(server))) for server in servers]
                try:
                    await export_threads(ids, apis, out, chosen, on_event=self.hear)
                except RunEnded as ending:
                    self.ended_by = ending
            self.journal: Journal = out.journal
        return self

    @property
    def lines(self) -> list[bytes]:
        """The export's lines."""
        return self.paths.out.read_bytes().splitlines(keepends=True)

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """What became of each thread."""
        return {thread_id: entry.outcome for thread_id, entry in self.journal.entries.items()}

    def messages(self, path: Path | None = None) -> dict[str, list[dict[str, Any]]]:
        """What a file holds, by thread."""
        found: dict[str, list[dict[str, Any]]] = {}
        for line in (path or self.paths.out).read_bytes().split(b"\n")[:-1]:
            record = decode(line)
            found.setdefault(record.thread_id, []).append(dict(record.raw))
        return found


def threads_of(**sizes: int) -> dict[str, list[dict[str, Any]]]:
    """Threads of ordinary messages, by name and size."""
    return {
        f"thread_{name}": [message(f"thread_{name}", number) for number in range(size)] for name, size in sizes.items()
    }


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
