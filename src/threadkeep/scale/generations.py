"""The markers of shards: ``shards/NAME/manifest-0001.json`` and so on, of which the last one counts.

A marker holds the name of its shard, the names and sizes of the objects that are of it, and the manifest of the export.
It is put last. One that is not of the shard in whose place it is, or whose objects are not there as it says, does not
count: the next export of the shard begins anew and puts the next marker.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeAlias

import attrs
import msgspec

from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.plan import read_plan, refuse_unplanned
from threadkeep.scale.plan_objects import SHARD_NAME, PlannedShard, PlanObject
from threadkeep.serialization.lossless_json import dumps_pretty, loads
from threadkeep.storage.damage import download_rows
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.index import DownloadOutcome
from threadkeep.storage.manifest import Manifest, encode_manifest
from threadkeep.storage.paths import COMPANIONS, Paths
from threadkeep.storage.private_files import create, on_disk

__all__ = [
    "Generation",
    "ListedShards",
    "ObjectFault",
    "StoredObject",
    "encode_marker",
    "generations_of",
    "listed_shards",
    "marker_name",
    "newest_generation",
    "newest_generations",
    "objects_of",
    "write_files",
]

_SHARD_OBJECT = re.compile(rf"shards/({SHARD_NAME})/(.+)")
_MARKER = re.compile(r"manifest-([0-9]{4,})\.json")
_KINDS = "|".join(["out", "index", *COMPANIONS])
_OBJECT = re.compile(rf"[0-9a-f]{{64}}\.({_KINDS})|files/[0-9a-f]{{64}}")

# So many markers are read at a time.
_READERS = 16

ListedShards: TypeAlias = Mapping[str, Mapping[str, int]]
"""The sizes of objects by their names, by the names of shards."""


class _Marker(msgspec.Struct, frozen=True, kw_only=True):
    """Attributes: objects: their sizes in bytes, by their names below that of the shard."""

    format: Literal["threadkeep-shard/1"] = "threadkeep-shard/1"
    shard: str
    objects: dict[str, int]
    manifest: Manifest


@attrs.frozen
class ObjectFault:
    """An object that is not as its marker says, or a marker that cannot be used.

    Attributes:
        name: below the prefix.
        is_missing: there is no such object.
        why: it is damaged; None where there is no more to say.
    """

    name: str
    is_missing: bool = False
    why: str | None = None

    def __str__(self) -> str:
        why = "" if self.why is None else f": {self.why}"
        return f"{self.name} is {'missing' if self.is_missing else 'damaged'}{why}"


@attrs.frozen
class Generation:
    """A marker of a shard. The greatest number counts.

    Attributes:
        number: of the marker, from 1.
        manifest: of the export; None if the marker is damaged, or that of another shard.
        faults: what is missing or damaged, as far as names and sizes say.
    """

    number: int
    manifest: Manifest | None
    faults: tuple[ObjectFault, ...]

    @property
    def sound(self) -> Manifest | None:
        """The manifest, unless something is missing or damaged."""
        return None if self.faults else self.manifest

    def is_done(self, *, files: bool) -> bool:
        """Return whether nothing of the shard is left to be done.

        Args:
            files: files that messages refer to are to be downloaded.
        """
        manifest = self.sound
        return manifest is not None and manifest.is_complete and (manifest.downloads is not None or not files)


@attrs.frozen
class StoredObject:
    """An object of a shard: its name below that of the shard, the file that it is, and its digest."""

    name: str
    path: Path
    sha256: str


def objects_of(manifest: Manifest, paths: Paths) -> Iterator[StoredObject]:
    """Yield the objects of a shard, but for its marker.

    Files that were downloaded are the last: the list of them, which comes before, must be there when they are reached.
    """
    for kind, claim in manifest.files.items():
        yield StoredObject(f"{claim.sha256}.{kind}", paths.written[kind], claim.sha256)
    with open_file_set(paths) as files:
        rows = download_rows(files).values()
    for row in rows:
        if row.outcome is DownloadOutcome.SAVED and row.name is not None and row.sha256 is not None:
            yield StoredObject(f"files/{row.sha256}", paths.files / row.name, row.sha256)


def write_files(shard: str, manifest: Manifest, paths: Paths, write: Callable[[str, StoredObject], object]) -> None:
    """Write the files of a shard. The manifest comes last.

    Args:
        shard: its name.
        manifest: of the export.
        paths: where the files go.
        write: writes one of them; it is given the name of the object too.

    Raises:
        OutputUnusable: the disk refuses; or as ``write``.
    """
    for one in objects_of(manifest, paths):
        if one.path.parent == paths.files:
            with on_disk(paths.files):
                paths.files.mkdir(mode=0o700, exist_ok=True)
        write(f"shards/{shard}/{one.name}", one)
    with on_disk(paths.manifest), create(paths.manifest) as file:
        file.write(encode_manifest(manifest))


def marker_name(shard: str, number: int) -> str:
    """Return the name of a marker."""
    return f"shards/{shard}/manifest-{number:04}.json"


def encode_marker(shard: str, objects: Mapping[str, int], manifest: Manifest) -> bytes:
    """Return a marker, indented for people."""
    return dumps_pretty(msgspec.to_builtins(_Marker(shard=shard, objects=dict(objects), manifest=manifest)))


def newest_generation(store: ObjectStore, shard: PlannedShard) -> Generation | None:
    """Return the generation of a shard that counts; None if there is none."""
    return _read(store, shard, listed_shards(store, f"shards/{shard.name}").get(shard.name, {}))


def newest_generations(store: ObjectStore) -> Iterator[tuple[PlannedShard, Generation | None]]:
    """Yield each shard in the order of the plan, with its generation that counts; None if it has none.

    Raises:
        OutputUnusable: the plan is damaged, or a shard is there that is not planned.
    """
    listed = listed_shards(store)  # before the plan: whoever puts a shard has planned it
    for planned in read_plan(store):
        yield from generations_of(store, planned, listed)
        for shard in planned.shards:
            listed.pop(shard.name, None)
    refuse_unplanned(store, listed)


def generations_of(
    store: ObjectStore, planned: PlanObject, listed: ListedShards
) -> Iterator[tuple[PlannedShard, Generation | None]]:
    """Yield the shards of an object of the plan, each with its generation that counts; None if it has none.

    Args:
        store: where they are.
        planned: the object.
        listed: what `listed_shards` has found.

    Raises:
        OutputUnusable: the store refuses.
    """

    def read(shard: PlannedShard) -> Generation | None:
        return _read(store, shard, listed.get(shard.name, {}))

    with ThreadPoolExecutor(_READERS) as readers:
        yield from zip(planned.shards, readers.map(read, planned.shards), strict=True)


def listed_shards(store: ObjectStore, below: str = "shards") -> dict[str, dict[str, int]]:
    """Return the sizes of objects by their names, by the names of shards. What else is there is passed over.

    Raises:
        OutputUnusable: the store refuses.
    """
    found: dict[str, dict[str, int]] = {}
    for name, size in store.sizes(below):
        if (match := _SHARD_OBJECT.fullmatch(name)) is not None:
            found.setdefault(match[1], {})[match[2]] = size
    return found


def _read(store: ObjectStore, shard: PlannedShard, sizes: Mapping[str, int]) -> Generation | None:
    number = max((_number(name) for name in sizes), default=0)
    if number == 0:
        return None
    name = marker_name(shard.name, number)
    try:
        marker = msgspec.convert(loads(store.get(name) or b""), _Marker)
        _refuse_foreign(marker, shard)
    except ValueError as error:
        return Generation(number, None, (ObjectFault(name, why=str(error)),))
    faults = tuple(
        ObjectFault(f"shards/{shard.name}/{one}", is_missing=one not in sizes)
        for one, size in marker.objects.items()
        if sizes.get(one) != size
    )
    return Generation(number, marker.manifest, faults)


def _number(name: str) -> int:
    """Return the number of a marker; 0 for any other name below that of a shard."""
    found = _MARKER.fullmatch(name)
    number = 0 if found is None else int(found[1])
    return number if name == f"manifest-{number:04}.json" else 0


def _refuse_foreign(marker: _Marker, shard: PlannedShard) -> None:
    """Raise ValueError if a marker is not of a shard, or does not agree with itself."""
    manifest, header = marker.manifest, shard.header
    if marker.shard != shard.name:
        raise ValueError("it is of another shard")
    form = header.assistant_id, header.flat, header.include, len(shard.ids)
    if (manifest.assistant_id, manifest.flat, manifest.include, manifest.totals.threads) != form:
        raise ValueError("it is of another export")
    claimed = {f"{claim.sha256}.{kind}": claim.bytes for kind, claim in manifest.files.items()}
    is_named = "index" in manifest.files and all(map(_OBJECT.fullmatch, marker.objects))
    if not (is_named and claimed.items() <= marker.objects.items()):
        raise ValueError("its objects are not those of its manifest")
