"""``threadkeep export``: the file of ids in, the NDJSON out."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from threadkeep.api.endpoints import ApiSource
from threadkeep.cli.arguments import OUT_OR_PREFIX
from threadkeep.cli.console import ignore_broken_pipe, print_json
from threadkeep.cli.dask_export import DaskExport, dask_option, export_on_dask, refuse_without_use
from threadkeep.cli.export_options import ExportOptions, export_arguments, export_options
from threadkeep.cli.export_summary import print_result, report_ending, result_as_json
from threadkeep.cli.option_groups import WHAT, command, option
from threadkeep.cli.progress_display import Screen
from threadkeep.cli.runtime import ask
from threadkeep.cli.shared_options import (
    json_option,
    quiet_option,
    verbose_option,
)
from threadkeep.cli.source_options import source_options
from threadkeep.cli.suggestions import next_step
from threadkeep.clock import now
from threadkeep.exporter.job import ExportResult, Job, carry_out
from threadkeep.scale.cluster import Cluster
from threadkeep.storage.paths import SIDECAR_KINDS

__all__ = ["export", "run_job"]


class _Kinds(click.types.StringParamType):
    """One or more of the kinds, with commas between them."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return the kinds, and all of them together."""
        del ctx, param
        return [CompletionItem(one) for one in (*SIDECAR_KINDS, ",".join(SIDECAR_KINDS)) if one.startswith(incomplete)]


def _kinds(_context: click.Context, _parameter: click.Parameter, given: Sequence[str]) -> tuple[str, ...]:
    asked = [kind.strip() for kinds in given for kind in kinds.split(",")]
    for kind in asked:
        if kind not in SIDECAR_KINDS:
            raise click.BadParameter(f"{kind!r} is none of {', '.join(SIDECAR_KINDS)}.")
    return tuple(kind for kind in SIDECAR_KINDS if kind in asked)


@command("Save the threads of a list to OUT.")
@export_arguments(OUT_OR_PREFIX, "The NDJSON file to write, or with --dask a folder or URL.")
@option(WHAT, "--flat", is_flag=True, help="Write the six flat keys only, without the message itself.")
@option(
    WHAT,
    "--include",
    type=_Kinds(),
    multiple=True,
    callback=_kinds,
    metavar="KINDS",
    help="Save also the thread objects, the runs, or both: threads,runs.",
)
@export_options
@option(WHAT, "--refresh", is_flag=True, help="Fetch complete threads again; nothing saved is lost.")
@option(WHAT, "--fresh", is_flag=True, help="Begin anew, and keep the old export under another name.")
@source_options
@dask_option
@verbose_option
@quiet_option
@json_option
def export(
    thread_ids: str,
    assistant_id: str,
    out: Path | str,
    flat: bool,
    source: ApiSource,
    include: tuple[str, ...],
    exporting: ExportOptions,
    dask: Cluster | None,
    refresh: bool,
    fresh: bool,
    verbose: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Export the threads listed in the file THREAD_IDS to OUT.

    THREAD_IDS has one id a line, or is a CSV or TSV file, a table as databases print it, a JSON array or NDJSON.

    ASSISTANT_ID is written on every line. With "auto", each thread gets the one in the column assistant_id of
    THREAD_IDS, else that of its newest assistant message.

    The same command resumes an export: complete threads are not asked for again, and damaged ones are repaired.

    With --dask, OUT is a folder or the URL of a prefix, such as s3://bucket/prefix, and `threadkeep merge` makes one
    export of what is there. Each run resumes all shards that are planned there, also those of a longer list, and its
    exit code is about all of them.
    """
    if fresh and refresh:
        raise click.UsageError("Give --fresh or --refresh, not both: in a new export there is nothing to refresh.")
    exporting.refuse_impossible(thread_ids, assistant_id, Path(out))
    if dask is not None:
        refuse_without_use({"--refresh": refresh, "--fresh": fresh, "--drop": exporting.drop, "--verbose": verbose})
        given = DaskExport(thread_ids, assistant_id, str(out), dask, source, exporting, flat=flat, include=include)
        return export_on_dask(given, quiet=quiet, as_json=as_json)
    if isinstance(out, str):
        raise click.UsageError(f"OUT is a file; {out} is a prefix of objects, which only --dask writes to.")
    ids = exporting.ids(thread_ids)
    job = exporting.job(ids, assistant_id, out, refresh=refresh, flat=flat, include=include, fresh=fresh)
    shown = not quiet and not as_json
    result = run_job(job, source, show_progress=shown, sunset=exporting.sunset_of(source), verbose=verbose)
    is_all = thread_ids != "-" and result.manifest is not None and result.manifest.totals.threads == ids.count
    step = next_step(result, thread_ids if is_all else None, exporting.column, fresh=fresh, files=job.files)
    with ignore_broken_pipe():
        if as_json:
            print_json(result_as_json(result, step))
        elif not quiet:
            print_result(result, step)
    return report_ending(result, step)


def run_job(
    job: Job,
    source: ApiSource,
    *,
    show_progress: bool,
    sunset: datetime | None = None,
    verbose: bool = False,
    is_last: bool = True,
) -> ExportResult:
    """Make an export, as `threadkeep.exporter.job.carry_out` does, under a screen; see `threadkeep.cli.runtime.ask`."""

    async def work(transports: Sequence[Any], screen: Screen) -> ExportResult:
        return await carry_out(job, transports, transports[0].address, now=now, on_event=screen.take)

    return ask(source, work, shown=show_progress, sunset=sunset, verbose=verbose, is_last=is_last)
