"""What stands beside an export, held against its journal: the threads, the runs and the downloaded files."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from threadkeep.findings import Finding, error
from threadkeep.journal import FileEntry, FileOutcome, Journal
from threadkeep.paths import Paths
from threadkeep.resume import stretches

__all__ = ["damage", "holds", "place_in"]


def damage(paths: Paths, journal: Journal) -> Iterator[Finding]:
    """Say what of it is not as it was written.

    Raises:
        OSError: a file cannot be read.
    """
    for kind in journal.header.include if journal.header is not None else ():
        yield from _lines(paths, paths.beside(kind), journal, journal.end_beside(kind))
    for entry in journal.files.values():
        yield from _file(paths.files, entry)
    yield from (_never_asked(file_id) for file_id in journal.wanted_files if file_id not in journal.files)


def _lines(paths: Paths, path: Path, journal: Journal, end: int) -> Iterator[Finding]:
    if not path.exists():
        yield error("lost_file", f"{path.name} is not there")
        return
    with path.open("rb") as file:
        for stretch in stretches(paths, journal):
            if stretch.path == path and not stretch.is_empty and not stretch.is_in(file):
                what = f"the thread's {stretch.lines} lines in {path.name} are not those that were written"
                yield error("digest_mismatch", what, thread_id=stretch.thread_id)
    if path.stat().st_size > end:
        yield error("unjournalled_thread", f"{path.name} goes on behind byte {end}, where its journal ends")


def _file(folder: Path, entry: FileEntry) -> Iterator[Finding]:
    if entry.outcome is FileOutcome.FAILED:
        yield error("file_failed", f"the file {entry.file_id}: {entry.reason}")
    if entry.name is None:
        return
    path = place_in(folder, entry)
    if not path.is_file():
        yield error("lost_file", f"the file {entry.file_id} is not in {folder.name}")
    elif not holds(path, entry):
        yield error("lost_file", f"{folder.name}/{path.name} does not hold what was downloaded")


def place_in(folder: Path, entry: FileEntry) -> Path:
    """Where a file is that was saved. A journal is only a file: it leads nowhere else."""
    return folder / Path(entry.name or "").name


def holds(path: Path, entry: FileEntry) -> bool:
    """Whether the bytes that were downloaded are there.

    Raises:
        OSError: they cannot be read.
    """
    if not path.is_file() or path.stat().st_size != entry.bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256


def _never_asked(file_id: str) -> Finding:
    return error("not_exported", f"the file {file_id} was wanted, and nothing is known of it")
