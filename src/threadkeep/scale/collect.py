"""Prefixes as exports of this machine: their shards are fetched, several at a time, and merged."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from threadkeep.errors import OutputUnusable, ThreadkeepError
from threadkeep.scale.fetched import FetchedShards, ShardFaults
from threadkeep.scale.folder import Folder
from threadkeep.scale.generations import newest_generations
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.open_store import is_url, open_store
from threadkeep.scale.plan import planned_header, planned_ids
from threadkeep.storage.damage import index_rows
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.join import join_exports
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths, is_prefix
from threadkeep.storage.private_files import on_disk

__all__ = ["ShardsDamaged", "merge_parts", "prefix_at", "with_names"]

_MOST_NAMED = 3


class ShardsDamaged(OutputUnusable):
    """Objects of a prefix are missing or damaged.

    Attributes:
        url: of the prefix.
        faults: a sentence for each. The message has the first of them.
    """

    def __init__(self, url: str, faults: Sequence[str]) -> None:
        more = f", and {len(faults) - _MOST_NAMED:,} more" if len(faults) > _MOST_NAMED else ""
        super().__init__(
            f"{url}: {', '.join(faults[:_MOST_NAMED])}{more}. Remove what is damaged, and run the same export command"
            " again: it exports these shards again. `threadkeep validate` lists all that is damaged."
        )
        self.url, self.faults = url, tuple(faults)


def prefix_at(place: str | Path) -> ObjectStore | None:
    """Return the prefix that is at a place: a URL, or a folder that holds a plan. None if it is something else.

    Raises:
        ExtraMissing, OutputUnusable: as `threadkeep.scale.open_store.open_store`.
    """
    if is_url(str(place)):
        return open_store(place)
    folder = Folder(Path(place).absolute())
    return folder if is_prefix(folder.path) else None


def merge_parts(
    parts: Sequence[Paths | ObjectStore], out: Paths, ids: Iterable[str] | None = None, *, force: bool = False
) -> Manifest:
    """Write one export of many, of which any may be a prefix, as `threadkeep.storage.join.join_exports` does.

    The shards of prefixes are put into a temporary folder next to ``out``. Those that were not put yet count as not
    asked for yet.

    Args:
        parts: exports and prefixes.
        out: where the export goes.
        ids: the order of the threads; None for that of the parts, and in a prefix that of its list.
        force: replace an export that is there.

    Raises:
        OutputUnusable: as `join_exports`; or a prefix holds no finished shard, or damaged ones. Nothing of ``out`` is
            left then.
    """
    if all(isinstance(part, Paths) for part in parts):
        return join_exports([part for part in parts if isinstance(part, Paths)], out, ids or (), force=force)
    with on_disk(out.out.parent), tempfile.TemporaryDirectory(dir=out.out.parent, prefix=".threadkeep-") as folder:
        places = [
            _fetched(part, Path(folder) / str(number)) if isinstance(part, ObjectStore) else part
            for number, part in enumerate(parts)
        ]
        fetched = [place for place in places if isinstance(place, FetchedShards)]
        exports = [one for place in places for one in _exports(place)]
        with with_names({f"{one.folder}/": f"{one.store.url}/" for one in fetched}):
            try:
                return join_exports(exports, out, _ids(places) if ids is None else ids, force=force)
            except OutputUnusable:
                for one in fetched:
                    _refuse_damaged(one)
                raise


@contextlib.contextmanager
def with_names(names: dict[str, str]) -> Iterator[None]:
    """Put names that somebody knows in the place of those of temporary files, in the words of an error.

    Args:
        names: by the beginnings of paths.
    """
    try:
        yield
    except (ThreadkeepError, ValueError) as error:
        for path, name in names.items():
            error.args = tuple(one.replace(path, name) if isinstance(one, str) else one for one in error.args)
        raise


def _fetched(store: ObjectStore, folder: Path) -> FetchedShards:
    """Fetch the finished shards of a prefix; refuse what is seen to be damaged."""
    header = planned_header(store)
    shards = {shard.name: found for shard, found in newest_generations(store) if found is not None}
    if not shards:
        raise OutputUnusable(f"{store.url} has no finished shard yet. Run the same export command again.")
    fetched = FetchedShards(store, folder, header, shards)
    if faults := fetched.fetch():
        _refuse_damaged(fetched)
        _refuse(store, faults)
    return fetched


def _refuse_damaged(fetched: FetchedShards) -> None:
    """Raise OutputUnusable if any object is missing, or is not what its marker says; it names them."""
    faults = {name: one.faults for name, one in fetched.shards.items() if one.faults}
    _refuse(fetched.store, {**fetched.damaged(name for name in fetched.shards if name not in faults), **faults})


def _refuse(store: ObjectStore, faults: ShardFaults) -> None:
    named = [str(one) for of_shard in faults.values() for one in of_shard]
    if named:
        raise ShardsDamaged(store.url, named)


def _exports(place: Paths | FetchedShards) -> list[Paths]:
    return [place] if isinstance(place, Paths) else [place.paths(name) for name in place.shards]


def _ids(places: Sequence[Paths | FetchedShards]) -> Iterator[str]:
    """Yield the ids of all threads, place after place."""
    for place in places:
        if isinstance(place, FetchedShards):
            yield from planned_ids(place.store)
            continue
        with open_file_set(place) as files:
            yield from (row.thread_id for row in index_rows(files.files["index"], place.index.name))
