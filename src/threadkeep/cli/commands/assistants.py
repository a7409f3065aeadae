"""``threadkeep assistants``: which assistants there are, for the ASSISTANT_ID of an export."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import click

from threadkeep.api.client import ApiClient, PacingOptions
from threadkeep.api.endpoints import ApiSource
from threadkeep.cli.console import escape
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.source_options import source_options

__all__ = ["assistants"]


@click.command()
@source_options
def assistants(source: ApiSource) -> int:
    """List the assistants, one a line: id, a tab, and the name."""
    # Only here, since importing the SDK takes most of a second that other commands do not need.
    from threadkeep.api.transport import connect_all

    return _print(asyncio.run(_listed(connect_all(source)[0])))


def _print(rows: Sequence[Mapping[str, Any]]) -> int:
    for assistant in rows:
        name = assistant.get("name")
        click.echo(f"{escape(assistant['id'])}\t{escape(name) if isinstance(name, str) else ''}")
    return Exit.WHOLE


async def _listed(transport: Any) -> list[Mapping[str, Any]]:
    async with transport:
        return [row async for page in ApiClient(transport, PacingOptions()).walk("/assistants") for row in page.rows]
