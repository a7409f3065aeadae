"""``threadkeep export``: the file of ids in, the NDJSON out."""

import os
from collections.abc import Set
from datetime import UTC, datetime
from pathlib import Path

import click

from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource, endpoint_of
from threadkeep.cli.console import ignore_broken_pipe, print_error, print_json, print_line
from threadkeep.cli.export_summary import print_summary
from threadkeep.cli.file_arguments import OUT, load_ids
from threadkeep.cli.run_export import as_json as summary
from threadkeep.cli.run_export import report_ending, run_job, summary_of
from threadkeep.cli.source_options import source_options
from threadkeep.cli.suggestions import Typed, next_step, repeat_command
from threadkeep.exporter.engine import Options
from threadkeep.exporter.job import CONCURRENCY, RETRIES, USUAL, Job, Result
from threadkeep.storage.paths import SIDECAR_KINDS, Paths

__all__ = ["export"]


def _kinds(_context: click.Context, _parameter: click.Parameter, given: str | None) -> tuple[str, ...]:
    asked = [] if given is None else [kind.strip() for kind in given.split(",")]
    for kind in asked:
        if kind not in SIDECAR_KINDS:
            raise click.BadParameter(f"{kind!r} is none of {', '.join(SIDECAR_KINDS)}.")
    return tuple(kind for kind in SIDECAR_KINDS if kind in asked)


def _moment(_context: click.Context, _parameter: click.Parameter, given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise click.BadParameter(f"{given!r} is no date or moment, such as 2027-03-31 or 2027-03-31T12:00Z.") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


@click.command()
@click.argument("thread_ids", type=str)
@click.argument("assistant_id", type=str)
@click.argument("out", type=OUT)
@click.option("--flat", is_flag=True, help="Write the six flat keys only, without the message itself.")
@source_options
@click.option(
    "--concurrency",
    type=click.IntRange(*CONCURRENCY),
    default=USUAL.concurrency,
    show_default=True,
    help="Threads at a time.",
)
@click.option("--rpm", type=click.IntRange(1), help="Requests a minute at most.")
@click.option(
    "--max-retries",
    type=click.IntRange(*RETRIES),
    default=USUAL.pace.max_retries,
    show_default=True,
    help="Retries a request.",
)
@click.option("--include", callback=_kinds, help="What else to save, separated by commas: threads, runs.")
@click.option("--files", is_flag=True, help="Download the files that messages refer to, and steps with runs.")
@click.option("--fresh", is_flag=True, help="Begin anew; an export that stands there is kept under another name.")
@click.option(
    "--refresh",
    is_flag=True,
    help="Ask for the listed threads again, also where they are complete, and replace their lines.",
)
@click.option("--limit", type=click.IntRange(1), help="Export the first N threads only.")
@click.option("--done", type=str, help="A file of thread ids that are saved elsewhere already: they are left out.")
@click.option(
    "--sunset",
    callback=_moment,
    metavar="DATE",
    help="When the API will go away: a date or a moment, ISO 8601, UTC unless it says otherwise; a date is its"
    " beginning. Shown as the time that is left. Microsoft Foundry's 2027-03-31 is known.",
)
@click.option("--quiet", is_flag=True, help="No progress and no summary; problems still go to standard error.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def export(
    thread_ids: str,
    assistant_id: str,
    out: Path,
    flat: bool,
    source: ApiSource,
    concurrency: int,
    rpm: int | None,
    max_retries: int,
    include: tuple[str, ...],
    files: bool,
    fresh: bool,
    refresh: bool,
    limit: int | None,
    done: str | None,
    sunset: datetime | None,
    quiet: bool,
    as_json: bool,
) -> int:
    """Export the threads listed in THREAD_IDS (one id a line; "-" is standard input) to OUT.

    ASSISTANT_ID is the assistant that the export is for; it is written on every line. Beside OUT stand its
    journal and its manifest, which `threadkeep validate OUT` holds it against. Where OUT stands already, the
    same command goes on with it: threads that are complete are not asked for again.
    """
    if fresh and refresh:
        raise click.UsageError("Give --fresh or --refresh, not both: in a new export there is nothing to refresh.")
    _refuse_mixed_up(thread_ids, assistant_id, out)
    ids, left_out = _wanted(thread_ids, done)
    job = Job(
        ids=ids[:limit],
        left_out=left_out,
        paths=Paths(out),
        options=Options(
            assistant_id=assistant_id,
            flat=flat,
            include=include,
            files=files,
            refresh=refresh,
            concurrency=concurrency,
            pace=PacingOptions(rpm=rpm, max_retries=max_retries),
        ),
        fresh=fresh,
    )
    sunset = sunset or endpoint_of(source, os.environ).provider.sunset
    result = run_job(job, source, show_progress=not quiet and not as_json, sunset=sunset)
    checked = thread_ids if done is None and limit is None and thread_ids != "-" else None
    all_of_it = result.manifest.claims.totals.threads == len(job.ids)
    return _tell(result, _typed(out, checked if all_of_it else None), as_json=as_json, quiet=quiet)


def _typed(out: Path, ids: str | None) -> Typed:
    """The command as it was typed, and how its export is validated."""
    context = click.get_current_context()
    options = [option for option in context.command.params if isinstance(option, click.Option) and not option.is_flag]
    valued = {name for option in options for name in option.opts}
    return Typed(repeat=repeat_command(context.find_root().obj, valued), out=str(out), ids=ids)


def _wanted(thread_ids: str, done: str | None) -> tuple[tuple[str, ...], Set[str]]:
    """The ids that are listed and not done, and those that are done."""
    if thread_ids == done == "-":
        raise click.UsageError("THREAD_IDS and --done cannot both be standard input.")
    listed = load_ids(thread_ids).listed
    over = frozenset(load_ids(done).listed) if done is not None else frozenset()
    wanted = tuple(thread_id for thread_id in listed if thread_id not in over)
    if not listed:
        print_error(f"no thread ids in {thread_ids}: no thread is asked for")
    elif not wanted:
        print_error(f"every thread id in {thread_ids} is also in {done}: no thread is asked for")
    return wanted, over


def _tell(result: Result, typed: Typed, *, as_json: bool, quiet: bool) -> int:
    with ignore_broken_pipe():
        if as_json:
            print_json(summary(result, typed))
        elif not quiet:
            print_summary(summary_of(result))
        if result.is_whole and not as_json and not quiet:
            print_line(f"Next: {next_step(result, typed).command}")
    return report_ending(result, typed)


def _refuse_mixed_up(thread_ids: str, assistant_id: str, out: Path) -> None:
    """Three arguments in a row are easily swapped, and an empty variable easily given.

    Raises:
        click.UsageError: one of them cannot be meant.
    """
    if not assistant_id.strip():
        raise click.UsageError("ASSISTANT_ID is empty: give the id of the assistant that the export is for.")
    swapped = {"OUT": out.name, "THREAD_IDS": "" if Path(thread_ids).exists() else thread_ids}
    for what, name in swapped.items():
        if name.startswith("asst_"):
            raise click.UsageError(f"{what} is {name}, an assistant's id: the order is THREAD_IDS ASSISTANT_ID OUT.")
    if thread_ids != "-" and Path(thread_ids).resolve() in {path.resolve() for path in Paths(out).all}:
        raise click.UsageError(f"OUT would take the place of the file of ids, {thread_ids}.")
