"""The growing files of an export written anew, with some of their lines, in one step that no crash can part.

Each file is written beside the old one and synced. Then the journal that fits them is put there in one step: from then
on they count, and each takes its place, now or when the export is gone on with. Before that, what was written is
nothing, and is deleted.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import attrs

from threadkeep.disk import Disk, Growing
from threadkeep.errors import Interrupted, OutputUnusable
from threadkeep.journal import Entry, FileEntry, Header, Journal, Outcome, encode_line, fold
from threadkeep.resume import Stretch, chunks, ends, stretches
from threadkeep.storage.paths import Paths, draft, rewrite_of

__all__ = ["Plan", "Standing", "plan", "roll_forward", "standing", "write"]

Standing = Mapping[str, tuple[Stretch, ...]]
"""The stretches of threads, by id, where they are to be found."""


@attrs.frozen
class Plan:
    """What the files will be.

    Attributes:
        header: the journal's first line, as it was.
        entries: its other lines.
        kept: what each file will consist of, in this order.
    """

    header: Header
    entries: tuple[Entry | FileEntry, ...]
    kept: Mapping[Path, tuple[Stretch, ...]]


def standing(paths: Paths, journal: Journal) -> Standing:
    """The stretches of the complete threads, where the journal says that they are."""
    found: dict[str, tuple[Stretch, ...]] = {}
    for stretch in stretches(paths, journal):
        found[stretch.thread_id] = (*found.get(stretch.thread_id, ()), stretch)
    return found


def plan(paths: Paths, header: Header, journal: Journal, found: Standing) -> Plan:
    """Work out what the files will be: the threads that were found, in the journal's order, and nothing else.

    Args:
        paths: where the export is.
        header: the journal's own.
        journal: what it says. Complete threads that were not found are forgotten, all other outcomes stay.
        found: complete threads, and where their lines are.
    """
    kept: dict[Path, list[Stretch]] = {path: [] for path in ends(paths, journal)}
    reached = dict.fromkeys(paths.growing, 0)
    entries: list[Entry | FileEntry] = []
    for entry in journal.entries.values():
        if entry.outcome is Outcome.COMPLETE and entry.thread_id not in found:
            continue
        for stretch in found.get(entry.thread_id, ()):
            if stretch.lines:
                kept[stretch.path].append(stretch)
                reached[stretch.path] += stretch.end - stretch.start
        entries.append(_moved(entry, paths, reached))
    return Plan(header, (*entries, *journal.files.values()), {path: tuple(rows) for path, rows in kept.items()})


def _moved(entry: Entry, paths: Paths, reached: Mapping[Path, int]) -> Entry:
    spans = {kind: attrs.evolve(span, end_offset=reached[paths.beside(kind)]) for kind, span in entry.beside.items()}
    return attrs.evolve(entry, end_offset=reached[paths.out], beside=spans)


def write(paths: Paths, disk: Disk, planned: Plan, is_over: Callable[[], bool] = lambda: False) -> None:
    """Write the files beside the old ones. When this returns, they count: `roll_forward` is all that is left to do.

    Args:
        paths: where the export is.
        disk: what it is on.
        planned: what they hold.
        is_over: asked before each stretch.

    Raises:
        OutputUnusable: lines have changed since they were found. Then, as after the others, the old files count.
        Interrupted: it is over.
        OSError: the disk refuses.
    """
    marker = rewrite_of(paths.journal)
    try:
        for path, rows in planned.kept.items():
            _write(path, disk, rows, is_over)
        disk.sync_names(paths.out.parent)
        disk.put(marker, draft(marker), map(encode_line, (planned.header, *planned.entries)), like=paths.journal)
    except Exception:
        with contextlib.suppress(OSError):
            _forget(paths, disk)
        raise


def _write(path: Path, disk: Disk, rows: Iterable[Stretch], is_over: Callable[[], bool]) -> None:
    with contextlib.closing(disk.grow(rewrite_of(path), like=path)) as new, contextlib.ExitStack() as opened:
        new.cut(0)  # a run that was killed may have left it
        old = opened.enter_context(disk.read(path)) if rows else None
        for stretch in rows:
            if is_over():
                raise Interrupted(f"interrupted while {path} was written anew")
            assert old is not None
            for chunk in _unchanged(stretch, old):
                new.write(chunk)
        new.sync()


def _unchanged(stretch: Stretch, file: BinaryIO) -> Iterator[bytes]:
    digest = hashlib.sha256()
    file.seek(stretch.start)
    for chunk, _ in chunks(file, stretch.start, stretch.end):
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != stretch.sha256:
        raise OutputUnusable(f"{stretch.path} was changed by somebody else while it was written anew")


def roll_forward(paths: Paths, disk: Disk, journal: Growing) -> None:
    """Bring to its end what `write` has begun; what it has not brought to count is deleted. It can be done again.

    The journal stays the file that it is, since its lock says who is writing the export.

    Args:
        paths: where the export is.
        disk: what it is on.
        journal: its journal.

    Raises:
        OutputUnusable: it was not `write` that has put there what is to count. Nothing has changed then.
        OSError: the disk refuses.
    """
    marker = rewrite_of(paths.journal)
    if disk.exists(marker):
        content = _journal_in(marker, disk)
        for path in paths.growing:
            if disk.exists(rewrite_of(path)):
                disk.rename(rewrite_of(path), path)
        disk.sync_names(paths.out.parent)
        journal.cut(0)
        journal.write(content)
        journal.sync()
    _forget(paths, disk)


def _journal_in(marker: Path, disk: Disk) -> bytes:
    """It was put there whole: one that is not is nobody's rewrite, and must not take the place of a good journal."""
    with disk.read(marker) as file:
        content = file.read()
    found = fold(content)
    if found.header is None or found.torn or found.unreadable:
        raise OutputUnusable(f"{marker} is not what a rewrite of this export leaves there. Delete it, and try again.")
    return content


def _forget(paths: Paths, disk: Disk) -> None:
    """The journal first, and for good: without it, the others are nothing."""
    for path in reversed(paths.rewrites):
        if disk.exists(path):
            disk.remove(path)
            disk.sync_names(path.parent)
