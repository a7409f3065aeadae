"""The journal beside an export: what has happened to each thread, one JSON line each, only ever appended to.

The first line is the header. Each further line is the entry of one thread, written when its lines are safely in
the export; the last entry of a thread counts. A torn last line is normal: the process ended while writing it.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import attrs
from attrs.validators import deep_mapping, ge, in_, instance_of, optional

from threadkeep.jsontext import dumps, loads
from threadkeep.paths import BESIDE

__all__ = ["FORMAT", "Entry", "Header", "Journal", "Outcome", "Span", "encode_line", "fold"]

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


_COUNT = [instance_of(int), ge(0)]
_TEXT = optional(instance_of(str))


def _included(given: Sequence[str]) -> tuple[str, ...]:
    if any(kind not in BESIDE for kind in given):
        raise ValueError(f"include knows {', '.join(BESIDE)}")
    return tuple(kind for kind in BESIDE if kind in given)


@attrs.frozen(kw_only=True)
class Header:
    """What the export is of.

    Attributes:
        source: the address that was asked, without secrets.
        assistant_id: the assistant that the export is for.
        flat: whether its lines are flat.
        started_at: when the export began, ISO 8601, UTC.
        include: what is saved beside the messages, of `threadkeep.paths.BESIDE`.
    """

    source: str = attrs.field(validator=instance_of(str))
    assistant_id: str = attrs.field(validator=instance_of(str))
    flat: bool = attrs.field(validator=instance_of(bool))
    started_at: str = attrs.field(validator=instance_of(str))
    include: tuple[str, ...] = attrs.field(default=(), converter=_included)
    format: str = attrs.field(default=FORMAT, validator=in_([FORMAT]))


@attrs.frozen(kw_only=True)
class Span:
    """What a thread has in a file beside the export: its lines, where they end in bytes, and their sha256."""

    lines: int = attrs.field(validator=_COUNT)
    end_offset: int = attrs.field(validator=_COUNT)
    sha256: str = attrs.field(validator=instance_of(str))


def _spans(given: Mapping[str, Any]) -> dict[str, Span]:
    return {kind: span if isinstance(span, Span) else Span(**span) for kind, span in dict(given).items()}


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
        factory=dict, converter=_spans, validator=deep_mapping(in_(BESIDE), instance_of(Span))
    )


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
    """

    header: Header | None
    entries: Mapping[str, Entry]
    torn: bool = False
    unreadable: tuple[int, ...] = ()
    readable: int = 0
    end: int = 0

    @property
    def complete(self) -> tuple[Entry, ...]:
        """The entries of the threads that are in the export, in its order."""
        return tuple(entry for entry in self.entries.values() if entry.outcome is Outcome.COMPLETE)

    @property
    def not_complete(self) -> tuple[Entry, ...]:
        """The entries of the threads that are not in the export, or not whole."""
        return tuple(entry for entry in self.entries.values() if entry.outcome is not Outcome.COMPLETE)

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


def encode_line(row: Header | Entry) -> bytes:
    """Write a header or an entry as its line, newline included. What there is nothing of beside is left out."""
    fields = attrs.asdict(row, filter=lambda field, value: value or field.name not in ("beside", "include"))
    return dumps(fields) + b"\n"


def fold(content: bytes) -> Journal:
    """Read a journal's bytes. Pure and total: what cannot be read is named, never raised."""
    *lines, tail = content.split(b"\n")
    rows = [_header(line) if number == 0 else _entry(line) for number, line in enumerate(lines)]
    readable = max((number for number, row in enumerate(rows, 1) if row is not None), default=0)
    return Journal(
        header=rows[0] if rows and isinstance(rows[0], Header) else None,
        entries=_last_of_each(row for row in rows if isinstance(row, Entry)),
        torn=bool(tail),
        unreadable=tuple(number for number, row in enumerate(rows, 1) if row is None),
        readable=readable,
        end=sum(len(line) + 1 for line in lines[:readable]),
    )


def _last_of_each(entries: Iterable[Entry]) -> dict[str, Entry]:
    last: dict[str, Entry] = {}
    for entry in entries:
        last.pop(entry.thread_id, None)  # a later entry also takes the later place
        last[entry.thread_id] = entry
    return last


def _header(line: bytes) -> Header | None:
    try:
        return Header(**loads(line))
    except (ValueError, TypeError):
        return None


def _entry(line: bytes) -> Entry | None:
    try:
        return Entry(**loads(line))
    except (ValueError, TypeError):
        return None
