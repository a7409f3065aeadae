"""A damaged export: which threads are still in it as they were written, and which are not.

Bytes that are lost or too many move all that stands behind them, and do no harm to it. So each thread that the journal
vouches for is looked for where its lines begin or end now. Where the journal has lost an entry, nobody knows where the
lines behind that thread's begin: they are looked for as they stand together.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO

import attrs

from threadkeep.disk import Disk
from threadkeep.errors import Interrupted, MalformedLine
from threadkeep.journal import Journal
from threadkeep.records.ndjson import parse
from threadkeep.resume import Stretch, ends, stretches
from threadkeep.storage.paths import Paths

__all__ = ["Wounds", "look", "strangers"]


@attrs.frozen(kw_only=True)
class Wounds:
    """What became of the threads that a journal calls complete.

    Attributes:
        found: those whose lines are all there, and where.
        damaged: the others, in the journal's order.
        sound: those at which nothing is wrong, wherever they stand: all their lines together, no more lines than theirs
            anywhere, and between lines that can be read. None where the export itself is lost.
        seen: every thread that a line belongs to.
        readable: how many lines of the export are of damaged threads, and say so.
    """

    found: Mapping[str, tuple[Stretch, ...]]
    damaged: tuple[str, ...]
    sound: frozenset[str]
    seen: frozenset[str]
    readable: int


@attrs.frozen
class _Group:
    """Lines of one thread that stand together; whether they stand between lines that can be read."""

    start: int
    end: int
    lines: int
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
            place = _found(stretch, own, files.get(stretch.path), is_over)
            if place is None:
                damaged[stretch.thread_id] = None
            else:
                found[stretch.thread_id] = (*found.get(stretch.thread_id, ()), place)
            if place is None or not _is_sound(place, own):
                unsound.add(stretch.thread_id)
    return Wounds(
        found={thread_id: places for thread_id, places in found.items() if thread_id not in damaged},
        damaged=tuple(damaged),
        sound=frozenset(found.keys() - damaged.keys() - unsound) if paths.out in files else frozenset(),
        seen=frozenset(thread_id for by_thread in groups.values() for thread_id in by_thread),
        readable=sum(group.lines for one in damaged for group in groups.get(paths.out, {}).get(one, ())),
    )


def strangers(paths: Paths, journal: Journal, disk: Disk, is_over: Callable[[], bool]) -> tuple[str, ...]:
    """The threads that lines of an export are of, and that its journal does not know.

    Raises:
        Interrupted: it is over.
        OSError: the disk refuses.
    """
    if not disk.exists(paths.out):
        return ()
    with contextlib.closing(disk.read(paths.out)) as file:
        names = dict.fromkeys(run.thread_id for run in _runs(file, is_over))
    return tuple(name for name in names if name is not None and name not in journal.entries)


def _is_sound(place: Stretch, own: Sequence[_Group]) -> bool:
    """Wherever it stands: what was lost or added before it is nothing that is wrong with it."""
    if place.is_empty:
        return not own
    return [(group.start, group.end, group.is_clear) for group in own] == [(place.start, place.end, True)]


def _found(
    stretch: Stretch, own: Sequence[_Group], file: BinaryIO | None, is_over: Callable[[], bool]
) -> Stretch | None:
    """Where its lines are; there may be lines of the same thread before them, or behind them."""
    if not stretch.lines:  # whatever the lost entry before it was of
        return attrs.evolve(stretch, start=stretch.end)
    if file is None:
        return None
    for start, end in dict.fromkeys(_places(stretch, own)):
        _go_on_unless(is_over)
        moved = attrs.evolve(stretch, start=start, end=end)
        if moved.is_in(file):
            return moved
    return None


def _places(stretch: Stretch, own: Sequence[_Group]) -> Iterator[tuple[int, int]]:
    """Where its lines may be: in groups that hold as many, so that all tries together read no more than a few times
    the thread's own lines; and where the first begins or the last ends, if a line beside it cannot be read.
    """
    length = stretch.end - stretch.start
    yield stretch.start, stretch.end
    for group in own:
        if group.lines == stretch.lines:
            yield group.start, group.end
        elif group.lines > stretch.lines and group.end - group.start >= length:
            yield group.start, group.start + length
            yield group.end - length, group.end
    yield from ((group.start, group.start + length) for group in own[:1])
    yield from ((group.end - length, group.end) for group in own[-1:] if group.end >= length)


def _go_on_unless(is_over: Callable[[], bool]) -> None:
    if is_over():
        raise Interrupted("interrupted while damaged files were read")


def _groups(file: BinaryIO, is_over: Callable[[], bool]) -> _Groups:
    groups: dict[str, list[_Group]] = {}
    runs = list(_runs(file, is_over))
    names = ["", *(run.thread_id for run in runs), ""]
    for run, before, behind in zip(runs, names[:-2], names[2:], strict=True):
        if run.thread_id is not None:
            group = _Group(run.start, run.end, run.lines, is_clear=before is not None and behind is not None)
            groups.setdefault(run.thread_id, []).append(group)
    return groups


@attrs.define
class _Run:
    thread_id: str | None
    start: int
    end: int
    lines: int = 0


def _runs(file: BinaryIO, is_over: Callable[[], bool]) -> Iterator[_Run]:
    """The lines of a file, as far as they belong together; those that belong to no thread too."""
    run = _Run(None, 0, 0)
    for line in file:
        _go_on_unless(is_over)
        thread_id = _thread_of(line)
        if thread_id != run.thread_id or not run.end:
            if run.end:
                yield run
            run = _Run(thread_id, run.end, run.end)
        run.end += len(line)
        run.lines += 1
    if run.end:
        yield run


def _thread_of(line: bytes) -> str | None:
    try:
        value = parse(line)
    except MalformedLine:
        return None
    found = value.get("thread_id") if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else None
