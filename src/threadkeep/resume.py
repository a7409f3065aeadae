"""Where an export that stands there goes on: what its journal says, held against what is asked for and what is there.

The journal is believed as far as its lines can be read, and the files as far as the journal vouches for them. Behind
that a run was ended in the middle of writing, and what stands there is not missed: its threads are walked again.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import attrs

from threadkeep.disk import Disk
from threadkeep.errors import Interrupted, MalformedLine, OutputUnusable
from threadkeep.journal import FORMAT, Entry, Header, Journal, Outcome, Span
from threadkeep.records.model import MessageRecord
from threadkeep.records.ndjson import decode
from threadkeep.storage.paths import Paths

__all__ = ["Stretch", "check", "chunks", "contradiction", "ends", "is_unbegun", "refusal", "replaced", "stretches"]

_CHUNK = 1024 * 1024

_ANEW = "To begin anew, add --fresh: it keeps these files under another name. Or give another OUT."


@attrs.frozen(kw_only=True)
class Stretch:
    """Bytes of a file that the journal vouches for: a thread's lines.

    Attributes:
        lines: how many.
        ids: the thread's, the first message's and the last one's; None for a file beside the export.
    """

    path: Path
    start: int
    end: int
    sha256: str
    thread_id: str
    lines: int
    ids: tuple[str | None, ...] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to look for: a thread without messages."""
        return self.start == self.end and not self.lines

    def is_in(self, file: BinaryIO) -> bool:
        """Whether the file, read from `start` on, holds just these lines."""
        digest, lines, last = hashlib.sha256(), 0, self.start
        try:
            file.seek(self.start)
        except OSError:  # a file system refuses to look as far as a journal may say
            return False
        for chunk, place in chunks(file, self.start, self.end):
            digest.update(chunk)
            lines += chunk.count(b"\n")
            newline = chunk.rfind(b"\n", 0, self.end - place - 1)
            last = place + newline + 1 if newline >= 0 else last
        if (digest.hexdigest(), lines) != (self.sha256, self.lines):
            return False
        return self.ids is None or not lines or self.ids == _ids(file, self.start, last)


def chunks(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """What stands between two bytes of a file, in pieces, each with its place; the file stands at the first."""
    place = start
    while place < end and (chunk := file.read(min(end - place, _CHUNK))):
        yield chunk, place
        place += len(chunk)


def _record(file: BinaryIO, start: int) -> MessageRecord:
    file.seek(start)
    return decode(file.readline().removesuffix(b"\n"))


def _ids(file: BinaryIO, first: int, last: int) -> tuple[str, ...] | None:
    try:
        return _record(file, first).thread_id, _record(file, first).message_id, _record(file, last).message_id
    except MalformedLine:  # the digest is right: somebody has rewritten the journal too
        return None


def is_unbegun(content: bytes, header_line: bytes) -> bool:
    """Whether a journal is of a run that was ended while it wrote its first line, or is not there yet.

    The times in a header differ, so only its beginning must be the same. A crash may leave zeros for bytes.
    """
    beginning = header_line[: header_line.index(b":")]
    return b"\n" not in content and beginning.startswith(content.rstrip(b"\0")[: len(beginning)])


def ends(paths: Paths, journal: Journal) -> Mapping[Path, int]:
    """How far the journal vouches for each file of the export, in bytes."""
    kinds = journal.header.include if journal.header is not None else ()
    return {paths.out: journal.end_offset, **{paths.beside(kind): journal.end_beside(kind) for kind in kinds}}


def check(paths: Paths, journal: Journal, wanted: Header) -> Header:
    """Give the header of a journal that an export as wanted can go on with.

    Raises:
        OutputUnusable: it belongs to another export, or is damaged.
    """
    if journal.foreign is not None:
        raise OutputUnusable(
            f"{paths.journal} is in the format {journal.foreign}, and this version of threadkeep goes on with {FORMAT}"
            f" only. Go on with the version that began it. {_ANEW}"
        )
    if journal.header is None:
        raise OutputUnusable(f"{paths.journal} does not begin as a journal does. {_ANEW}")
    for what, field in _SAME.items():
        stands, asked = getattr(journal.header, field), getattr(wanted, field)
        if stands != asked:
            raise OutputUnusable(
                f"{paths.out} belongs to another export: its {what} is {_shown(stands)}, and {_shown(asked)} was asked"
                f" for. {_ANEW}"
            )
    if journal.has_holes:
        raise OutputUnusable(f"line {journal.unreadable[0]} of {paths.journal} cannot be read. {_ANEW}")
    return journal.header


# What must be the same from run to run, and what people call it.
_SAME = {
    "assistant": "assistant_id",
    "source": "source",
    "flat format": "flat",
    "list of what is included": "include",
    "download of files": "files",
}


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(value) or "empty" if isinstance(value, tuple) else str(value)


def stretches(paths: Paths, journal: Journal) -> Iterator[Stretch]:
    """Every stretch of every file that counts, each file's in its order. Superseded lines stand between them."""
    return (stretch for stretch, entry in _written(paths, journal) if journal.entries.get(entry.thread_id) is entry)


def replaced(paths: Paths, journal: Journal) -> Iterator[Stretch]:
    """Every stretch that counts no longer, since its thread is complete in another place."""
    for stretch, entry in _written(paths, journal):
        last = journal.entries.get(entry.thread_id)
        if last is not None and last is not entry and last.outcome is Outcome.COMPLETE:
            yield stretch


def _written(paths: Paths, journal: Journal) -> Iterator[tuple[Stretch, Entry]]:
    reached: dict[Path, int] = {}
    for entry in journal.written:
        own = Span(lines=entry.messages, end_offset=entry.end_offset, sha256=entry.sha256 or "")
        claims = {paths.out: own, **{paths.beside(kind): span for kind, span in entry.beside.items()}}
        for path, span in claims.items():
            start, reached[path] = reached.get(path, 0), span.end_offset
            stretch = Stretch(
                path=path,
                start=start,
                end=span.end_offset,
                sha256=span.sha256,
                thread_id=entry.thread_id,
                lines=span.lines,
                ids=(entry.thread_id, entry.first_id, entry.last_id) if path == paths.out else None,
            )
            yield stretch, entry


def contradiction(paths: Paths, journal: Journal, disk: Disk, is_over: Callable[[], bool]) -> Stretch | None:
    """Read what the journal vouches for, and give the first of it that is not there to the byte; None if all is.

    Args:
        paths: where it is.
        journal: the journal.
        disk: what it is on.
        is_over: asked before each stretch.

    Raises:
        Interrupted: it is over.
        OSError: the disk refuses.
    """
    with contextlib.ExitStack() as opened:
        files = {path: opened.enter_context(disk.read(path)) for path in ends(paths, journal) if disk.exists(path)}
        for stretch in stretches(paths, journal):
            if is_over():
                raise Interrupted(f"interrupted while the lines of {paths.out} were checked")
            if not stretch.is_empty and not (stretch.path in files and stretch.is_in(files[stretch.path])):
                return stretch
    return _unaccounted(paths, journal)


def _unaccounted(paths: Paths, journal: Journal) -> Stretch | None:
    """The end of the export that no complete entry is of: the journal has lost one, and a later one tells of it."""
    reached = max((entry.end_offset for entry in journal.written), default=0)
    if journal.end_offset <= reached:
        return None
    *_, last = journal.entries
    return Stretch(path=paths.out, start=reached, end=journal.end_offset, sha256="", thread_id=last, lines=0)


def refusal(wrong: Stretch, paths: Paths, assistant_id: str, why: str) -> OutputUnusable:
    """Say that an export is damaged, and what to do.

    Args:
        wrong: the first lines that are not there.
        paths: the export.
        assistant_id: its assistant.
        why: it is not healed, behind a comma or the like; empty where there is nothing to say.
    """
    return OutputUnusable(
        f"{wrong.path} does not hold the lines of {wrong.thread_id} at bytes {wrong.start} to {wrong.end}, though its"
        f" journal says so{why}. `threadkeep validate {paths.out} --ids-to-refetch FILE` names the damaged threads, and"
        f" `threadkeep export FILE {assistant_id} {paths.out}` fetches these again and keeps the damaged files; with"
        " --refresh, so does a list of more threads. --fresh begins anew and keeps these files under another name."
    )
