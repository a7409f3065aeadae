"""What stands beside an export, read back: its journal, its manifest and the ids that a run was asked for."""

import contextlib

from threadkeep.disk import OsDisk, on_disk
from threadkeep.errors import OutputUnusable
from threadkeep.journal import Journal, fold
from threadkeep.manifest import Manifest, read
from threadkeep.paths import Paths
from threadkeep.wantedfile import WantedFile

__all__ = ["read_journal", "read_manifest", "read_wanted"]


def read_journal(paths: Paths) -> Journal | None:
    """Read the journal beside an export; None when there is none.

    Raises:
        OutputUnusable: it is there and cannot be read.
    """
    with on_disk(paths.journal):
        return fold(paths.journal.read_bytes()) if paths.journal.exists() else None


def read_manifest(paths: Paths) -> Manifest | None:
    """Read the manifest beside an export; None when there is none.

    Raises:
        OutputUnusable: it is there and cannot be read, or is no manifest.
    """
    with on_disk(paths.manifest):
        if not paths.manifest.exists():
            return None
        try:
            return read(paths.manifest.read_bytes())
        except ValueError as error:
            raise OutputUnusable(f"{paths.manifest} is no manifest: {error}") from None


def read_wanted(paths: Paths) -> tuple[str, ...]:
    """Read the ids that a run without a manifest was asked for; none where none can be read.

    Raises:
        OutputUnusable: they are there and cannot be read.
    """
    with on_disk(paths.wanted), contextlib.suppress(ValueError):
        return WantedFile(paths, OsDisk()).read()
    return ()
