"""``threadkeep status``: what an export claims of itself, without reading its lines."""

from pathlib import Path

import click

from threadkeep.cli.exits import Exit
from threadkeep.cli.inputs import OUT
from threadkeep.cli.summary import Report, print_report
from threadkeep.cli.words import complain
from threadkeep.errors import OutputUnusable
from threadkeep.journal import Journal
from threadkeep.manifest import claims
from threadkeep.outfiles import read_journal, read_manifest
from threadkeep.paths import Paths

__all__ = ["status"]


@click.command()
@click.argument("out", type=OUT)
@click.option("--done", is_flag=True, help="Print the ids of the threads that are complete, one a line.")
def status(out: Path, done: bool) -> int:
    """Show how far the export OUT has come, from its journal and manifest."""
    paths = Paths(out)
    journal = read_journal(paths)
    if journal is None:
        raise OutputUnusable(f"{paths.journal}: there is no journal, so nothing is known of {out}")
    if done:
        for entry in journal.complete:
            click.echo(entry.thread_id)
        return Exit.WHOLE
    return _show(paths, journal)


def _show(paths: Paths, journal: Journal) -> int:
    manifest = read_manifest(paths)
    said = manifest.claims if manifest is not None else claims(journal, listed=len(journal.entries))
    problems = journal.not_complete
    print_report(
        Report(
            paths=paths,
            claims=said,
            problems=problems,
            never_begun=() if manifest is None else manifest.unfinished,
            files=tuple(journal.files.values()),
            files_left=tuple(file_id for file_id in journal.wanted_files if file_id not in journal.files),
        )
    )
    if manifest is None:
        complain("the run did not end by itself: there is no manifest, and threads may be left that it never reached")
    elif manifest.ended_by is not None:
        complain(f"the run was ended: {manifest.ended_by}")
    whole = manifest is not None and not problems and not said.totals.unfinished and not journal.torn
    return Exit.WHOLE if whole else Exit.INCOMPLETE
