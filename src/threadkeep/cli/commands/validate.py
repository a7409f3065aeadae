"""``threadkeep validate``: is the export complete and unchanged? With ``--live`` it is compared with the API."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import attrs
import click

from threadkeep import __version__
from threadkeep.api.endpoints import ApiSource
from threadkeep.cli.arguments import OUT_OR_PREFIX, open_ids, put, refuse_column_without_list, refuse_impossible
from threadkeep.cli.console import counted, ignore_broken_pipe, print_error, print_json
from threadkeep.cli.exit_codes import Exit, exit_for
from threadkeep.cli.option_groups import OUTPUT, WHAT, argument, command, option
from threadkeep.cli.prefix_summary import prefix_lines
from threadkeep.cli.prefixes import validated_at
from threadkeep.cli.progress_display import Screen
from threadkeep.cli.runtime import ask
from threadkeep.cli.shared_options import (
    FILE,
    column_option,
    ids_option,
    json_option,
    number_option,
    verbose_option,
)
from threadkeep.cli.source_options import OptionalSource, optional_source_options
from threadkeep.cli.validation_summary import MOST_ON_SCREEN, next_lines, print_verdict
from threadkeep.cli.validation_summary import as_json as report_as_json
from threadkeep.clock import now
from threadkeep.errors import ApiGone, Interrupted
from threadkeep.exporter.events import Notice, ThreadEnded, ThreadsBegun
from threadkeep.scale.validation import ValidatedPrefix
from threadkeep.serialization.thread_ids import is_thread_id
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.index import Outcome
from threadkeep.storage.paths import Paths
from threadkeep.validation.entrypoints import MOST
from threadkeep.validation.live import CheckedExport, LiveOutcome, check_live, checked_export, joined
from threadkeep.validation.report import ValidationReport

__all__ = ["report_live_ending", "run_live", "validate"]


@command("Check that an export is complete and unchanged.")
@argument("out", "The export to check.", type=OUT_OR_PREFIX)
@ids_option
@column_option
@option(WHAT, "--live", is_flag=True, help="Fetch every thread again, and compare it with the export.")
@number_option(WHAT, "--sample", "Compare only N threads with the API.", "all")
@option(WHAT, "--seed", type=int, metavar="N", show_default="0", help="Choose the threads of --sample by this seed.")
@optional_source_options("Where from, with --live")
@number_option(OUTPUT, "--most", "List N findings of each code.", f"{MOST_ON_SCREEN}, in files and JSON {MOST}")
@option(
    OUTPUT, "--ids-to-refetch", type=FILE, metavar="FILE", help="Write the ids of the threads to fetch again to FILE."
)
@option(OUTPUT, "--report", "page", type=FILE, metavar="FILE", help="Write an HTML page with charts to FILE.")
@verbose_option
@json_option
def validate(
    out: Path | str,
    ids: str | None,
    column: str | None,
    ids_to_refetch: str | None,
    page: str | None,
    live: bool,
    sample: int | None,
    seed: int | None,
    source: OptionalSource,
    most: int | None,
    verbose: bool,
    as_json: bool,
) -> int:
    """Check that OUT is complete and as it was written: its lines, its index and manifest, and the files next to it.

    OUT may be a prefix of `threadkeep export --dask`: its shards are read as the export that `threadkeep merge` writes
    of them, and what is wrong with an object of it is a finding, too.

    With --ids, OUT must have the threads of that list and no others. With --live it is compared with the API: with
    the key and the address of the environment, or of the options.
    """
    if not live:
        source.refuse("--live")
        if verbose:
            raise click.UsageError("Give --live too: --verbose prints the requests that it sends.")
        if sample is not None:
            raise click.UsageError("Give --live too: --sample says how many threads it compares.")
    if seed is not None and sample is None:
        raise click.UsageError("Give --sample too: --seed chooses its threads.")
    refuse_column_without_list(ids, column)
    # Before anything takes its time.
    refuse_impossible(Paths(Path(out)), ids, {"--ids-to-refetch": ids_to_refetch, "--report": page})
    wanted = None if ids is None else (one.thread_id for one in open_ids(ids, column).refuse_empty())
    with validated_at(out, ids=wanted, most=most or MOST) as checked:
        found = checked.merged if isinstance(checked, ValidatedPrefix) else checked
        report, outcome = attrs.evolve(checked.report, name=str(out)), None
        if live:
            address = source.source(None if found.header is None else found.header.source)
            to_check = checked_export(found, most=sample, seed=seed or 0)
            outcome = run_live(to_check, address, shown=not as_json, verbose=verbose)
            report = joined(report, outcome, most or MOST)
        if isinstance(checked, ValidatedPrefix):
            steps = [*prefix_lines(report, checked, ids, ids_to_refetch, column)]
        else:
            steps = [*next_lines(report, found.manifest, ids, ids_to_refetch, column)]
        with ignore_broken_pipe():
            if as_json:
                print_json(report_as_json(report))
            else:
                print_verdict(report, steps, most=most or MOST_ON_SCREEN)
        _write(report, ids_to_refetch, page, steps)
    ended = None if outcome is None else report_live_ending(outcome)
    return ended if ended is not None else Exit.COMPLETE if report.is_complete else Exit.INCOMPLETE


def run_live(
    export: CheckedExport, source: ApiSource, *, shown: bool = True, verbose: bool = False, **pace: Any
) -> LiveOutcome:
    """Compare an export with the live API, as `check_live` does, under a `Screen`. A signal ends it in order."""

    async def work(transports: Sequence[Any], screen: Screen) -> LiveOutcome:
        # A thread that was compared is shown as one that was exported is.
        return await check_live(
            export,
            transports,
            source=transports[0].address,
            **pace,
            on_begin=lambda traffic: screen.take(ThreadsBegun(total=len(export.threads), before=0, traffic=traffic)),
            on_compared=lambda thread_id, messages: screen.take(
                ThreadEnded(thread_id=thread_id, outcome=Outcome.COMPLETE, messages=messages)
            ),
            on_notice=lambda text: screen.take(Notice(text)),
        )

    return ask(source, work, shown=shown, verbose=verbose)


def report_live_ending(outcome: LiveOutcome) -> Exit | None:
    """Print what ended a check before its time, and what to do next; returns the exit code, None when nothing did."""
    if outcome.ended_by is None:
        return None
    code, step = exit_for(outcome.ended_by)
    if isinstance(outcome.ended_by, ApiGone | Interrupted):
        step = "The findings are of what was compared until then."
    live = outcome.live
    print_error(f"{outcome.ended_by} (compared: {live.compared:,} of {counted(live.wanted, 'thread')})", step)
    return code


def _write(report: ValidationReport, ids_to_refetch: str | None, page: str | None, steps: Sequence[str]) -> None:
    if ids_to_refetch is not None:
        # Damaged lines may name what is no id, and no API can be asked for it.
        ids = "".join(f"{thread_id}\n" for thread_id in report.refetch if is_thread_id(thread_id))
        put(ids_to_refetch, ids.encode())
    if page is not None:
        # Only here: what draws pages is of no use to anybody else.
        from threadkeep.html_report.excerpts import excerpts
        from threadkeep.html_report.page import render

        with open_file_set(Paths(report.out)) as files:
            conversations = excerpts(report, files.files.get("out", BytesIO()))
        made_at = f"{now():%Y-%m-%d %H:%M:%S} UTC"
        html = render(report, conversations, made_at=made_at, version=__version__, steps=steps)
        put(page, html.encode())
