"""One pass over the lines of an export: each line by itself, and against those before it.

Which of millions of ids stand there twice, without keeping them: 64-bit hashes, eight bytes each.

Equal hashes only raise a suspicion; whoever asks looks at the ids themselves then.
"""

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from math import inf
from typing import Any

import attrs

from threadkeep.validation.fast_line_check import LineSummary, fast_check_flat, fast_check_full
from threadkeep.validation.findings import LEFT_BY_A_KILL, Finding, Severity, finding
from threadkeep.validation.line_check import Fault, Row, check_line
from threadkeep.validation.report import LineTotals

__all__ = ["Expected", "Place", "Reading", "Suspicions", "ThreadLines"]

# Many small heaps rather than one: a set of one heap at a time needs little memory.
_HEAPS = 256
_LAST = _HEAPS - 1


class Suspicions:
    """The ids that were seen."""

    def __init__(self) -> None:
        self._heaps = tuple(array("q") for _ in range(_HEAPS))

    def add(self, message_ids: Iterable[str]) -> None:
        """See some more."""
        heaps = self._heaps
        for number in map(hash, message_ids):
            heaps[number & _LAST].append(number)

    def repeated(self) -> frozenset[int]:
        """The hashes that were seen more than once."""
        return frozenset(number for heap in self._heaps for number in _twice(heap))


def _twice(numbers: "array[int]") -> list[int]:
    if len(set(numbers)) == len(numbers):
        return []
    return [number for number, count in Counter(numbers).items() if count > 1]


# So many lines less one: a power of two less one.
_BATCH = 63
_DAY = 24 * 3600
_Ids = Mapping[str, str | None]
_NAMED = re.compile(rb'"thread_id": ?"([^"\\]+)"')


@attrs.frozen(kw_only=True)
class Expected:
    """What every line is held against.

    Attributes:
        name: of the file, for findings.
        now: seconds since the epoch; nothing is younger.
        assistant_id, flat: as the journal's header says; None for what the first line says.
        torn_from: the byte behind which a run that was cut off may leave a torn line; None for nowhere.
        known: the threads that may stand there; none where that is not known.
        saved: the ids of the files that were downloaded.
    """

    name: str
    now: int
    assistant_id: str | None = None
    flat: bool | None = None
    torn_from: int | None = None
    known: Set[str] = frozenset()
    saved: Set[str] = frozenset()


@attrs.frozen
class Place:
    """Where a thread's lines stand: the first one's number, from 1, how many they are, and their bytes."""

    line: int
    messages: int
    start: int
    end: int


@attrs.define
class ThreadLines:
    """The lines of one thread, as they stand in the export."""

    thread_id: str
    first_line: int
    start: int
    ends: int
    messages: int = 0
    first_id: str | None = None
    last_id: str | None = None
    _digest: Any = attrs.field(factory=hashlib.sha256)

    def take(self, content: bytes, lines: int, first_id: str | None, last_id: str | None) -> None:
        """Count lines to the thread, and the ids of their first and last message, where these can be told."""
        self.messages += lines
        self.ends += len(content)
        self.first_id = self.first_id or first_id
        self.last_id = last_id or self.last_id
        self._digest.update(content)

    @property
    def sha256(self) -> str:
        """Of the lines that were counted."""
        return str(self._digest.hexdigest())

    @property
    def place(self) -> Place:
        """Where the lines that were counted stand."""
        return Place(self.first_line, self.messages, self.start, self.ends)


Judge = Callable[[ThreadLines], Iterable[Finding]]
"""Says what is to be said of a thread when all its lines were read."""


class Reading:
    """One pass over the lines.

    Args:
        expected: of the lines.
        judge: asked about each thread, once its lines end. Of a thread whose lines stand in two places, which is told,
            only the first lines are judged.

    Attributes:
        threads: where each thread stands; of one whose lines stand in two places, the first.
        split: the threads whose lines stand in two places or more.
        assistant_id, is_flat: what all lines should be: as expected, or else as the first line is.
        totals: what was read.
        days: how many messages each day has, in days since the epoch.
    """

    def __init__(self, expected: Expected, judge: Judge = lambda _thread: ()) -> None:
        self.threads: dict[str, Place] = {}
        self.split = set[str]()
        self.days = Counter[int]()
        self._expected = expected
        self._judge = judge
        self.assistant_id, self.is_flat = expected.assistant_id, expected.flat
        self._current: ThreadLines | None = None
        self._messages = 0
        self._number = 0
        self._offset = 0
        self._last_time = -inf
        self._seen = Suspicions()

    @property
    def totals(self) -> LineTotals:
        """What was read."""
        return LineTotals(threads=len(self.threads), messages=self._messages, bytes=self._offset)

    @property
    def suspicions(self) -> frozenset[int]:
        """The hashes of the message ids that seem to stand there twice."""
        return self._seen.repeated()

    def read(self, lines: Iterable[bytes]) -> Iterator[Finding]:
        """Give the findings of the lines; afterwards the attributes hold what stands there.

        Args:
            lines: with their newlines, split on ``\\n`` only, from behind those that were read or passed over.
        """
        number = before = self._number
        glance, assistant_id, at_hand, last_time = self._glance, self.assistant_id, self._at_hand, self._last_time
        plain = list[bytes]()
        places = list[LineSummary]()
        now, saved, buffer = self._expected.now, self._expected.saved, bytearray()
        # Millions of times round: what can be told from a glance is put off, and counted many lines at once.
        for number, line in enumerate(lines, before + 1):
            summary = glance(line, assistant_id, now, saved, buffer)
            if summary is not None and summary[0] == at_hand and summary[2] >= last_time:
                last_time = summary[2]
                plain.append(line)
                places.append(summary)
                if number & _BATCH:
                    continue
                self._take_all(plain, places)
            else:
                self._take_all(plain, places)
                yield from self._stop_at(line, number, summary)
                glance, assistant_id = self._glance, self.assistant_id
                at_hand, last_time = self._at_hand, self._last_time
            plain.clear()
            places.clear()
        self._take_all(plain, places)
        self._number = number
        yield from self._leave()

    def pass_over(self, lines: Iterable[bytes]) -> None:
        """Let lines stand that do not count; those behind them have their numbers and places still."""
        for line in lines:
            self._number += 1
            self._offset += len(line)

    @property
    def _glance(self) -> Callable[[bytes, str | None, int, Set[str], bytearray], LineSummary | None]:
        return fast_check_flat if self.is_flat else fast_check_full

    def _take_all(self, lines: Sequence[bytes], places: Sequence[LineSummary]) -> None:
        """Count lines of the thread at hand of which there was nothing to say."""
        if self._current is None or not lines:
            return
        content = b"".join(lines)
        self._offset += len(content)
        self._messages += len(lines)
        self._current.take(content, len(lines), places[0][1], places[-1][1])
        self._seen.add([message_id for _, message_id, _ in places])
        first, self._last_time = places[0][2], places[-1][2]
        if first // _DAY == self._last_time // _DAY:
            self.days[first // _DAY] += len(places)
        else:
            self.days.update([when // _DAY for _, _, when in places])

    def _stop_at(self, line: bytes, number: int, summary: LineSummary | None) -> Iterator[Finding]:
        """Say what is to be said of a line, and count it, also when it cannot be read: it was part of its thread."""
        if not line.endswith(b"\n"):
            yield self._torn(line, number)
            self._offset += len(line)
            return
        row, faults = self._looked(line, number, summary)
        thread_id, assistant_id, message_id, created_at, is_flat = row
        named = self._named(line, thread_id)
        ids = {"thread_id": named, "message_id": message_id}
        yield from (self._say(one.code, one.what, number, path=one.path, **ids) for one in faults)
        if named is not None and named != self._at_hand:
            yield from self._leave()
            yield from self._enter(named, number)
        if is_flat is not None:
            yield from self._against_first(assistant_id, is_flat, number, ids)
        if created_at is not None:
            yield from self._against_last(created_at, number, ids)
            self.days[created_at // _DAY] += 1
        if message_id is not None:
            self._messages += 1
            self._seen.add([message_id])
        self._offset += len(line)
        if self._current is not None:
            self._current.take(line, 1, message_id, message_id)

    def _looked(self, line: bytes, number: int, summary: LineSummary | None) -> tuple[Row, Sequence[Fault]]:
        if summary is None:
            return check_line(line, number, now=self._expected.now, saved=self._expected.saved)
        thread_id, message_id, created_at = summary
        return (thread_id, self.assistant_id, message_id, created_at, self.is_flat), ()

    def _named(self, line: bytes, said: str | None = None) -> str | None:
        """The thread of a line: what its key says, or, where that is no known thread, the first known id in it.

        Where no id in it is known, a line that can be read is of the thread that it says, and any other line of the
        thread at hand, unless no thread is known at all: then an id in it is rather that of a thread that begins.
        """
        if self._is_known(said):
            return said
        found = [name.decode("utf-8", "replace") for name in _NAMED.findall(line)]
        known = [name for name in found if self._is_known(name)]
        unknown = [] if self._expected.known and self._at_hand is not None else found
        return next(iter([*known, *filter(None, [said]), *unknown]), self._at_hand)

    def _is_known(self, thread_id: str | None) -> bool:
        known = thread_id in self._expected.known or thread_id in self.threads
        return known or (thread_id is not None and thread_id == self._at_hand)

    @property
    def _at_hand(self) -> str | None:
        return self._current.thread_id if self._current is not None else None

    def _leave(self) -> Iterator[Finding]:
        if self._current is None:
            return
        thread, self._current = self._current, None
        if thread.thread_id not in self.threads:
            self.threads[thread.thread_id] = thread.place
            yield from self._judge(thread)

    def _enter(self, thread_id: str, number: int) -> Iterator[Finding]:
        known = self.threads.get(thread_id)
        if known is not None:
            what = f"the thread began at line {known.line} and goes on here, behind another thread's lines"
            self.split.add(thread_id)
            yield self._say("split_thread", what, number, thread_id=thread_id)
        self._current, self._last_time = ThreadLines(thread_id, number, self._offset, self._offset), -inf

    def _against_first(self, assistant_id: str | None, is_flat: bool, number: int, ids: _Ids) -> Iterator[Finding]:
        """All lines are of one assistant's export and of one form: the journal's, or else the first line's."""
        self.assistant_id = self.assistant_id or assistant_id
        self.is_flat = is_flat if self.is_flat is None else self.is_flat
        if assistant_id is not None and assistant_id != self.assistant_id:
            what = f"the line is of {assistant_id}, and the export of {self.assistant_id}"
            yield self._say("mixed_assistants", what, number, path="$.assistant_id", **ids)
        if is_flat is not self.is_flat:
            what = "the line is {}, and the export is {}".format(*("flat", "full")[:: 1 if is_flat else -1])
            yield self._say("mixed_formats", what, number, path="$.message", **ids)

    def _against_last(self, when: int, number: int, ids: _Ids) -> Iterator[Finding]:
        """The server's order is that of insertion (recorded), so times do not go back."""
        if when < self._last_time:
            what = "the message is older than the one before it"
            yield self._say("time_goes_back", what, number, path="$.created_at", **ids)
        self._last_time = when

    def _torn(self, line: bytes, number: int) -> Finding:
        """A run that was killed while writing leaves such a line behind all that its journal knows."""
        what = "the last line is cut short: it does not end with a newline"
        normal_from = self._expected.torn_from
        if normal_from is None or self._offset < normal_from:
            return self._say("torn_line", what, number, thread_id=self._named(line))
        where: dict[str, Any] = {"file": self._expected.name, "line": number}
        return Finding(code="torn_line", severity=Severity.NOTE, message=LEFT_BY_A_KILL, **where)

    def _say(self, code: str, what: str, number: int, **where: str | None) -> Finding:
        return finding(code, what, file=self._expected.name, line=number, **where)
