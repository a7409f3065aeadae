"""The state of a prefix, for people and for programs."""

from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec

from threadkeep.cli.console import counted, escape, moment, print_error, print_row
from threadkeep.cli.export_summary import print_held
from threadkeep.cli.problems import folded
from threadkeep.cli.suggestions import export_again, merge_of
from threadkeep.cli.validation_summary import needs_refresh, next_lines
from threadkeep.scale.progress import PrefixState
from threadkeep.scale.validation import ValidatedPrefix
from threadkeep.validation.report import ValidationReport

__all__ = ["prefix_as_json", "prefix_lines", "print_faults", "print_prefix"]

_AGAIN = (
    "Remove what is damaged, and run the same export command again: it exports these shards again. `threadkeep"
    " validate` lists all of it."
)


def print_prefix(state: PrefixState, prefix: str) -> None:
    """Print the state of a prefix, as that of an export is printed."""
    click.echo(escape(prefix))
    sizes = {name: counted(number, "byte") for name, number in state.bytes.items()}
    print_held(
        state.outcomes,
        f"{counted(state.messages, 'message')}, {sizes.pop('out', 'no file')}",
        lacking=state.lacking,
        sidecars=sizes,
        downloads=state.downloads,
    )
    print_row("shards", f"{state.complete_shards:,} of {state.shards:,} complete")
    if state.started_at is not None and state.finished_at is not None:
        print_row("begun", f"{moment(state.started_at)}, written {moment(state.finished_at)}")
    if state.ended_by is not None:
        print_row("ended by", escape(state.ended_by, 300))
    if state.faults:
        print_faults(state.faults)
    click.echo(f"{escape(prefix)}: {'complete, by its manifests' if state.is_complete else 'not complete'}")
    for line in _next_lines(state, prefix):
        click.echo(escape(line, 4000))


def print_faults(faults: Sequence[str], of_prefix: str = "") -> None:
    """Print what is missing or damaged of a prefix, and what to do about it."""
    print_error(f"{counted(len(faults), 'object')}{of_prefix} missing or damaged:", *folded(faults), _AGAIN)


def _next_lines(state: PrefixState, prefix: str) -> Iterator[str]:
    if state.is_complete:
        yield f"Next: {merge_of(prefix)}"
    else:
        yield "Next: with your file of ids in the place of THREAD_IDS, this completes the export:"
        files = state.downloads is not None
        yield f"  {export_again(state.header, prefix, 'THREAD_IDS', files=files, is_prefix=True)}"


_PLAN = (
    "Next: Restore the objects of plan/ from a backup. If a shard is of another export, move it away.",
    "      Until then nothing is exported to the prefix, and it cannot be merged.",
)


def prefix_lines(
    report: ValidationReport,
    found: ValidatedPrefix,
    ids_file: str | None,
    to_refetch: str | None,
    column: str | None,
) -> Iterator[str]:
    """Yield what to do after the validation of a prefix, a line each.

    Args:
        report: what was found, the comparison with the API too.
        found: the validation of the prefix.
        ids_file, to_refetch, column: as of `threadkeep.cli.validation_summary.next_lines`.
    """
    of_objects = {one.code: one for one in report if (one.file or "").startswith(("plan/", "shards/"))}
    if "unplanned_shard" in report.counts or any(str(one.file).startswith("plan/") for one in report):
        yield from _PLAN
    elif found.header is None or needs_refresh(report) or not (report.refetch or of_objects):
        yield from next_lines(report, found.merged.manifest, ids_file, to_refetch, column, is_prefix=True)
    else:
        if "file_mismatch" in of_objects:
            yield "Next: Remove the damaged objects that are named above. Then this command exports their shards again:"
        else:
            yield "Next: This command exports what is not there:"
        named, column = ("THREAD_IDS", None) if ids_file in (None, "-") else (ids_file, column)
        yield f"  {export_again(found.header.of, report.name, named, column, files=found.has_files, is_prefix=True)}"


def prefix_as_json(state: PrefixState, prefix: str) -> dict[str, Any]:
    """Return the same for programs, with the sums in the places that a manifest has for them."""
    manifest = {
        **msgspec.to_builtins(state.header),
        "started_at": state.started_at,
        "finished_at": state.finished_at,
        "totals": {"threads": sum(state.outcomes.values()), "messages": state.messages},
        "outcomes": dict(state.outcomes),
        "lacking": state.lacking,
        "downloads": state.downloads,
        "ended_by": state.ended_by,
        "files": {name: {"bytes": number} for name, number in state.bytes.items()},
    }
    del manifest["format"]
    return {
        "out": prefix,
        "complete": state.is_complete,
        "at_work": None,
        "cut_off": False,
        "store": None,
        "manifest": manifest,
        "faults": state.faults,
        "shards": state.shards,
        "complete_shards": state.complete_shards,
    }
