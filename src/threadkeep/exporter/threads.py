"""Fetch the threads of an export: page by page into the working store, those that failed once more at the end."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any
from urllib.parse import quote

import attrs

from threadkeep.api.client import ApiClient
from threadkeep.api.pagination import Page as ApiPage
from threadkeep.api.resources import SIDECAR_FETCHERS, Rows
from threadkeep.api.worker_pool import WorkerPool
from threadkeep.errors import ApiError, BadPage, IdRefused, RunEnded, ThreadMissing
from threadkeep.exporter.commits import Commits
from threadkeep.exporter.events import ThreadEnded
from threadkeep.records.authors import other_author
from threadkeep.records.content import files_of, files_of_line
from threadkeep.records.ndjson import encode_message
from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.index import AUTO, Outcome
from threadkeep.storage.store import MESSAGES, Change, DamagedPage, Page, Restart, Settled, Store

__all__ = ["Authors", "ThreadRound"]

# So many ids are read from the store at a time, and so many bytes of runs are stored as one page.
_IDS, _SIDECAR_PAGE_BYTES = 1000, 1024 * 1024


@attrs.define
class Authors:
    """How many messages were fetched, and how many of them each assistant wrote that is not the one of their line."""

    messages: int = 0
    others: Counter[str] = attrs.field(factory=Counter)

    def add(self, more: "Authors") -> None:
        """Count some more."""
        self.messages += more.messages
        self.others.update(more.others)


@attrs.define
class ThreadRound:
    """Fetches every thread that the store is to ask for, and stores what became of each.

    Args:
        include: what else to fetch of a thread, of `threadkeep.storage.paths.SIDECAR_KINDS`.
        authors: of the messages that are fetched; they are counted here.
        may_have_pages: the store may hold pages of threads that were cut off.
    """

    _pool: WorkerPool
    _store: Store
    _commits: Commits
    _include: Sequence[str]
    _authors: Authors
    _may_have_pages: bool
    _is_last_try: bool = attrs.field(default=False, init=False)

    async def run(self) -> None:
        """Fetch all of them, and those that failed once more."""
        await self._pool.run(self._batches(self._store.to_ask), self._export)
        self._is_last_try = self._may_have_pages = True
        await self._pool.run(self._batches(self._store.failed), self._export)

    async def _batches(self, query: Callable[[int, int], list[tuple[int, str]]]) -> AsyncIterator[Sequence[str]]:
        reached = 0
        while rows := await self._commits.thread.call(query, reached, _IDS):
            reached = rows[-1][0]
            yield [thread_id for _, thread_id in rows]

    async def _export(self, thread_id: str, client: ApiClient) -> None:
        fetch = _ThreadFetch(thread_id, self._commits, self._store, self._include)
        if self._may_have_pages:
            await fetch.load()
        try:
            await self._pool.ask(thread_id, client, fetch.run, fetch.may_be_anothers)
        except RunEnded as ending:
            if self._pool.ended_by is None:  # another key takes over
                self._may_have_pages = True
            elif fetch.messages:
                await self._settle(fetch, Outcome.PARTIAL, str(ending))
        except ApiError as problem:
            await self._give_up(fetch, problem)
        else:
            await self._settle(fetch, Outcome.COMPLETE)

    async def _give_up(self, fetch: "_ThreadFetch", problem: ApiError) -> None:
        outcome = Outcome.MISSING if isinstance(problem, ThreadMissing | IdRefused) else Outcome.FAILED
        reason = str(problem)
        if fetch.messages:
            what = (
                "it was deleted while it was fetched"
                if outcome is Outcome.MISSING
                else "it could not be fetched to its end"
            )
            reason = f"{what}: {reason}"
        await self._settle(fetch, outcome, reason)
        self._pool.record_failure(problem)

    async def _settle(self, fetch: "_ThreadFetch", outcome: Outcome, reason: str | None = None) -> None:
        """Store what became of a thread, and send that, unless it will be asked for once more."""
        self._authors.add(fetch.authors)
        event = None
        if outcome is not Outcome.FAILED or self._is_last_try:
            ended = Outcome.PARTIAL if outcome is Outcome.FAILED and fetch.messages else outcome
            event = ThreadEnded(thread_id=fetch.thread_id, outcome=ended, messages=fetch.messages, reason=reason)
        await self._commits.put(Settled(thread_id=fetch.thread_id, outcome=outcome, reason=reason), event=event)


@attrs.define
class _ThreadFetch:
    """One thread on its way into the store.

    Attributes:
        authors: of its messages, as far as this fetch has brought them.
        has_answer: whether a page of it has come; what is in the store may have come with another key.
    """

    thread_id: str
    _commits: Commits
    _store: Store
    _include: Sequence[str]
    authors: Authors = attrs.field(factory=Authors, init=False)
    has_answer: bool = attrs.field(default=False, init=False)
    _ids: list[str] = attrs.field(factory=list, init=False)
    _pages: int = attrs.field(default=0, init=False)
    _path: str = attrs.field(init=False)
    _encode: Callable[[Mapping[str, Any]], bytes] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._path = f"/threads/{quote(self.thread_id, safe='')}"
        # Which assistant's an "auto" thread is, is known at its end: the writer puts that in.
        wanted = self._store.header.assistant_id
        self._encode = partial(encode_message, assistant_id=None if wanted == AUTO else wanted)

    def may_be_anothers(self, problem: ApiError) -> bool:
        """Whether another key may know the thread. A key that has given a page of it does."""
        return isinstance(problem, ThreadMissing) and not self.has_answer

    @property
    def messages(self) -> int:
        """How many are in the store."""
        return len(self._ids)

    async def load(self) -> None:
        """Read which pages the store has already: the thread resumes behind them."""
        try:
            walked = await self._commits.thread.call(self._store.walked, self.thread_id)
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
            OutputUnusable: the disk reports an error.
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
        before, cursor, problem = self._pages, self._ids[-1], None
        try:
            await self._walk(client)
        except RunEnded:
            raise
        except ApiError as error:
            problem = error
        if self._pages == before:
            try:
                await client.fetch(f"{self._path}/messages/{quote(cursor, safe='')}", object_id=cursor)
            except ApiError as error:
                if error.status in (404, 405, 501):  # or there is no such route: the thread itself decides then
                    return False
                raise error if problem is None or isinstance(error, RunEnded) else problem from None
        if problem is not None:
            raise problem
        return True

    async def _walk(self, client: ApiClient, *, anew: bool = False) -> None:
        walked = [] if anew else self._ids
        async for page in client.walk(f"{self._path}/messages", thread_id=self.thread_id, walked=walked):
            changes: list[Change] = []
            ids = [row["id"] for row in page.rows]
            self.has_answer = True
            if anew:  # not before the server has answered: what is stored may be all that is left of the thread
                self._ids, self._pages, self.authors, anew = [], 0, Authors(), False
                changes.append(Restart(self.thread_id))
            if ids:
                changes.append(self._stored(page))
            del page  # while it is committed its objects would only cost time, see `ApiClient.walk`
            if changes:
                await self._commits.put(*changes)
            if ids:
                self._pages += 1
                self._ids += ids

    def _stored(self, page: ApiPage) -> Page:
        try:
            lines = [self._encode(row) + b"\n" for row in page.rows]
        except ValueError as error:
            last = page.rows[-1]["id"]
            raise BadPage(f"a message of the page that ends with {last} cannot be written: {error}") from None
        self.authors.messages += len(lines)
        if (wanted := self._store.header.assistant_id) != AUTO:
            self.authors.others.update(filter(None, [other_author(row, wanted) for row in page.rows]))
        by_assistants = (row.get("assistant_id") for row in reversed(page.rows) if row.get("role") == "assistant")
        return Page(
            thread_id=self.thread_id,
            kind=MESSAGES,
            seq=self._pages,
            ids=[row["id"] for row in page.rows],
            lines=b"".join(lines),
            files=_distinct(map(files_of_line, lines, page.rows)),
            assistant_id=next((one for one in by_assistants if isinstance(one, str)), None),
        )

    async def _fetch_sidecar(self, client: ApiClient, kind: str) -> None:
        seq = 0
        async for batch in _sidecar_batches(SIDECAR_FETCHERS[kind](client, self.thread_id)):
            ids, lines, files = zip(*batch, strict=True)
            page = Page(
                thread_id=self.thread_id, kind=kind, seq=seq, ids=ids, lines=b"".join(lines), files=_distinct(files)
            )
            # The first one takes the place of what an attempt that failed has left.
            await self._commits.put(*([Restart(self.thread_id, kind)] if seq == 0 else []), page)
            seq += 1


async def _sidecar_batches(rows: Rows) -> AsyncIterator[list[tuple[str, bytes, tuple[str, ...]]]]:
    """Yield ids, lines and files of the rows of a sidecar, so many bytes at a time."""
    batch, size = list[tuple[str, bytes, tuple[str, ...]]](), 0
    async for row_id, row in rows:
        try:
            line = dumps(row) + b"\n"
        except ValueError as error:
            raise BadPage(f"{row_id} cannot be written: {error}") from None
        batch.append((row_id, line, _distinct(map(files_of, row.get("steps", ())))))
        size += len(line)
        if size >= _SIDECAR_PAGE_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _distinct(files: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(files)))
