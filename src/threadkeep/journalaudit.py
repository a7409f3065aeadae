"""The journal of an export by itself: what of it cannot be read, and what in it contradicts its own order. Pure."""

from collections.abc import Iterator

import attrs

from threadkeep.journal import Entry, Journal
from threadkeep.validation.findings import TORN_BY_A_KILL, UNBEGUN, Finding, Severity, finding

__all__ = ["faults", "of_entry", "order"]


def faults(name: str, journal: Journal, *, was_killed: bool, is_empty: bool) -> Iterator[Finding]:
    """Say which lines of a journal cannot be read.

    Args:
        name: of its file.
        journal: the journal.
        was_killed: whether the last run did not come to its end.
        is_empty: whether the export has no bytes. Lines that stand there are older than a journal without any.
    """
    is_unbegun = was_killed and is_empty and _has_nothing(journal)
    if is_unbegun:
        yield Finding(code="torn_journal", severity=Severity.NOTE, message=UNBEGUN, file=name)
    elif journal.torn:
        what = "the journal's last line is cut short: its thread is not vouched for"
        one = finding("torn_journal", what, file=name)
        by_a_kill = attrs.evolve(one, severity=Severity.NOTE, message=TORN_BY_A_KILL)
        yield by_a_kill if was_killed else one
    if journal.foreign is not None:
        what = f"the journal is in the format {journal.foreign}, which this version does not know"
        yield finding("unreadable_journal", what, file=name, line=1, path="$.format")
    elif journal.header is None and not is_unbegun:
        yield finding("unreadable_journal", "the journal does not begin with its header", file=name, line=1)
    for number in journal.unreadable:
        if number > 1 or journal.header is not None:
            yield finding("unreadable_journal", f"line {number} of the journal cannot be read", file=name, line=number)


def _has_nothing(journal: Journal) -> bool:
    """Whether there is no whole line in it."""
    return journal.header is None and not (journal.readable or journal.unreadable)


def order(name: str, journal: Journal) -> Iterator[Finding]:
    """Say which entries stand in the wrong place: where one thread ends, the next begins, in each of the files.

    Args:
        name: of its file.
        journal: the journal.
    """
    ends = dict[str, int]()
    for entry in journal.written:
        claimed = {"": (entry.messages, entry.end_offset)}
        claimed |= {kind: (span.lines, span.end_offset) for kind, span in entry.beside.items()}
        for kind, (lines, end) in claimed.items():
            before, ends[kind] = ends.get(kind, 0), end
            if end <= before if lines else end != before:
                what = f"its lines{f' of {kind}' if kind else ''} end at byte {end}, and those before it at {before}"
                path = f"$.beside.{kind}.end_offset" if kind else "$.end_offset"
                yield of_entry(name, journal, "misplaced_thread", what, entry, path=path)


def of_entry(name: str, journal: Journal, code: str, what: str, entry: Entry, *, path: str | None = None) -> Finding:
    """Make a finding about an entry, with its line.

    Args:
        name: of the journal's file.
        journal: where the entry stands.
        code, what, path: see `threadkeep.validation.findings`.
        entry: the last one of its thread, or one before it.
    """
    line = journal.places.get(entry.thread_id)
    return finding(code, what, file=name, line=line, path=path, thread_id=entry.thread_id)
