"""The map of a push, ``OUT.conversations.ndjson``: which conversation each thread became; and the report of losses."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any, BinaryIO

from threadkeep.conversion.losses import Loss, LossReport
from threadkeep.errors import OutputUnusable
from threadkeep.migration.store import PushStore, StoredThread
from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.storage.paths import Paths, new
from threadkeep.storage.private_files import create, on_disk, open_regular, refuse_irregular, sync_folder

__all__ = ["losses_path", "refuse_losses", "refuse_map", "refuse_map_of_other", "write_losses", "write_map"]


def losses_path(path: Path) -> Path:
    """Return the name of the report of losses, by that of the map."""
    return path.with_name(f"{path.name}.losses.ndjson")


def refuse_map(path: Path, out: Path) -> None:
    """Refuse a map that would take the place of something else, or whose report of losses would.

    Raises:
        OutputUnusable: it is a file of the export or of its push, or there is a file that is no map.
    """
    if not path.name or "\0" in path.name:
        raise OutputUnusable(f"{str(path)!r} does not name a file. Name the map.")
    losses = losses_path(path)
    with on_disk(path):
        if not path.parent.is_dir():
            raise OutputUnusable(f"{path}: there is no folder {path.parent}. Create it, or choose another name.")
        paths = Paths(out)
        of_push = (out.with_name(f"{out.name}.push{suffix}") for suffix in ("", ".lock", ".new", "-journal"))
        written = set(map(os.path.realpath, (path, new(path), losses, new(losses))))
        is_taken = not written.isdisjoint(map(os.path.realpath, (*paths.all_files(), *of_push)))
        if is_taken or Path(os.path.realpath(paths.files)) in Path(os.path.realpath(path)).parents:
            raise OutputUnusable(
                f"{path}, or its report of losses, is a file of the export or of its push. Give the map another name."
            )
    _refuse_other(path, _MAP_KEYS, "map of a push. Give the map another name")
    _refuse_other(losses, _LOSS_KEYS, "report of losses of a push. Give the map another name")


def refuse_losses(path: Path) -> None:
    """Refuse a report of losses, of a push without a map, that would take the place of something else.

    Raises:
        OutputUnusable: there is a file that is no such report.
    """
    _refuse_other(path, _LOSS_KEYS, "report of losses of a push. Move it away")


def _refuse_other(path: Path, keys: Set[str], what: str) -> None:
    with on_disk(path):
        refuse_irregular(path)
        if not _first_row(path).keys() >= keys:
            raise OutputUnusable(f"{path} is there already, and is no {what}.")


_MAP_KEYS, _LOSS_KEYS = {"thread_id", "conversation_id"}, {"thread_id", "lost", "why"}

# The longest row has the times of 100,000 messages.
_ROW_BYTES = 16 * 1024 * 1024


def _first_row(path: Path) -> Mapping[str, Any]:
    """Return the first row of a map or a report; an empty one if it is something else, and one of None without rows."""
    with contextlib.suppress(FileNotFoundError), open_regular(path) as file:
        if line := file.readline(_ROW_BYTES):
            with contextlib.suppress(ValueError):
                row = loads(line)
                return row if isinstance(row, dict) else {}
            return {}
    return dict.fromkeys(_MAP_KEYS | _LOSS_KEYS)


def refuse_map_of_other(path: Path, out: Path, store: PushStore) -> None:
    """Refuse the map of another push: it may be all that is left to say which conversations that one has created.

    Args:
        path: of the map.
        out: the export.
        store: of the push.

    Raises:
        OutputUnusable: it has a conversation that is not in the store.
    """
    with on_disk(path), contextlib.suppress(FileNotFoundError), open_regular(path) as file:
        while line := file.readline(_ROW_BYTES):
            with contextlib.suppress(ValueError, AttributeError):
                conversation_id = loads(line).get("conversation_id")
                if isinstance(conversation_id, str) and not store.is_known(conversation_id):
                    raise OutputUnusable(
                        f"{path} has the conversation {conversation_id!r}, and {out.name}.push has not: it is the map"
                        " of another push, or the store is an older copy. Restore the store, or give the map another"
                        " name."
                    )


def write_map(path: Path, threads: Iterable[StoredThread]) -> None:
    """Write a line for each thread, completely or not at all.

    Raises:
        OutputUnusable: the disk reports an error.
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
                row["times"] = thread.times
            file.write(dumps(row) + b"\n")


def write_losses(path: Path, losses: Iterable[Loss]) -> None:
    """Write a line for each loss, completely or not at all.

    Raises:
        OutputUnusable: the disk reports an error.
    """
    with _written(path) as file:
        LossReport(file).add(losses)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    draft = new(path)
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
