"""``threadkeep write``: make an export from what a run that was cut off has fetched, without network."""

from pathlib import Path

import click

from threadkeep.cli.arguments import OUT
from threadkeep.cli.console import ignore_broken_pipe, print_error
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.export_summary import print_manifest
from threadkeep.cli.option_groups import argument, command
from threadkeep.cli.suggestions import command_on
from threadkeep.storage import session
from threadkeep.storage.not_exports import refuse_no_export
from threadkeep.storage.paths import Paths

__all__ = ["write"]


@command("Write OUT from a run that was cut off, without the API.")
@argument("out", "The export that the run was to write.", type=OUT)
def write(out: Path) -> int:
    """Write OUT from what a run that was interrupted or killed has fetched, without asking the API.

    Use it when the API is not there any more. Otherwise the same export command resumes the run.
    """
    refuse_no_export(out)
    manifest = session.write(out, on_notice=print_error)
    with ignore_broken_pipe():
        print_manifest(Paths(out), manifest)
        if manifest.is_complete:
            click.echo(f"Next: {command_on('validate', out)}")
    if manifest.is_complete:
        return Exit.COMPLETE
    print_error(
        f"the export is not complete{'' if manifest.ended_by is None else f': {manifest.ended_by}'}",
        "The same export command resumes it: complete threads are not asked for again. This checks it:",
        command_on("validate", out),
    )
    return Exit.INCOMPLETE
