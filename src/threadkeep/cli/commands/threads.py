"""``threadkeep threads``: which threads there are, for the THREAD_IDS of an export."""

import asyncio
from typing import Any

import click

from threadkeep.api.client import ApiClient, PacingOptions
from threadkeep.api.endpoints import ApiSource
from threadkeep.api.resources import thread_ids
from threadkeep.cli.console import escape, print_error
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.source_options import source_options
from threadkeep.errors import ApiError

__all__ = ["threads"]


@click.command()
@source_options
def threads(source: ApiSource) -> int:
    """List the ids of all threads, one a line, where the server can: `threadkeep threads > ids.txt`."""
    # Only here, since importing the SDK takes most of a second that other commands do not need.
    from threadkeep.api.transport import connect_all

    return asyncio.run(_print(connect_all(source)[0]))


async def _print(transport: Any) -> Exit:
    printed = 0
    try:
        async with transport:
            async for page in thread_ids(ApiClient(transport, PacingOptions())):
                click.echo("".join(f"{escape(thread_id)}\n" for thread_id in page), nl=False)
                printed += len(page)
    except ApiError:
        if printed:
            print_error(f"the list is not whole: it broke off behind {printed} ids")
        raise
    return Exit.WHOLE
