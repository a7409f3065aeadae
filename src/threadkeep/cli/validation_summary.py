"""The result of validate: a summary for people, one object for programs, and what to do next."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import attrs
import click
from rich.console import Console
from rich.text import Text

from threadkeep.cli.console import counted, escape, print_row, print_rows, print_steps, wrapped
from threadkeep.cli.suggestions import MERGE_AGAIN, command_on, export_again, list_options, merge_of, unused_name
from threadkeep.storage.index import SEVERAL_SOURCES
from threadkeep.storage.manifest import Manifest
from threadkeep.validation.findings import KINDS, REPAIRED_BY_EXPORT, Finding, Severity
from threadkeep.validation.report import ValidationReport

__all__ = ["FORMAT", "MOST_ON_SCREEN", "as_json", "needs_refresh", "next_lines", "print_verdict"]

FORMAT = "threadkeep-report/1"
"""The schema of what `--json` prints: keys are added to it, and never changed or taken away."""

MOST_ON_SCREEN = 5
"""How many findings of each code are printed by default."""

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow"}


def as_json(report: ValidationReport) -> dict[str, Any]:
    """Return the report for programs."""
    sizes = {str(messages): threads for messages, threads in report.sizes.items()}
    own = {"format": FORMAT, "complete": report.is_complete}
    fields = attrs.asdict(report)
    name = fields.pop("name")
    return {**own, **fields, "out": name, "sizes": sizes}


def print_verdict(
    report: ValidationReport, next_lines: Sequence[str], *, most: int = MOST_ON_SCREEN, printed: Collection[str] = ()
) -> None:
    """Print the report for people, the verdict and what to do last.

    Notes are only counted. Findings of the codes that were ``printed`` before are not listed.
    """
    console = _Console(highlight=False)
    cut_off = report.live is not None and report.live.ended_by is not None
    counts, notes = list[str](), list[str]()
    for code, found in report.by_code().items():
        if code in printed:
            continue
        own = [one for one in found if one.severity is not Severity.NOTE]
        counted_as = KINDS[code].counted
        if own:
            _print_places(console, own[:most], report.counts[code] - (len(found) - len(own)))
        elif counted_as is None:
            notes += [_note(one, next_lines) for one in found]
        elif code == "not_compared" and cut_off:  # the row "live" has the number
            continue
        else:
            counts.append(f"{counted(report.counts[code], counted_as[0])} {counted_as[1]}")
    print_rows(_rows(report))
    if counts:
        print_row("notes", "; ".join(counts))
    for note in notes:
        click.echo("\n".join(wrapped(f"note: {escape(note, 1000)}")))
    complete = "complete, by its lines alone" if "unvouched" in report.counts else "complete"
    complete += "; the comparison with the API was cut off" if cut_off else ""
    graver = ((severity, number) for severity, number in report.severities.items() if severity is not Severity.NOTE)
    words = ", ".join(counted(number, severity) for severity, number in graver if number)
    verdict = f"{escape(report.name)}: {complete if report.is_complete else 'not complete'}"
    click.echo(f"{verdict} ({words})" if words else verdict)
    print_steps(next_lines)


def _note(note: Finding, next_lines: Sequence[str]) -> str:
    """Return the words of a note, without its next step if that is one of the next lines."""
    remedy = KINDS[note.code].remedy
    return note.message.removesuffix(f" {remedy}") if any(remedy in line for line in next_lines) else note.message


class _Console(Console):
    """A reader that has gone away is left to `threadkeep.cli.console`, and does not end the process here."""

    def on_broken_pipe(self) -> None:
        """Let the caller see the error."""
        raise


def _print_places(console: Console, findings: Sequence[Finding], count: int) -> None:
    code, severity = findings[0].code, findings[0].severity
    number = f" ({count:,})" if count > 1 else ""
    title = Text.assemble((severity, _STYLES[severity]), f": {code}{number}: {KINDS[code].what}")
    console.print(title, soft_wrap=True)
    for one in findings:
        line = None if one.line is None else f"line {one.line}"
        names = ((one.file, 120), (line, 80), (one.path, 120), (one.thread_id, 80), (one.message_id, 80))
        place = " ".join(escape(name, most) for name, most in names if name is not None)
        what = one.message.removesuffix(f" {KINDS[code].remedy}")
        click.echo(f"  {place}{': ' if place else ''}{escape(what, 300)}")
    if count > len(findings):
        click.echo(f"  … and {count - len(findings):,} more")


def _rows(report: ValidationReport) -> Iterator[tuple[str, str]]:
    totals, live = report.totals, report.live
    empty = f" and {report.sizes[0]:,} without messages" if report.sizes.get(0) else ""
    rest = ", ".join(counted(*one) for one in ((totals.messages, "message"), (totals.bytes, "byte")))
    yield "read", f"{counted(totals.threads, 'thread')}{empty}, {rest}"
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
    column: str | None = None,
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
    found, refresh = _codes_to_act_on(report), needs_refresh(report)
    if ids_file != "-" and not refresh:  # a refresh is of no more threads than needed
        to_refetch = to_refetch or ids_file
    if "lost_index" in found:  # no export resumes without it
        yield f"Next: {KINDS['lost_index'].remedy}"
    elif not report.refetch:
        list_of_ids = None if is_prefix or ids_file == "-" else ids_file
        yield from _remedies(
            [KINDS[code].remedy for code in KINDS if code in found], report, manifest, list_of_ids, column
        )
    elif manifest is not None and manifest.source == SEVERAL_SOURCES:
        yield f"Next: {MERGE_AGAIN}"
        yield f"  {command_on('validate', report.name)}"
    elif to_refetch is None:
        options = [*list_options(ids_file, column), *(["--live"] if report.live else [])]
        yield "Next: Write a list of only the threads to fetch again, with this command, and export that list:"
        yield f"  {command_on('validate', report.name, *options, '--ids-to-refetch=refetch.txt')}"
    elif manifest is None:
        yield f"Next: Export the threads in {to_refetch}, with the same export command as before."
    else:
        named = column if to_refetch == ids_file else None
        yield from _export_lines(report, manifest, to_refetch, named, refresh=refresh, is_prefix=is_prefix)


def _remedies(
    remedies: Sequence[str],
    report: ValidationReport,
    manifest: Manifest | None,
    ids_file: str | None,
    column: str | None,
) -> Iterator[str]:
    """Yield next steps, each once; an export that repairs several things is one of them."""
    repairs = dict.fromkeys(one for one in remedies if one in REPAIRED_BY_EXPORT)
    others = dict.fromkeys(one for one in remedies if one not in REPAIRED_BY_EXPORT)
    steps = [
        *([next(iter(repairs)) if len(repairs) == 1 else KINDS["manifest_mismatch"].remedy] if repairs else []),
        *others,
    ]
    for number, step in enumerate(steps):
        yield step if number else f"Next: {step}"
        if step in REPAIRED_BY_EXPORT and ids_file and manifest is not None and manifest.source != SEVERAL_SOURCES:
            files = manifest.downloads is not None
            yield f"  {export_again(manifest, report.name, ids_file, column, files=files)}"


def needs_refresh(report: ValidationReport) -> bool:
    """Return whether something of a report is repaired only if complete threads are fetched again."""
    return any("--refresh" in KINDS[code].remedy for code in _codes_to_act_on(report))


def _codes_to_act_on(report: ValidationReport) -> set[str]:
    return {one.code for one in report if one.severity is not Severity.NOTE or not report.is_written}


def _export_lines(
    report: ValidationReport, manifest: Manifest, ids_file: str, column: str | None, *, refresh: bool, is_prefix: bool
) -> Iterator[str]:
    files = manifest.downloads is not None
    if refresh and is_prefix:  # what is complete in a prefix stays as it is
        yield f"Next: Export the threads in {ids_file} to another OUT, and merge that with the prefix:"
        again = unused_name("again")
        yield f"  {export_again(manifest, again, ids_file, column, files=files)}"
        yield f"  {merge_of(report.name, again)}"
    else:
        yield f"Next: Export the threads in {ids_file} again, and validate once more:"
        yield f"  {export_again(manifest, report.name, ids_file, column, files=files, refresh=refresh)}"
