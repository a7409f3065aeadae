"""What stands beside an export, held against its journal: the threads, the runs and the downloaded files."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import attrs

from threadkeep.journal import FileEntry, FileOutcome, Journal, Span
from threadkeep.readback import what_counts
from threadkeep.shifts import Shift
from threadkeep.storage.paths import Paths
from threadkeep.superseded import Superseded, superseded
from threadkeep.validation.findings import LEFT_BEHIND, LEFT_BY_A_KILL, Finding, Severity, finding
from threadkeep.validation.scan import ThreadLines

__all__ = ["damage", "holds", "place_in"]


def damage(paths: Paths, journal: Journal, wanted: Set[str] = frozenset()) -> Iterator[Finding]:
    """Say what of it is not as it was written.

    Args:
        paths: where it is.
        journal: what it should hold.
        wanted: the ids that a run was asked for that did not end by itself.

    Raises:
        OSError: a file cannot be read.
    """
    complete = {entry.thread_id for entry in journal.complete}
    for kind in journal.header.include if journal.header is not None else ():
        was_killed = not paths.manifest.exists()
        left = (wanted | journal.entries.keys()) - complete if was_killed else frozenset()
        yield from _lines(paths, kind, journal, left, was_killed=was_killed)
    for entry in journal.files.values():
        yield from _file(paths.files, entry)
    for file_id in journal.wanted_files:
        if file_id not in journal.files:
            what = f"the file {file_id} was wanted, and nothing is known of it"
            yield finding("not_exported", what, file=f"{paths.files.name}/{file_id}")


def _lines(paths: Paths, kind: str, journal: Journal, left: Set[str], *, was_killed: bool) -> Iterator[Finding]:
    path, end = paths.beside(kind), journal.end_beside(kind)
    place = what_counts(paths, path)
    if not place.exists() and (end or not was_killed):  # it may be that it was not begun
        yield finding("lost_file", f"{path.name} is not there", file=path.name)
    spans = {entry.thread_id: entry.beside[kind] for entry in journal.complete if kind in entry.beside}
    passed = superseded(path, paths, journal, was_killed=was_killed)
    seen, shift = set[str](), Shift()
    for thread in _threads(place, end, passed) if place.exists() else ():
        if not thread.messages:
            yield _torn(path, thread, was_killed=was_killed)
            continue
        where: dict[str, Any] = {"file": path.name, "line": thread.first_line, "thread_id": thread.thread_id or None}
        if thread.start >= end and thread.thread_id in left:
            yield Finding(code="unjournalled_thread", severity=Severity.NOTE, message=LEFT_BEHIND, **where)
            continue
        yield from _against(spans.get(thread.thread_id), thread, where, shift, is_again=thread.thread_id in seen)
        seen.add(thread.thread_id)
    for thread_id, span in spans.items():
        if span.lines and thread_id not in seen:
            what = f"the journal vouches for {span.lines} lines of the thread in {path.name}, and none is there"
            yield finding("lost_thread", what, file=path.name, thread_id=thread_id)


def _torn(path: Path, tail: ThreadLines, *, was_killed: bool) -> Finding:
    """A run that was killed while writing leaves such a line."""
    one = finding("torn_line", "the last line is cut short, and no thread's", file=path.name, line=tail.first_line)
    return attrs.evolve(one, severity=Severity.NOTE, message=LEFT_BY_A_KILL) if was_killed else one


def _threads(path: Path, end: int, without: Superseded) -> Iterator[ThreadLines]:
    """The lines of each thread where they stand together. One that says no thread belongs to those before it.

    A torn line behind the end of what the journal vouches for is no thread's: it is given by itself, without lines.
    """
    current: ThreadLines | None = None
    place = 0
    with path.open("rb") as file:
        marked = ((passed, line) for passed, part in without.parts(file) for line in part)
        for number, (passed, line) in enumerate(marked, 1):
            if passed:
                place += len(line)
                continue
            found = _NAMED.match(line)
            named = found[1].decode("utf-8", "replace") if found else ""
            is_tail = place >= end and not line.endswith(b"\n")
            if current is None or is_tail or named not in ("", current.thread_id):
                if current is not None:
                    yield current
                current = ThreadLines(named, number, place, place)
            if not is_tail:
                current.take(line, 1, None, None)
            place += len(line)
    if current is not None:
        yield current


def _against(
    span: Span | None, thread: ThreadLines, where: Mapping[str, Any], shift: Shift, *, is_again: bool
) -> Iterator[Finding]:
    if span is None:
        what = f"{where['file']} holds lines of a thread of which the journal says nothing there"
        yield finding("unjournalled_thread", what, **where)
        return
    if is_again:
        yield finding("split_thread", "the thread's lines go on here, behind another thread's", **where)
        return
    is_in_place = shift.is_in_place(thread.start, thread.ends, span.end_offset)
    if (thread.sha256, thread.messages) != (span.sha256, span.lines):
        what = f"the thread's {thread.messages} lines are not the {span.lines} that were written"
        yield finding("digest_mismatch", what, **where)
    elif not is_in_place:
        what = f"the thread's lines end at byte {thread.ends}, and the journal says {span.end_offset}"
        yield finding("misplaced_thread", what, **where)


_NAMED = re.compile(rb'\{"thread_id":"([^"\\]+)"')


_ONCE_SAVED = "restore it from a copy where it does not come again, and run the same export command again: it goes on"


def _file(folder: Path, entry: FileEntry) -> Iterator[Finding]:
    if entry.outcome is FileOutcome.FAILED:
        what = f"the file {entry.file_id} could not be downloaded ({entry.reason})"
        remedy = _ONCE_SAVED if entry.name is not None else None
        yield finding("file_failed", what, remedy, file=f"{folder.name}/{entry.file_id}")
    if entry.name is None:
        return
    path = place_in(folder, entry)
    name = f"{folder.name}/{path.name}"
    if not _is_there(path):
        yield finding("lost_file", f"the file {entry.file_id} is not in {folder.name}", file=name)
    elif path.stat().st_size != entry.bytes:
        what = f"the file has {path.stat().st_size:,} bytes, and {entry.bytes:,} were downloaded"
        yield finding("file_mismatch", what, file=name)
    elif not holds(path, entry):
        yield finding("file_mismatch", "the file does not hold the bytes that were downloaded", file=name)


def _is_there(path: Path) -> bool:
    """No file has a name that is longer than the disk allows."""
    try:
        return path.is_file()
    except OSError:
        return False


def place_in(folder: Path, entry: FileEntry) -> Path:
    """Where a file is that was saved. A journal is only a file: it leads nowhere else."""
    return folder / Path(entry.name or "").name


def holds(path: Path, entry: FileEntry) -> bool:
    """Whether the bytes that were downloaded are there.

    Raises:
        OSError: they cannot be read.
    """
    if not _is_there(path) or path.stat().st_size != entry.bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256
