"""Put the files of a shard into the output store, so that nothing that another attempt has put is lost."""

import shutil
from pathlib import Path

import attrs

from threadkeep.scale.generations import (
    Generation,
    encode_marker,
    marker_name,
    newest_generation,
    objects_of,
    write_files,
)
from threadkeep.scale.object_store import ObjectDamaged, ObjectStore
from threadkeep.scale.plan_objects import PlannedShard
from threadkeep.scale.working_folders import draft_of
from threadkeep.storage.index import Outcome
from threadkeep.storage.join import join_exports
from threadkeep.storage.manifest import Manifest, decode_manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import on_disk

__all__ = ["ShardCommit"]


@attrs.define
class ShardCommit:
    """What an attempt at a shard knows of the generations in the output store, to put the next one.

    Attributes:
        planned: the shard.
        store: where it goes.
        files: files that messages refer to are to be downloaded.
        notices: what a person should know, in sentences.
        base: the number of the generation that the working folder has all of; 0 for none.
        damaged: the numbers of those of which something cannot be used, though their sizes are right.
    """

    planned: PlannedShard
    store: ObjectStore
    files: bool = attrs.field(kw_only=True)
    notices: list[str] = attrs.field(factory=list, init=False)
    base: int = attrs.field(default=0, init=False)
    damaged: set[int] = attrs.field(factory=set, init=False)

    def with_generation(self, newest: Generation, folder: Path) -> None:
        """Put the files of a generation into an empty working folder: all of them or, if it is damaged, none.

        Raises:
            OutputUnusable: the disk or the output store refuses.
        """
        draft = draft_of(folder)
        if self._fetched(newest, draft, "out.ndjson"):
            draft.rename(folder)
            self.base = newest.number
        else:
            shutil.rmtree(draft)

    def _fetched(self, generation: Generation, folder: Path, name: str) -> bool:
        """Fetch a generation into a new folder, and return False if it is damaged."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            self._fetch(generation, Paths(folder / name))
        except ObjectDamaged as error:
            self.damaged.add(generation.number)
            self.notices.append(f"the threads of shard {self.planned.name} are fetched again: {error}")
            return False
        return True

    def _fetch(self, generation: Generation, paths: Paths) -> None:
        if generation.sound is None:
            raise ObjectDamaged(f"{self.store.url}: {'; '.join(map(str, generation.faults))}.")
        write_files(
            self.planned.name,
            generation.sound,
            paths,
            lambda name, one: self.store.fetch(name, one.path, one.sha256),
        )

    def committed(self, paths: Paths, *, was_cut_off: bool) -> Manifest | None:
        """Put the files of a shard into the store, and return the manifest that counts there; None if there is none.

        Args:
            paths: of the files.
            was_cut_off: the export has ended before every thread had its turn: without anything in it, it is not put.

        Raises:
            OutputUnusable: the disk or the output store refuses.
        """
        while True:
            with on_disk(paths.manifest):
                own = decode_manifest(paths.manifest.read_bytes())
            newest = newest_generation(self.store, self.planned)
            if newest is None or newest.number in self.damaged or newest.sound is None:
                if was_cut_off and own.outcomes.get(Outcome.UNFINISHED, 0) == own.totals.threads:
                    return None
            elif newest.is_done(files=self.files) or newest.sound.files == own.files:
                return newest.sound  # another run was first, or nothing new came
            elif newest.number != self.base:  # neither has all of the other
                paths = self._joined(newest, paths)
                continue
            if self._is_put(paths, own, 1 if newest is None else newest.number + 1):
                return own

    def _joined(self, theirs: Generation, ours: Paths) -> Paths:
        """Join a shard with what another run has of it, so that nothing is lost; only ours, if theirs is damaged."""
        folder = ours.out.parent / f"with-{theirs.number:04}"
        if not self._fetched(theirs, folder, "theirs.ndjson"):
            return ours
        joined = Paths(folder / "out.ndjson")
        join_exports([Paths(folder / "theirs.ndjson"), ours], joined, self.planned.ids)
        self.base = theirs.number
        return joined

    def _is_put(self, paths: Paths, manifest: Manifest, number: int) -> bool:
        """Put the files, then the marker; return False if another run has put one of that number."""
        sizes = dict[str, int]()
        for one in objects_of(manifest, paths):
            with on_disk(one.path):
                sizes[one.name] = one.path.stat().st_size
            self.store.put_named(f"shards/{self.planned.name}/{one.name}", one.path)
        marker = encode_marker(self.planned.name, sizes, manifest)
        return self.store.create(marker_name(self.planned.name, number), marker)
