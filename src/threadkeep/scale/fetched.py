"""The finished shards of a prefix as exports of this machine, several fetched at a time."""

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs

from threadkeep.scale.generations import Generation, ObjectFault, StoredObject, marker_name, objects_of, write_files
from threadkeep.scale.object_store import ObjectMissing, ObjectStore
from threadkeep.scale.plan_objects import PlanHeader, shard_name
from threadkeep.storage.damage import index_rows
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.lines import digest_of, size_of
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import on_disk, open_regular

__all__ = ["FetchedShards", "ShardFaults"]

# So many shards are fetched, or checked, at a time.
_FETCHERS = 16

ShardFaults = Mapping[str, Collection[ObjectFault]]
"""What is missing or damaged, by the names of the shards of which something is."""


@attrs.frozen
class FetchedShards:
    """Shards of which a marker counts, each as an export below a folder of this machine.

    Attributes:
        store: where they are.
        folder: where they go.
        header: of the plan.
        shards: their generations, by their names, in the order of the plan.
    """

    store: ObjectStore
    folder: Path
    header: PlanHeader
    shards: Mapping[str, Generation]

    def paths(self, name: str) -> Paths:
        """Return the files of a shard."""
        return Paths(self.folder / "shards" / name / "out.ndjson")

    def fetch(self) -> ShardFaults:
        """Fetch what is there of all shards, and return what is seen to be missing or damaged by names and sizes.

        What the lines hold is not checked: whoever reads them does that. A shard that has other threads than are
        planned is at fault, too.

        Raises:
            OutputUnusable: the store or the disk refuses.
        """
        return self._of_each(self.shards, self._fetch)

    def damaged(self, names: Iterable[str]) -> ShardFaults:
        """Return which objects of fetched shards are missing, or have another digest than their manifest says.

        Raises:
            OutputUnusable: the disk refuses.
        """
        return self._of_each(names, self._damaged)

    def _of_each(self, names: Iterable[str], look: Callable[[str], Collection[ObjectFault]]) -> ShardFaults:
        names = list(names)
        with ThreadPoolExecutor(_FETCHERS) as threads:
            return {name: faults for name, faults in zip(names, threads.map(look, names), strict=True) if faults}

    def _fetch(self, name: str) -> Collection[ObjectFault]:
        generation, paths = self.shards[name], self.paths(name)
        with on_disk(paths.out.parent):
            paths.out.parent.mkdir(mode=0o700, parents=True)
        if generation.manifest is None:
            return generation.faults
        faults = dict.fromkeys((*generation.faults, *self._place(name, generation.manifest, paths)))
        return faults or self._of_other_threads(name, generation, paths)

    def _place(self, name: str, manifest: Manifest, paths: Paths) -> list[ObjectFault]:
        """Place the files of a shard, and return which are missing."""
        missing = list[ObjectFault]()

        def place(stored: str, one: StoredObject) -> None:
            if one.path.exists():  # a list of downloads that is damaged may name one file twice
                return
            try:
                self.store.place(stored, one.path)
            except ObjectMissing:
                missing.append(ObjectFault(stored, is_missing=True))

        write_files(name, manifest, paths, place)
        return missing

    def _of_other_threads(self, name: str, generation: Generation, paths: Paths) -> Collection[ObjectFault]:
        with open_file_set(paths) as files:
            ids = [row.thread_id for row in index_rows(files.files["index"], paths.index.name)]
        if shard_name(self.header.export_id, self.header.of, ids) == name:
            return ()
        return [ObjectFault(marker_name(name, generation.number), why="its shard has other threads than are planned")]

    def _damaged(self, name: str) -> Collection[ObjectFault]:
        generation = self.shards[name]
        if generation.manifest is None:
            return generation.faults
        return [
            ObjectFault(f"shards/{name}/{one.name}", is_missing=not one.path.exists())
            for one in objects_of(generation.manifest, self.paths(name))
            if not _is_as_written(one.path, one.sha256)
        ]


def _is_as_written(path: Path, sha256: str) -> bool:
    try:
        with open_regular(path) as file:
            return digest_of(file, 0, size_of(file)) == sha256
    except OSError:
        return False
