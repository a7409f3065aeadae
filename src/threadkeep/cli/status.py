"""``threadkeep status``: what an export claims of itself, without reading its lines."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from threadkeep.cli.exits import Exit
from threadkeep.cli.inputs import OUT
from threadkeep.cli.repair import export_again, validate_again
from threadkeep.cli.summary import Report, print_report
from threadkeep.cli.words import complain, counted, perhaps_unheard, say, shown
from threadkeep.disk import on_disk
from threadkeep.errors import OutputUnusable
from threadkeep.journal import FileOutcome, Journal, Outcome
from threadkeep.manifest import Manifest, claims, unfinished_files
from threadkeep.paths import Paths
from threadkeep.readback import read_journal, read_manifest, read_wanted
from threadkeep.sizes import Sizes, doubts, in_place, sizes

__all__ = ["status"]


@click.command()
@click.argument("out", type=OUT)
@click.option("--done", is_flag=True, help="Print the ids of the threads that are complete, one a line.")
def status(out: Path, done: bool) -> int:
    """Show whether the export OUT is whole, how many threads it has, since when, and what to do next.

    Only its journal and manifest are read, and how long its files are: `threadkeep validate` reads all of it.
    """
    paths = Paths(out)
    journal = read_journal(paths)
    if journal is None:
        raise OutputUnusable(f"{paths.journal}: there is no journal, so nothing is known of {out}")
    with on_disk(out):
        found = sizes(paths, journal)
    if done:
        return _print_done(paths, journal, found)
    manifest = read_manifest(paths)
    never_begun = manifest.unfinished if manifest is not None else _without(journal, read_wanted(paths))
    doubted = tuple(doubts(paths, journal, manifest, found))
    with perhaps_unheard():
        _show(paths, journal, manifest, never_begun, doubted)
    return Exit.WHOLE if _is_whole(manifest, doubted) else Exit.INCOMPLETE


def _is_whole(manifest: Manifest | None, doubted: Sequence[str]) -> bool:
    return manifest is not None and manifest.is_whole and not doubted


def _print_done(paths: Paths, journal: Journal, found: Sizes) -> int:
    """Whoever leaves these threads out of another export relies on their being here."""
    entries = in_place(paths, journal, found)
    for entry in entries:
        click.echo(entry.thread_id)
    lost = len(journal.complete) - len(entries)
    if lost:
        complain(f"{counted(lost, 'complete thread')} left out: {paths.out.name} ends before their lines do", _CHECK)
    return Exit.INCOMPLETE if lost else Exit.WHOLE


def _without(journal: Journal, ids: Iterable[str]) -> tuple[str, ...]:
    """Those of which nothing has come by the journal."""
    return tuple(thread_id for thread_id in ids if thread_id not in journal.entries)


def _show(
    paths: Paths, journal: Journal, manifest: Manifest | None, never_begun: tuple[str, ...], doubted: Sequence[str]
) -> None:
    listed = len(journal.entries) + len(never_begun)
    said = manifest.claims if manifest is not None else claims(journal, listed=listed)
    print_report(
        Report(
            paths=paths,
            claims=said,
            problems=journal.not_complete,
            never_begun=never_begun,
            files=tuple(journal.files.values()),
            files_left=unfinished_files(journal),
        )
    )
    if manifest is None:
        complain("the run did not end by itself: there is no manifest, and threads may be left that it never reached")
    elif manifest.ended_by is not None:
        complain(f"the run was ended: {manifest.ended_by}")
    for doubt in doubted:
        complain(doubt)
    if doubted:
        complain("the export is not what its journal says", _CHECK)
    _say_verdict(paths, journal, manifest, doubted)


_CHECK = "`threadkeep validate` reads it and tells more."


def _say_verdict(paths: Paths, journal: Journal, manifest: Manifest | None, doubted: Sequence[str]) -> None:
    """The last lines: whole or not, since when, what next."""
    is_whole = _is_whole(manifest, doubted)
    verdict = "whole, by its journal" if is_whole else "not whole"
    began = journal.header.started_at if journal.header is not None else "?"
    ended = "no run has ended since" if manifest is None else f"the last run ended at {_moment(manifest.finished_at)}"
    say(f"{shown(str(paths.out))}: {verdict}; begun at {_moment(began)}, {ended}")
    if is_whole or doubted or journal.header is None or _is_hopeless(journal, manifest):
        say(f"Next: {shown(validate_again(paths.out), 4000)}")
    else:
        say("Next: with your file of ids in the place of THREAD_IDS, this goes on:")
        say(f"  {shown(export_again(journal.header, paths.out, 'THREAD_IDS'), 4000)}")


def _is_hopeless(journal: Journal, manifest: Manifest | None) -> bool:
    """Whether to go on would only be told the same of the same ids."""
    ended = manifest is not None and not manifest.unfinished and not manifest.unfinished_files
    threads = all(entry.outcome in (Outcome.MISSING, Outcome.INVALID) for entry in journal.not_complete)
    return ended and threads and all(file.outcome is not FileOutcome.FAILED for file in journal.files.values())


def _moment(written: str) -> str:
    """A time as a journal has it, for a person; as it is, when it is none."""
    try:
        return f"{datetime.fromisoformat(written).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError):
        return shown(written, 40)
