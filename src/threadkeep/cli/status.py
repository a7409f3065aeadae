"""``threadkeep status``: what an export claims of itself, without reading its lines."""

from pathlib import Path

import click

from threadkeep.cli.exits import Exit
from threadkeep.cli.inputs import OUT
from threadkeep.cli.summary import Report, print_report
from threadkeep.cli.words import complain, counted
from threadkeep.disk import on_disk
from threadkeep.errors import OutputUnusable
from threadkeep.journal import Journal
from threadkeep.manifest import claims, unfinished_files
from threadkeep.paths import Paths
from threadkeep.readback import read_journal, read_manifest
from threadkeep.sizes import Sizes, doubts, in_place, sizes

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
    with on_disk(out):
        found = sizes(paths, journal)
    return _print_done(paths, journal, found) if done else _show(paths, journal, found)


def _print_done(paths: Paths, journal: Journal, found: Sizes) -> int:
    """Whoever leaves these threads out of another export relies on their being here."""
    entries = in_place(paths, journal, found)
    for entry in entries:
        click.echo(entry.thread_id)
    lost = len(journal.complete) - len(entries)
    if lost:
        complain(f"{counted(lost, 'complete thread')} left out: {paths.out.name} ends before their lines do", _CHECK)
    return Exit.INCOMPLETE if lost else Exit.WHOLE


def _show(paths: Paths, journal: Journal, found: Sizes) -> int:
    manifest = read_manifest(paths)
    said = manifest.claims if manifest is not None else claims(journal, listed=len(journal.entries))
    print_report(
        Report(
            paths=paths,
            claims=said,
            problems=journal.not_complete,
            never_begun=() if manifest is None else manifest.unfinished,
            files=tuple(journal.files.values()),
            files_left=unfinished_files(journal),
        )
    )
    doubted = list(doubts(paths, journal, manifest, found))
    if manifest is None:
        complain("the run did not end by itself: there is no manifest, and threads may be left that it never reached")
    elif manifest.ended_by is not None:
        complain(f"the run was ended: {manifest.ended_by}")
    for doubt in doubted:
        complain(doubt)
    if doubted:
        complain("the export is not what its journal says", _CHECK)
    return Exit.WHOLE if manifest is not None and manifest.is_whole and not doubted else Exit.INCOMPLETE


_CHECK = "`threadkeep validate` reads it and tells more."
