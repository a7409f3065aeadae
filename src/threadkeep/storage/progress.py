"""The state of an export, without its lines: who is at work, what the working store has, what the manifest says.

Nothing here changes a file, and nothing waits for a run that is at work but for one commit of it.
"""

import contextlib
import os
import sqlite3
from pathlib import Path

import attrs

from threadkeep.arguments import A_PATH, refuse_wrong_types
from threadkeep.storage.file_set import faults_of, open_file_set
from threadkeep.storage.lock import LockHolder, held_by
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import on_disk, refuse_irregular
from threadkeep.storage.store import DamagedStore, StoreFacts, read_facts

__all__ = ["ExportState", "read_progress", "status"]

# Seconds that the one query waits for a commit.
_BUSY_SECONDS = 2.0


@attrs.frozen(kw_only=True)
class ExportState:
    """What is known of an export without reading its lines.

    Attributes:
        holder: who is writing to it; None when nobody is.
        has_store: whether there is a working store: a run is at work, or was cut off.
        store: what that says; None when it says nothing now.
        manifest: of the files that were written last; None when there is none, or it cannot be read.
        faults: why the files cannot be what the manifest says.
    """

    paths: Paths
    holder: LockHolder | None
    has_store: bool
    store: StoreFacts | None
    has_index: bool
    manifest: Manifest | None
    faults: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the export is complete by its manifest, its files have their sizes, and no run is left to finish."""
        is_complete = self.manifest is not None and self.manifest.is_complete
        return is_complete and not (self.faults or self.has_store or self.holder)


def status(out: str | os.PathLike[str]) -> ExportState:
    """Return the state of an export, without reading its lines.

    Args:
        out: the export.

    Raises:
        OutputUnusable: a file of it is not a regular file, or cannot be opened.
        TypeError: ``out`` is no path.
    """
    refuse_wrong_types(locals(), {"out": A_PATH})
    paths = Paths(Path(out))
    holder, store = held_by(paths.lock), read_progress(paths)
    with open_file_set(paths) as files:
        return ExportState(
            paths=paths,
            holder=holder,
            has_store=paths.store.exists(),
            store=store,
            has_index=files.has_index,
            manifest=files.manifest,
            faults=tuple(fault for _, fault in faults_of(files)),
        )


def read_progress(paths: Paths) -> StoreFacts | None:
    """Read what a run says of itself; None when there is no store, or it is busy, damaged, or has just been created.

    Raises:
        OutputUnusable: something else than a file is at its name.
    """
    with on_disk(paths.store):
        refuse_irregular(paths.store)
    try:
        address = f"{paths.store.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS)) as db:
            return read_facts(db)
    except (sqlite3.Error, DamagedStore):
        return None
