"""``threadkeep validate``: is the export whole?

``threadkeep validate --live`` at the command line: choose, connect, show, and say what ended it.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import attrs
import click

from threadkeep import __version__
from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource
from threadkeep.cli.console import counted, ignore_broken_pipe, print_error, print_json
from threadkeep.cli.exit_codes import Exit, exit_for
from threadkeep.cli.file_arguments import OUT, load_ids, put, refuse_nowhere, refuse_the_exports_own
from threadkeep.cli.progress_display import Screen
from threadkeep.cli.runtime import ask, cancelled_by_signals, looked_at
from threadkeep.cli.source_options import OptionalSource, optional_source_options
from threadkeep.cli.suggestions import next_lines
from threadkeep.cli.validation_summary import as_json, print_verdict
from threadkeep.clock import now
from threadkeep.disk import on_disk
from threadkeep.errors import ApiGone, Interrupted
from threadkeep.exporter.events import Notice
from threadkeep.readback import what_counts
from threadkeep.serialization.id_lists import is_thread_id
from threadkeep.storage.paths import Paths
from threadkeep.validation.entrypoints import MOST, Validated, validated
from threadkeep.validation.live import (
    CheckedExport,
    LiveOutcome,
    ThreadToCheck,
    check_live,
    checked_export,
    joined,
    sample,
    wanted_live,
)
from threadkeep.validation.report import ValidationReport

__all__ = ["report_live_ending", "run_live", "validate"]


def run_live(
    wanted: Sequence[ThreadToCheck],
    export: CheckedExport,
    source: ApiSource,
    *,
    most: int | None = None,
    seed: int = 0,
    shown: bool = True,
    concurrency: int = 64,
    pace: PacingOptions | None = None,
) -> LiveOutcome:
    """Hold an export against the live API. A polite request to end is heard, and what was compared counts.

    Args:
        wanted: the threads that the export has.
        export: where it is, and what its lines look like.
        source: where to ask.
        most: compare so many of them only; None for all.
        seed: chooses those.
        shown: whether progress is shown.
        concurrency: how many threads are walked at a time.
        pace: how hard to ask.

    Raises:
        AccessRefused, MalformedAddress, ServerUnreachable: before anything is asked.
        OutputUnusable: the export cannot be read.
    """
    chosen = wanted if most is None else _chosen(wanted, most, seed)
    options: dict[str, Any] = {"seed": None if most is None else seed, "concurrency": concurrency, "pace": pace}
    return ask(source, lambda transports: _checked(chosen, export, transports, shown=shown, **options))


def _chosen(wanted: Sequence[ThreadToCheck], most: int, seed: int) -> list[ThreadToCheck]:
    ids = set(sample([one.thread_id for one in wanted], most, seed))
    return [one for one in wanted if one.thread_id in ids]


async def _checked(
    wanted: Sequence[ThreadToCheck], export: CheckedExport, transports: Sequence[Any], *, shown: bool, **options: Any
) -> LiveOutcome:
    clock = asyncio.get_running_loop().time
    with cancelled_by_signals() as settled:
        async with contextlib.AsyncExitStack() as opened:
            for transport in transports:
                await opened.enter_async_context(transport)
            screen = opened.enter_context(Screen(shown=shown, clock=clock, now=now))
            await opened.enter_async_context(looked_at(screen))
            try:
                return await check_live(
                    wanted,
                    transports,
                    export,
                    source=transports[0].address,
                    on_event=screen.take,
                    on_notice=lambda text: screen.take(Notice(text)),
                    **options,
                )
            finally:
                settled()


def report_live_ending(outcome: LiveOutcome) -> Exit | None:
    """Say what ended a check before its time, and what to do next; gives the exit code, None when nothing did."""
    if outcome.ended_by is None:
        return None
    code, step = exit_for(outcome.ended_by)
    if isinstance(outcome.ended_by, ApiGone | Interrupted):
        step = "The findings are of what was compared until then."
    live = outcome.live
    print_error(f"{outcome.ended_by} (compared: {live.compared:,} of {counted(live.wanted, 'thread')})", step)
    return code


_MOST_ON_SCREEN = 5


@attrs.frozen(kw_only=True)
class _ValidateOptions:
    """What was asked for besides the proof itself."""

    ids_to_refetch: str | None
    page: str | None
    live: bool
    sample: int | None
    seed: int | None
    most: int | None
    as_json: bool


@click.command()
@click.argument("out", type=OUT)
@click.option("--ids", help='The file of thread ids that were wanted; "-" is standard input.')
@click.option("--ids-to-refetch", metavar="FILE", help="Write the ids of the threads that want another export.")
@click.option("--report", "page", metavar="FILE", help="Write an HTML page with totals, charts and findings.")
@click.option("--live", is_flag=True, help="Walk every thread again, and compare it with what the API gives now.")
@click.option("--sample", type=click.IntRange(1), help="With --live: so many threads only, chosen by --seed.")
@click.option("--seed", type=int, help="With --sample: another choice of threads. 0 by default.")
@optional_source_options
@click.option(
    "--most",
    type=click.IntRange(1),
    help=f"Findings listed of each code; all are counted. {_MOST_ON_SCREEN} on a screen by default, else {MOST}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with the findings.")
def validate(out: Path, ids: str | None, source: OptionalSource, **given: Any) -> int:
    """Check OUT against itself, its journal and manifest, the files beside it, and the ids that were wanted.

    With --live, also against the API: with the key and the address of the environment, or of the options.
    """
    options = _ValidateOptions(**given)
    _refuse_contradictions(options, source)
    refuse_the_exports_own(
        Paths(out), {"--ids": ids, "--ids-to-refetch": options.ids_to_refetch, "--report": options.page}
    )
    for name in filter(None, (options.ids_to_refetch, options.page)):
        refuse_nowhere(name)  # before anything takes its time
    wanted = load_ids(ids).listed if ids is not None else None
    most = options.most or MOST
    found = validated(out, ids=wanted, most=most)
    outcome = _live(found, source, options) if options.live else None
    report = found.report if outcome is None else joined(found.report, outcome, most)
    _tell(report, found, options)
    _write(report, options)
    ended = report_live_ending(outcome) if outcome is not None else None
    return ended if ended is not None else Exit.WHOLE if report.is_whole else Exit.INCOMPLETE


def _refuse_contradictions(options: _ValidateOptions, source: OptionalSource) -> None:
    if not options.live:
        source.refuse("--live")
        if options.sample is not None:
            raise click.UsageError("--sample says how many threads --live compares: give that too.")
    if options.seed is not None and options.sample is None:
        raise click.UsageError("--seed chooses the threads of --sample: give that too.")


def _live(found: Validated, source: OptionalSource, options: _ValidateOptions) -> LiveOutcome:
    header = found.journal.header if found.journal is not None else None
    return run_live(
        wanted_live(found),
        checked_export(found),
        source.source(header.source if header is not None else None),
        most=options.sample,
        seed=options.seed or 0,
        shown=not options.as_json,
    )


def _write(report: ValidationReport, options: _ValidateOptions) -> None:
    if options.ids_to_refetch is not None:
        # What is no id stands in damaged lines only, and no API can be asked for it.
        ids = "".join(f"{thread_id}\n" for thread_id in report.refetch if is_thread_id(thread_id))
        put(options.ids_to_refetch, ids.encode())
    if options.page is not None:
        put(options.page, _page(report))


def _page(report: ValidationReport) -> bytes:
    # Only here: what draws pages is of no use to anybody else.
    from threadkeep.html_report.excerpts import excerpts
    from threadkeep.html_report.page import render

    paths = Paths(report.out)
    place = what_counts(paths, paths.out)
    with on_disk(report.out), place.open("rb") if place.exists() else BytesIO() as lines:
        conversations = excerpts(report, lines)
    return render(report, conversations, made_at=f"{now():%Y-%m-%d %H:%M:%S} UTC", version=__version__).encode()


def _tell(report: ValidationReport, found: Validated, options: _ValidateOptions) -> None:
    with ignore_broken_pipe():
        if options.as_json:
            print_json(as_json(report))
        else:
            step = list(next_lines(report, found.journal, options.ids_to_refetch))
            print_verdict(report, step, most=options.most or _MOST_ON_SCREEN)
