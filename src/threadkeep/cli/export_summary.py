"""What an export came to: the summary for people, the same for programs, and how the run ended."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import click
import msgspec

from threadkeep.cli.console import counted, escape, print_error, print_row
from threadkeep.cli.exit_codes import Exit, exit_for
from threadkeep.cli.problems import names_of
from threadkeep.cli.suggestions import Next
from threadkeep.errors import Interrupted, OutputUnusable
from threadkeep.exporter.job import ExportResult
from threadkeep.records.authors import words_about
from threadkeep.storage.index import DownloadOutcome, DownloadRow, Outcome
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths

__all__ = ["OTHER_PAGES", "print_held", "print_manifest", "print_result", "report_ending", "result_as_json"]

# So many lines of the list that are no ids are printed; --json has more.
_FIRST_LINES = 3

_MEANING = {
    Outcome.PARTIAL: "some of the messages were fetched",
    Outcome.MISSING: "the API knows no such thread",
    Outcome.FAILED: "no usable answer after every retry",
    Outcome.UNFINISHED: "not asked for yet",
    Outcome.DROPPED: "named in --drop",
}

# Failed files were named when that was known.
_FILES: Mapping[str, tuple[str, str]] = {
    DownloadOutcome.MISSING: ("missing files", "the API has no such files"),
    DownloadOutcome.NOT_ALLOWED: ("refused files", "the API gives them to nobody"),
    DownloadOutcome.INVALID: ("invalid files", "these are no ids of files"),
}


OTHER_PAGES = "pages of other threads are not counted"
"""What else a working store has: a thread with runs may need hundreds of requests before it is complete."""


def print_result(result: ExportResult, step: Next) -> None:
    """Print the summary of a run on standard output. Threads that are not complete were named when that was known."""
    paths = result.paths
    if _is_unwritten(result):
        stored, complete = result.stored, result.outcomes[Outcome.COMPLETE]
        click.echo(f"{escape(str(paths.out))}: not written; the working store has")
        messages = counted(stored.messages, "message")
        print_row("fetched", f"{counted(stored.complete, 'complete thread')} with {messages}; {OTHER_PAGES}")
        before = "those of the files that are there" if complete > stored.complete else ""
        _print_outcomes(result.outcomes, before, _MEANING)
        return
    if result.manifest is None:
        return
    print_manifest(paths, result.manifest, fetched=result.fetched, is_new=result.is_written)
    if result.invalid_count:
        print_row("malformed", f"{counted(result.invalid_count, 'line')} of the list: no thread ids")
    if result.not_refreshed:
        print_row("not refreshed", f"{counted(result.not_refreshed, 'thread')}, complete as exported before")
    for outcome, number in (result.manifest.downloads or {}).items():
        if number and (shown := _FILES.get(outcome)) is not None:
            names = (row.file_id for row in result.downloads() if row.outcome == outcome)
            title, meaning = shown
            print_row(title, f"{number:,}, {meaning}: {names_of(names, number)}")
    if result.other_assistants:
        total = max(result.messages, sum(result.other_assistants.values()))
        words = words_about(result.other_assistants, total, "messages that this run fetched")
        print_row("assistants", escape(f'{words}; use "auto" to write each thread\'s own', 2000))
    if result.is_complete and step.command is not None:
        click.echo(f"Next: {step.command}")


def print_manifest(paths: Paths, manifest: Manifest, *, fetched: int | None = None, is_new: bool = False) -> None:
    """Print what an export holds on standard output; of a run just ended also how many of its threads it has fetched,
    and, if it has written the files, under which names the files before are kept.
    """
    click.echo(escape(str(paths.out)))
    sizes = {name: counted(claim.bytes, "byte") for name, claim in manifest.files.items()}
    is_part = fetched is not None and fetched != manifest.outcomes.get(Outcome.COMPLETE, 0)
    this_run = f"; this run fetched {fetched:,} of them" if is_part else ""
    complete = f"{counted(manifest.totals.messages, 'message')}, {sizes.get('out', 'no file')}{this_run}"
    partial = f"what came of them is in {escape(paths.partial.name)}"
    sidecars = {
        kind: f"{sizes[kind]} in {escape(paths.sidecar(kind).name)}" for kind in manifest.include if kind in sizes
    }
    print_held(
        manifest.outcomes,
        complete,
        partial=partial,
        lacking=manifest.lacking,
        sidecars=sidecars,
        downloads=manifest.downloads,
    )
    if is_new and manifest.kept_as is not None:
        print_row("old files", f"{escape(paths.aside(manifest.kept_as).out.stem)}.*")


def print_held(
    outcomes: Mapping[str, int],
    complete: str,
    *,
    partial: str | None = None,
    lacking: int,
    sidecars: Mapping[str, str],
    downloads: Mapping[str, int] | None,
) -> None:
    """Print the rows of what an export holds.

    Args:
        outcomes: how many threads have each outcome.
        complete: words for what the complete threads have.
        partial: words for the partial ones; None for the usual ones.
        lacking, downloads: as a manifest has them.
        sidecars: words for each.
    """
    _print_outcomes(outcomes, complete, _MEANING if partial is None else {**_MEANING, Outcome.PARTIAL: partial})
    if lacking:
        without = counted(lacking, "complete thread")
        print_row("lacking", f"{without} without what --include saves: list them again")
    for kind, words in sidecars.items():
        print_row(kind, words)
    if downloads is not None:
        counts = {one: number for one, number in downloads.items() if number or one == DownloadOutcome.SAVED}
        print_row("files", ", ".join(f"{number:,} {outcome.replace('_', ' ')}" for outcome, number in counts.items()))


def _print_outcomes(outcomes: Mapping[str, int], complete: str, meanings: Mapping[Outcome, str]) -> None:
    if complete:
        print_row("complete", f"{counted(outcomes.get(Outcome.COMPLETE, 0), 'thread')} with {complete}")
    for outcome, meaning in meanings.items():
        if number := outcomes.get(outcome, 0):
            print_row(outcome, f"{counted(number, 'thread')}: {meaning}")


def _not_saved(result: ExportResult) -> Iterator[DownloadRow]:
    return (row for row in result.downloads() if row.outcome is not DownloadOutcome.SAVED)


_COUNTS = ("seconds", "fetched", "messages", "already_complete", "left_over", "invalid_count", "not_refreshed")


def result_as_json(result: ExportResult, step: Next) -> dict[str, Any]:
    """Return the summary for programs, and all of it; what may be long as iterators."""
    manifest, is_unwritten = result.manifest, _is_unwritten(result)
    return {
        "out": str(result.paths.out),
        "exit": int(_exit_code(result)),
        "ended_by": None if result.ended_by is None else str(result.ended_by),
        "written": manifest is not None and not is_unwritten,
        **{name: getattr(result, name) for name in _COUNTS},
        "outcomes": dict(result.outcomes),
        "totals": None if manifest is None else msgspec.to_builtins(manifest.totals),
        "downloads": None if manifest is None else manifest.downloads,
        "other_assistants": dict(result.other_assistants),
        "next": {"words": " ".join(step.words), "command": step.command},
        "invalid": map(attrs.asdict, result.invalid),
        "not_refreshed_examples": iter(result.not_refreshed_examples),
        "problems": iter(()) if is_unwritten else map(msgspec.to_builtins, result.problems()),
        "not_saved": iter(()) if is_unwritten else map(msgspec.to_builtins, _not_saved(result)),
    }


def report_ending(result: ExportResult, step: Next) -> Exit:
    """Print on standard error why an export is not complete, if it is not, and what to do; returns the exit code."""
    lines = (*step.words, step.command or "")
    for one in result.invalid[:_FIRST_LINES]:
        kind = "" if one.kind is None else f", but {one.kind}"
        print_error(f"line {one.place} of the list is no thread id{kind}: {escape(one.text, 80)}")
    if (more := result.invalid_count - _FIRST_LINES) > 0:
        print_error(f"… and {more:,} more {'line' if more == 1 else 'lines'} of the list: no thread ids")
    if result.ended_by is not None:
        if _is_unwritten(result):
            done, what = result.stored.complete, "fetched"
            needed = result.stored.threads - result.stored.already_complete
        else:
            needed = sum(result.outcomes.values()) - result.outcomes[Outcome.DROPPED]
            done, what = result.outcomes[Outcome.COMPLETE], "complete"
        complete = f"{done:,} of {counted(needed, 'thread')} {what}"
        print_error(f"{result.ended_by} ({complete})", *lines)
    elif not result.is_complete:
        print_error(_why_incomplete(result), *lines)
    return _exit_code(result)


def _exit_code(result: ExportResult) -> Exit:
    if result.ended_by is not None:
        return exit_for(result.ended_by)[0]
    return Exit.COMPLETE if result.is_complete else Exit.INCOMPLETE


def _why_incomplete(result: ExportResult) -> str:
    total = sum(result.outcomes.values()) - result.outcomes[Outcome.DROPPED]
    left = total - result.outcomes[Outcome.COMPLETE]
    if left:
        return f"{left:,} of {counted(total, 'thread')} {'is' if left == 1 else 'are'} not complete in the export"
    what = "not every file is saved"
    if result.not_refreshed:
        what = f"{counted(result.not_refreshed, 'thread')} could not be refreshed"
    elif result.has_no_file and not result.invalid_count:
        what = "none of the files is saved: the API has no such files"
    elif result.manifest is not None and result.manifest.is_complete:
        lines = result.invalid_count
        what = f"{counted(lines, 'line')} of the list {'is no thread id' if lines == 1 else 'are no thread ids'}"
    return f"every thread is complete in the export, but {what}"


def _is_unwritten(result: ExportResult) -> bool:
    return isinstance(result.ended_by, Interrupted | OutputUnusable)
