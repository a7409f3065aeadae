"""``threadkeep export``: the file of ids in, the NDJSON out."""

import itertools
import os
from collections.abc import Iterator, Sequence, Set
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from threadkeep.api.calls import CONCURRENCY, DEFAULT_CONCURRENCY, DEFAULT_RETRIES, RETRIES
from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource, endpoint_of
from threadkeep.cli.arguments import OUT, number_option, stream_ids
from threadkeep.cli.console import ignore_broken_pipe
from threadkeep.cli.export_summary import print_result, print_result_json, report_ending
from threadkeep.cli.progress_display import Screen
from threadkeep.cli.runtime import ask
from threadkeep.cli.source_options import source_options
from threadkeep.cli.suggestions import next_step
from threadkeep.clock import now
from threadkeep.errors import UnreadableIds
from threadkeep.exporter.job import ExportResult, Job, carry_out
from threadkeep.storage.paths import SIDECAR_KINDS, Paths
from threadkeep.storage.session import ThreadList

__all__ = ["export", "run_job"]


def _kinds(_context: click.Context, _parameter: click.Parameter, given: Sequence[str]) -> tuple[str, ...]:
    asked = [kind.strip() for kinds in given for kind in kinds.split(",")]
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


@click.command(short_help="Save the threads of a list to OUT.")
@click.argument("thread_ids", type=str)
@click.argument("assistant_id", type=str)
@click.argument("out", type=OUT)
@click.option("--flat", is_flag=True, help="Write the six flat keys only, without the message itself.")
@source_options
@number_option("--concurrency", "Fetch so many threads at a time.", DEFAULT_CONCURRENCY, CONCURRENCY)
@number_option("--rpm", "Send at most so many requests a minute.")
@number_option("--max-retries", "Repeat a request that fails so many times.", DEFAULT_RETRIES, RETRIES)
@click.option("--include", multiple=True, callback=_kinds, metavar="KINDS", help="Save also: threads, runs, or both.")
@click.option("--files", is_flag=True, help="Download the files that messages refer to, and steps if runs are saved.")
@click.option("--done", metavar="FILE", help="Leave out the thread ids in FILE, which are saved elsewhere.")
@click.option("--drop", metavar="FILE", help="Stop asking for the thread ids in FILE until a list names them again.")
@number_option("--limit", "Export only the first N threads of the list.")
@click.option("--refresh", is_flag=True, help="Fetch complete threads of the list again; nothing saved is lost.")
@click.option("--fresh", is_flag=True, help="Begin anew, and keep an export that is there under another name.")
@click.option(
    "--sunset",
    callback=_moment,
    metavar="DATE",
    help="Show the time until DATE, when the API goes away: ISO 8601, UTC unless it says otherwise.",
)
@click.option("--verbose", is_flag=True, help="Say also which libraries the API is asked with.")
@click.option("--quiet", is_flag=True, help="Print no progress and no summary; problems still go to standard error.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object, and no progress.")
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
    done: str | None,
    drop: str | None,
    limit: int | None,
    refresh: bool,
    fresh: bool,
    sunset: datetime | None,
    verbose: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Export the threads listed in the file THREAD_IDS (one id a line; "-" is standard input) to OUT.

    ASSISTANT_ID is the assistant that the export is for; it is written on every line. With "auto", each thread gets
    the assistant of its newest assistant message.

    The same command resumes an export: complete threads are not asked for again, and damaged ones are repaired.
    """
    if fresh and refresh:
        raise click.UsageError("Give --fresh or --refresh, not both: in a new export there is nothing to refresh.")
    if [thread_ids, done, drop].count("-") > 1:
        raise click.UsageError("Only one of THREAD_IDS, --done and --drop can be standard input.")
    _refuse_mixed_up(thread_ids, assistant_id, out)
    ids = _CountedIds(thread_ids)
    job = Job(
        wanted=ThreadList(ids=ids, done=_ids_in(done), drop=_ids_in(drop), limit=limit, refresh=refresh),
        paths=Paths(out),
        assistant_id=assistant_id,
        flat=flat,
        include=include,
        files=files,
        fresh=fresh,
        concurrency=concurrency,
        pace=PacingOptions(rpm=rpm, max_retries=max_retries),
    )
    sunset = sunset or endpoint_of(source, os.environ).provider.sunset
    shown = not quiet and not as_json
    result, printed = run_job(job, source, show_progress=shown, sunset=sunset, verbose=verbose)
    is_all = thread_ids != "-" and result.manifest is not None and result.manifest.totals.threads == ids.count
    step = next_step(result, thread_ids if is_all else None, fresh=fresh, files=job.files)
    with ignore_broken_pipe():
        if as_json:
            print_result_json(result, step)
        elif not quiet:
            print_result(result, step, printed)
    return report_ending(result, step)


def run_job(
    job: Job, source: ApiSource, *, show_progress: bool, sunset: datetime | None = None, verbose: bool = False
) -> tuple[ExportResult, Set[str]]:
    """Make an export, as `threadkeep.exporter.job.carry_out` does, under a screen; see `threadkeep.cli.runtime.ask`.

    Returns the result, and the ids of threads and files whose problems were printed.
    """

    async def work(transports: Sequence[Any], screen: Screen) -> tuple[ExportResult, Set[str]]:
        return await carry_out(job, transports, transports[0].address, now=now, on_event=screen.take), screen.printed

    return ask(source, work, shown=show_progress, sunset=sunset, verbose=verbose)


class _CountedIds:
    """The entries of the list, which are counted as they are read. An empty list is refused at once."""

    def __init__(self, source: str) -> None:
        self.count = 0
        entries = stream_ids(source)
        first = next(entries, None)
        if first is None:
            raise UnreadableIds(f"no thread ids in {'standard input' if source == '-' else source}")
        self._entries = itertools.chain([first], entries)

    def __iter__(self) -> Iterator[tuple[int, str]]:
        for entry in self._entries:
            self.count += 1
            yield entry


def _ids_in(source: str | None) -> Iterator[str]:
    return iter(()) if source is None else (text for _, text in stream_ids(source))


def _refuse_mixed_up(thread_ids: str, assistant_id: str, out: Path) -> None:
    """Refuse arguments that were swapped, as three in a row easily are, or given by an empty variable."""
    if not assistant_id.strip():
        raise click.UsageError("ASSISTANT_ID is empty: give the id of the assistant that the export is for.")
    swapped = {"OUT": out.name, "THREAD_IDS": "" if Path(thread_ids).exists() else thread_ids}
    for what, name in swapped.items():
        if name.startswith("asst_"):
            raise click.UsageError(f"{what} is {name}, an assistant's id: the order is THREAD_IDS ASSISTANT_ID OUT.")
    if thread_ids != "-" and Path(thread_ids).resolve() in {path.resolve() for path in Paths(out).all_files()}:
        raise click.UsageError(f"OUT would take the place of the file of ids, {thread_ids}.")
