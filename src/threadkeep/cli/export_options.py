"""The options of an export, for the commands that export."""

import functools
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import click

from threadkeep.api.calls import CONCURRENCY, DEFAULT_CONCURRENCY, DEFAULT_RETRIES, RETRIES
from threadkeep.api.client import PacingOptions
from threadkeep.api.endpoints import ApiSource, endpoint_of
from threadkeep.cli.arguments import column_option, number_option, open_ids
from threadkeep.errors import UnreadableIds
from threadkeep.exporter.job import Job
from threadkeep.serialization.id_lists import IdList, unlike_assistant_id
from threadkeep.storage.paths import Paths
from threadkeep.storage.session import ThreadList
from threadkeep.storage.sharding import Shard

__all__ = ["ExportOptions", "export_options"]


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
    column_option,
    number_option("--concurrency", "Work on so many threads at a time.", DEFAULT_CONCURRENCY, CONCURRENCY),
    number_option("--rpm", "Send at most so many requests a minute."),
    number_option("--max-retries", "Repeat a request that fails so many times.", DEFAULT_RETRIES, RETRIES),
    click.option(
        "--files", is_flag=True, help="Download the files that messages refer to, and steps if runs are saved."
    ),
    click.option("--done", metavar="FILE", help="Leave out the thread ids in FILE, which are saved elsewhere."),
    click.option(
        "--drop", metavar="FILE", help="Stop asking for the thread ids in FILE until a list names them again."
    ),
    number_option("--limit", "Export only the first N threads of the list."),
    click.option(
        "--shard",
        callback=_shard,
        metavar="I/N",
        help="Export only shard I of N, from 0: each id is in the same one on every machine.",
    ),
    click.option(
        "--sunset",
        callback=_moment,
        metavar="DATE",
        help="Show the time until DATE, when the API goes away: ISO 8601, UTC unless it says otherwise.",
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
        ids = open_ids(thread_ids, self.column)
        if ids.is_empty:
            name = "standard input" if thread_ids == "-" else thread_ids
            raise UnreadableIds(f"no thread ids in {name}")
        return ids

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


def export_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options; it takes them as `ExportOptions` by the name ``exporting``."""

    @functools.wraps(command)
    def with_options(**arguments: Any) -> int:
        names = [field.name for field in attrs.fields(ExportOptions)]
        exporting = ExportOptions(**{name: arguments.pop(name) for name in names})
        return command(exporting=exporting, **arguments)

    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), with_options)


def _ids_in(source: str | None) -> Iterator[str]:
    return iter(()) if source is None else (one.thread_id for one in open_ids(source))


_ORDER = "the order is THREAD_IDS ASSISTANT_ID OUT"


def _refuse_mixed_up(thread_ids: str, assistant_id: str, out: Path) -> None:
    """Refuse arguments that were swapped, as three in a row easily are, or given by an empty variable."""
    swapped = {"OUT": out.name, "THREAD_IDS": "" if Path(thread_ids).exists() else thread_ids}
    for what, name in swapped.items():
        if name.startswith("asst_"):
            raise click.UsageError(f"{what} is {name}, an assistant's id: {_ORDER}.")
    unlike = unlike_assistant_id(assistant_id)
    if unlike == "empty":
        raise click.UsageError("ASSISTANT_ID is empty: give the id of the assistant that the export is for.")
    if unlike is not None or Path(assistant_id).is_file():
        shown = "" if unlike == "a key" else f" {assistant_id},"
        raise click.UsageError(f"ASSISTANT_ID is{shown} {unlike or 'a file name'}: {_ORDER}.")
    if thread_ids != "-" and Path(thread_ids).resolve() in {path.resolve() for path in Paths(out).all_files()}:
        raise click.UsageError(f"OUT would take the place of the file of ids, {thread_ids}.")
