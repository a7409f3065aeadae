"""What an export came to, in the last lines: what is whole, what is not and why."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import attrs

from threadkeep.cli.console import counted, escape, print_line, problem_line
from threadkeep.journal import Entry, FileEntry, FileOutcome, Outcome
from threadkeep.storage.manifest import Claims, SidecarTotals
from threadkeep.storage.paths import Paths

__all__ = ["ExportSummary", "print_summary"]

# So many threads or files are told with their reasons, and so many that have none of their own; the journal and --json
# have all of them.
_MOST_ROWS, _MOST_NAMES = 20, 5

_WHY = {
    Outcome.MISSING: "the API knows no such thread",
    Outcome.INVALID: "not a thread id",
    Outcome.FAILED: "no usable answer after every retry",
}


@attrs.frozen(kw_only=True)
class ExportSummary:
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


def print_summary(summary: ExportSummary) -> None:
    """Print it on standard output, one thought a line."""
    print_line(escape(str(summary.paths.out)))
    for name, words in _rows(summary):
        print_line(f"  {name:<14}{words}" if name else f"    {words}")
    _print_reasons(summary)


def _rows(summary: ExportSummary) -> Iterator[tuple[str, str]]:
    yield "whole", _whole(summary)
    yield from _cut_off(summary)
    if summary.claims.totals.unfinished:
        yield "never begun", counted(summary.claims.totals.unfinished, "thread")
        yield from _some([escape(thread_id, 80) for thread_id in summary.never_begun])
    if summary.not_refreshed:
        yield "not refreshed", f"{counted(len(summary.not_refreshed), 'thread')}, whole as they were exported before"
    for outcome, why in _WHY.items():
        if summary.claims.outcomes[outcome]:
            yield str(outcome), f"{counted(summary.claims.outcomes[outcome], 'thread')}: {why}"
    for kind, row in summary.claims.beside.items():
        yield kind, _beside(summary, kind, row)
    if summary.files or summary.files_left:
        yield "files", ", ".join(_file_words(summary))


def _whole(summary: ExportSummary) -> str:
    totals = summary.claims.totals
    threads = counted(summary.claims.outcomes[Outcome.COMPLETE], "thread")
    before = f"; {summary.resumed:,} of them complete before this run" if summary.resumed else ""
    return f"{threads} with {counted(totals.messages, 'message')}, {counted(totals.bytes, 'byte')}{before}"


def _cut_off(summary: ExportSummary) -> Iterator[tuple[str, str]]:
    rows = summary.cut_off
    if rows:
        partial = escape(summary.paths.partial.name)
        yield "cut off", f"{counted(len(rows), 'thread')}; the pages that came are in {partial}"
    yield from _some(
        [
            f"{escape(row.thread_id, 80)}: {counted(row.messages, 'message')}, up to {escape(row.cursor or '', 80)}"
            for row in rows
        ]
    )


def _some(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The first of them, below their row."""
    yield from (("", line) for line in lines[:_MOST_NAMES])
    if len(lines) > _MOST_NAMES:
        yield "", f"… and {len(lines) - _MOST_NAMES:,} more"


def _beside(summary: ExportSummary, kind: str, row: SidecarTotals) -> str:
    name = escape(summary.paths.beside(kind).name)
    return f"{counted(row.lines, 'line')}, {counted(row.bytes, 'byte')} in {name}"


def _file_counts(files: Iterable[FileEntry]) -> dict[str, int]:
    counts = Counter(file.outcome for file in files)
    return {str(outcome): counts[outcome] for outcome in FileOutcome}


def _file_words(summary: ExportSummary) -> Iterator[str]:
    for outcome, number in _file_counts(summary.files).items():
        if number or outcome == FileOutcome.SAVED:
            yield f"{number:,} {outcome.replace('_', ' ')}"
    if summary.files_left:
        yield f"{len(summary.files_left):,} never begun"


def _not_saved(files: Iterable[FileEntry]) -> list[FileEntry]:
    return [file for file in files if file.outcome is not FileOutcome.SAVED]


def _print_reasons(summary: ExportSummary) -> None:
    threads = [problem_line(entry) for entry in summary.problems if entry.outcome is not Outcome.PARTIAL]
    _print_list("Not in the export:", threads)
    _print_list(
        "Not refreshed:",
        [f"{escape(thread_id, 80)}: {escape(reason, 300)}" for thread_id, reason in summary.not_refreshed.items()],
    )
    files = _not_saved(summary.files)
    _print_list(
        "Files that are not saved:",
        [f"{escape(file.file_id, 80)}: {file.outcome}: {escape(file.reason or '', 300)}" for file in files],
    )


def _print_list(title: str, lines: Sequence[str]) -> None:
    if lines:
        print_line(title)
    for line in lines[:_MOST_ROWS]:
        print_line(f"  {line}")
    if len(lines) > _MOST_ROWS:
        print_line(f"  … and {len(lines) - _MOST_ROWS} more, each with its reason in the journal")
