"""``threadkeep export --dask``: the shards of a list on a Dask cluster, into an output store."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import click
import msgspec

from threadkeep.api.endpoints import ApiSource
from threadkeep.cli.console import counted, escape, ignore_broken_pipe, print_error, print_json, print_row
from threadkeep.cli.exit_codes import Exit, exit_for
from threadkeep.cli.export_options import ExportOptions
from threadkeep.cli.option_groups import PACE, option
from threadkeep.cli.progress_display import Screen
from threadkeep.cli.runtime import under_screen
from threadkeep.cli.suggestions import list_options, merge_of
from threadkeep.errors import OtherExport
from threadkeep.scale.cluster import Cluster
from threadkeep.scale.dask_run import carry_out_on_dask
from threadkeep.scale.job import ScaleJob, ScaleResult
from threadkeep.scale.keys import keys_of
from threadkeep.scale.open_store import open_store
from threadkeep.serialization.id_lists import IdList
from threadkeep.storage.index import IndexHeader, Outcome

__all__ = ["DaskExport", "dask_option", "export_on_dask", "refuse_without_use"]

_AGAIN = "The same command resumes the export: complete threads are not asked for again."
_FETCHED_TOO = "The same command resumes the export: what is in it or in a working folder is not asked for again."
_AT_ONCE = (
    "What the workers have fetched stays in their working folders.",
    "The same command resumes the export.",
)

# Seconds in which this process asks the output store again, so that it ends soon after Ctrl-C. Workers ask for longer.
_PATIENCE = 20


_NO_USE = {
    "--refresh": "shards that are complete are never fetched again. Export the threads to another OUT without --dask,"
    " and merge that with the prefix: of a thread that both have the later version counts.",
    "--fresh": "what is under a prefix is never changed. Choose another prefix.",
    "--drop": "a plan is never changed. Merge the prefix, and export to the merged OUT with --drop.",
    "--verbose": "the workers ask the API, each with the libraries of its machine.",
}


def refuse_without_use(given: Mapping[str, object]) -> None:
    """Refuse options of the export that have no use with ``--dask``.

    Args:
        given: what was given for these options, by their names.
    """
    for name, why in _NO_USE.items():
        if given[name]:
            raise click.UsageError(f"{name} cannot be used with --dask: {why}")


def _cluster(_context: click.Context, _parameter: click.Parameter, given: str | None) -> Cluster | None:
    try:
        return None if given is None else Cluster.parse(given)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


def dask_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option ``--dask``; it takes a `Cluster`, or None."""
    words = "Work in shards on this Dask cluster, or local:N processes."
    return option(PACE, "--dask", callback=_cluster, metavar="ADDRESS", help=words)(command)


@attrs.frozen
class DaskExport:
    """The arguments of the command, as typed."""

    thread_ids: str
    assistant_id: str
    prefix: str
    cluster: Cluster
    source: ApiSource
    exporting: ExportOptions
    flat: bool = attrs.field(kw_only=True)
    include: tuple[str, ...] = attrs.field(kw_only=True)

    def job(self, address: str, ids: IdList) -> ScaleJob:
        """Return the export of a list from an address."""
        exporting = self.exporting
        if self.prefix.startswith("memory:"):
            raise click.UsageError("Each worker has a memory:// of its own: choose a folder or a bucket.")
        what = {"assistant_id": self.assistant_id, "flat": self.flat, "include": self.include}
        header = msgspec.convert({"source": address, **what}, IndexHeader)
        return ScaleJob(
            wanted=exporting.wanted(ids),
            store=open_store(self.prefix, seconds=_PATIENCE),
            cluster=self.cluster,
            header=header,
            files=exporting.files,
            concurrency=exporting.concurrency,
            rpm=exporting.rpm,
            max_retries=exporting.max_retries,
        )


def export_on_dask(given: DaskExport, *, quiet: bool, as_json: bool) -> int:
    """Make the export under a `Screen`, and print what it came to."""
    address, keys = keys_of(given.source, os.environ)
    ids = given.exporting.ids(given.thread_ids)
    job = given.job(address, ids)

    async def work(_transports: Sequence[Any], screen: Screen) -> ScaleResult:
        return await carry_out_on_dask(job, keys, on_event=screen.take)

    shown, sunset = not quiet and not as_json, given.exporting.sunset_of(given.source)
    try:
        result = under_screen((), work, shown=shown, sunset=sunset, words_at_second=_AT_ONCE)
    except OtherExport as error:
        print_error(str(error), "Use the same, or choose another prefix.")
        return Exit.OUTPUT
    has_any = any(number for outcome, number in result.outcomes.items() if outcome != Outcome.UNFINISHED)
    is_all = given.thread_ids != "-" and sum(result.outcomes.values()) == ids.count
    options = list_options(given.thread_ids if is_all else None, given.exporting.column)
    merge = merge_of(given.prefix, options=options) if has_any else None
    code = exit_for(result.ended_by)[0] if result.ended_by is not None else None
    code = code or (Exit.COMPLETE if result.is_complete else Exit.INCOMPLETE)
    with ignore_broken_pipe():
        if as_json:
            print_json(_as_json(given.prefix, result, code, merge))
        elif not quiet:
            _print(given.prefix, result, merge)
    _report_ending(result)
    return code


def _as_json(prefix: str, result: ScaleResult, code: Exit, merge: str | None) -> dict[str, Any]:
    row = attrs.asdict(result)
    ended_by = None if result.ended_by is None else str(result.ended_by)
    return {"out": prefix, "exit": int(code), **row, "ended_by": ended_by, "next": {"command": merge}}


def _print(prefix: str, result: ScaleResult, merge: str | None) -> None:
    click.echo(escape(prefix))
    complete = counted(result.outcomes[Outcome.COMPLETE], "thread")
    print_row("complete", f"{complete} with {counted(result.messages, 'message')}")
    if result.fetched_threads:
        fetched = f"{counted(result.fetched_threads, 'thread')} with {counted(result.fetched_messages, 'message')}"
        print_row("fetched", f"{fetched}, which stay in the working folders until their shards are done")
    for name, words in _others(result):
        print_row(name, words)
    print_row("shards", f"{result.complete_shards:,} of {result.shards:,} complete")
    if result.is_complete and merge is not None:
        click.echo(f"Next: {escape(merge, 4000)}")


def _others(result: ScaleResult) -> Iterator[tuple[str, str]]:
    for outcome, number in result.outcomes.items():
        if number and outcome != Outcome.COMPLETE:
            yield outcome, counted(number, "thread")
    if result.invalid_count:
        yield "malformed", f"{counted(result.invalid_count, 'line')} of the list: no thread ids"


def _report_ending(result: ScaleResult) -> None:
    for one in result.invalid:
        print_error(f"line {one.place} of the list is no thread id: {escape(one.text, 80)}")
    if result.ended_by is not None:
        needed = sum(result.outcomes.values())
        done = f"{result.outcomes[Outcome.COMPLETE]:,} of {counted(needed, 'thread')} complete"
        again = _FETCHED_TOO if result.fetched_threads else _AGAIN
        print_error(f"{result.ended_by} ({done})", exit_for(result.ended_by)[1], again)
    elif not result.is_complete:
        print_error("not every thread of the list is complete in the export", _AGAIN)
