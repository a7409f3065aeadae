"""The place of an export is made ready: what must not stand there is refused, what may is kept under another name."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

from threadkeep.disk import Disk
from threadkeep.errors import OutputUnusable
from threadkeep.storage.paths import Paths, draft

__all__ = ["clear", "is_half_set_aside", "keep_copy", "refuse_what_is_no_file", "take_back"]


def clear(paths: Paths, disk: Disk, *, fresh: bool) -> None:
    """Make sure that an export can be begun, or gone on with, at a place.

    Args:
        paths: where.
        disk: what is there.
        fresh: an export that stands there is moved out of the way.

    Raises:
        OutputUnusable: what stands there is not ours.
        OSError: the disk refuses.
    """
    refuse_what_is_no_file(paths)
    if fresh:
        _set_aside(paths, disk)
    _refuse_the_unvouched(paths, disk)


def refuse_what_is_no_file(paths: Paths) -> None:
    """A pipe would be waited for without end, and a device must not be moved out of the way.

    Raises:
        OutputUnusable: one of the names of an export leads to such a thing.
    """
    for path in paths.all:
        if path.exists() and not path.is_file() and not (path == paths.files and path.is_dir()):
            what = "a directory" if path.is_dir() else "neither a file nor a directory"
            raise OutputUnusable(f"{path} is {what}. Give another OUT.")


def _refuse_the_unvouched(paths: Paths, disk: Disk) -> None:
    """Files without a journal are not ours to go on with."""
    if disk.exists(paths.journal):
        return
    for path in paths.all:
        if disk.exists(path):
            raise OutputUnusable(
                f"{path} exists already, and no journal beside it says what it is. It is never overwritten: give"
                " another OUT, or --fresh to begin anew and keep the old files under another name."
            )


def _set_aside(paths: Paths, disk: Disk) -> None:
    """Move the files of an export out of the way, the journal last.

    So what a kill parts has its journal here and none there, and the next time the rest follows.
    """
    if not any(disk.exists(path) for path in paths.all):
        return
    with contextlib.closing(disk.grow(paths.journal)) as journal:
        if not journal.lock():
            raise OutputUnusable(f"another threadkeep is writing {paths.out}. Wait until it has ended.")
        moves = _moves(paths, disk)
        for path in sorted(moves, key=lambda path: path == paths.journal):
            disk.rename(path, moves[path])


def is_half_set_aside(paths: Paths, disk: Disk) -> bool:
    """Whether an export stands under another name whose journal has not followed."""
    number = 1
    while disk.exists(paths.aside(number).journal):
        number += 1
    return disk.exists(paths.aside(number).out)


def _moves(paths: Paths, disk: Disk) -> Mapping[Path, Path]:
    """Where each file goes: to the first number that has no journal yet and nothing in the way."""
    number = 1
    while any(disk.exists(new) for new in (paths.aside(number).journal, *_moved(paths, number, disk).values())):
        number += 1
    return _moved(paths, number, disk)


def _moved(paths: Paths, number: int, disk: Disk) -> Mapping[Path, Path]:
    pairs = zip(paths.all, paths.aside(number).all, strict=True)
    return {path: new for path, new in pairs if disk.exists(path)}


def keep_copy(paths: Paths, disk: Disk) -> Paths:
    """Copy an export's files under the next free name, the journal last; the folder of downloads stays where it is.

    Returns:
        The names of the copies.

    Raises:
        OSError: the disk refuses.
    """
    number = 1
    while any(disk.exists(path) for path in _names_of_copy(paths.aside(number))):
        number += 1
    kept = paths.aside(number)
    try:
        for path, new in zip(paths.written, kept.written, strict=True):
            if disk.exists(path):
                disk.put(new, draft(new), _content(path, disk), like=path)
    except OSError:
        take_back(kept, disk)
        raise
    return kept


def _names_of_copy(kept: Paths) -> Iterator[Path]:
    """Where something is written to for a copy, or to that copy later."""
    return itertools.chain(kept.all, map(draft, kept.written))


def take_back(kept: Paths, disk: Disk) -> None:
    """Delete a copy: half of one helps nobody, nor one of what has not changed, and on a full disk it is in the way."""
    for new in kept.written:
        for path in (draft(new), new):
            with contextlib.suppress(OSError):
                disk.remove(path)


def _content(path: Path, disk: Disk) -> Iterator[bytes]:
    with disk.read(path) as file:
        while chunk := file.read(_CHUNK):
            yield chunk


_CHUNK = 1024 * 1024
