"""What an export came to, in the last lines: what is whole, what is not and why."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from threadkeep.cli.console import counted, problem_line, say, shown
from threadkeep.journal import Entry, FileEntry, FileOutcome, Outcome
from threadkeep.storage.manifest import Claims, SidecarTotals
from threadkeep.storage.paths import Paths

__all__ = ["Report", "print_report"]

# So many threads or files are told with their reasons, and so many that have none of their own; the journal and --json
# have all of them.
_MOST_ROWS, _MOST_NAMES = 20, 5

_WHY = {
    Outcome.MISSING: "the API knows no such thread",
    Outcome.INVALID: "not a thread id",
    Outcome.FAILED: "no usable answer after every retry",
}


@attrs.frozen(kw_only=True)
class Report:
    """What is known of an export.

    Attributes:
        paths: where its files are.
        claims: the counts.
        problems: the entries of the threads that are not whole in it.
        never_begun: the ids of threads of which nothing has come.
        files: the last entry of each file.
        files_left: the ids of the files of which nothing has come.
        resumed: how many threads were complete before; None where that is not known.
        not_refreshed: the threads that were to be refreshed and are as they were, by id, and why.
    """

    paths: Paths
    claims: Claims
    problems: tuple[Entry, ...] = ()
    never_begun: tuple[str, ...] = ()
    files: tuple[FileEntry, ...] = ()
    files_left: tuple[str, ...] = ()
    resumed: int | None = None
    not_refreshed: Mapping[str, str] = attrs.field(factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The same for programs, and all of it."""
        return {
            "totals": attrs.asdict(self.claims.totals),
            "outcomes": dict(self.claims.outcomes),
            "beside": {kind: {"lines": row.lines, "bytes": row.bytes} for kind, row in self.claims.beside.items()},
            "not_exported": [
                {"thread_id": entry.thread_id, "outcome": entry.outcome, "reason": entry.reason}
                for entry in self.problems
            ],
            "cut_off": [
                {"thread_id": entry.thread_id, "messages": entry.messages, "cursor": entry.cursor}
                for entry in self.cut_off
            ],
            "unfinished": list(self.never_begun),
            "not_refreshed": [
                {"thread_id": thread_id, "reason": reason} for thread_id, reason in self.not_refreshed.items()
            ],
            "files": _file_counts(self.files),
            "files_not_saved": [
                {"file_id": file.file_id, "outcome": file.outcome, "reason": file.reason}
                for file in _not_saved(self.files)
            ],
            "unfinished_files": list(self.files_left),
        }

    @property
    def cut_off(self) -> list[Entry]:
        """The threads of which some pages came."""
        return [entry for entry in self.problems if entry.outcome is Outcome.PARTIAL]


def print_report(report: Report) -> None:
    """Print it on standard output, one thought a line."""
    say(shown(str(report.paths.out)))
    for name, words in _rows(report):
        say(f"  {name:<14}{words}" if name else f"    {words}")
    _print_reasons(report)


def _rows(report: Report) -> Iterator[tuple[str, str]]:
    yield "whole", _whole(report)
    yield from _cut_off(report)
    if report.claims.totals.unfinished:
        yield "never begun", counted(report.claims.totals.unfinished, "thread")
        yield from _some([shown(thread_id, 80) for thread_id in report.never_begun])
    if report.not_refreshed:
        yield "not refreshed", f"{counted(len(report.not_refreshed), 'thread')}, whole as they were exported before"
    for outcome, why in _WHY.items():
        if report.claims.outcomes[outcome]:
            yield str(outcome), f"{counted(report.claims.outcomes[outcome], 'thread')}: {why}"
    for kind, row in report.claims.beside.items():
        yield kind, _beside(report, kind, row)
    if report.files or report.files_left:
        yield "files", ", ".join(_file_words(report))


def _whole(report: Report) -> str:
    totals = report.claims.totals
    threads = counted(report.claims.outcomes[Outcome.COMPLETE], "thread")
    before = f"; {report.resumed:,} of them complete before this run" if report.resumed else ""
    return f"{threads} with {counted(totals.messages, 'message')}, {counted(totals.bytes, 'byte')}{before}"


def _cut_off(report: Report) -> Iterator[tuple[str, str]]:
    rows = report.cut_off
    if rows:
        partial = shown(report.paths.partial.name)
        yield "cut off", f"{counted(len(rows), 'thread')}; the pages that came are in {partial}"
    yield from _some(
        [
            f"{shown(row.thread_id, 80)}: {counted(row.messages, 'message')}, up to {shown(row.cursor or '', 80)}"
            for row in rows
        ]
    )


def _some(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The first of them, below their row."""
    yield from (("", line) for line in lines[:_MOST_NAMES])
    if len(lines) > _MOST_NAMES:
        yield "", f"… and {len(lines) - _MOST_NAMES:,} more"


def _beside(report: Report, kind: str, row: SidecarTotals) -> str:
    name = shown(report.paths.beside(kind).name)
    return f"{counted(row.lines, 'line')}, {counted(row.bytes, 'byte')} in {name}"


def _file_counts(files: Iterable[FileEntry]) -> dict[str, int]:
    counts = Counter(file.outcome for file in files)
    return {str(outcome): counts[outcome] for outcome in FileOutcome}


def _file_words(report: Report) -> Iterator[str]:
    for outcome, number in _file_counts(report.files).items():
        if number or outcome == FileOutcome.SAVED:
            yield f"{number:,} {outcome.replace('_', ' ')}"
    if report.files_left:
        yield f"{len(report.files_left):,} never begun"


def _not_saved(files: Iterable[FileEntry]) -> list[FileEntry]:
    return [file for file in files if file.outcome is not FileOutcome.SAVED]


def _print_reasons(report: Report) -> None:
    threads = [problem_line(entry) for entry in report.problems if entry.outcome is not Outcome.PARTIAL]
    _print_list("Not in the export:", threads)
    _print_list(
        "Not refreshed:",
        [f"{shown(thread_id, 80)}: {shown(reason, 300)}" for thread_id, reason in report.not_refreshed.items()],
    )
    files = _not_saved(report.files)
    _print_list(
        "Files that are not saved:",
        [f"{shown(file.file_id, 80)}: {file.outcome}: {shown(file.reason or '', 300)}" for file in files],
    )


def _print_list(title: str, lines: Sequence[str]) -> None:
    if lines:
        say(title)
    for line in lines[:_MOST_ROWS]:
        say(f"  {line}")
    if len(lines) > _MOST_ROWS:
        say(f"  … and {len(lines) - _MOST_ROWS} more, each with its reason in the journal")
