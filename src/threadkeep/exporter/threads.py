"""The threads of an export: each walked, and written whole; those that failed once more when all others are through.

One thread on its way into the export: its pages become lines in spools; nothing is written before it is whole.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from threadkeep.api.client import ApiClient
from threadkeep.api.pagination import Page, read_page
from threadkeep.api.resources import SIDECAR_FETCHERS
from threadkeep.api.worker_pool import WorkerPool
from threadkeep.errors import ApiError, BadPage, IdRefused, RequestFailed, RunEnded, ThreadMissing
from threadkeep.exporter.commits import Writer
from threadkeep.journal import Entry, Outcome
from threadkeep.outfiles import Finished, OutFiles
from threadkeep.records.content import files_of
from threadkeep.records.ndjson import encode_message
from threadkeep.serialization.id_lists import is_thread_id
from threadkeep.serialization.lossless_json import dumps
from threadkeep.spool import Bodies, Spool

__all__ = ["ThreadDownload", "ThreadRound"]


class ThreadDownload:
    """A thread that is being walked.

    Args:
        thread_id: its id.
        out: where spools may grow.
        assistant_id: stands on every line.
        flat: write flat lines. The pages are then kept as they came: should the thread be cut off, the partial file
            wants full lines.
        include: what else to ask for, of `threadkeep.storage.paths.SIDECAR_KINDS`.
        files: look for the files that messages and steps refer to.
    """

    def __init__(
        self, thread_id: str, out: OutFiles, *, assistant_id: str, flat: bool, include: Sequence[str], files: bool
    ) -> None:
        self.thread_id = thread_id
        self.lines: Spool = out.spool()
        self._out = out
        self._assistant_id = assistant_id
        self._bodies = Bodies(out.paths.out.parent) if flat else None
        self._beside: dict[str, Spool] = {kind: out.spool() for kind in include}
        self._files: dict[str, None] | None = {} if files else None
        self._open: list[Spool | Bodies] = [self.lines, *self._beside.values()]
        if self._bodies is not None:
            self._open.append(self._bodies)

    @property
    def messages(self) -> int:
        """How many have come."""
        return self.lines.lines

    async def fetch(self, client: ApiClient) -> None:
        """Walk the thread to its end.

        Raises:
            ApiError: a leaf of it. What came before it is here.
            OutputUnusable: the disk refuses.
        """
        path = f"/threads/{quote(self.thread_id, safe='')}/messages"
        async for page in client.walk(path, thread_id=self.thread_id):
            self._add(page, self.lines, flat=self._bodies is not None)
            if self._bodies is not None:
                self._bodies.add(page.body)
            self._look_for_files(page.rows)
        for kind, spool in self._beside.items():
            async for row_id, row in SIDECAR_FETCHERS[kind](client, self.thread_id):
                self._add_beside(row_id, row, spool)

    def finished(self) -> Finished:
        """The whole thread, ready to be written down."""
        entry = Entry(
            thread_id=self.thread_id,
            outcome=Outcome.COMPLETE,
            messages=self.messages,
            first_id=self.lines.first_id,
            last_id=self.lines.last_id,
            files=self._files or (),
        )
        return Finished(entry=entry, lines=self.lines, beside=self._beside)

    def full(self) -> Spool:
        """Full lines of what has come, for the partial file."""
        if self._bodies is None:
            return self.lines
        spool = self._out.spool()
        self._open.append(spool)
        for body in self._bodies.each():
            self._add(read_page(body), spool, flat=False)
        return spool

    def close(self) -> None:
        """Let go of what was not written."""
        for spool in self._open:
            spool.close()

    def _add(self, page: Page, spool: Spool, *, flat: bool) -> None:
        try:
            lines = [encode_message(row, assistant_id=self._assistant_id, flat=flat) for row in page.rows]
        except ValueError as error:
            last = page.rows[-1]["id"]
            raise BadPage(f"a message of the page that ends with {last} cannot be written: {error}") from None
        spool.add([row["id"] for row in page.rows], lines)

    def _add_beside(self, row_id: str, row: Mapping[str, Any], spool: Spool) -> None:
        try:
            line = dumps(row)
        except ValueError as error:
            raise BadPage(f"{row_id} cannot be written: {error}") from None
        spool.add([row_id], [line])
        self._look_for_files(row.get("steps", ()))

    def _look_for_files(self, rows: Iterable[Mapping[str, Any]]) -> None:
        if self._files is not None:
            self._files.update(dict.fromkeys(file_id for row in rows for file_id in files_of(row)))


_OUTCOMES: dict[type[ApiError], Outcome] = {
    ThreadMissing: Outcome.MISSING,
    IdRefused: Outcome.INVALID,
    BadPage: Outcome.FAILED,
    RequestFailed: Outcome.FAILED,
}


class ThreadRound:
    """Walks threads, and sees to it that each one's fate is written down.

    Args:
        pool: who walks them.
        out: where partial threads go.
        writer: what puts the others there.
        new: makes the place for one thread's lines.
    """

    def __init__(self, pool: WorkerPool, out: OutFiles, writer: Writer, new: Callable[[str], ThreadDownload]) -> None:
        self._pool = pool
        self._out = out
        self._writer = writer
        self._new = new
        self._failed: dict[str, Entry] | None = {}  # in the first round: those that get another chance

    async def go(self, thread_ids: Sequence[str]) -> None:
        """Walk all of these, and those that failed once more."""
        await self._pool.run(thread_ids, self._export)
        failed, self._failed = self._failed or {}, None
        if self._pool.ended_by is None:
            await self._pool.run(list(failed), self._export)
        if self._pool.ended_by is not None:
            settled = self._out.journal.entries  # before the loop, since each asking copies it
            for thread_id, entry in failed.items():
                if thread_id not in settled or self._out.stands(thread_id):
                    await self._settle(entry)

    async def _export(self, thread_id: str, client: ApiClient) -> None:
        """With one key, and with the others where that one knows no such thread: it may be another project's."""
        if not is_thread_id(thread_id):
            await self._settle(Entry(thread_id=thread_id, outcome=Outcome.INVALID, reason="not a thread id"))
            return
        keys, goes_on = deque(self._pool.clients_from(client)), True
        while goes_on:
            with contextlib.closing(self._new(thread_id)) as walked:
                problem = await self._walk(walked, keys.popleft())
                goes_on = isinstance(problem, ThreadMissing) and not walked.messages and bool(keys)
                if problem is not None and not goes_on:
                    await self._give_up(walked, self._doubted(walked, problem))

    async def _walk(self, walked: ThreadDownload, client: ApiClient) -> ApiError | None:
        """Walk a thread and write it down, or say why it cannot be, unless that has ended the run."""
        try:
            await walked.fetch(client)
        except RunEnded as ending:
            kept = self._keep_aside(
                walked
            )  # it may never come again, whatever the end was taken for, or from any other key
            if not self._pool.reassign(client, walked.thread_id, ending):
                await self._settle_partial(walked, ending, kept)
        except ApiError as problem:
            return problem
        else:
            self._pool.record_response()
            await self._writer.put(walked.finished())
        return None

    def _doubted(self, walked: ThreadDownload, problem: ApiError) -> ApiError:
        """A thread may be one that only a refused key would know: then nobody has said that it is not there."""
        if not self._pool.is_refused or walked.messages or not isinstance(problem, ThreadMissing):
            return problem
        return RequestFailed(f"a key was refused, and no other knows this thread: {problem}")

    async def _give_up(self, walked: ThreadDownload, problem: ApiError) -> None:
        reason = str(problem)
        if walked.messages:  # they may never come again: the end of an API may begin with failures
            gone = isinstance(problem, ThreadMissing)
            what = "it was deleted while it was walked" if gone else "it could not be walked on"
            count = self._keep_aside(walked)
            kept = f", {count} messages are kept in the partial file" if count else ""
            reason = f"{what}{kept}: {problem}"
        entry = Entry(thread_id=walked.thread_id, outcome=_OUTCOMES[type(problem)], reason=reason)
        if entry.outcome is Outcome.FAILED and self._failed is not None:
            self._failed[entry.thread_id] = entry
        else:
            await self._settle(entry)
        self._pool.record_failure(problem)

    def _keep_aside(self, walked: ThreadDownload) -> int:
        """Put what has come into the partial file, but for what stands in the export from a run before.

        Returns:
            How many messages of it.
        """
        if not walked.messages:
            return 0
        return self._out.add_partial(walked.full(), walked.thread_id if self._out.stands(walked.thread_id) else None)

    async def _settle_partial(self, walked: ThreadDownload, ending: RunEnded, kept: int) -> None:
        """What stands of a thread that was to be refreshed stands. What is kept is beyond that then."""
        if not walked.messages:
            return
        beyond = (
            f"; {kept} messages that it lacks are kept in the partial file" if kept < walked.messages and kept else ""
        )
        await self._settle(
            Entry(
                thread_id=walked.thread_id,
                outcome=Outcome.PARTIAL,
                messages=walked.messages,
                first_id=walked.lines.first_id,
                last_id=walked.lines.last_id,
                cursor=walked.lines.last_id,
                reason=f"{ending}{beyond}",
            )
        )

    async def _settle(self, entry: Entry) -> None:
        await self._writer.put(Finished(entry=entry))
