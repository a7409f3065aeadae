"""The working folders of shards on this machine: each belongs to one attempt, and outlives its process."""

import contextlib
import os
import re
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from threadkeep.errors import OutputUnusable
from threadkeep.scale.plan_objects import SHARD_NAME
from threadkeep.storage.lock import locked
from threadkeep.storage.private_files import on_disk

__all__ = [
    "draft_of",
    "locked_folder",
    "remove_working_folders",
    "work_folder",
    "working_folder",
    "working_folders",
]

_WORKING_FOLDER = re.compile(rf"({SHARD_NAME})(\.[0-9]+)?")

# More attempts than this are never at work on one shard on one machine.
_FOLDERS = 100


@contextlib.contextmanager
def working_folder(shard: str, work: Path | None) -> Iterator[Path]:
    """Yield a folder of this attempt alone. It may hold what an earlier attempt has left there.

    Args:
        shard: the name of the shard.
        work: as of `threadkeep.scale.shard.export_shard`.

    Raises:
        OutputUnusable: the disk refuses, or too many attempts are at work on the shard.
    """
    parent = work or work_folder()
    with on_disk(parent):
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(1, _FOLDERS):
        folder = parent / (shard if number == 1 else f"{shard}.{number}")
        with contextlib.ExitStack() as opened:
            try:
                opened.enter_context(locked_folder(folder))
            except OutputUnusable:  # another run is at work on the same shard
                if number == _FOLDERS - 1:
                    raise
                continue
            with on_disk(folder):
                folder.mkdir(mode=0o700, exist_ok=True)
                yield folder
                if folder.exists() and not any(folder.iterdir()):
                    folder.rmdir()
            return


def locked_folder(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Lock a working folder, at once or not at all.

    Raises:
        OutputUnusable: another run has it, or the disk reports an error.
    """
    return locked(folder.with_name(f"{folder.name}.lock"), seconds=0)


def work_folder() -> Path:
    """Return the folder of the working folders of this machine."""
    given = os.environ.get("THREADKEEP_WORK")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "threadkeep"


def working_folders(work: Path | None = None) -> dict[str, list[Path]]:
    """Return the working folders that attempts at shards have left on this machine, by the names of the shards.

    Args:
        work: as of `threadkeep.scale.shard.export_shard`.

    Raises:
        OutputUnusable: the disk refuses.
    """
    parent, found = work or work_folder(), dict[str, list[Path]]()
    with on_disk(parent):
        for path in sorted(parent.iterdir()) if parent.is_dir() else ():
            if (match := _WORKING_FOLDER.fullmatch(path.name)) is not None:
                found.setdefault(match[1], []).append(path)
    return found


def remove_working_folders(shards: Collection[str], work: Path | None = None) -> None:
    """Remove the working folders of shards that are complete in the output store, but for those that are in use.

    Args:
        shards: their names.
        work: as of `threadkeep.scale.shard.export_shard`.

    Raises:
        OutputUnusable: the disk refuses.
    """
    found = working_folders(work)
    for folder in (folder for name in found.keys() & {*shards} for folder in found[name]):
        with contextlib.suppress(OutputUnusable), locked_folder(folder), on_disk(folder):
            shutil.rmtree(draft_of(folder), ignore_errors=True)
            shutil.rmtree(folder)


def draft_of(folder: Path) -> Path:
    """Return the name under which the files of an earlier attempt are fetched, before they become a working folder."""
    return folder.with_name(f"{folder.name}.fetched")
