"""The result of validate: a summary for people, one object for programs, and what to do next."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs
import click
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from threadkeep.cli.console import counted, escape, print_rows
from threadkeep.cli.suggestions import MERGE_AGAIN, command_on, export_again
from threadkeep.storage.index import SEVERAL_SOURCES
from threadkeep.storage.manifest import Manifest
from threadkeep.validation.findings import KINDS, Finding, Severity, gravest
from threadkeep.validation.report import ValidationReport

__all__ = ["FORMAT", "MOST_ON_SCREEN", "as_json", "next_lines", "print_verdict"]

FORMAT = "threadkeep-report/1"
"""The schema of what `--json` prints: keys are added to it, and never changed or taken away."""

MOST_ON_SCREEN = 5
"""How many findings of each code are printed by default."""

# Notes that are printed with what they say: what else there is has to be read with them in mind.
_ALWAYS = ("export_at_work", "unfinished_run")

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}


def as_json(report: ValidationReport) -> dict[str, Any]:
    """Return the report for programs."""
    sizes = {str(messages): threads for messages, threads in report.sizes.items()}
    own = {"format": FORMAT, "complete": report.is_complete}
    fields = attrs.asdict(report)
    name = fields.pop("name")
    return {**own, **fields, "out": name, "sizes": sizes}


def print_verdict(report: ValidationReport, next_lines: Iterable[str], *, most: int = MOST_ON_SCREEN) -> None:
    """Print the report for people, the verdict and what to do last, with so many findings of each code but notes."""
    console = _Console(highlight=False)
    count = Column("count", justify="right")
    table = Table("", "code", count, "what", box=None, pad_edge=False, header_style="dim")
    for code, found in report.by_code().items():
        own = [one for one in found if one.severity is not Severity.NOTE or code in _ALWAYS]
        if own:
            _print_places(console, own[:most], report.counts[code])
        severity = gravest(found)
        table.add_row(Text(severity, _STYLES[severity]), code, f"{report.counts[code]:,}", KINDS[code].what)
    if report.counts:
        console.print(table)
    print_rows(_rows(report))
    complete = "complete, by its lines alone" if "unvouched" in report.counts else "complete"
    words = ", ".join(counted(number, severity) for severity, number in report.severities.items() if number)
    verdict = f"{escape(report.name)}: {complete if report.is_complete else 'not complete'}"
    click.echo(f"{verdict} ({words})" if words else verdict)
    for line in next_lines:
        click.echo(escape(line, 4000))


class _Console(Console):
    """A reader that has gone away is left to `threadkeep.cli.console`, and does not end the process here."""

    def on_broken_pipe(self) -> None:
        """Let the caller see the error."""
        raise


def _print_places(console: Console, findings: Sequence[Finding], count: int) -> None:
    code, severity = findings[0].code, findings[0].severity
    title = Text.assemble((severity, _STYLES[severity]), f": {code}: {KINDS[code].what}")
    console.print(title, soft_wrap=True)
    for one in findings:
        line = None if one.line is None else f"line {one.line}"
        names = ((one.file, 80), (line, 80), (one.path, 120), (one.thread_id, 80), (one.message_id, 80))
        place = " ".join(escape(name, most) for name, most in names if name is not None)
        click.echo(f"  {place}{': ' if place else ''}{escape(one.message, 300)}")
    if count > len(findings):
        click.echo(f"  … and {count - len(findings):,} more")


def _rows(report: ValidationReport) -> Iterator[tuple[str, str]]:
    totals, live = report.totals, report.live
    counts = ((totals.threads, "thread"), (totals.messages, "message"), (totals.bytes, "byte"))
    yield "read", ", ".join(counted(*one) for one in counts)
    if report.outcomes is not None:
        outcomes = [f"{number:,} {outcome}" for outcome, number in report.outcomes.items() if number]
        yield "index", ", ".join(outcomes) or "no threads"
    if live is not None:
        words = f"{live.compared:,} of {counted(live.wanted, 'thread')} compared with {escape(live.source)}"
        words += "" if live.seed is None else f" (a sample, seed {live.seed})"
        words += f", {counted(live.new_messages, 'new message')}" if live.new_messages else ""
        words += "" if live.ended_by is None else f"; ended early, with {counted(len(live.left), 'thread')} left"
        yield "live", words
    if report.refetch:
        yield "to refetch", counted(len(report.refetch), "thread")


def next_lines(
    report: ValidationReport,
    manifest: Manifest | None,
    ids_file: str | None,
    to_refetch: str | None,
    *,
    is_prefix: bool = False,
) -> Iterator[str]:
    """Yield what to do, a line each.

    Args:
        report: of the export.
        manifest: its manifest.
        ids_file: the list that it was compared with.
        to_refetch: the file that the ids to fetch again were written to.
        is_prefix: the report is of a prefix.
    """
    if report.is_complete:
        return
    found = {one.code for one in report if one.severity is not Severity.NOTE or not report.is_written}
    refresh = any("--refresh" in KINDS[code].remedy for code in found)
    if ids_file != "-" and not refresh:  # a refresh is of no more threads than needed
        to_refetch = to_refetch or ids_file
    if "lost_index" in found:  # no export resumes without it
        yield f"Next: {KINDS['lost_index'].remedy}"
    elif not report.refetch:
        remedies = dict.fromkeys(KINDS[code].remedy for code in KINDS if code in found)
        yield from (f"{'      ' if number else 'Next: '}{remedy}" for number, remedy in enumerate(remedies))
    elif manifest is not None and manifest.source == SEVERAL_SOURCES:
        yield f"Next: {MERGE_AGAIN}"
        yield f"  {command_on('validate', report.name)}"
    elif to_refetch is None:
        options = [*([] if ids_file is None else [f"--ids={ids_file}"]), *(["--live"] if report.live else [])]
        yield "Next: Write a list of only the threads to fetch again, with this command, and export that list:"
        yield f"  {command_on('validate', report.name, *options, '--ids-to-refetch=refetch.txt')}"
    elif manifest is None:
        yield f"Next: Export the threads in {to_refetch}, with the same export command as before."
    else:
        yield from _export_lines(report, manifest, to_refetch, refresh=refresh, is_prefix=is_prefix)


def _export_lines(
    report: ValidationReport, manifest: Manifest, ids_file: str, *, refresh: bool, is_prefix: bool
) -> Iterator[str]:
    files = manifest.downloads is not None
    if refresh and is_prefix:  # what is complete in a prefix stays as it is
        yield f"Next: Export the threads in {ids_file} to another OUT, and merge that with the prefix:"
        yield f"  {export_again(manifest, 'again.ndjson', ids_file, files=files)}"
        yield f"  {command_on('merge', report.name, '--output=out.ndjson')} again.ndjson"
    else:
        yield f"Next: Export the threads in {ids_file} again, and validate once more:"
        again = export_again(manifest, report.name, ids_file, files=files, refresh=refresh, is_prefix=is_prefix)
        yield f"  {again}"
