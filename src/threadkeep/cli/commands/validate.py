"""``threadkeep validate``: is the export complete and unchanged? With ``--live`` it is compared with the API."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import click

from threadkeep import __version__
from threadkeep.api.endpoints import ApiSource
from threadkeep.cli.arguments import OUT, column_option, number_option, open_ids, put, refuse_impossible
from threadkeep.cli.console import counted, ignore_broken_pipe, print_error, print_json
from threadkeep.cli.exit_codes import Exit, exit_for
from threadkeep.cli.progress_display import Screen
from threadkeep.cli.runtime import ask
from threadkeep.cli.source_options import OptionalSource, optional_source_options
from threadkeep.cli.validation_summary import MOST_ON_SCREEN, as_json, next_lines, print_verdict
from threadkeep.clock import now
from threadkeep.errors import ApiGone, Interrupted
from threadkeep.exporter.events import Notice, ThreadEnded, ThreadsBegun
from threadkeep.serialization.id_lists import is_thread_id
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.index import Outcome
from threadkeep.storage.paths import Paths
from threadkeep.validation.entrypoints import MOST, validated
from threadkeep.validation.live import CheckedExport, LiveOutcome, check_live, checked_export, joined
from threadkeep.validation.report import ValidationReport

__all__ = ["report_live_ending", "run_live", "validate"]


@click.command(short_help="Check that an export is complete and unchanged.")
@click.argument("out", type=OUT)
@click.option(
    "--ids", metavar="FILE", help='Check that OUT has the threads listed in FILE, and no others; "-" is standard input.'
)
@column_option
@click.option("--ids-to-refetch", metavar="FILE", help="Write the ids of the threads to fetch again to FILE.")
@click.option("--report", "page", metavar="FILE", help="Write an HTML page with totals, charts and findings to FILE.")
@click.option("--live", is_flag=True, help="Fetch every thread again, and compare it with the export.")
@number_option("--sample", "With --live: compare only so many threads.")
@click.option("--seed", type=int, metavar="N", help="With --sample: choose other threads; 0 by default.")
@optional_source_options
@number_option("--most", f"List N findings of each code; by default {MOST_ON_SCREEN} in the summary, else {MOST}.")
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object with the findings.")
def validate(
    out: Path,
    ids: str | None,
    column: str | None,
    ids_to_refetch: str | None,
    page: str | None,
    live: bool,
    sample: int | None,
    seed: int | None,
    source: OptionalSource,
    most: int | None,
    is_json: bool,
) -> int:
    """Check that OUT is complete and as it was written: its lines, its index and manifest, and the files next to it.

    With --live, also against the API: with the key and the address of the environment, or of the options.
    """
    if not live:
        source.refuse("--live")
        if sample is not None:
            raise click.UsageError("--sample says how many threads --live compares: give that too.")
    if seed is not None and sample is None:
        raise click.UsageError("--seed chooses the threads of --sample: give that too.")
    # Before anything takes its time.
    refuse_impossible(Paths(out), ids, {"--ids-to-refetch": ids_to_refetch, "--report": page})
    found = validated(
        out, ids=None if ids is None else (one.thread_id for one in open_ids(ids, column)), most=most or MOST
    )
    report, outcome = found.report, None
    if live:
        address = source.source(None if found.header is None else found.header.source)
        outcome = run_live(checked_export(found, most=sample, seed=seed or 0), address, shown=not is_json)
        report = joined(report, outcome, most or MOST)
    steps = [*next_lines(report, found.manifest, ids, ids_to_refetch, column)]
    with ignore_broken_pipe():
        if is_json:
            print_json(as_json(report))
        else:
            print_verdict(report, steps, most=most or MOST_ON_SCREEN)
    _write(report, ids_to_refetch, page, steps)
    ended = None if outcome is None else report_live_ending(outcome)
    return ended if ended is not None else Exit.COMPLETE if report.is_complete else Exit.INCOMPLETE


def run_live(export: CheckedExport, source: ApiSource, *, shown: bool = True, **pace: Any) -> LiveOutcome:
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

    return ask(source, work, shown=shown)


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
