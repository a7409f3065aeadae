"""A damaged export: which threads are still in it as they were written, and which are not.

Bytes that are lost or too many move all that stands behind them, and do no harm to it. So each thread that the journal
vouches for is looked for where its lines begin or end now.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO

import attrs

from threadkeep.codec import parse
from threadkeep.disk import Disk
from threadkeep.errors import Interrupted, MalformedLine
from threadkeep.journal import Journal
from threadkeep.paths import Paths
from threadkeep.resume import Stretch, ends, stretches

__all__ = ["Wounds", "look"]


@attrs.frozen(kw_only=True)
class Wounds:
    """What became of the threads that a journal calls complete.

    Attributes:
        found: those whose lines are all there, and where.
        damaged: the others, in the journal's order.
        sound: those at which nothing is wrong at all: at their place, with no more lines than theirs anywhere, and
            between lines that can be read.
        seen: every thread that a line belongs to.
    """

    found: Mapping[str, tuple[Stretch, ...]]
    damaged: tuple[str, ...]
    sound: frozenset[str]
    seen: frozenset[str]


@attrs.frozen
class _Group:
    """Lines of one thread that stand together; whether they stand between lines that can be read."""

    start: int
    end: int
    is_clear: bool


_Groups = Mapping[str, Sequence[_Group]]


def look(paths: Paths, journal: Journal, disk: Disk, is_over: Callable[[], bool]) -> Wounds:
    """Read the files of an export, and look for every thread.

    Args:
        paths: where it is.
        journal: what it should hold.
        disk: what it is on.
        is_over: asked again and again.

    Raises:
        Interrupted: it is over.
        OSError: the disk refuses.
    """
    found: dict[str, tuple[Stretch, ...]] = {}
    damaged, unsound = dict[str, None](), set[str]()
    with contextlib.ExitStack() as opened:
        files = {path: opened.enter_context(disk.read(path)) for path in ends(paths, journal) if disk.exists(path)}
        groups = {path: _groups(file, is_over) for path, file in files.items()}
        for stretch in stretches(paths, journal):
            own = groups.get(stretch.path, {}).get(stretch.thread_id, ())
            place = stretch if stretch.is_empty else _found(stretch, own, files.get(stretch.path))
            if place is None:
                damaged[stretch.thread_id] = None
            else:
                found[stretch.thread_id] = (*found.get(stretch.thread_id, ()), place)
            if not _is_sound(stretch, own):
                unsound.add(stretch.thread_id)
    return Wounds(
        found={thread_id: places for thread_id, places in found.items() if thread_id not in damaged},
        damaged=tuple(damaged),
        sound=frozenset(found.keys() - damaged.keys() - unsound),
        seen=frozenset(thread_id for by_thread in groups.values() for thread_id in by_thread),
    )


def _is_sound(stretch: Stretch, own: Sequence[_Group]) -> bool:
    return list(own) == ([] if stretch.is_empty else [_Group(stretch.start, stretch.end, is_clear=True)])


def _found(stretch: Stretch, own: Sequence[_Group], file: BinaryIO | None) -> Stretch | None:
    """Where its lines are; there may be lines of the same thread before them, or behind them."""
    if file is None:
        return None
    length = stretch.end - stretch.start
    places = [stretch.start, *(place for group in own for place in (group.start, group.end - length))]
    for place in dict.fromkeys(place for place in places if place >= 0):
        moved = attrs.evolve(stretch, start=place, end=place + length)
        if moved.is_in(file):
            return moved
    return None


def _groups(file: BinaryIO, is_over: Callable[[], bool]) -> _Groups:
    groups: dict[str, list[_Group]] = {}
    runs = list(_runs(file, is_over))
    names = ["", *(run.thread_id for run in runs), ""]
    for run, before, behind in zip(runs, names[:-2], names[2:], strict=True):
        if run.thread_id is not None:
            group = _Group(run.start, run.end, is_clear=before is not None and behind is not None)
            groups.setdefault(run.thread_id, []).append(group)
    return groups


@attrs.define
class _Run:
    thread_id: str | None
    start: int
    end: int


def _runs(file: BinaryIO, is_over: Callable[[], bool]) -> Iterator[_Run]:
    """The lines of a file, as far as they belong together; those that belong to no thread too."""
    run = _Run(None, 0, 0)
    for line in file:
        thread_id = _thread_of(line)
        if thread_id != run.thread_id or not run.end:
            if is_over():
                raise Interrupted("interrupted while damaged files were read")
            if run.end:
                yield run
            run = _Run(thread_id, run.end, run.end)
        run.end += len(line)
    if run.end:
        yield run


def _thread_of(line: bytes) -> str | None:
    try:
        value = parse(line)
    except MalformedLine:
        return None
    found = value.get("thread_id") if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else None
