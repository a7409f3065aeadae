"""How far an export in shards is, by its plan and manifests: no message is read."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from io import BytesIO
from itertools import islice

import attrs

from threadkeep.errors import OutputUnusable
from threadkeep.scale.generations import Generation, newest_generations
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.plan import planned_header
from threadkeep.scale.plan_objects import PlannedShard
from threadkeep.storage.damage import index_rows
from threadkeep.storage.index import IndexHeader, Outcome
from threadkeep.storage.manifest import Manifest

__all__ = ["PrefixState", "complete_ids", "prefix_state"]

# So many indexes are read at a time, and the rows of so many are in memory.
_READERS, _AT_ONCE = 16, 64

_AGAIN = "Run the same export command again: it exports the shard again."
_REMOVE = f"Remove it. {_AGAIN}"


@attrs.frozen(kw_only=True)
class PrefixState:
    """What is known of a prefix without reading its messages. The numbers are sums over its shards.

    Attributes:
        header: what the export is of.
        shards: how many are planned.
        complete_shards: how many of them have nothing left to be done.
        outcomes: how many threads have each outcome.
        messages: how many are in complete threads.
        bytes: the sizes of the files that are merged by putting them together: "out", "threads" and "runs".
        lacking: as a manifest has it.
        downloads: how many files have each outcome, in each shard; None where files are not downloaded.
        started_at, finished_at: of the first and the last run; None while no shard is finished.
        ended_by: what ended a run before its time, of the last shard of which a run was ended.
        faults: the objects that are missing or damaged, as far as their sizes say.
    """

    header: IndexHeader
    shards: int
    complete_shards: int
    outcomes: Mapping[str, int]
    messages: int
    bytes: Mapping[str, int]
    lacking: int
    downloads: Mapping[str, int] | None
    started_at: str | None
    finished_at: str | None
    ended_by: str | None
    faults: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether all shards are complete by their manifests, and their objects are there."""
        return self.complete_shards == self.shards and not self.faults


def prefix_state(store: ObjectStore) -> PrefixState:
    """Read the plan, the newest manifest of each shard, and the names of the objects.

    Raises:
        OutputUnusable: there is no plan, or it is damaged.
    """
    header, outcomes = planned_header(store).of, Counter[str]()
    manifests, faults, shards = list[Manifest](), list[str](), 0
    for shard, found in newest_generations(store):
        shards += 1
        if found is not None:
            faults += map(str, found.faults)
        if found is None or found.manifest is None:
            outcomes[Outcome.UNFINISHED] += len(shard.ids)
        else:
            manifests.append(found.manifest)
            outcomes.update(found.manifest.outcomes)
    runs = sorted(manifests, key=lambda one: one.finished_at)
    return PrefixState(
        header=header,
        shards=shards,
        complete_shards=sum(manifest.is_complete for manifest in manifests),
        outcomes={str(outcome): outcomes[outcome] for outcome in Outcome},
        messages=sum(manifest.totals.messages for manifest in manifests),
        bytes=_bytes(manifests),
        lacking=sum(manifest.lacking for manifest in manifests),
        downloads=_downloads(manifests),
        started_at=min((run.started_at for run in runs), default=None),
        finished_at=runs[-1].finished_at if runs else None,
        ended_by=next((run.ended_by for run in reversed(runs) if run.ended_by is not None), None),
        faults=tuple(faults),
    )


def _bytes(manifests: Sequence[Manifest]) -> dict[str, int]:
    sizes = Counter[str]()
    for manifest in manifests:
        sizes.update({kind: claim.bytes for kind, claim in manifest.files.items()})
    return {kind: sizes[kind] for kind in ("out", "threads", "runs") if kind in sizes}


def _downloads(manifests: Sequence[Manifest]) -> dict[str, int] | None:
    counts, has_any = Counter[str](), False
    for manifest in manifests:
        has_any |= manifest.downloads is not None
        counts.update(manifest.downloads or {})
    return dict(counts) if has_any else None


def complete_ids(store: ObjectStore) -> Iterator[tuple[str, bool]]:
    """Yield the ids of complete threads in the order of the plan, and whether all objects of their shards are there.

    Only indexes are read.

    Raises:
        OutputUnusable: as `prefix_state`; or an index is missing or damaged.
    """

    def read(pair: tuple[PlannedShard, Generation | None]) -> list[tuple[str, bool]]:
        shard, found = pair
        return [] if found is None else [*_ids_in(store, shard, found)]

    planned_header(store)
    pairs = newest_generations(store)
    with ThreadPoolExecutor(_READERS) as readers:
        while some := [*islice(pairs, _AT_ONCE)]:
            for rows in readers.map(read, some):
                yield from rows


def _ids_in(store: ObjectStore, shard: PlannedShard, found: Generation) -> Iterator[tuple[str, bool]]:
    manifest = found.manifest
    if manifest is None:
        raise OutputUnusable(f"{store.url}: {'; '.join(map(str, found.faults))}. {_AGAIN}")
    name = f"shards/{shard.name}/{manifest.files['index'].sha256}.index"
    content = store.get(name)
    if content is None:
        raise OutputUnusable(f"{store.url}/{name} is missing. {_AGAIN}")
    if sha256(content).hexdigest() != manifest.files["index"].sha256:
        raise OutputUnusable(f"{store.url}/{name} is damaged. {_REMOVE}")
    rows = [*index_rows(BytesIO(content), name)]
    if tuple(row.thread_id for row in rows) != shard.ids:
        raise OutputUnusable(f"{store.url}/{name} has other threads than are planned. {_REMOVE}")
    yield from ((row.thread_id, found.sound is not None) for row in rows if row.outcome is Outcome.COMPLETE)
