"""What a run in shards tells: the events of all workers, without keys, and the numbers of the output store."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from threadkeep.api.endpoints import ApiSource
from threadkeep.api.secrets import Secrets
from threadkeep.errors import OutputUnusable, ThreadkeepError
from threadkeep.exporter.events import Event, Notice, ThreadEnded
from threadkeep.scale.abandonable import in_thread
from threadkeep.scale.dask_worker import WorkerUnusable
from threadkeep.scale.generations import newest_generation
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.plan_objects import PlannedShard
from threadkeep.scale.shard import ShardResult
from threadkeep.scale.tally import Tally
from threadkeep.storage.index import Outcome

__all__ = ["RunReport"]

_Error = TypeVar("_Error", bound=ThreadkeepError)


class RunReport:
    """The events and the numbers of one run.

    Args:
        store: the output store.
        tally: what came of each shard so far.
        keys: of all workers, none of which is shown.
        on_event: receives the events.
    """

    def __init__(
        self, store: ObjectStore, tally: Tally, keys: Sequence[ApiSource], on_event: Callable[[Event], None]
    ) -> None:
        self.tally = tally
        self._store, self._secrets, self._on_event = store, _secrets_of(keys), on_event

    def say(self, text: str, *, is_problem: bool = True) -> None:
        """Tell a person something."""
        self._on_event(Notice(self._secrets.clean(text), is_problem=is_problem))

    def cleaned(self, error: _Error) -> _Error:
        """Remove the keys from an error: a worker knows its own only."""
        error.args = tuple(self._secrets.clean(one) if isinstance(one, str) else one for one in error.args)
        return error

    def hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take an event of Dask: what a worker tells of the shard that it is at."""
        message = event[1]
        self.tally.count_requests(message["attempt"], message["sent"], message["refused"])
        for text in message["notices"]:
            self.say(text)
        for thread_id, outcome, messages, reason in message["threads"]:
            ended = Outcome(outcome)
            if ended is Outcome.COMPLETE:
                self.tally.announce(message["shard"], messages)
            reason = None if reason is None else self._secrets.clean(reason)
            self._on_event(ThreadEnded(thread_id=thread_id, outcome=ended, messages=messages, reason=reason))

    async def confirmed(self, planned: PlannedShard, result: ShardResult) -> ThreadkeepError | None:
        """Take what the output store has of a shard.

        Args:
            planned: the shard.
            result: what a worker says of it.

        Returns:
            What keeps the shard from being done; None if nothing does.
        """
        try:
            found = await in_thread(newest_generation, self._store, planned)
        except OutputUnusable as error:
            return result.ended_by or error
        for _ in range(self.tally.take(planned, found)):
            self._on_event(ThreadEnded(thread_id="", outcome=Outcome.COMPLETE, messages=0))
        if result.is_complete and planned.name in self.tally.open_shards:
            return WorkerUnusable(
                f"{self._store.url} is not the same place there as here: shard {planned.name} is not in it. Choose"
                " a folder that all machines share, or a bucket."
            )
        return result.ended_by


def _secrets_of(keys: Sequence[ApiSource]) -> Secrets:
    secrets = Secrets()
    for source in keys:
        secrets.add(*(key.secret for key in source.keys), urlsplit(source.base_url or "").password)
    return secrets
