"""What validate says: a summary for people, one object for programs."""

from collections.abc import Iterator, Sequence
from typing import Any

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from threadkeep.cli.console import counted, escape, print_line
from threadkeep.validation.findings import KINDS, Finding, Severity
from threadkeep.validation.report import Live, ValidationReport

__all__ = ["FORMAT", "as_json", "print_verdict"]

FORMAT = "threadkeep-report/1"
"""The schema of what `--json` prints: keys are added to it, and never changed or taken away."""

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def as_json(report: ValidationReport) -> dict[str, Any]:
    """The report for programs."""
    return {
        "format": FORMAT,
        "out": str(report.out),
        "whole": report.is_whole,
        "totals": attrs.asdict(report.totals),
        "outcomes": report.outcomes,
        "severities": report.severities,
        "counts": dict(report.counts),
        "findings": [attrs.asdict(one) for one in report],
        "refetch": list(report.refetch),
        "months": dict(report.months),
        "sizes": {str(messages): threads for messages, threads in report.sizes.items()},
        "live": None if report.live is None else attrs.asdict(report.live),
    }


def print_verdict(report: ValidationReport, next_lines: Sequence[str], *, most: int) -> None:
    """Print the report for people on standard output, the verdict and what to do last.

    Args:
        report: of validate.
        next_lines: what to do, a line each.
        most: how many findings of each code are told with their places; notes are only counted.
    """
    console = _Console(highlight=False)
    for code in _by_severity(report):
        own = [one for one in report if one.code == code and one.severity is not Severity.NOTE]
        if own:
            _print_places(console, own[:most], report.counts[code])
    if report.counts:
        console.print(_table(report))
    _print_rows(report)
    print_line(_verdict(report))
    for line in next_lines:
        print_line(escape(line, 4000))


class _Console(Console):
    """What a reader that has gone away means is said in `threadkeep.cli.console`, and is no end of the process here."""

    def on_broken_pipe(self) -> None:
        """Let the caller hear of it."""
        raise


def _by_severity(report: ValidationReport) -> list[str]:
    """The codes that were found, the gravest first, else in the order of the table."""
    return sorted((code for code in KINDS if code in report.counts), key=lambda code: _gravest(report, code)[0])


def _gravest(report: ValidationReport, code: str) -> tuple[int, Severity]:
    order = list(Severity)
    return min((order.index(one.severity), one.severity) for one in report if one.code == code)


def _print_places(console: Console, findings: Sequence[Finding], count: int) -> None:
    first = findings[0]
    console.print(
        Text.assemble((str(first.severity), _STYLES[first.severity]), f": {first.code}: {KINDS[first.code].what}"),
        soft_wrap=True,
    )
    for one in findings:
        print_line(f"  {_place(one)}{escape(one.message, 300)}")
    if count > len(findings):
        print_line(f"  … and {count - len(findings):,} more")


def _place(finding: Finding) -> str:
    words = [
        escape(finding.file, 80) if finding.file is not None else None,
        f"line {finding.line}" if finding.line is not None else None,
        escape(finding.path, 120) if finding.path is not None else None,
        escape(finding.thread_id, 80) if finding.thread_id is not None else None,
        escape(finding.message_id, 80) if finding.message_id is not None else None,
    ]
    place = " ".join(word for word in words if word is not None)
    return f"{place}: " if place else ""


def _table(report: ValidationReport) -> Table:
    table = Table("", "code", "count", "what", box=None, pad_edge=False, header_style="dim")
    table.columns[2].justify = "right"
    for code in _by_severity(report):
        _, severity = _gravest(report, code)
        count = f"{report.counts[code]:,}"
        table.add_row(Text(str(severity), _STYLES[severity]), code, count, KINDS[code].what)
    return table


def _print_rows(report: ValidationReport) -> None:
    for name, words in _rows(report):
        print_line(f"  {name:<12}{words}")


def _rows(report: ValidationReport) -> Iterator[tuple[str, str]]:
    totals = report.totals
    lines = f"{counted(totals.threads, 'thread')}, {counted(totals.messages, 'message')}"
    yield "read", f"{lines}, {counted(totals.bytes, 'byte')}"
    if report.outcomes is not None:
        yield (
            "journal",
            ", ".join(f"{number:,} {outcome}" for outcome, number in report.outcomes.items() if number) or "no threads",
        )
    if report.live is not None:
        yield "live", _live(report.live)
    if report.refetch:
        yield "to refetch", counted(len(report.refetch), "thread")


def _live(live: Live) -> str:
    sample = "" if live.seed is None else f" (a sample, seed {live.seed})"
    words = f"{live.compared:,} of {counted(live.wanted, 'thread')} compared with {escape(live.source)}{sample}"
    if live.new_messages:
        words += f", {counted(live.new_messages, 'new message')}"
    if live.ended_by is not None:
        words += f"; ended before its time, with {counted(len(live.left), 'thread')} left"
    return words


def _verdict(report: ValidationReport) -> str:
    whole = "whole, by its lines alone" if "unvouched" in report.counts else "whole"
    verdict = whole if report.is_whole else "not whole"
    words = ", ".join(counted(number, severity) for severity, number in report.severities.items() if number)
    return f"{escape(str(report.out))}: {verdict}" + (f" ({words})" if words else "")
