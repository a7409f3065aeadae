"""What the journal of an export says while it is written: what is finished, and what of that takes whose place.

Only a complete thread takes the place of a complete one: a thread that was asked for again in vain stays as it is.
"""

from collections.abc import Mapping

import attrs

from threadkeep.journal import Entry, FileEntry, Journal, Outcome
from threadkeep.spool import Spool

__all__ = ["Account", "Finished"]


@attrs.frozen(kw_only=True)
class Finished:
    """What became of a thread or of a file, ready to be written down.

    Attributes:
        entry: for the journal; where a thread's lines end is filled in when they are written.
        lines: its messages; None unless it is complete.
        beside: what goes into the files beside the export, by their kind.
    """

    entry: Entry | FileEntry
    lines: Spool | None = None
    beside: Mapping[str, Spool] = attrs.field(factory=dict)


class Account:
    """The journal of a run, entry by entry.

    Attributes:
        not_refreshed: the threads that were asked for again in vain, and why.
    """

    def __init__(self, journal: Journal) -> None:
        self.not_refreshed: dict[str, str] = {}
        self._now_complete = set[str]()
        self.hold(journal)

    def hold(self, journal: Journal) -> None:
        """Take a journal over that says the same of each thread."""
        self._header = journal.header
        self._entries, self._files = dict(journal.entries), dict(journal.files)
        self._written = list(journal.written)

    @property
    def journal(self) -> Journal:
        """What it holds now."""
        return Journal(self._header, dict(self._entries), files=dict(self._files), written=tuple(self._written))

    def stands(self, thread_id: str) -> bool:
        """Whether an earlier run has completed a thread, and this one has not."""
        return self.complete(thread_id) is not None and thread_id not in self._now_complete

    def complete(self, thread_id: str) -> Entry | None:
        """The entry of a thread that is complete; None of any other."""
        entry = self._entries.get(thread_id)
        return entry if entry is not None and entry.outcome is Outcome.COMPLETE else None

    def has(self, entry: Entry | FileEntry) -> bool:
        """Whether the journal holds this very entry."""
        return isinstance(entry, Entry) and self._entries.get(entry.thread_id) is entry

    def in_place_of(self, one: Finished) -> Entry | None:
        """The entry that stays when a thread is finished: a complete one, unless the thread is another now."""
        standing = self.complete(one.entry.thread_id) if isinstance(one.entry, Entry) else None
        if standing is None or (one.lines is not None and not _holds(standing, one)):
            return None
        return standing

    def before(self, one: Finished) -> Entry | None:
        """The complete entry whose lines give way when a thread is finished; None where there is none."""
        if not isinstance(one.entry, Entry) or one.lines is None or self.in_place_of(one) is not None:
            return None
        return self.complete(one.entry.thread_id)

    def take(self, given: Entry | FileEntry, entry: Entry | FileEntry) -> None:
        """Count what has been written down.

        Args:
            given: what became of a thread, or of a file.
            entry: what the journal says of it now.
        """
        if isinstance(entry, FileEntry):
            self._files.pop(entry.file_id, None)
            self._files[entry.file_id] = entry
        elif given.outcome is not entry.outcome:
            self.not_refreshed[entry.thread_id] = f"{given.outcome}: {given.reason}"
        else:
            self._take_thread(entry)

    def _take_thread(self, entry: Entry) -> None:
        """The last entry counts, and stands where it was written."""
        if entry.outcome is Outcome.COMPLETE:
            self._now_complete.add(entry.thread_id)
        if not self.has(entry):
            self._entries.pop(entry.thread_id, None)
            self._entries[entry.thread_id] = entry
            self._written += [entry] if entry.outcome is Outcome.COMPLETE else []


def _holds(entry: Entry, one: Finished) -> bool:
    """Whether what is finished is what an entry says already."""
    spools = {"": one.lines, **one.beside}
    said = {"": (entry.messages, entry.sha256)} | {
        kind: (span.lines, span.sha256) for kind, span in entry.beside.items()
    }
    same = said == {kind: (spool.lines, spool.sha256) for kind, spool in spools.items() if spool is not None}
    return same and isinstance(one.entry, Entry) and one.entry.files == entry.files
