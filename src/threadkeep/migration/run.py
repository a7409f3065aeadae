"""Carry out a push: send it thread by thread, read it back, write the map."""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import attrs

from threadkeep.api.client import ApiClient, TransportLike
from threadkeep.api.worker_pool import WorkerPool, one_batch
from threadkeep.conversion.source import Source, Thread
from threadkeep.errors import ApiError, Interrupted, OutputUnusable, RunEnded, ThreadkeepError
from threadkeep.exporter.events import Notice
from threadkeep.migration.conversations.conversation_map import (
    write_losses,
    write_map,
)
from threadkeep.migration.destination import Destination, FilesAwaited, OtherItems, PushContext
from threadkeep.migration.events import ConversationVerified, PushBegun, PushEvent, ThreadPushed, VerificationBegun
from threadkeep.migration.job import CHOICES, PushJob, PushResult
from threadkeep.migration.planning import PushPlan
from threadkeep.migration.preparation import ItemChoices, make_plan, refuse_files, refuse_files_of_other, source_of
from threadkeep.migration.store import PushStore, State, StoredThread
from threadkeep.storage.lock import locked
from threadkeep.storage.reader import Export, read
from threadkeep.storage.store_thread import StoreThread

__all__ = ["carry_out", "plan_only"]

# So many threads of the export are looked at together.
_THREADS = 200

# A thread whose requests have failed after all their retries is tried once more when all others are through.
_TRIES = 2

_MOST_PROBLEMS = 20

# Seconds that an interrupted push waits for answers.
_GRACE_SECONDS = 10.0


async def plan_only(job: PushJob) -> PushResult:
    """Plan a push, and return that. Nothing is asked, and nothing is written.

    Raises:
        As `carry_out`.
    """
    over, thread = threading.Event(), StoreThread()

    def plan() -> PushResult:
        refuse_files(job)
        with contextlib.ExitStack() as opened:
            export = opened.enter_context(read(job.export))
            store = PushStore.in_memory(job.store_path, job.target)
            opened.callback(store.close)
            refuse_files_of_other(job, store)
            made = make_plan(store, export, job, ItemChoices.of(store.choose(job.choices, CHOICES)), _checked(over))
            return PushResult(plan=made, states=store.count(), losses=store.losses())

    try:
        result = await thread.finish(plan, on_cancel=over.set)
    except Interrupted:
        raise asyncio.CancelledError from None
    finally:
        thread.close()
    if over.is_set():
        raise asyncio.CancelledError
    return result


def _checked(over: threading.Event) -> Callable[[], None]:
    """Return what raises Interrupted once that is set."""

    def check() -> None:
        if over.is_set():
            raise Interrupted("interrupted")

    return check


async def carry_out(
    job: PushJob,
    transports: Sequence[TransportLike],
    *,
    on_event: Callable[[PushEvent], None] = lambda _event: None,
) -> PushResult:
    """Push an export, or resume that. However it ends, the store knows what was sent.

    When this task is cancelled, which is caught, no map is written.

    Args:
        job: what to push.
        transports: where to, once for each key.
        on_event: receives the events.

    Raises:
        OutputUnusable: the export cannot be read, or the store or the map not be used; nothing was sent.
        MalformedLine: a line of the export is no message; likewise.
        UnknownThread: a thread of ``only`` is not a complete thread of the export; likewise.
    """
    started, over, thread = asyncio.get_running_loop().time(), threading.Event(), StoreThread()
    check = _checked(over)
    with contextlib.ExitStack() as opened:
        opened.callback(thread.close)
        push = await thread.finish(lambda: _begin(job, thread, opened, check, on_event), on_cancel=over.set)
        check()
        ended_by, requests = await push.run(transports)
        seconds = asyncio.get_running_loop().time() - started
        return await thread.finish(lambda: push.end(ended_by, requests, seconds))


def _begin(
    job: PushJob,
    thread: StoreThread,
    opened: contextlib.ExitStack,
    check: Callable[[], None],
    on_event: Callable[[PushEvent], None],
) -> "_Push":
    refuse_files(job)
    opened.enter_context(locked(job.lock_path))
    export = opened.enter_context(read(job.export))
    is_new = not job.store_path.exists()
    store = PushStore.open(job.store_path, job.target)
    opened.callback(store.close)
    try:
        refuse_files_of_other(job, store)
        items = ItemChoices.of(store.choose(job.choices, CHOICES))
        plan = make_plan(store, export, job, items, check)
    except BaseException:
        if is_new:
            store.close()
            job.store_path.unlink()
        raise
    context = PushContext(
        options=items.options,
        store=store,
        thread=thread,
        threads=lambda: Source(export, None, lambda _event: None),
        notify=lambda text: on_event(Notice(text)),
        anew=job.anew,
        without_files=job.without_files,
        is_foundry=job.is_foundry,
        upload_files=items.upload_files,
    )
    return _Push(job, thread, export, store, plan, on_event, job.kind.destination(context))


@attrs.define
class _Push:
    """A push at work."""

    _job: PushJob
    _thread: StoreThread
    _export: Export
    _store: PushStore
    _plan: PushPlan
    _on_event: Callable[[PushEvent], None]
    _destination: Destination
    _pool: WorkerPool = attrs.field(init=False)
    _threads: dict[str, Thread] = attrs.field(factory=dict, init=False)
    _failures: Counter[str] = attrs.field(factory=Counter, init=False)
    _rest: float = attrs.field(default=0.0, init=False)  # the seconds that the server asks to wait
    _has_found: bool = attrs.field(default=False, init=False)
    _missing: dict[str, str] = attrs.field(factory=dict, init=False)
    _awaiting: set[str] = attrs.field(factory=set, init=False)  # the threads that need files which may still come
    _uncertain: set[str] = attrs.field(factory=set, init=False)
    _sent: int = attrs.field(default=0, init=False)

    async def run(self, transports: Sequence[TransportLike]) -> tuple[ThreadkeepError | None, int]:
        """Send and read back, and return what ended that before its time, and how many requests it took."""
        ended_by = await self._run_to_its_end(transports)
        return ended_by, self._pool.traffic.sent

    async def _run_to_its_end(self, transports: Sequence[TransportLike]) -> ThreadkeepError | None:
        job = self._job
        self._pool = WorkerPool(transports, job.pace, job.concurrency, lambda text: self._on_event(Notice(text)))
        total = self._plan.threads - self._plan.empty
        self._on_event(PushBegun(total=total, before=total - self._plan.to_send, traffic=lambda: self._pool.traffic))
        work = asyncio.create_task(self._send_and_verify())
        try:
            await asyncio.shield(work)
        except OutputUnusable as error:
            return error
        except asyncio.CancelledError:
            await self._interrupt(work)
            return Interrupted("interrupted")
        return self._pool.ended_by

    async def _interrupt(self, work: "asyncio.Task[None]") -> None:
        """Send no more, and wait a while for the answers on their way: what was created is known then."""
        self._pool.end(RunEnded("interrupted"))
        try:
            await asyncio.wait({work}, timeout=_GRACE_SECONDS)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _send_and_verify(self) -> None:
        await self._send_all()
        if self._pool.ended_by is None and self._job.verify:
            await self._verify_all()
        elif self._pool.ended_by is None and self._uncertain:
            # What a server carries out after it has failed to answer may come late: it is looked at once more.
            await self._verify_those(self._uncertain.__contains__)

    async def _send_all(self) -> None:
        """Send all threads, those that failed once more, and those of which it had to be found out what is there."""
        for number in range(self._job.pace.max_retries + 2):
            await self._settle(number)
            if self._pool.ended_by is not None or not await self._run(self._push, self._is_to_be_sent):
                return

    async def _run(self, work: Callable[[str, ApiClient], Any], is_wanted: Callable[[str], bool]) -> int:
        """Work on the threads of the export that are wanted, and return how many there were."""
        threads, count = iter(source_of(self._export, self._job)), 0

        def batch() -> list[Thread]:
            found = list[Thread]()
            for thread in threads:
                if is_wanted(thread.thread_id):
                    found.append(thread)
                if len(found) == _THREADS:
                    break
            return found

        async def batches() -> AsyncIterator[Sequence[str]]:
            nonlocal count
            while found := await self._thread.call(batch):
                count += len(found)
                self._threads |= {thread.thread_id: thread for thread in found}
                yield [thread.thread_id for thread in found]

        await self._pool.run(batches(), work)
        return count

    def _is_to_be_sent(self, thread_id: str) -> bool:
        return self._failures[thread_id] < _TRIES and self._store.pending(thread_id)

    async def _push(self, thread_id: str, client: ApiClient) -> None:
        delivery = self._destination.delivery(self._threads[thread_id])
        try:
            await self._pool.ask(thread_id, client, delivery.run, delivery.may_be_anothers)
        except RunEnded:
            return  # another key takes over, or the run has ended: the store knows how far it came
        except (OtherItems, FilesAwaited) as problem:
            self._failures[thread_id] = _TRIES
            if isinstance(problem, FilesAwaited):
                self._awaiting.add(thread_id)
            await self._fail(thread_id, str(problem), is_broken=isinstance(problem, OtherItems))
        except ApiError as problem:
            row = await self._thread.call(self._store.thread, thread_id)
            if row.state is State.CREATING:  # of which more than this is to be found out
                self._rest = max(self._rest, problem.retry_after or 0.0)
            else:
                self._failures[thread_id] += 1
            is_gone = problem.status == 404 and row.conversation_id is not None
            # A key or an end user that may see none of them knows nothing of this one either.
            await self._fail(thread_id, str(problem), is_broken=is_gone and self._has_found)
            self._pool.record_failure(problem)
        else:
            row = await self._thread.call(self._store.thread, thread_id)
            self._has_found |= row.state is State.DONE
            if not delivery.is_certain:
                self._uncertain.add(thread_id)
            self._on_event(ThreadPushed(thread_id=thread_id, conversation_id=row.conversation_id, items=row.items))
        finally:
            self._sent += delivery.sent
        del self._threads[thread_id]

    async def _fail(self, thread_id: str, reason: str, *, is_broken: bool) -> None:
        await self._thread.call(self._store.failed, thread_id, reason, is_broken)
        if self._failures[thread_id] >= _TRIES:
            row = await self._thread.call(self._store.thread, thread_id)
            self._on_event(
                ThreadPushed(thread_id=thread_id, conversation_id=row.conversation_id, items=0, problem=reason)
            )

    async def _settle(self, number: int) -> None:
        """Find out what became of threads of which a request was not answered, by this run or an earlier one."""
        rows = await self._thread.call(self._store.unanswered)
        if not rows or self._pool.ended_by is not None:
            return
        if number:
            await self._job.pace.sleep(max(self._rest, min(0.25 * 2.0**number, 8.0) * self._job.pace.jitter()))
            self._rest = 0.0

        async def settle(pending: str, client: ApiClient) -> None:
            try:
                await self._pool.ask(
                    pending, client, lambda key: self._destination.settle(key, rows), lambda _problem: False
                )
            except RunEnded:
                return
            except ApiError as problem:
                self._on_event(
                    Notice(f"what became of {len(rows):,} requests without an answer is not known: {problem}")
                )
                self._pool.record_failure(problem)

        await self._pool.run(one_batch(["unanswered"]), settle)

    # --- verification

    async def _verify_all(self) -> None:
        self._on_event(VerificationBegun(total=await self._thread.call(self._store.begin_verification)))
        await self._verify_those(lambda _thread_id: True)

    async def _verify_those(self, is_wanted: Callable[[str], bool]) -> None:
        await self._run(
            self._verify,
            lambda thread_id: is_wanted(thread_id) and self._store.thread(thread_id).state is State.DONE,
        )
        if self._has_found:
            for thread_id, problem in self._missing.items():
                await self._thread.call(self._store.failed, thread_id, problem, True)

    async def _verify(self, thread_id: str, client: ApiClient) -> None:
        delivery, problem, is_broken = self._destination.delivery(self._threads[thread_id]), None, False
        try:
            await self._pool.ask(thread_id, client, delivery.verify, delivery.may_be_anothers)
        except RunEnded:
            return
        except OtherItems as error:
            problem, is_broken = str(error), True
        except ApiError as error:
            problem = f"it cannot be read back: {error}"
            if error.status == 404:
                self._missing[thread_id] = problem
            else:
                self._pool.record_failure(error)
        self._has_found |= problem is None or is_broken
        await self._thread.call(self._store.verified, thread_id, problem, delivery.behind, is_broken)
        row = await self._thread.call(self._store.thread, thread_id)
        self._on_event(
            ConversationVerified(thread_id=thread_id, conversation_id=row.conversation_id or "", problem=problem)
        )
        del self._threads[thread_id]

    # --- the end

    def end(self, ended_by: ThreadkeepError | None, requests: int, seconds: float) -> PushResult:
        """Write the map and the losses, unless the run was interrupted, and return what it came to."""
        store, job = self._store, self._job
        is_written = False
        if ended_by is not None and store.is_blank():
            job.store_path.unlink()  # as if it had never begun
        elif not isinstance(ended_by, Interrupted | OutputUnusable):
            try:
                if job.map_path is not None:
                    write_map(job.map_path, store.each_done())
                write_losses(job.losses_path, store.each_loss())
                is_written = True
            except OutputUnusable as error:
                ended_by = error
        totals, problem_count = store.totals(), store.count_problems()
        awaiting, broken = store.held + len(self._awaiting), store.count_broken() - store.held
        unverified = store.count_unverified()
        return PushResult(
            plan=self._plan,
            map_path=job.map_path if is_written else None,
            losses_path=job.losses_path if is_written else None,
            pushed=totals["pushed"],
            items=totals["items"],
            left_out=self._plan.left_out + totals["left_out"],
            verified=totals["verified"],
            sent=self._sent,
            requests=requests,
            states=store.count(),
            losses=store.losses(),
            continued=totals["continued"],
            leftovers=tuple(store.leftovers()),
            replaced=tuple(store.replaced()),
            replaced_now=tuple(store.replaced_now),
            in_map_only=store.count_in_map_only(),
            problems=tuple((row.thread_id, _reason(row)) for row in store.problems(_MOST_PROBLEMS)),
            problem_count=problem_count,
            awaiting=awaiting,
            broken=broken,
            unverified=unverified,
            manifest=self._export.manifest,
            seconds=seconds,
            ended_by=ended_by,
        )


def _reason(row: StoredThread) -> str:
    if row.reason is not None:
        return row.reason
    if row.state is State.CHANGED:
        to = "" if row.conversation_id is None else f" to {row.conversation_id}"
        return f"it has other items now, by the export or the options, than were pushed{to} before"
    if row.state is State.CREATING:
        return "a request was not answered, and what became of it is not known"
    return "the run ended before it was through"
