"""How far an export in shards is, by its plan and manifests: no message is read."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from io import BytesIO

import attrs

from threadkeep.errors import OutputUnusable
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.plan import planned_header, read_plan
from threadkeep.scale.shard import Generation, newest_generations
from threadkeep.serialization.id_lists import is_thread_id
from threadkeep.storage.damage import index_rows, spans_of
from threadkeep.storage.index import IndexHeader, Outcome
from threadkeep.storage.manifest import Manifest

__all__ = ["PrefixState", "complete_ids", "prefix_state"]

# So many indexes are read at a time.
_READERS = 16


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
        faults: the objects that are missing.
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
        OutputUnusable: there is no plan, or the plan or a manifest is damaged.
    """
    header, found = planned_header(store), newest_generations(store)
    sizes = {shard.name: len(shard.ids) for _, shards in read_plan(store) for shard in shards}
    manifests = [found[name].manifest for name in sizes if name in found]
    outcomes = Counter[str]()
    for manifest in manifests:
        outcomes.update(manifest.outcomes)
    outcomes[Outcome.UNFINISHED] += sum(size for name, size in sizes.items() if name not in found)
    runs = sorted(manifests, key=lambda one: one.finished_at)
    return PrefixState(
        header=header,
        shards=len(sizes),
        complete_shards=sum(manifest.is_complete for manifest in manifests),
        outcomes={str(outcome): outcomes[outcome] for outcome in Outcome},
        messages=sum(manifest.totals.messages for manifest in manifests),
        bytes=_bytes(manifests),
        lacking=sum(manifest.lacking for manifest in manifests),
        downloads=_downloads(manifests),
        started_at=min((run.started_at for run in runs), default=None),
        finished_at=runs[-1].finished_at if runs else None,
        ended_by=next((run.ended_by for run in reversed(runs) if run.ended_by is not None), None),
        faults=tuple(f"{name} is missing" for name in _missing(store, found)),
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


def _missing(store: ObjectStore, found: Mapping[str, Generation]) -> list[str]:
    """Return the objects that manifests name and that are not there, but for files that were downloaded."""
    named = dict.fromkeys(
        f"shards/{shard}/{claim.sha256}.{kind}"
        for shard, generation in found.items()
        for kind, claim in generation.manifest.files.items()
    )
    for name in store.names("shards"):
        named.pop(name, None)
    return list(named)


def complete_ids(store: ObjectStore) -> Iterator[tuple[str, bool]]:
    """Yield the ids of complete threads in the order of the plan, and whether their objects are there.

    Only indexes are read.

    Raises:
        OutputUnusable: as `prefix_state`; or an index is missing or damaged.
    """
    planned_header(store)
    found = newest_generations(store)
    missing = frozenset(_missing(store, found))

    def read(shard: str) -> list[tuple[str, bool]]:
        generation = found.get(shard)
        return [] if generation is None else [*_ids_in(store, f"shards/{shard}", generation.manifest, missing)]

    with ThreadPoolExecutor(_READERS) as readers:
        for _, shards in read_plan(store):
            for rows in readers.map(read, [shard.name for shard in shards]):
                yield from rows


def _ids_in(store: ObjectStore, place: str, manifest: Manifest, missing: frozenset[str]) -> Iterator[tuple[str, bool]]:
    name = f"{place}/{manifest.files['index'].sha256}.index"
    content = store.get(name)
    if content is None or sha256(content).hexdigest() != manifest.files["index"].sha256:
        raise OutputUnusable(f"{store.url}/{name} is {'missing' if content is None else 'damaged'}.")
    sizes = {
        kind: claim.bytes for kind, claim in manifest.files.items() if f"{place}/{claim.sha256}.{kind}" not in missing
    }
    for row in index_rows(BytesIO(content), name):
        if row.outcome is Outcome.COMPLETE and is_thread_id(row.thread_id):
            spans = [(kind, span) for kind, span in spans_of(row) if kind != "partial"]
            yield row.thread_id, all(span.end <= sizes.get(kind, 0) for kind, span in spans)
