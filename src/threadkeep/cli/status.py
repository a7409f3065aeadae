"""``threadkeep status``: what an export claims of itself, without reading its lines."""

from pathlib import Path

import click

from threadkeep.cli.exits import Exit
from threadkeep.cli.inputs import OUT
from threadkeep.cli.words import complain, print_summary
from threadkeep.errors import OutputUnusable
from threadkeep.journal import Journal, Outcome
from threadkeep.manifest import claims
from threadkeep.outfiles import Paths, read_journal, read_manifest

__all__ = ["status"]


@click.command()
@click.argument("out", type=OUT)
def status(out: Path) -> int:
    """Show how far the export OUT has come, from its journal and manifest."""
    paths = Paths(out)
    journal = read_journal(paths)
    if journal is None:
        raise OutputUnusable(f"{paths.journal}: there is no journal, so nothing is known of {out}")
    return _show(paths, journal)


def _show(paths: Paths, journal: Journal) -> int:
    manifest = read_manifest(paths)
    said = manifest.claims if manifest is not None else claims(journal, listed=len(journal.entries))
    problems = [entry for entry in journal.entries.values() if entry.outcome is not Outcome.COMPLETE]
    print_summary(said, problems, out=str(paths.out))
    if manifest is None:
        complain("the run did not end by itself: there is no manifest, and threads may be left that it never reached")
    elif manifest.ended_by is not None:
        complain(f"the run was ended: {manifest.ended_by}")
    whole = manifest is not None and not problems and not said.totals.unfinished and not journal.torn
    return Exit.WHOLE if whole else Exit.INCOMPLETE
