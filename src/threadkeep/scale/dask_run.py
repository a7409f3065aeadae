"""An export whose shards are carried out by the workers of a Dask cluster.

The client is asynchronous: all of this runs in the event loop of the command.
"""

import asyncio
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from threadkeep.api.endpoints import ApiSource
from threadkeep.clock import now
from threadkeep.errors import ExtraMissing, Interrupted, ThreadkeepError
from threadkeep.exporter.events import Event, Notice, ThreadsBegun
from threadkeep.scale.abandonable import in_thread
from threadkeep.scale.cluster import Cluster, connected
from threadkeep.scale.dask_worker import digest_of_plan
from threadkeep.scale.dispatch import Dispatch
from threadkeep.scale.job import ScaleJob, ScaleResult
from threadkeep.scale.plan import make_plan
from threadkeep.scale.planned_ids import Planned
from threadkeep.scale.run_report import RunReport
from threadkeep.scale.tally import Tally

__all__ = ["carry_out_on_dask"]


async def carry_out_on_dask(
    job: ScaleJob, keys: Sequence[ApiSource], *, on_event: Callable[[Event], None] = lambda _event: None
) -> ScaleResult:
    """Make an export in shards, or resume one. When this task is cancelled, which is caught, it can be resumed.

    Args:
        job: what to export.
        keys: the source, once for each key.
        on_event: receives the events of all shards.

    Raises:
        ExtraMissing: Dask is not installed, here or on the scheduler.
        Interrupted: the task was cancelled while the list was planned.
        OutputUnusable: the output store refuses, or holds something else.
        UnreadableIds: the list of ids cannot be read.
    """
    if find_spec("distributed") is None or find_spec("cryptography") is None:
        raise ExtraMissing("Dask is not installed: pip install 'threadkeep[dask]'.")
    started = now()
    try:
        planned, tally = await in_thread(_planned, job, min(len(keys), job.cluster.processes or len(keys)))
    except asyncio.CancelledError:
        raise Interrupted("interrupted") from None
    if job.wanted.form is not None:
        on_event(Notice(job.wanted.form, is_problem=False))
    on_event(ThreadsBegun(total=tally.threads, before=tally.complete, traffic=lambda: tally.traffic))
    ended_by: ThreadkeepError | None = None
    if tally.open_shards:
        try:
            ended_by = await _work_off(job, keys, tally, on_event)
        except asyncio.CancelledError:
            ended_by = Interrupted("interrupted")
    fetched_threads, fetched_messages = tally.fetched
    return ScaleResult(
        shards=tally.shards,
        complete_shards=tally.shards - len(tally.open_shards),
        outcomes=tally.outcomes(),
        messages=tally.messages,
        fetched_threads=fetched_threads,
        fetched_messages=fetched_messages,
        requests=tally.traffic.sent,
        seconds=(now() - started).total_seconds(),
        invalid=planned.invalid,
        invalid_count=planned.invalid_count,
        ended_by=ended_by,
    )


def _planned(job: ScaleJob, workers: int) -> tuple[Planned, Tally]:
    return make_plan(job.store, job.header, job.wanted, workers), Tally.of(job.store, files=job.files)


async def _work_off(
    job: ScaleJob, keys: Sequence[ApiSource], tally: Tally, on_event: Callable[[Event], None]
) -> ThreadkeepError | None:
    cluster = job.cluster
    if cluster.processes > len(keys):
        on_event(Notice(f"a worker needs a key of its own: {len(keys):,} of {cluster.processes:,} are started"))
        cluster = Cluster(processes=len(keys))
    try:
        plan = await in_thread(digest_of_plan, job.store)
        async with connected(cluster) as connection:
            report = RunReport(job.store, tally, keys, on_event)
            return await Dispatch(job, connection, keys, report, plan).to_its_end()
    except ThreadkeepError as error:
        return error
