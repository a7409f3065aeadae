"""``threadkeep threads`` and ``threadkeep assistants``: list ids, for the arguments of an export."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import click

from threadkeep.api.client import ApiClient, PacingOptions
from threadkeep.api.endpoints import ApiSource
from threadkeep.api.resources import list_thread_ids
from threadkeep.cli.console import escape, print_error, print_request
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.option_groups import command
from threadkeep.cli.shared_options import verbose_option
from threadkeep.cli.source_options import source_options
from threadkeep.errors import ApiError
from threadkeep.serialization.lossless_json import text_or_none

__all__ = ["assistants", "threads"]


@command("List the ids of all threads.")
@source_options
@verbose_option
def threads(source: ApiSource, verbose: bool) -> int:
    """List the ids of all threads, one a line, where the server can: `threadkeep threads > ids.txt`."""
    return _print(
        source,
        lambda client: ([escape(one) for one in page] async for page in list_thread_ids(client)),
        verbose=verbose,
    )


@command("List the assistants.")
@source_options
@verbose_option
def assistants(source: ApiSource, verbose: bool) -> int:
    """List the assistants, one a line: id, a tab, and the name."""

    def line(row: Mapping[str, Any]) -> str:
        return f"{escape(row['id'])}\t{escape(text_or_none(row.get('name')) or '')}"

    return _print(
        source, lambda client: ([*map(line, page.rows)] async for page in client.walk("/assistants")), verbose=verbose
    )


def _print(source: ApiSource, pages: Callable[[ApiClient], AsyncIterator[list[str]]], *, verbose: bool) -> int:
    # Only here, since importing the SDK takes most of a second that other commands do not need.
    from threadkeep.api.transport import connect_all

    async def printed(transport: Any) -> None:
        count = 0
        try:
            if verbose:
                transport.watch(print_request)
            async with transport:
                async for lines in pages(ApiClient(transport, PacingOptions())):
                    click.echo("".join(f"{line}\n" for line in lines), nl=False)
                    count += len(lines)
        except ApiError:
            if count:
                print_error(f"the list is not complete: it broke off after {count} ids")
            raise
        if not count:
            print_error("the server lists none: it has none, or none that this key may see")

    asyncio.run(printed(connect_all(source)[0]))
    return Exit.COMPLETE
