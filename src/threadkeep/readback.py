"""What stands beside an export, read back: its journal, its manifest and the ids that a run was asked for.

Also where what counts stands, after a run that was killed while it put files that were written anew in their places.
"""

from pathlib import Path

from threadkeep.disk import OsDisk, on_disk
from threadkeep.errors import OutputUnusable
from threadkeep.journal import Journal, fold
from threadkeep.storage.manifest import Manifest, read
from threadkeep.storage.paths import Paths, rewrite_of
from threadkeep.wantedfile import WantedFile

__all__ = ["read_journal", "read_manifest", "read_wanted", "what_counts"]


def what_counts(paths: Paths, path: Path) -> Path:
    """Where the content of a file of an export stands: beside it, while a rewrite that counts has not taken its place.

    Args:
        paths: of the export.
        path: of its journal, or of a file that grows; see `threadkeep.rewrite`.
    """
    beside = rewrite_of(path)
    return beside if rewrite_of(paths.journal).exists() and beside.exists() else path


def read_journal(paths: Paths) -> Journal | None:
    """Read the journal beside an export; None when there is none.

    Raises:
        OutputUnusable: it is there and cannot be read.
    """
    with on_disk(paths.journal):
        path = what_counts(paths, paths.journal)
        return fold(path.read_bytes()) if path.exists() else None


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
    """Read the ids that a run was asked for, and that it had not come to; none where there is no such file.

    Raises:
        OutputUnusable: it is there and cannot be read, or is no such file.
    """
    with on_disk(paths.wanted):
        try:
            return WantedFile(paths, OsDisk()).read()
        except ValueError as error:
            raise OutputUnusable(f"{paths.wanted} cannot be read: {error}") from None
