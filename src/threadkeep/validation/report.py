"""The report of a validation: findings, of which repeated ones are only counted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TypeVar

import attrs

from threadkeep.validation.findings import KINDS, Finding, Severity, gravest

__all__ = ["Collected", "LineTotals", "Live", "ValidationReport", "collect"]

_Key = TypeVar("_Key")


@attrs.frozen(kw_only=True)
class LineTotals:
    """How many threads have lines, how many lines hold a message, and how long the export is."""

    threads: int
    messages: int
    bytes: int


@attrs.frozen(kw_only=True)
class Live:
    """The result of comparing with the live API.

    Attributes:
        source: the address, without secrets.
        wanted: how many threads were to be compared.
        compared: how many were, those that are gone included.
        new_messages: how many messages came after the export.
        seed: of the sample; None where every thread was wanted.
        ended_by: what ended it before its time, in one line; None when nothing did.
        left: the ids of the threads that it did not come to then.
    """

    source: str
    wanted: int
    compared: int
    new_messages: int
    seed: int | None = None
    ended_by: str | None = None
    left: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class ValidationReport:
    """What validate found in an export. Iterating gives its findings.

    Attributes:
        out: the export.
        findings: in the order in which they were found, of each code no more than was asked for.
        counts: how many there are of each code, those that are not listed included.
        severities: the same by severity.
        totals: what was read.
        outcomes: how many threads have each outcome, by the index; None without one.
        months: how many messages each month has, by "2026-03", in order.
        sizes: how many threads have how many messages, by the messages, in order.
        refetch: the ids of the threads that are to be fetched again, or whose files are, each once.
        live: the result of comparing with the live API; None where that was not asked for.
        is_written: whether there is an export: a first run that is under way, or was cut off, has written none.
        name: of the export, for people.
    """

    out: Path
    findings: tuple[Finding, ...]
    counts: Mapping[str, int]
    severities: Mapping[Severity, int]
    totals: LineTotals
    outcomes: Mapping[str, int] | None
    months: Mapping[str, int]
    sizes: Mapping[int, int]
    refetch: tuple[str, ...]
    live: Live | None = None
    is_written: bool = True
    name: str = attrs.field(default=attrs.Factory(lambda self: str(self.out), takes_self=True))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def is_complete(self) -> bool:
        """Whether there is an export, and only notes about it."""
        return self.is_written and not self.severities[Severity.ERROR] and not self.severities[Severity.WARNING]

    def with_findings(self, findings: Iterable[Finding], most: int) -> "ValidationReport":
        """Return a report with more findings, of each code no more than ``most`` listed."""
        more = collect(findings, most)
        return attrs.evolve(
            self,
            findings=collect((*self.findings, *more.listed), most).listed,
            counts=_sum(self.counts, more.counts),
            severities=_sum(self.severities, more.severities),
            refetch=tuple(dict.fromkeys((*self.refetch, *more.refetch))),
        )

    def with_parts(self, parts: Sequence["ValidationReport"]) -> "ValidationReport":
        """Return a report with the numbers and the threads to fetch again of parts; their findings are left out."""
        of_all = (self, *parts)
        return attrs.evolve(
            self,
            totals=LineTotals(
                threads=sum(one.totals.threads for one in of_all),
                messages=sum(one.totals.messages for one in of_all),
                bytes=sum(one.totals.bytes for one in of_all),
            ),
            outcomes=_sum(*(one.outcomes or {} for one in of_all)),
            months=dict(sorted(_sum(*(one.months for one in of_all)).items())),
            sizes=dict(sorted(_sum(*(one.sizes for one in of_all)).items())),
            refetch=tuple(dict.fromkeys(chain.from_iterable(one.refetch for one in of_all))),
        )

    def by_code(self) -> dict[str, list[Finding]]:
        """Return the listed findings by code: those with the gravest finding first, else in the order of `KINDS`."""
        found = {code: list[Finding]() for code in KINDS}
        for one in self.findings:
            found[one.code].append(one)
        order, groups = list(Severity), [(code, own) for code, own in found.items() if own]
        return dict(sorted(groups, key=lambda group: order.index(gravest(group[1]))))


def _sum(*counts: Mapping[_Key, int]) -> dict[_Key, int]:
    sums = dict[_Key, int]()
    for count in counts:
        for key, number in count.items():
            sums[key] = sums.get(key, 0) + number
    return sums


@attrs.frozen
class Collected:
    """Findings of which repeated ones are only counted; see `ValidationReport`."""

    listed: tuple[Finding, ...]
    counts: Mapping[str, int]
    severities: Mapping[Severity, int]
    refetch: tuple[str, ...]


def collect(findings: Iterable[Finding], most: int) -> Collected:
    """List no more than ``most`` findings of each code, and of each severity where a code has several; count all."""
    listed, counts, refetch = list[Finding](), Counter[tuple[str, Severity]](), dict[str, None]()
    for one in findings:
        counts[one.code, one.severity] += 1
        if counts[one.code, one.severity] <= most:
            listed.append(one)
        if one.thread_id is not None and KINDS[one.code].refetch and one.severity is not Severity.NOTE:
            refetch[one.thread_id] = None
    by_code, by_severity = Counter[str](), Counter(dict.fromkeys(Severity, 0))
    for (code, severity), count in counts.items():
        by_code[code] += count
        by_severity[severity] += count
    return Collected(tuple(listed), dict(by_code), dict(by_severity), tuple(refetch))
