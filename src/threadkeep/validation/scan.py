"""Hold a file whose lines belong to threads against the rows of the index, in one pass.

Each row claims a range of bytes, and has its digest. Where the bytes at that place have it, the thread is intact.
Ranges that no intact row claims are gaps: their lines are grouped by the thread that they name, and a group with the
digest of a row that has not been found is that thread, at another place. Nothing else is matched, so that a byte more
or less at the beginning of a file damages one thread, and not all.
"""

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import groupby
from math import inf
from typing import Any, BinaryIO, NamedTuple

from threadkeep.serialization.strict_json import Fault
from threadkeep.storage.index import IndexRow, Span
from threadkeep.storage.spans import SpanFile, thread_of
from threadkeep.validation.fast_line_check import LineSummary, summaries
from threadkeep.validation.findings import Finding, finding
from threadkeep.validation.line_check import NO_ID, OTHER_ASSISTANTS, Read, check_line

__all__ = ["MessageLines", "Place", "RepeatedIds", "ThreadFile"]

_DAY = 24 * 3600
_NAMED = re.compile(rb'"thread_id": ?"([^"\\]+)"')
_NOTHING = hashlib.sha256(b"").hexdigest()


class RepeatedIds:
    """Find out which of millions of ids are repeated, without keeping them: by 64-bit hashes, eight bytes each.

    Equal hashes only raise a suspicion; the caller compares the ids themselves then.
    """

    _HEAPS = 256  # many small heaps: a set of one at a time needs little memory

    def __init__(self) -> None:
        self._heaps = tuple(array("q") for _ in range(self._HEAPS))

    def add(self, ids: Iterable[str]) -> None:
        """Count some more."""
        heaps, last = self._heaps, self._HEAPS - 1
        for number in map(hash, ids):
            heaps[number & last].append(number)

    def repeated(self) -> frozenset[int]:
        """Return the hashes that were counted more than once."""
        doubted = (heap for heap in self._heaps if len(set(heap)) < len(heap))
        return frozenset(number for heap in doubted for number, count in Counter(heap).items() if count > 1)


class Place(NamedTuple):
    """Where the lines of a thread are: the number of the first one, from 1, how many, and their bytes."""

    line: int
    messages: int
    start: int
    end: int


_SOMEWHERE = Place(0, 0, 0, 0)


class MessageLines:
    """Checks the lines of OUT, each by itself and against those before it, and counts their messages.

    Args:
        name: of the file.
        now: seconds since the epoch, as the keys of ``days`` are days since then.
        saved: the ids of the files that were downloaded.
        assistant_id: of every line; `NO_ID` where each thread has its own.
        is_flat: whether every line is flat; None for what the first one is.

    Attributes:
        others: how many messages each assistant wrote that is not the one of their line.
    """

    def __init__(self, name: str, *, now: int, saved: Set[str], assistant_id: object, is_flat: bool | None) -> None:
        self.messages = 0
        self.days = Counter[int]()
        self.others = Counter[str]()
        self.ids = RepeatedIds()
        self.is_flat = is_flat
        self.assistant_id = assistant_id
        self._name = name
        self._now = now
        self._saved = saved
        self.begin(None, assistant_id)

    def begin(self, thread_id: str | None, assistant_id: object) -> None:
        """Begin the lines of a thread, which must have this assistant id; `NO_ID` for that of its first line."""
        self._thread_id, self._assistant_id = thread_id, assistant_id
        self._last_time: float = -inf
        self._count = 0
        self._first_id: str | None = None
        self._last_id: str | None = None
        self._foreign: str | None = None

    def intact(self, content: bytes, first: int) -> Iterator[Finding]:
        """Check complete lines that are as they were written; ``first`` is the number of the first one, from 1."""
        ids: list[str] = []
        times: list[int] = []
        lines: list[bytes] = []
        thread_id, last_time = self._thread_id, self._last_time
        # Millions of times round.
        for number, summary in enumerate(self._summaries(content), first):
            if summary is not None and summary[0] == thread_id and summary[2] >= last_time:
                _, message_id, last_time, _, _, notes = summary
                ids.append(message_id)
                times.append(last_time)
                if notes:
                    yield from self._findings(notes, number, message_id)
            else:
                self._last_time = last_time
                lines = lines or content.split(b"\n")
                read = check_line(lines[number - first], number, now=self._now, saved=self._saved)
                yield from self._against(read, number)
                last_time = self._last_time
                ids += [] if read[1] is None else [read[1]]
                times += [] if read[2] is None else [read[2]]
        self._last_time = last_time
        self._add(ids, times)

    def read(self, line: bytes, number: int) -> Read:
        """Read a line in a gap."""
        summary = next(self._summaries(line))
        return summary or check_line(line.removesuffix(b"\n"), number, now=self._now, saved=self._saved)

    def loose(self, read: Read, number: int) -> Iterator[Finding]:
        """Check a line in a gap."""
        yield from self._against(read, number)
        self._add([] if read[1] is None else [read[1]], [] if read[2] is None else [read[2]])

    def check_row(self, row: IndexRow, where: Mapping[str, Any]) -> Iterator[Finding]:
        """Hold the row of an intact thread against its lines; ``where`` the row is."""
        expected: dict[str, int | str | None] = {
            "messages": self._count,
            "first_id": self._first_id,
            "last_id": self._last_id,
            "thread_id": self._foreign or row.thread_id,
        }
        for field, value in expected.items():
            if getattr(row, field) != value:
                what = f"the row has {getattr(row, field)} for {field!r}, and the thread's lines {value}"
                yield finding("index_mismatch", what, path=f"$.{field}", **where)

    def _summaries(self, content: bytes) -> Iterator[LineSummary | None]:
        is_flat, assistant_id = bool(self.is_flat), self._assistant_id
        return summaries(content, is_flat=is_flat, assistant_id=assistant_id, now=self._now, saved=self._saved)

    def _add(self, ids: Sequence[str], times: Sequence[int]) -> None:
        if ids:
            self._first_id, self._last_id = self._first_id or ids[0], ids[-1]
            self._count += len(ids)
            self.messages += len(ids)
            self.ids.add(ids)
        if times and min(times) // _DAY == max(times) // _DAY:
            self.days[times[0] // _DAY] += len(times)
        else:
            self.days.update([when // _DAY for when in times])

    def _against(self, read: Read, number: int) -> Iterator[Finding]:
        """Report the faults of a line, and hold it against its thread, its export, and the line before it."""
        given, message_id, when, assistant_id, is_flat, faults = read
        found = list(faults)
        if given is not None and given != self._thread_id:
            self._foreign = given
        if assistant_id is not NO_ID:
            self._assistant_id = assistant_id if self._assistant_id is NO_ID else self._assistant_id
            if assistant_id != self._assistant_id:
                what = f"the line is of assistant {assistant_id}, and the export of {self._assistant_id}"
                found.append(Fault("mixed_assistants", what, "$.assistant_id"))
        if is_flat is not None:
            self.is_flat = is_flat if self.is_flat is None else self.is_flat
            if is_flat is not self.is_flat:
                what = "the line is {}, and the export is {}".format(*("flat", "full")[:: 1 if is_flat else -1])
                found.append(Fault("mixed_formats", what, "$.message"))
        if when is not None:
            # The server's order is that of insertion (recorded), so times do not go back.
            if when < self._last_time:
                found.append(Fault("time_goes_back", "the message is older than the one before it", "$.created_at"))
            self._last_time = when
        return self._findings(found, number, message_id)

    def _findings(self, faults: Iterable[Fault], number: int, message_id: str | None) -> Iterator[Finding]:
        where: dict[str, Any] = {"line": number, "thread_id": self._thread_id, "message_id": message_id}
        for one in faults:
            if one.code == OTHER_ASSISTANTS:
                self.others[one.what] += 1
            else:
                yield finding(one.code, one.what, file=self._name, path=one.path, **where)


class _Claim(NamedTuple):
    """The claim of a row that was not found at its place; ``number`` counts the claims on the file."""

    row: IndexRow
    span: Span
    number: int


class _Group(NamedTuple):
    """Lines in a gap that name one thread: the number of the first one, how many, and their bytes."""

    thread_id: str | None
    line: int
    messages: int
    span: Span

    def is_of(self, claim: _Claim) -> bool:
        return (self.span.bytes, self.span.sha256) == (claim.span.bytes, claim.span.sha256)

    def misplaced(self, claim: _Claim, where: Mapping[str, Any]) -> Finding:
        what = f"the thread's lines begin at byte {self.span.offset}, and the index says {claim.span.offset}"
        return finding("misplaced_thread", what, **where)


class ThreadFile(SpanFile):
    """A file whose lines belong to threads.

    Args:
        name, file: as of a `SpanFile`.
        checks: of its lines, for OUT. Of other files nothing is looked at but the thread of a line.
        lost: the code for a thread that is damaged there; None for the code of each kind of damage.
        has_index: whether there is an index, which names every thread, and whose rows are handed to `claim`.

    Attributes:
        places: where each thread is, in OUT; of one whose lines are not together, the first of them. In other files
            only the threads are of use.
        split: the threads whose lines are not together.
        damaged: the threads whose lines are not those that were written.
        lines: how many were read.
    """

    def __init__(
        self,
        name: str,
        file: BinaryIO | None,
        checks: MessageLines | None = None,
        *,
        lost: str | None = None,
        has_index: bool = True,
    ) -> None:
        super().__init__(name, file)
        self.places: dict[str, Place] = {}
        self.split = set[str]()
        self.damaged = set[str]()
        self.lines = 0
        self._checks = checks
        self._lost = lost
        self._has_index = has_index
        self._claims: dict[str | None, _Claim] = {}  # of rows that were not found
        self._groups: dict[str | None, _Group] = {}  # that are of no row
        self._number = 0
        # The last claim that was found, how far it was from its place, and whether other lines are behind it.
        self._latest, self._shift, self._is_disturbed = 0, 0, False

    def claim(self, row: IndexRow, span: Span, where: Mapping[str, Any]) -> Iterator[Finding]:
        """Check the lines that a row claims; ``where`` the row is, for findings about it."""
        if not span.bytes:
            if span.sha256 != _NOTHING:
                yield finding("index_mismatch", "the digest is not that of no lines", path="$.sha256", **where)
            yield from self._intact((), row, where)
            return
        self._number += 1
        before, content = self.reached, self.take(span)
        if content is None:
            if row.thread_id in self._claims:
                yield finding("index_mismatch", "the thread has a row already", **where)
            self._claims[row.thread_id] = _Claim(row, span, self._number)
            return
        yield from self._search(before, span.offset)
        first = self.lines + 1
        yield from self._intact(content, row, where)
        self._place(row.thread_id, Place(first, self.lines + 1 - first, span.offset, span.end))
        self._latest, self._shift, self._is_disturbed = self._number, 0, False

    def _intact(self, content: Iterable[bytes], row: IndexRow, where: Mapping[str, Any]) -> Iterator[Finding]:
        """Check the lines of a thread, in blocks, and its row."""
        if self._checks is not None:
            self._checks.begin(row.thread_id, row.assistant_id)
        for block in content:
            if self._checks is not None:
                yield from self._checks.intact(block, self.lines + 1)
            self.lines += block.count(b"\n")
            if not block.endswith(b"\n"):
                yield self._torn(self.lines + 1, row.thread_id)
        if self._checks is not None:
            yield from self._checks.check_row(row, where)

    def _search(self, start: int, end: int) -> Iterator[Finding]:
        """Look through bytes that no intact row claims."""
        for thread_id, lines in groupby(self._owned(start, end), lambda owned: owned[0]):
            number, begin, count, digest = self.lines, start, 0, hashlib.sha256()
            for _, line, found in lines:
                digest.update(line)
                start, count = start + len(line), count + 1
                yield from found
            span = Span(begin, start - begin, digest.hexdigest())
            yield from self._leave(_Group(thread_id, number, count, span))

    def _owned(self, start: int, end: int) -> Iterator[tuple[str | None, bytes, Sequence[Finding]]]:
        """Yield each line with its thread, and the findings about it."""
        before: str | None = None
        for line in self.lines_in(start, end):
            self.lines += 1
            found: Sequence[Finding] = ()
            if not line.endswith(b"\n"):
                thread_id = self._owner(line, before, None)
                found = [self._torn(self.lines, thread_id)]
            elif self._checks is None:
                thread_id = self._owner(line, before, thread_of(line))
            else:
                read = self._checks.read(line, self.lines)
                thread_id = self._owner(line, before, read[0])
                if thread_id is None or thread_id != before:
                    own = self._claims[thread_id].row.assistant_id if thread_id in self._claims else NO_ID
                    of_all = self._checks.assistant_id
                    self._checks.begin(thread_id, own if of_all is NO_ID else of_all)
                found = [*self._checks.loose(read, self.lines)]
            yield thread_id, line, found
            before = thread_id

    def _owner(self, line: bytes, before: str | None, given: str | None) -> str | None:
        """Return the thread of a line in a gap.

        It is the known one that the line gives or names, or else the one that it gives. A line that cannot be read
        belongs to the thread before it, unless it names another and any thread may be there.
        """

        def is_known(thread_id: str) -> bool:
            return thread_id in self._claims or thread_id in self.places or thread_id == before

        if given is not None and is_known(given):
            return given
        named = [name.decode("utf-8", "replace") for name in _NAMED.findall(line)]
        others = (before, *named) if self._has_index else (*named, before)
        return next(filter(is_known, named), None) or given or next(filter(None, others), None)

    def _torn(self, number: int, thread_id: str | None) -> Finding:
        what = "the last line is cut short: it does not end with a newline"
        return finding("torn_line", what, file=self.name, line=number, thread_id=thread_id)

    def _place(self, thread_id: str, place: Place) -> None:
        self.places[thread_id] = place if self._checks is not None else _SOMEWHERE

    def _leave(self, group: _Group) -> Iterator[Finding]:
        thread_id = group.thread_id
        where: dict[str, Any] = {"file": self.name, "line": group.line, "thread_id": thread_id}
        if thread_id is not None and thread_id in self.places:
            self.split.add(thread_id)
            self._is_disturbed = True
            yield finding("split_thread", "the thread has more lines here, behind another thread's", **where)
            return
        if thread_id is not None:
            self._place(thread_id, Place(group.line, group.messages, group.span.offset, group.span.end))
        if not self._has_index:
            return
        claim = self._claims.get(thread_id)
        if claim is None or not group.is_of(claim):
            self._groups.setdefault(thread_id, group)
            self._is_disturbed = True
            return
        del self._claims[thread_id]
        # Lines before it that are more or fewer explain that it is not at its place.
        shift = group.span.offset - claim.span.offset
        is_explained = shift == self._shift or self._is_disturbed or claim.number != self._latest + 1
        if claim.number < self._latest or not is_explained:
            yield group.misplaced(claim, where)
        self._latest, self._shift, self._is_disturbed = max(claim.number, self._latest), shift, False

    def finish(self) -> Iterator[Finding]:
        """Look through the end of the file, and report what was not found."""
        yield from self._search(self.reached, self.size)
        for thread_id, group in self._groups.items():
            claim = self._claims.pop(thread_id, None)
            where: dict[str, Any] = {"file": self.name, "line": group.line, "thread_id": thread_id}
            if claim is not None and group.is_of(claim):
                yield group.misplaced(claim, where)
                continue
            if thread_id is not None:
                self.damaged.add(thread_id)
            if claim is None:
                what = f"the index has no row for the lines from here on: {group.messages:,}"
                yield finding("unindexed_lines", what, **where)
            else:
                size = f"{group.messages:,}, with {group.span.bytes:,} bytes"
                what = f"the lines of the thread ({size}) are not those that were written"
                yield finding(self._lost or "digest_mismatch", what, **where)
        for claim in self._claims.values():
            self.damaged.add(claim.row.thread_id)
            what = f"the index has {claim.span.bytes:,} bytes of the thread in {self.name}, and no line of it is there"
            yield finding(self._lost or "lost_thread", what, file=self.name, thread_id=claim.row.thread_id)
