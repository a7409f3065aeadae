"""What came of each shard so far, by what the output store shows to the command, and the requests of all workers."""

from collections import Counter
from collections.abc import Mapping

import attrs

from threadkeep.api.rate_control import Traffic
from threadkeep.scale.generations import Generation, newest_generations
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.plan_objects import PlannedShard
from threadkeep.storage.index import Outcome

__all__ = ["Tally"]


@attrs.define
class Tally:
    """The numbers of an export in shards.

    Attributes:
        threads, shards: how many are planned.
        messages: how many are in the output store.
        open_shards: the names of those of which something is left to be done.
        traffic: the requests of all workers.
    """

    threads: int = 0
    shards: int = 0
    messages: int = 0
    open_shards: set[str] = attrs.field(factory=set)
    traffic: Traffic = attrs.field(default=Traffic(sent=0, refused=0, pause=0.0))
    _files: bool = attrs.field(kw_only=True)
    _outcomes: Counter[str] = attrs.field(factory=Counter)
    _known: dict[str, tuple[Mapping[str, int], int]] = attrs.field(factory=dict)
    _sent: dict[str, tuple[int, int]] = attrs.field(factory=dict)
    _announced: dict[str, tuple[int, int]] = attrs.field(factory=dict)

    @classmethod
    def of(cls, store: ObjectStore, *, files: bool) -> "Tally":
        """Read what is in the output store.

        Args:
            store: where the shards are.
            files: as of `threadkeep.scale.shard.Shard`.
        """
        tally = cls(files=files)
        for planned, found in newest_generations(store):
            tally.shards += 1
            tally.threads += len(planned.ids)
            tally.take(planned, found)
        return tally

    def take(self, planned: PlannedShard, found: Generation | None) -> int:
        """Take what the store has of a shard; returns how many of its threads are newly complete and were not shown."""
        outcomes: Mapping[str, int] = {Outcome.UNFINISHED: len(planned.ids)}
        messages, is_done = 0, found is not None and found.is_done(files=self._files)
        if found is not None and found.sound is not None:
            outcomes, messages = found.sound.outcomes, found.sound.totals.messages
        before, had = self._known.get(planned.name, ({}, 0))
        self._known[planned.name] = outcomes, messages
        self._outcomes.subtract(before)
        self._outcomes.update(outcomes)
        self.messages += messages - had
        (self.open_shards.discard if is_done else self.open_shards.add)(planned.name)
        new = outcomes.get(Outcome.COMPLETE, 0) - before.get(Outcome.COMPLETE, 0)
        return max(0, new - self._announced.pop(planned.name, (0, 0))[0]) if new else 0

    def is_complete(self, name: str) -> bool:
        """Return whether there is a shard of that name with nothing left to be done."""
        return name in self._known and name not in self.open_shards

    def outcomes(self) -> dict[str, int]:
        """Return how many threads have each outcome."""
        return {str(outcome): self._outcomes[outcome] for outcome in Outcome}

    @property
    def complete(self) -> int:
        """How many threads are complete."""
        return self._outcomes[Outcome.COMPLETE]

    def count_requests(self, attempt: str, sent: int, refused: int) -> None:
        """Take the requests of an attempt at a shard so far."""
        sent_before, refused_before = self._sent.get(attempt, (0, 0))
        self._sent[attempt] = sent, refused
        self.traffic = Traffic(
            sent=self.traffic.sent + sent - sent_before,
            refused=self.traffic.refused + refused - refused_before,
            pause=0.0,
        )

    def announce(self, name: str, messages: int) -> None:
        """Count a complete thread of so many messages that was shown."""
        threads, had = self._announced.get(name, (0, 0))
        self._announced[name] = threads + 1, had + messages

    @property
    def fetched(self) -> tuple[int, int]:
        """How many complete threads were shown that are not in the output store, and how many messages they have."""
        return sum(threads for threads, _ in self._announced.values()), sum(had for _, had in self._announced.values())
