"""An export in shards: what it is to be, and what came of it."""

from collections.abc import Mapping

import attrs

from threadkeep.errors import ThreadkeepError
from threadkeep.scale.cluster import Cluster
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.plan_objects import PlannedShard
from threadkeep.scale.shard import Shard
from threadkeep.storage.index import IndexHeader
from threadkeep.storage.session import InvalidId, ThreadList

__all__ = ["ScaleJob", "ScaleResult"]


@attrs.frozen(kw_only=True)
class ScaleJob:
    """One export to be made in shards; what is not here is as of `threadkeep.exporter.job.Job`.

    Attributes:
        store: where the shards go.
        cluster: where the workers are.
        rpm, max_retries, concurrency: of each worker.
    """

    wanted: ThreadList
    store: ObjectStore
    cluster: Cluster
    header: IndexHeader
    files: bool = False
    concurrency: int
    rpm: int | None
    max_retries: int

    def shard(self, planned: PlannedShard) -> Shard:
        """Return a shard as a worker is to do it."""
        return Shard(
            planned=planned,
            files=self.files,
            concurrency=self.concurrency,
            rpm=self.rpm,
            max_retries=self.max_retries,
        )


@attrs.frozen(kw_only=True)
class ScaleResult:
    """What an export in shards came to.

    Attributes:
        shards: how many there are.
        complete_shards: how many of them have nothing left to be done.
        outcomes: how many threads have each outcome.
        messages: how many are in the output store.
        fetched_threads, fetched_messages: how many complete threads this run has left in working folders, and how many
            messages they have: their shards have not ended.
        requests: how many this run has sent.
        invalid, invalid_count: the first entries of the list that cannot be thread ids, and how many there are.
        ended_by: what ended the run before every thread had its turn, or kept some shards from theirs; None when
            nothing did.
    """

    shards: int
    complete_shards: int
    outcomes: Mapping[str, int]
    messages: int
    fetched_threads: int
    fetched_messages: int
    requests: int
    seconds: float
    invalid: tuple[InvalidId, ...]
    invalid_count: int
    ended_by: ThreadkeepError | None

    @property
    def is_complete(self) -> bool:
        """Whether every wanted thread is in the output store."""
        return self.ended_by is None and self.complete_shards == self.shards and not self.invalid_count
