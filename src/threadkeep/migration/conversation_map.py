"""The map of a push, ``OUT.conversations.ndjson``: which conversation each thread became; and the report of losses."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from threadkeep.conversion.losses import Loss, LossReport
from threadkeep.errors import OutputUnusable
from threadkeep.migration.metadata import decode_times
from threadkeep.migration.store import StoredThread
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import create, on_disk, open_regular, refuse_irregular, sync_folder

__all__ = ["losses_path", "refuse_losses", "refuse_map", "write_losses", "write_map"]


def losses_path(path: Path) -> Path:
    """Return the name of the report of losses, by that of the map."""
    return path.with_name(f"{path.name}.losses.ndjson")


def refuse_map(path: Path, out: Path) -> None:
    """Refuse a map that would take the place of something else.

    Raises:
        OutputUnusable: it is a file of the export, or there is a file that is no map.
    """
    if not path.name or "\0" in path.name:
        raise OutputUnusable(f"{str(path)!r} does not name a file. Name the map.")
    paths = Paths(out)
    places = {one.resolve() for one in paths.all_files()} | {out.with_name(f"{out.name}.push").resolve()}
    if path.resolve() in places or paths.files.resolve() in path.resolve().parents:
        raise OutputUnusable(f"{path} is a file of the export itself. Give the map another name.")
    with on_disk(path):
        if not path.parent.is_dir():
            raise OutputUnusable(f"{path}: there is no folder {path.parent}")
        refuse_irregular(path)
        if path.exists() and not _is_map(path):
            raise OutputUnusable(f"{path} is there already, and is no map of a push. Give the map another name.")


def refuse_losses(path: Path) -> None:
    """Refuse a report of losses that is no regular file.

    Raises:
        OutputUnusable: it is not.
    """
    with on_disk(path):
        refuse_irregular(path)


def _is_map(path: Path) -> bool:
    with open_regular(path) as file:
        line = file.readline(64 * 1024)
    try:
        row = loads(line) if line else {"thread_id": "", "conversation_id": ""}
    except ValueError:
        return False
    return isinstance(row, dict) and row.keys() >= {"thread_id", "conversation_id"}


def write_map(path: Path, threads: Iterable[StoredThread]) -> None:
    """Write a line for each thread, completely or not at all.

    Raises:
        OutputUnusable: the disk refuses.
    """
    with _written(path) as file:
        for thread in threads:
            row: dict[str, Any] = {
                "thread_id": thread.thread_id,
                "conversation_id": thread.conversation_id,
                "items": thread.items,
                "verified": thread.verified,
            }
            if thread.times:
                row["times"] = decode_times(thread.times)
            file.write(dumps(row) + b"\n")


def write_losses(path: Path, losses: Iterable[Loss]) -> None:
    """Write a line for each loss, completely or not at all.

    Raises:
        OutputUnusable: the disk refuses.
    """
    with _written(path) as file:
        LossReport(file).add(losses)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    draft = path.with_name(f"{path.name}.new")
    with on_disk(path):
        try:
            with create(draft) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.rename(draft, path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
