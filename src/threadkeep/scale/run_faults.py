"""What is wrong with shards and workers in a run, and whether the run must end for it. Nothing is asked here."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from threadkeep.errors import OutputUnusable, ThreadkeepError
from threadkeep.scale.dask_worker import WorkerUnusable
from threadkeep.scale.run_report import RunReport

__all__ = ["RunFaults"]

# A shard that so many workers have not survived is thought to be their end.
_DEATHS = 20

# After so many shards in a row that were asked for and not put, the output store is thought to refuse them all.
_REFUSED = 10

_MOST_NAMED = 3


class RunFaults:
    """The faults of one run. A shard at fault is noted, and the others are done.

    Args:
        report: takes what a person is to be told, and removes the keys from errors.

    Attributes:
        ended_by: what ends the run before its time; None while nothing does.
    """

    def __init__(self, report: RunReport) -> None:
        self.ended_by: ThreadkeepError | None = None
        self._report = report
        self._of_shards = dict[str, ThreadkeepError]()
        self._of_workers = dict[str, WorkerUnusable]()
        self._deaths, self._refused_in_a_row = Counter[str](), 0

    @property
    def result(self) -> ThreadkeepError | None:
        """What has ended the run before its time, or kept some shards from being done."""
        return self.ended_by or _folded("shard", self._of_shards)

    def end(self, why: ThreadkeepError) -> None:
        """End the run. The first reason counts."""
        self.ended_by = self.ended_by or self._report.cleaned(why)

    # --- shards

    def count_death(self, shard: str) -> None:
        """Count a worker that has ended while it did a shard."""
        self._deaths[shard] += 1
        if self._deaths[shard] >= _DEATHS:
            self.end(ThreadkeepError(f"{_DEATHS} workers have ended while they did shard {shard}"))

    def note(self, shard: str, why: ThreadkeepError) -> None:
        """Note a shard that cannot be done. The run ends if that seems to be so of any."""
        self._of_shards[shard] = self._report.cleaned(why)
        self._report.say(f"shard {shard} could not be done: {why}")
        if self._refused_in_a_row >= _REFUSED:
            self.end(self.result or why)

    def note_refused(self, shard: str, why: OutputUnusable, *, was_asked: bool) -> None:
        """Note a shard that the output store or the working folder has refused, after requests or before any."""
        self._refused_in_a_row += was_asked
        self.note(shard, why)

    def count_done(self) -> None:
        """Count a shard that was done: the output store does not refuse them all."""
        self._refused_in_a_row = 0

    # --- workers

    def give_up(self, worker: str, why: WorkerUnusable) -> None:
        """Have a worker given no shard any more."""
        self._of_workers[worker] = self._report.cleaned(why)
        self._report.say(f"the worker {worker} is given no shards: {why}")

    def is_usable(self, worker: str) -> bool:
        """Return whether a worker is to be given shards."""
        return worker not in self._of_workers

    def keep(self, workers: Collection[str]) -> None:
        """Forget those that are gone: another process may have their address one day."""
        self._of_workers = {worker: why for worker, why in self._of_workers.items() if worker in workers}

    def end_without_workers(self, workers: Collection[str]) -> None:
        """End the run if there are workers, and none of them can be used."""
        if workers and self._of_workers.keys() == {*workers} and (why := _folded("worker", self._of_workers)):
            self.end(why)


def _folded(kind: str, faults: Mapping[str, ThreadkeepError]) -> ThreadkeepError | None:
    """Return one error for many, of the class of the first that has an exit code of its own; None if there are none."""
    if not faults:
        return None
    worst = next((why for why in faults.values() if isinstance(why, OutputUnusable)), None)
    by_reason = dict[str, list[str]]()
    for name, why in faults.items():
        by_reason.setdefault(str(why), []).append(name)
    said = [f"{kind} {_some(names)}: {why}" for why, names in by_reason.items()]
    return (ThreadkeepError if worst is None else OutputUnusable)(_some(said, "; "))


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = len(names) - _MOST_NAMED
    return between.join(names[:_MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")
