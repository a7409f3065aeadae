"""Fetch the threads of an export: page by page into the working store, those that failed once more at the end."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any
from urllib.parse import quote

from threadkeep.api.client import ApiClient
from threadkeep.api.pagination import Page as ApiPage
from threadkeep.api.resources import SIDECAR_FETCHERS
from threadkeep.api.worker_pool import WorkerPool
from threadkeep.errors import ApiError, BadPage, IdRefused, RequestFailed, RunEnded, ThreadMissing
from threadkeep.exporter.commits import Commits
from threadkeep.exporter.events import ThreadEnded
from threadkeep.records.content import files_of, files_of_line
from threadkeep.records.ndjson import encode_message
from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.index import AUTO, Outcome
from threadkeep.storage.store import MESSAGES, Change, DamagedPage, Page, Restart, Settled, Store

__all__ = ["ThreadRound"]

_OUTCOMES: Mapping[type[ApiError], Outcome] = {
    ThreadMissing: Outcome.MISSING,
    IdRefused: Outcome.MISSING,
    BadPage: Outcome.FAILED,
    RequestFailed: Outcome.FAILED,
}

# So many ids are read from the store at a time, and so many bytes of runs are stored as one page.
_IDS, _SIDECAR_PAGE_BYTES = 1000, 1024 * 1024


class ThreadRound:
    """Fetches every thread that the store is to ask for, and stores what became of each.

    Args:
        pool: the workers.
        store: says which threads are to be asked for.
        commits: where pages and outcomes go.
        include: what else to fetch of a thread, of `threadkeep.storage.paths.SIDECAR_KINDS`.
        resumed: the store may hold pages of threads that were cut off.
    """

    def __init__(
        self, pool: WorkerPool, store: Store, commits: Commits, include: Sequence[str], *, resumed: bool
    ) -> None:
        self._pool = pool
        self._store = store
        self._commits = commits
        self._include = include
        self._may_have_pages = resumed
        self._is_last_try = False

    async def run(self) -> None:
        """Fetch all of them, and those that failed once more."""
        await self._pool.run(self._batches(self._store.to_ask), self._export)
        self._is_last_try = self._may_have_pages = True
        await self._pool.run(self._batches(self._store.failed), self._export)

    async def _batches(self, query: Callable[[int, int], list[tuple[int, str]]]) -> AsyncIterator[Sequence[str]]:
        reached = 0
        while rows := await self._commits.call(query, reached, _IDS):
            reached = rows[-1][0]
            yield [thread_id for _, thread_id in rows]

    async def _export(self, thread_id: str, client: ApiClient) -> None:
        fetch = _ThreadFetch(thread_id, self._commits, self._store, self._include)
        if self._may_have_pages:
            await fetch.load()
        try:
            problem = await self._pool.fetch(fetch, client)
        except RunEnded as ending:
            if self._pool.ended_by is None:  # another key takes over
                self._may_have_pages = True
            elif fetch.messages:
                await self._settle(fetch, Outcome.PARTIAL, str(ending))
            return
        if problem is None:
            await self._settle(fetch, Outcome.COMPLETE, None)
        else:
            await self._give_up(fetch, problem)

    async def _give_up(self, fetch: "_ThreadFetch", problem: ApiError) -> None:
        outcome, reason = _OUTCOMES[type(problem)], str(problem)
        if fetch.messages:
            what = "it was deleted while it was fetched" if outcome is Outcome.MISSING else "it could not be fetched on"
            reason = f"{what}: {reason}"
        if outcome is Outcome.FAILED and not self._is_last_try:
            await self._commits.put(Settled(thread_id=fetch.thread_id, outcome=outcome, reason=reason))
        else:
            await self._settle(fetch, outcome, reason)
        self._pool.record_failure(problem)

    async def _settle(self, fetch: "_ThreadFetch", outcome: Outcome, reason: str | None) -> None:
        thread_id = fetch.thread_id
        event = ThreadEnded(thread_id=thread_id, outcome=outcome, messages=fetch.messages, reason=reason)
        await self._commits.put(Settled(thread_id=thread_id, outcome=outcome, reason=reason), event=event)


class _ThreadFetch:
    """One thread on its way into the store.

    Attributes:
        has_answer: whether a page of it has come; what is in the store may have come with another key.
    """

    def __init__(self, thread_id: str, commits: Commits, store: Store, include: Sequence[str]) -> None:
        self.thread_id = thread_id
        self._commits = commits
        self._store = store
        self._include = include
        # Which assistant's an "auto" thread is, is known at its end: the writer puts that in.
        wanted = store.header.assistant_id
        self._encode = partial(encode_message, assistant_id=None if wanted == AUTO else wanted)
        self._ids: list[str] = []
        self._pages = 0
        self.has_answer = False

    @property
    def messages(self) -> int:
        """How many are in the store."""
        return len(self._ids)

    async def load(self) -> None:
        """Read which pages the store has already: the thread resumes behind them."""
        try:
            walked = await self._commits.call(self._store.walked, self.thread_id)
        except DamagedPage:  # what is not as it was stored counts as not fetched
            await self._commits.put(Restart(self.thread_id))
            return
        self._ids, self._pages = list(walked.ids), walked.pages
        if self._include:  # its runs may have changed since; they are asked for anew
            await self._commits.put(*(Restart(self.thread_id, kind) for kind in self._include))

    async def run(self, client: ApiClient) -> None:
        """Fetch the thread to its end.

        Raises:
            ApiError: a leaf of it. The pages before are in the store.
            OutputUnusable: the disk refuses.
        """
        if not self._pages:
            await self._walk(client)
        elif not await self._resume(client):
            await self._walk(client, anew=True)
        for kind in self._include:
            await self._fetch_sidecar(client, kind)

    async def _resume(self, client: ApiClient) -> bool:
        """Walk on behind the stored pages; return False if the thread must be walked anew.

        An empty page or an error behind a cursor proves nothing: a server may answer so when the cursor's message has
        vanished. Then that message itself is asked for.
        """
        before = self._pages
        try:
            await self._walk(client)
        except RunEnded:
            raise
        except ApiError:
            if self._pages > before or await self._is_there(client, self._ids[-1]):
                raise
            return False
        return self._pages > before or await self._is_there(client, self._ids[-1])

    async def _is_there(self, client: ApiClient, message_id: str) -> bool:
        try:
            await client.fetch(f"{self._path}/messages/{quote(message_id, safe='')}", object_id=message_id)
        except RunEnded:
            raise
        except ApiError as problem:
            if problem.status != 404:
                raise
            return False
        return True

    @property
    def _path(self) -> str:
        return f"/threads/{quote(self.thread_id, safe='')}"

    async def _walk(self, client: ApiClient, *, anew: bool = False) -> None:
        walked = [] if anew else self._ids
        async for page in client.walk(f"{self._path}/messages", thread_id=self.thread_id, walked=walked):
            changes: list[Change] = []
            self.has_answer = True
            if anew:  # not before the server has answered: what is stored may be all that is left of the thread
                self._ids, self._pages, anew = [], 0, False
                changes.append(Restart(self.thread_id))
            if page.rows:
                changes.append(self._stored(page))
            if changes:
                await self._commits.put(*changes)
            if page.rows:
                self._pages += 1
                self._ids += [row["id"] for row in page.rows]

    def _stored(self, page: ApiPage) -> Page:
        try:
            lines = [self._encode(row) + b"\n" for row in page.rows]
        except ValueError as error:
            last = page.rows[-1]["id"]
            raise BadPage(f"a message of the page that ends with {last} cannot be written: {error}") from None
        newest = (row["assistant_id"] for row in reversed(page.rows) if _is_by_an_assistant(row))
        return Page(
            thread_id=self.thread_id,
            kind=MESSAGES,
            seq=self._pages,
            ids=[row["id"] for row in page.rows],
            lines=b"".join(lines),
            files=_distinct(map(files_of_line, lines, page.rows)),
            assistant_id=next(newest, None),
        )

    async def _fetch_sidecar(self, client: ApiClient, kind: str) -> None:
        ids, lines, files, seq = list[str](), list[bytes](), dict[str, None](), 0

        async def store() -> None:
            nonlocal seq
            page = Page(
                thread_id=self.thread_id, kind=kind, seq=seq, ids=tuple(ids), lines=b"".join(lines), files=tuple(files)
            )
            # The first one takes the place of what an attempt that failed has left.
            await self._commits.put(*((Restart(self.thread_id, kind),) if seq == 0 else ()), page)
            ids.clear()
            lines.clear()
            files.clear()
            seq += 1

        size = 0
        async for row_id, row in SIDECAR_FETCHERS[kind](client, self.thread_id):
            try:
                line = dumps(row) + b"\n"
            except ValueError as error:
                raise BadPage(f"{row_id} cannot be written: {error}") from None
            ids.append(row_id)
            lines.append(line)
            files.update(dict.fromkeys(_distinct(map(files_of, row.get("steps", ())))))
            size += len(line)
            if size >= _SIDECAR_PAGE_BYTES:
                await store()
                size = 0
        if ids:
            await store()


def _is_by_an_assistant(row: Mapping[str, Any]) -> bool:
    return row.get("role") == "assistant" and isinstance(row.get("assistant_id"), str)


def _distinct(files: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(files)))
