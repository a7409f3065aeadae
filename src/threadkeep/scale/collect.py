"""One export of the shards of a prefix, shard by shard: few files are open at a time, and no shard is copied twice."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from threadkeep.errors import OutputUnusable
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.plan import PlannedShard, planned_header, read_plan
from threadkeep.scale.shard import Generation, fetch_generation, newest_generations
from threadkeep.storage.combine import ThreadToWrite
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.index import AUTO, DownloadRow, Outcome, decode_download, decode_row
from threadkeep.storage.join import better_download, facts_of, link_saved, written_anew
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.rewriting import decoded_lines, proven, thread_as_written
from threadkeep.storage.writer import put_in_place, write_new_set

__all__ = ["collect", "is_prefix"]


def is_prefix(folder: Path) -> bool:
    """Return whether a folder holds the shards of an export."""
    return (folder / "plan").is_dir()


def collect(store: ObjectStore, out: Paths, *, force: bool = False) -> Manifest:
    """Write one export of all shards, with its index and manifest, and return the manifest.

    The threads are in the order in which their ids were first wanted. Those of a shard that was not put yet are in the
    index as not asked for yet.

    Args:
        store: the prefix.
        out: where the export goes.
        force: replace an export that is there.

    Raises:
        OutputUnusable: the prefix holds no shards, or a damaged one; ``out`` is there already or cannot be written.
            Nothing of it is left then.
    """
    header, generations = planned_header(store), newest_generations(store)
    if not generations:
        raise OutputUnusable(f"{store.url} has no shard that was exported yet. Run the same export command again.")
    manifests = [one.manifest for one in generations.values()]
    downloads = None if all(one.downloads is None for one in manifests) else dict[str, DownloadRow]()
    with written_anew(out, force=force):
        threads = _threads(store, header.assistant_id, generations, out, downloads)
        manifest = write_new_set(out, header, threads, facts_of(manifests), downloads=downloads)
        put_in_place(out, manifest)
    return manifest


def _threads(
    store: ObjectStore,
    assistant_id: str,
    generations: Mapping[str, Generation],
    out: Paths,
    downloads: dict[str, DownloadRow] | None,
) -> Iterator[ThreadToWrite]:
    """Yield the threads of all shards, and take what became of their files."""
    for _, shards in read_plan(store):
        for shard in shards:
            generation = generations.get(shard.name)
            if generation is None:
                yield from _unfinished(shard, assistant_id)
                continue
            with tempfile.TemporaryDirectory(dir=out.out.parent, prefix=".threadkeep-") as folder:
                part = Paths(Path(folder) / "out.ndjson")
                fetch_generation(store, shard.name, generation, part)
                yield from _threads_of(part, downloads)
                if downloads is not None:
                    link_saved([part], out, downloads.values())


def _threads_of(part: Paths, downloads: dict[str, DownloadRow] | None) -> Iterator[ThreadToWrite]:
    with open_file_set(part) as files:
        proven(files)
        for row in decoded_lines(files, "index", decode_row, first=2):
            yield thread_as_written(files, row)
        if downloads is not None:
            for download in decoded_lines(files, "downloads", decode_download):
                downloads[download.file_id] = better_download(downloads.get(download.file_id), download)


def _unfinished(shard: PlannedShard, assistant_id: str) -> Iterator[ThreadToWrite]:
    for thread_id in shard.ids:
        yield ThreadToWrite(
            thread_id=thread_id,
            assistant_id=None if assistant_id == AUTO else assistant_id,
            outcome=Outcome.UNFINISHED,
            reason="it was not asked for yet",
        )
