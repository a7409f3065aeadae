"""``threadkeep split``: one export for each assistant of an export."""

from pathlib import Path

import click

from threadkeep.cli.arguments import OUT
from threadkeep.cli.console import counted, escape, ignore_broken_pipe
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.option_groups import WHAT, argument, command, option
from threadkeep.storage.not_exports import refuse_no_export
from threadkeep.storage.paths import Paths
from threadkeep.storage.split import split_by_assistant

__all__ = ["split"]


@command("Write one export for each assistant.")
@argument("out", "The export to split.", type=OUT)
@option(WHAT, "--by", type=click.Choice(["assistant"]), required=True, help="Write an export for each assistant.")
def split(out: Path, by: str) -> int:
    """Write one export for each assistant of OUT next to it, such as out.asst_1.ndjson. OUT stays as it is.

    Threads of which no assistant is known go to out.none.ndjson.
    """
    del by  # there is one way only
    refuse_no_export(out)
    with ignore_broken_pipe():
        for part in split_by_assistant(Paths(out)):
            threads, messages = part.manifest.outcomes["complete"], part.manifest.totals.messages
            words = f"{counted(threads, 'complete thread')}, {counted(messages, 'message')}"
            click.echo(f"{escape(str(part.paths.out))}: {words}")
        click.echo("Next: Run `threadkeep validate` on each of them.")
    return Exit.COMPLETE
