"""The journal beside an export: what has happened to each thread, one JSON line each, only ever appended to.

The first line is the header. Each further line is the entry of one thread, written when its lines are safely in
the export; the last entry of a thread counts. A torn last line is normal: the process ended while writing it.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import attrs
from attrs.validators import deep_iterable, deep_mapping, ge, in_, instance_of, lt, optional

from threadkeep.serialization.lossless_json import dumps, loads
from threadkeep.storage.paths import SIDECAR_KINDS

__all__ = ["FORMAT", "Entry", "FileEntry", "FileOutcome", "Header", "Journal", "Outcome", "Span", "encode_line", "fold"]

FORMAT = "threadkeep-journal/1"


class Outcome(StrEnum):
    """What became of a thread."""

    COMPLETE = "complete"
    """All its messages are in the export; a thread without messages has no lines."""
    MISSING = "missing"
    """The API knows no such thread."""
    INVALID = "invalid"
    """The id is malformed."""
    PARTIAL = "partial"
    """The sunset cut it off; the pages that came are in the partial file."""
    FAILED = "failed"
    """No usable answer after every retry."""


_Row = TypeVar("_Row")

_COUNT = [instance_of(int), ge(0), lt(2**63)]  # no file is longer, nor can one be read from behind that
_TEXT = optional(instance_of(str))


def _included(given: Sequence[str]) -> tuple[str, ...]:
    if any(kind not in SIDECAR_KINDS for kind in given):
        raise ValueError(f"include knows {', '.join(SIDECAR_KINDS)}")
    return tuple(kind for kind in SIDECAR_KINDS if kind in given)


@attrs.frozen(kw_only=True)
class Header:
    """What the export is of.

    Attributes:
        source: the address that was asked, without secrets.
        assistant_id: the assistant that the export is for.
        flat: whether its lines are flat.
        started_at: when the export began, ISO 8601, UTC.
        include: what is saved beside the messages, of `threadkeep.storage.paths.SIDECAR_KINDS`.
        files: whether the files that messages and steps refer to are downloaded.
    """

    source: str = attrs.field(validator=instance_of(str))
    assistant_id: str = attrs.field(validator=instance_of(str))
    flat: bool = attrs.field(validator=instance_of(bool))
    started_at: str = attrs.field(validator=instance_of(str))
    include: tuple[str, ...] = attrs.field(default=(), converter=_included)
    files: bool = attrs.field(default=False, validator=instance_of(bool))
    format: str = attrs.field(default=FORMAT, validator=in_([FORMAT]))


@attrs.frozen(kw_only=True)
class Span:
    """What a thread has in a file beside the export: its lines, where they end in bytes, and their sha256."""

    lines: int = attrs.field(validator=_COUNT)
    end_offset: int = attrs.field(validator=_COUNT)
    sha256: str = attrs.field(validator=instance_of(str))


def _spans(given: Mapping[str, Any]) -> dict[str, Span]:
    return {kind: span if isinstance(span, Span) else Span(**span) for kind, span in dict(given).items()}


def _texts(given: Iterable[str]) -> tuple[str, ...]:
    return tuple(given)


@attrs.frozen(kw_only=True)
class Entry:
    """What became of one thread.

    Attributes:
        messages: how many of its messages are in the export; for a partial thread, in the partial file.
        first_id, last_id: of those messages; None without any.
        end_offset: where the export ended, in bytes, when the entry was written.
        sha256: of the thread's lines, newlines included; None unless complete.
        cursor: the last id before the cut, for a partial thread.
        reason: why it is not complete, in one line; None when it is.
        beside: what a complete thread has in the files beside the export, by their kind.
        files: the ids of the files that a complete thread refers to, where files are downloaded.
    """

    thread_id: str = attrs.field(validator=instance_of(str))
    outcome: Outcome = attrs.field(converter=Outcome)
    messages: int = attrs.field(default=0, validator=_COUNT)
    first_id: str | None = attrs.field(default=None, validator=_TEXT)
    last_id: str | None = attrs.field(default=None, validator=_TEXT)
    end_offset: int = attrs.field(default=0, validator=_COUNT)
    sha256: str | None = attrs.field(default=None, validator=_TEXT)
    cursor: str | None = attrs.field(default=None, validator=_TEXT)
    reason: str | None = attrs.field(default=None, validator=_TEXT)
    beside: Mapping[str, Span] = attrs.field(
        factory=dict, converter=_spans, validator=deep_mapping(in_(SIDECAR_KINDS), instance_of(Span))
    )
    files: tuple[str, ...] = attrs.field(default=(), converter=_texts, validator=deep_iterable(instance_of(str)))


class FileOutcome(StrEnum):
    """What became of a file."""

    SAVED = "saved"
    """It is in the folder beside the export."""
    MISSING = "missing"
    """The API knows no such file."""
    NOT_ALLOWED = "not_allowed"
    """The API gives files of its purpose to nobody."""
    INVALID = "invalid"
    """The id is malformed; it was not asked for."""
    FAILED = "failed"
    """No usable answer after every retry."""


@attrs.frozen(kw_only=True)
class FileEntry:
    """What became of one file.

    Attributes:
        name: in the folder beside the export; None unless it is or was saved.
        bytes: its size.
        sha256: of its bytes; None unless it is or was saved.
        filename: what whoever uploaded it called it. Never a path of ours.
        reason: why it is not saved, in one line.
    """

    file_id: str = attrs.field(validator=instance_of(str))
    outcome: FileOutcome = attrs.field(converter=FileOutcome)
    name: str | None = attrs.field(default=None, validator=_TEXT)
    bytes: int = attrs.field(default=0, validator=_COUNT)
    sha256: str | None = attrs.field(default=None, validator=_TEXT)
    filename: str | None = attrs.field(default=None, validator=_TEXT)
    reason: str | None = attrs.field(default=None, validator=_TEXT)


@attrs.frozen
class Journal:
    """A journal that was read.

    Attributes:
        header: None when the first line is not one.
        entries: the last entry of each thread, in the order in which they were written.
        torn: whether the last line is cut short.
        unreadable: the numbers of the whole lines, from 1, that are no journal lines.
        readable: the number of the last line, from 1, that can be read; 0 when there is none.
        end: how many bytes there are up to its end.
        files: the last entry of each file, in the order in which they were written.
        foreign: the format that the first line names, when it is not ours.
        places: the number of the line, from 1, of each thread's last entry.
        written: every entry that calls a thread complete, in the order in which they were written; where a thread was
            refreshed, the superseded ones too, whose lines stand in the files until they are rewritten. A line that
            says again what the thread's last entry says already is none.
    """

    header: Header | None
    entries: Mapping[str, Entry]
    torn: bool = False
    unreadable: tuple[int, ...] = ()
    readable: int = 0
    end: int = 0
    files: Mapping[str, FileEntry] = attrs.field(factory=dict)
    foreign: str | None = None
    places: Mapping[str, int] = attrs.field(factory=dict)
    written: tuple[Entry, ...] = attrs.field(default=attrs.Factory(lambda journal: journal.complete, takes_self=True))

    @property
    def superseded(self) -> tuple[Entry, ...]:
        """The entries of `written` that count no longer."""
        return tuple(entry for entry in self.written if self.entries.get(entry.thread_id) is not entry)

    @property
    def complete(self) -> tuple[Entry, ...]:
        """The entries of the threads that are in the export, in its order."""
        return tuple(entry for entry in self.entries.values() if entry.outcome is Outcome.COMPLETE)

    @property
    def not_complete(self) -> tuple[Entry, ...]:
        """The entries of the threads that are not in the export, or not whole."""
        return tuple(entry for entry in self.entries.values() if entry.outcome is not Outcome.COMPLETE)

    @property
    def wanted_files(self) -> tuple[str, ...]:
        """The ids of the files that complete threads refer to, each once."""
        return tuple(dict.fromkeys(file_id for entry in self.complete for file_id in entry.files))

    @property
    def end_offset(self) -> int:
        """How far the journal vouches for the export, in bytes."""
        return max((entry.end_offset for entry in self.entries.values()), default=0)

    def end_beside(self, kind: str) -> int:
        """How far the journal vouches for a file beside the export, in bytes."""
        spans = (entry.beside[kind] for entry in self.entries.values() if kind in entry.beside)
        return max((span.end_offset for span in spans), default=0)

    @property
    def has_holes(self) -> bool:
        """Whether lines that cannot be read stand before lines that can: no crash does that."""
        return any(number <= self.readable for number in self.unreadable)


# What is left out of a line where there is nothing of it.
_SELDOM = ("include", "files", "beside")


def encode_line(row: Header | Entry | FileEntry) -> bytes:
    """Write a header or an entry as its line, newline included."""
    return dumps(attrs.asdict(row, filter=lambda field, value: value or field.name not in _SELDOM)) + b"\n"


def fold(content: bytes) -> Journal:
    """Read a journal's bytes. Pure and total: what cannot be read is named, never raised."""
    *lines, tail = content.split(b"\n")
    rows = [_header(line) if number == 0 else _entry(line) for number, line in enumerate(lines)]
    entries = _new(rows)
    readable = max((number for number, row in enumerate(rows, 1) if row is not None), default=0)
    return Journal(
        header=rows[0] if rows and isinstance(rows[0], Header) else None,
        entries=_last_of_each((row.thread_id, row) for row in entries.values()),
        files=_last_of_each((row.file_id, row) for row in rows if isinstance(row, FileEntry)),
        torn=bool(tail),
        unreadable=tuple(number for number, row in enumerate(rows, 1) if row is None),
        readable=readable,
        end=sum(len(line) + 1 for line in lines[:readable]),
        foreign=_foreign(lines[0]) if lines and rows[0] is None else None,
        places={row.thread_id: number for number, row in entries.items()},
        written=tuple(row for row in entries.values() if row.outcome is Outcome.COMPLETE),
    )


def _new(rows: Iterable[Header | Entry | FileEntry | None]) -> dict[int, Entry]:
    """The entries of threads, by the number of the line, from 1; without those that stand there twice.

    One that calls a thread complete just as the entry before it did is of the same lines, and supersedes nothing.
    """
    last: dict[str, Entry] = {}
    new: dict[int, Entry] = {}
    for number, row in enumerate(rows, 1):
        if isinstance(row, Entry) and (row.outcome is not Outcome.COMPLETE or last.get(row.thread_id) != row):
            last[row.thread_id] = new[number] = row
    return new


def _last_of_each(entries: Iterable[tuple[str, _Row]]) -> dict[str, _Row]:
    last: dict[str, _Row] = {}
    for key, entry in entries:
        last.pop(key, None)  # a later entry also takes the later place
        last[key] = entry
    return last


def _header(line: bytes) -> Header | None:
    try:
        return Header(**loads(line))
    except (ValueError, TypeError):
        return None


def _foreign(line: bytes) -> str | None:
    try:
        named = loads(line).get("format")
    except (ValueError, AttributeError):
        return None
    return named if isinstance(named, str) and named != FORMAT else None


def _entry(line: bytes) -> Entry | FileEntry | None:
    """An entry about a thread has a `thread_id`, one about a file a `file_id`."""
    try:
        fields = loads(line)
        return FileEntry(**fields) if "file_id" in fields else Entry(**fields)
    except (ValueError, TypeError):
        return None
