"""``threadkeep assistants``: which assistants there are, for the ASSISTANT_ID of an export."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import click

from threadkeep.cli.exits import Exit
from threadkeep.cli.words import shown
from threadkeep.walker import Pace, Walker

__all__ = ["assistants"]


@click.command()
@click.option("--base-url", help="The address of the API; else OPENAI_BASE_URL, else OpenAI's own.")
def assistants(base_url: str | None) -> int:
    """List the assistants, one a line: id, a tab, and the name."""
    return _print(asyncio.run(_listed(base_url)))


def _print(rows: Sequence[Mapping[str, Any]]) -> int:
    for assistant in rows:
        name = assistant.get("name")
        click.echo(f"{shown(assistant['id'])}\t{shown(name) if isinstance(name, str) else ''}")
    return Exit.WHOLE


async def _listed(base_url: str | None) -> list[Mapping[str, Any]]:
    # Only here, since importing the SDK takes most of a second that other commands do not need.
    from threadkeep.sdk import Api

    async with Api.connect(base_url=base_url) as api:
        return [row async for page in Walker(api, Pace()).walk("/assistants") for row in page.rows]
