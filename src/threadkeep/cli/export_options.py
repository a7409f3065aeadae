"""The options of an export, for the commands that export."""

import functools
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import click
from click.shell_completion import CompletionItem

from threadkeep.api.calls import DEFAULT_CONCURRENCY
from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource, endpoint_of
from threadkeep.cli.arguments import open_ids
from threadkeep.cli.option_groups import PACE, WHAT, argument, option
from threadkeep.cli.shared_options import (
    FILE,
    column_option,
    concurrency_option,
    max_retries_option,
    number_option,
    rpm_option,
)
from threadkeep.exporter.job import Job
from threadkeep.serialization.id_lists import IdList
from threadkeep.serialization.thread_ids import unlike_assistant_id
from threadkeep.storage.paths import Paths
from threadkeep.storage.session import ThreadList
from threadkeep.storage.sharding import Shard

__all__ = ["ExportOptions", "export_arguments", "export_options"]


class _Assistant(click.types.StringParamType):
    """The id of an assistant. Of all of them a shell can complete one."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return it."""
        del ctx, param
        return [CompletionItem(name) for name in ("auto",) if name.startswith(incomplete)]


_ASSISTANT = _Assistant()


def _moment(_context: click.Context, _parameter: click.Parameter, given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise click.BadParameter(f"{given!r} is no date or moment, such as 2027-03-31 or 2027-03-31T12:00Z.") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _shard(_context: click.Context, _parameter: click.Parameter, given: str | None) -> Shard | None:
    try:
        return None if given is None else Shard.parse(given)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


_OPTIONS = (
    option(WHAT, "--files", is_flag=True, help="Download the files that messages, and saved runs, refer to."),
    column_option,
    number_option(WHAT, "--limit", "Export only the first N threads of the list."),
    option(
        WHAT, "--shard", callback=_shard, metavar="I/N", help="Export only shard I of N, from 0, by a hash of each id."
    ),
    option(WHAT, "--done", type=FILE, metavar="FILE", help="Leave out the ids in FILE, which are saved elsewhere."),
    option(WHAT, "--drop", type=FILE, metavar="FILE", help="Stop asking for the ids in FILE until a list names them."),
    concurrency_option(DEFAULT_CONCURRENCY),
    rpm_option("no limit of its own"),
    max_retries_option,
    option(
        PACE,
        "--sunset",
        callback=_moment,
        metavar="DATE",
        show_default="by the address",
        help="Show the time until the API closes: ISO 8601, UTC.",
    ),
)


@attrs.frozen(kw_only=True)
class ExportOptions:
    """The options, as typed."""

    column: str | None
    concurrency: int
    rpm: int | None
    max_retries: int
    files: bool
    done: str | None
    drop: str | None
    limit: int | None
    shard: Shard | None
    sunset: datetime | None

    def sunset_of(self, source: ApiSource) -> datetime | None:
        """Return when the API of a source goes away: as typed, else as far as it is known."""
        return self.sunset or endpoint_of(source, os.environ).provider.sunset

    def refuse_impossible(self, thread_ids: str, assistant_id: str, out: Path) -> None:
        """Raise click.UsageError for arguments that contradict each other, or were mixed up."""
        if [thread_ids, self.done, self.drop].count("-") > 1:
            raise click.UsageError("Only one of THREAD_IDS, --done and --drop can be standard input.")
        _refuse_mixed_up(thread_ids, assistant_id, out)

    def ids(self, thread_ids: str) -> IdList:
        """Open the list.

        Raises:
            UnreadableIds: it cannot be opened, is empty, or is no list of thread ids.
        """
        return open_ids(thread_ids, self.column).refuse_empty()

    def wanted(self, ids: IdList, *, refresh: bool = False) -> ThreadList:
        """Return which of these threads the export is for; see `job`."""
        return ThreadList(
            ids=ids,
            done=_ids_in(self.done),
            drop=_ids_in(self.drop),
            limit=self.limit,
            shard=self.shard,
            refresh=refresh,
        )

    def job(self, ids: IdList, assistant_id: str, out: Path, *, refresh: bool = False, **more: Any) -> Job:
        """Return the export of these threads to OUT.

        Raises:
            UnreadableIds: the file of --done or --drop cannot be opened.
        """
        wanted = self.wanted(ids, refresh=refresh)
        given = {
            "files": self.files,
            "concurrency": self.concurrency,
            "pace": PacingOptions(rpm=self.rpm, max_retries=self.max_retries),
        }
        return Job(wanted=wanted, paths=Paths(out), assistant_id=assistant_id, **{**given, **more})


def export_arguments(out: click.ParamType[Any], words: str) -> Callable[..., Any]:
    """Return what gives a command the three arguments of an export; OUT is of this type, and explained so."""
    arguments = (
        argument("thread_ids", 'The list of thread ids, a file; "-" is standard input.', type=FILE),
        argument("assistant_id", "The assistant to write on every line, or auto.", type=_ASSISTANT),
        argument("out", words, type=out),
    )
    return lambda command: functools.reduce(lambda wrapped, one: one(wrapped), reversed(arguments), command)


def export_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options; it takes them as `ExportOptions` by the name ``exporting``."""

    @functools.wraps(command)
    def with_options(**arguments: Any) -> int:
        names = [field.name for field in attrs.fields(ExportOptions)]
        exporting = ExportOptions(**{name: arguments.pop(name) for name in names})
        return command(exporting=exporting, **arguments)

    return functools.reduce(lambda wrapped, one: one(wrapped), reversed(_OPTIONS), with_options)


def _ids_in(source: str | None) -> Iterator[str]:
    return iter(()) if source is None else (one.thread_id for one in open_ids(source))


_ORDER = "The order is THREAD_IDS ASSISTANT_ID OUT"


def _refuse_mixed_up(thread_ids: str, assistant_id: str, out: Path) -> None:
    """Refuse arguments that were swapped, as three in a row easily are, or given by an empty variable."""
    swapped = {"OUT": out.name, "THREAD_IDS": "" if Path(thread_ids).exists() else thread_ids}
    for what, name in swapped.items():
        if name == "auto":
            raise click.UsageError(f"{what} is auto, which is an ASSISTANT_ID. {_ORDER}.")
        if name.startswith("asst_"):
            raise click.UsageError(f"{what} is {name}, an assistant's id. {_ORDER}.")
    if swapped["THREAD_IDS"].startswith("thread_"):
        raise click.UsageError(
            f"THREAD_IDS is {thread_ids[:60]}, an id, and no file. Write the ids to a file, one a line; or give - and"
            " write them to standard input."
        )
    if thread_ids != "-" and not Path(thread_ids).exists() and out.is_file() and not Paths(out).index.exists():
        raise click.UsageError(f"THREAD_IDS, {thread_ids}, does not exist, and OUT, {out}, is no export. {_ORDER}.")
    unlike = unlike_assistant_id(assistant_id)
    if unlike == "empty":
        raise click.UsageError("ASSISTANT_ID is empty: give the id of the assistant that the export is for.")
    is_file = not assistant_id.startswith("asst_") and assistant_id != "auto" and Path(assistant_id).is_file()
    if unlike is not None or is_file:
        shown = "" if unlike == "a key" else f" {assistant_id},"
        raise click.UsageError(f"ASSISTANT_ID is{shown} {unlike or 'a file name'}. {_ORDER}.")
    if thread_ids != "-" and Path(thread_ids).resolve() in {path.resolve() for path in Paths(out).all_files()}:
        raise click.UsageError(f"OUT would take the place of the file of ids, {thread_ids}.")
