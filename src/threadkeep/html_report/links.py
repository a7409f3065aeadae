"""What leads where on the page of a report: from each finding to the conversation that it is about, and back."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from threadkeep.html_report.excerpts import Conversation
from threadkeep.validation.findings import KINDS, Finding, Severity
from threadkeep.validation.report import ValidationReport

__all__ = ["MOST_ROWS", "Links", "Mention", "Row", "anchor", "gravest", "mentions"]

MOST_ROWS = 200
"""How many findings of one code the page lists."""


@attrs.frozen
class Row:
    """A finding on the page: its number, and the anchor of the conversation that it is about, if that is shown."""

    number: int
    finding: Finding
    what: str
    anchor: str | None


@attrs.frozen
class Mention:
    """A code of which there are findings about a place, how many, and the number of the first."""

    code: str
    number: int
    count: int


@attrs.frozen
class Links:
    """What leads where: from each finding to its conversation, and back.

    Attributes:
        rows: the findings that are listed, in the order of the page.
        by_line: those about a line of the export, by the thread and the line.
        by_message: those about a message without a line, by the thread and the message.
        by_thread: those about a thread.
    """

    rows: Sequence[Row]
    by_line: Mapping[tuple[str | None, int], Sequence[Row]]
    by_message: Mapping[tuple[str | None, str], Sequence[Row]]
    by_thread: Mapping[str | None, Sequence[Row]]

    @classmethod
    def of(cls, report: ValidationReport, conversations: Sequence[Conversation]) -> "Links":
        """Number the findings that are listed, and tie them to what is shown."""
        anchors = _Anchors.of(conversations)
        by_line = defaultdict[tuple[str | None, int], list[Row]](list)
        by_message = defaultdict[tuple[str | None, str], list[Row]](list)
        by_thread = defaultdict[str | None, list[Row]](list)
        rows = list[Row]()
        for number, one in enumerate(_listed(report.findings), 1):
            line = one.line if one.file == report.out.name else None
            what = one.message.removesuffix(f"; {KINDS[one.code].remedy}")
            row = Row(number, one, what, anchors.find(one.thread_id, line, one.message_id))
            rows.append(row)
            by_thread[one.thread_id].append(row)
            if line is not None:
                by_line[one.thread_id, line].append(row)
            elif one.message_id is not None:
                by_message[one.thread_id, one.message_id].append(row)
        return cls(rows, by_line, by_message, by_thread)


@attrs.frozen
class _Anchors:
    """The anchors of what is shown: of threads, of their lines, of their messages."""

    threads: Mapping[str | None, str]
    lines: Mapping[tuple[str | None, int], str]
    messages: Mapping[tuple[str | None, str | None], str]

    @classmethod
    def of(cls, conversations: Sequence[Conversation]) -> "_Anchors":
        """Number what is shown."""
        threads = {one.thread_id: anchor(number) for number, one in enumerate(conversations, 1)}
        shown = [
            (one.thread_id, row, anchor(number, row.line))
            for number, one in enumerate(conversations, 1)
            for row in one.messages
        ]
        lines = {(thread_id, row.line): name for thread_id, row, name in shown}
        messages = {(thread_id, row.message_id): name for thread_id, row, name in reversed(shown)}
        return cls(threads, lines, messages)

    def find(self, thread_id: str | None, line: int | None, message_id: str | None) -> str | None:
        """Give the anchor that is nearest to a place; None when nothing of its thread is shown."""
        if line is not None:
            return self.lines.get((thread_id, line)) or (self.threads.get(thread_id) if thread_id is not None else None)
        if thread_id is None:
            return None
        found = self.messages.get((thread_id, message_id)) if message_id is not None else None
        return found or self.threads.get(thread_id)


def anchor(thread: int, line: int | None = None) -> str:
    """Name a conversation, or a line of one, by numbers: no foreign text stands in an anchor."""
    return f"thread-{thread}" if line is None else f"thread-{thread}-line-{line}"


def _listed(findings: Sequence[Finding]) -> Iterator[Finding]:
    """The findings that the page lists: the gravest codes first, and of each code so many."""
    by_code = defaultdict[str, list[Finding]](list)
    for one in findings:
        by_code[one.code].append(one)
    order = list(Severity)
    codes = [code for code in KINDS if code in by_code]
    for code in sorted(codes, key=lambda code: min(order.index(one.severity) for one in by_code[code])):
        yield from by_code[code][:MOST_ROWS]


def mentions(rows: Sequence[Row]) -> list[Mention]:
    """Name the codes of some findings, each once, in their order."""
    counts, first = Counter(row.finding.code for row in rows), dict[str, int]()
    for row in rows:
        first.setdefault(row.finding.code, row.number)
    return [Mention(code, number, counts[code]) for code, number in first.items()]


def gravest(rows: Iterable[Row]) -> Severity:
    """Give the highest severity of some findings, of which there is one at least."""
    return min((row.finding.severity for row in rows), key=list(Severity).index)
