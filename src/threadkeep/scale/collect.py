"""Prefixes as exports of this machine: their shards are fetched, several at a time, and merged."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

from threadkeep.errors import OutputUnusable, ThreadkeepError
from threadkeep.scale.generations import Generation, newest_generations, objects_of
from threadkeep.scale.object_store import Folder, ObjectDamaged, ObjectStore, is_url, open_store
from threadkeep.scale.plan import PlanHeader, is_planned, planned_header, planned_ids, shard_name
from threadkeep.scale.shard import fetch_generation
from threadkeep.storage.damage import index_rows
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.join import join_exports
from threadkeep.storage.lines import digest_of, size_of
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import on_disk, open_regular

__all__ = ["merge_parts", "prefix_at", "with_names"]

# So many shards are fetched, or checked, at a time.
_FETCHERS = 16

_MOST_NAMED = 5


def prefix_at(place: str | Path) -> ObjectStore | None:
    """Return the prefix that is at a place: a URL, or a folder that holds a plan. None if it is something else.

    Raises:
        ExtraMissing, OutputUnusable: as `threadkeep.scale.object_store.open_store`.
    """
    if is_url(str(place)):
        return open_store(place)
    folder = Folder(Path(place).absolute())
    return folder if is_planned(folder) else None


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
            _Fetched.of(part, Path(folder) / str(number)) if isinstance(part, ObjectStore) else part
            for number, part in enumerate(parts)
        ]
        fetched = [place for place in places if isinstance(place, _Fetched)]
        exports = [one for place in places for one in (place.exports if isinstance(place, _Fetched) else [place])]
        with with_names({f"{one.folder}/": f"{one.store.url}/" for one in fetched}):
            try:
                return join_exports(exports, out, _ids(places) if ids is None else ids, force=force)
            except OutputUnusable:
                for one in fetched:
                    one.refuse_damaged()
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


@attrs.frozen
class _Fetched:
    """The finished shards of a prefix, each as an export of this machine."""

    store: ObjectStore
    folder: Path
    header: PlanHeader
    shards: dict[str, Generation]

    @classmethod
    def of(cls, store: ObjectStore, folder: Path) -> "_Fetched":
        """Fetch them. What their lines hold is not checked: who merges them does that."""
        header = planned_header(store)
        shards = {shard.name: found for shard, found in newest_generations(store) if found is not None}
        if not shards:
            raise OutputUnusable(f"{store.url} has no finished shard yet. Run the same export command again.")
        fetched = cls(store, folder, header, shards)
        with ThreadPoolExecutor(_FETCHERS) as threads:
            faults = [fault for found in threads.map(fetched._fetch, shards) for fault in found]
        if faults:
            fetched.refuse_damaged()
            fetched._refuse(faults)
        return fetched

    @property
    def exports(self) -> list[Paths]:
        """The shards, in the order of the plan."""
        return [self._paths(name) for name in self.shards]

    def _paths(self, name: str) -> Paths:
        return Paths(self.folder / "shards" / name / "out.ndjson")

    def _fetch(self, name: str) -> list[str]:
        """Fetch a shard, and return what is wrong with it."""
        paths = self._paths(name)
        with on_disk(paths.out.parent):
            paths.out.parent.mkdir(mode=0o700, parents=True)
        try:
            fetch_generation(self.store, name, self.shards[name], paths, is_checked=False)
        except ObjectDamaged as error:
            return [str(error)]
        with open_file_set(paths) as files:
            ids = [row.thread_id for row in index_rows(files.files["index"], paths.index.name)]
        is_planned = shard_name(self.header.export_id, self.header.of, ids) == name
        return [] if is_planned else [f"shards/{name} has other threads than are planned"]

    def refuse_damaged(self) -> None:
        """Raise OutputUnusable if any object is missing, or is not what its marker says; it names them."""
        with ThreadPoolExecutor(_FETCHERS) as threads:
            self._refuse([fault for faults in threads.map(self._damaged, self.shards) for fault in faults])

    def _refuse(self, faults: Sequence[str]) -> None:
        if faults:
            more = f", and {len(faults) - _MOST_NAMED:,} more" if len(faults) > _MOST_NAMED else ""
            raise OutputUnusable(
                f"{self.store.url}: {', '.join(faults[:_MOST_NAMED])}{more}. Remove what is damaged, and run the same"
                " export command again: it exports these shards again."
            )

    def _damaged(self, name: str) -> list[str]:
        found = self.shards[name]
        if found.sound is None:
            return [*found.faults]
        objects = objects_of(found.sound, self._paths(name))
        return [f"shards/{name}/{one.name} is damaged" for one in objects if not _is_as_written(one.path, one.sha256)]


def _is_as_written(path: Path, sha256: str) -> bool:
    try:
        with open_regular(path) as file:
            return digest_of(file, 0, size_of(file)) == sha256
    except OSError:
        return False


def _ids(places: Sequence[Paths | _Fetched]) -> Iterator[str]:
    """Yield the ids of all threads, place after place."""
    for place in places:
        if isinstance(place, _Fetched):
            yield from planned_ids(place.store)
            continue
        with open_file_set(place) as files:
            yield from (row.thread_id for row in index_rows(files.files["index"], place.index.name))
