"""What can be told of an export without reading its lines: whether its files are as long as its journal says."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from threadkeep.journal import Entry, Journal
from threadkeep.readback import what_counts
from threadkeep.resume import ends, stretches
from threadkeep.storage.manifest import Manifest, claims, files, unfinished_files
from threadkeep.storage.paths import Paths, rewrite_of
from threadkeep.validation.sidecar_check import place_in

__all__ = ["Sizes", "doubts", "in_place", "sizes"]

Sizes = Mapping[Path, int]
"""How many bytes each file has; a file that is not there is not here."""


def sizes(paths: Paths, journal: Journal) -> Sizes:
    """Look at the files that a journal vouches for.

    Raises:
        OSError: the disk does not say.
    """
    saved = (place_in(paths.files, file) for file in journal.files.values() if file.name is not None)
    places = {path: what_counts(paths, path) for path in ends(paths, journal)} | {path: path for path in saved}
    return {path: place.stat().st_size for path, place in places.items() if place.is_file()}


def in_place(paths: Paths, journal: Journal, found: Sizes) -> tuple[Entry, ...]:
    """The complete threads whose lines can all be there: no file ends before they do."""
    cut = {
        stretch.thread_id
        for stretch in stretches(paths, journal)
        if not stretch.is_empty and stretch.end > found.get(stretch.path, 0)
    }
    return tuple(entry for entry in journal.complete if entry.thread_id not in cut)


def doubts(paths: Paths, journal: Journal, manifest: Manifest | None, found: Sizes) -> Iterator[str]:
    """Say why an export cannot be what its journal and its manifest claim, a line each; none where it can.

    Args:
        paths: where it is.
        journal: its journal.
        manifest: its manifest; None where the last run did not end by itself, and lines may still be written.
        found: its files.
    """
    yield from _journal(paths, journal)
    if rewrite_of(paths.journal).exists():
        yield "a run was killed while it wrote these files anew; the next `threadkeep export` brings that to its end"
    elif journal.superseded:
        what = "threads were fetched again, and their old lines were not taken out: they stand there twice"
        yield f"{what}; run the same command again, and it brings that to its end"
    for path, end in ends(paths, journal).items():
        yield from _length(path, end, found.get(path), goes_on=manifest is None)
    for file in journal.files.values():
        if file.name is not None and found.get(place_in(paths.files, file)) != file.bytes:
            yield f"{paths.files.name}/{file.name} is not there with its {file.bytes:,} bytes"
    if manifest is not None and not _agree(manifest, journal):
        yield f"{paths.manifest.name} does not say what the journal says"


def _agree(manifest: Manifest, journal: Journal) -> bool:
    counted = claims(journal, listed=manifest.claims.totals.threads)
    said = (manifest.claims, manifest.files, manifest.unfinished_files)
    return said == (counted, files(journal), unfinished_files(journal))


def _journal(paths: Paths, journal: Journal) -> Iterator[str]:
    if journal.foreign is not None:
        yield f"{paths.journal.name} is in the format {journal.foreign}, which this version does not know"
    elif journal.header is None:
        yield f"{paths.journal.name} does not begin as a journal does"
    if journal.has_holes:
        yield f"line {journal.unreadable[0]} of {paths.journal.name} cannot be read"
    elif journal.torn or journal.unreadable:
        yield f"the last line of {paths.journal.name} is cut short"


def _length(path: Path, end: int, found: int | None, *, goes_on: bool) -> Iterator[str]:
    if found is None and not goes_on:
        yield f"{path.name} is not there"
    elif (found or 0) < end:
        yield f"{path.name} has {found or 0:,} bytes, and its journal vouches for {end:,}"
    elif (found or 0) > end and not goes_on:
        yield f"{path.name} goes on behind byte {end:,}, where its journal ends"
