"""``threadkeep status``: what an export claims of itself, without reading its lines."""

from datetime import UTC, datetime
from pathlib import Path

import attrs
import click

from threadkeep.clearing import refuse_what_is_no_file
from threadkeep.cli.console import counted, escape, ignore_broken_pipe, print_error, print_line
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.export_summary import ExportSummary, print_summary
from threadkeep.cli.file_arguments import OUT
from threadkeep.cli.suggestions import export_again, validate_again
from threadkeep.disk import on_disk
from threadkeep.errors import OutputUnusable
from threadkeep.journal import FileOutcome, Journal, Outcome
from threadkeep.readback import read_journal, read_manifest, read_wanted
from threadkeep.serialization.id_lists import is_thread_id
from threadkeep.sizes import Sizes, doubts, in_place, sizes
from threadkeep.storage.manifest import Manifest, claims, unfinished_files
from threadkeep.storage.paths import Paths

__all__ = ["status"]


@click.command()
@click.argument("out", type=OUT)
@click.option("--done", is_flag=True, help="Print the ids of the threads that are complete, one a line.")
def status(out: Path, done: bool) -> int:
    """Show whether the export OUT is whole, how many threads it has, since when, and what to do next.

    Only its journal and manifest are read, and how long its files are: `threadkeep validate` reads all of it.
    """
    paths = Paths(out)
    with on_disk(out):
        refuse_what_is_no_file(paths)
    journal = read_journal(paths)
    if journal is None:
        raise OutputUnusable(f"{paths.journal}: there is no journal, so nothing is known of {out}")
    with on_disk(out):
        found = sizes(paths, journal)
    if done:
        return _print_done(paths, journal, found)
    known = _known(paths, journal, found)
    with ignore_broken_pipe():
        _show(paths, known)
    return Exit.WHOLE if known.is_whole else Exit.INCOMPLETE


@attrs.frozen(kw_only=True)
class _Known:
    """What is known of an export without reading its lines.

    Attributes:
        manifest: of the last run; None when that did not end by itself.
        never_begun: the ids of which nothing has come.
        doubts: why its files cannot be what the journal says.
    """

    journal: Journal
    manifest: Manifest | None
    never_begun: tuple[str, ...]
    doubts: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """By what it claims, and as far as that may be."""
        return self.manifest is not None and self.manifest.is_whole and not self.doubts

    @property
    def is_hopeless(self) -> bool:
        """Whether to go on would only be told the same of the same ids."""
        ended = self.manifest is not None and not self.never_begun and not self.manifest.unfinished_files
        threads = all(entry.outcome in (Outcome.MISSING, Outcome.INVALID) for entry in self.journal.not_complete)
        files = all(file.outcome is not FileOutcome.FAILED for file in self.journal.files.values())
        return ended and threads and files


def _known(paths: Paths, journal: Journal, found: Sizes) -> _Known:
    """The file of wanted ids is left behind by a kill, which may come before the manifest of the run before is gone."""
    manifest = read_manifest(paths)
    unfinished = manifest.unfinished if manifest is not None else ()
    ids = dict.fromkeys([*unfinished, *read_wanted(paths)])
    never_begun = tuple(thread_id for thread_id in ids if thread_id not in journal.entries)
    return _Known(
        journal=journal,
        manifest=manifest if set(unfinished).issuperset(never_begun) else None,
        never_begun=never_begun,
        doubts=tuple(doubts(paths, journal, manifest, found)),
    )


def _print_done(paths: Paths, journal: Journal, found: Sizes) -> int:
    """Whoever leaves these threads out of another export relies on their being here."""
    entries = in_place(paths, journal, found)
    for entry in entries:
        if is_thread_id(entry.thread_id):  # any other stands in a journal that somebody has changed
            click.echo(entry.thread_id)
    lost = len(journal.complete) - len(entries)
    if lost:
        print_error(f"{counted(lost, 'complete thread')} left out: {paths.out.name} ends before their lines do", _CHECK)
    return Exit.INCOMPLETE if lost else Exit.WHOLE


def _show(paths: Paths, known: _Known) -> None:
    journal, manifest = known.journal, known.manifest
    listed = len(journal.entries) + len(known.never_begun)
    print_summary(
        ExportSummary(
            paths=paths,
            claims=manifest.claims if manifest is not None else claims(journal, listed=listed),
            problems=journal.not_complete,
            never_begun=known.never_begun,
            files=tuple(journal.files.values()),
            files_left=unfinished_files(journal),
        )
    )
    if manifest is None:
        print_error("the run did not end by itself: no manifest tells of it, and it may not have reached every thread")
    elif manifest.ended_by is not None:
        print_error(f"the run was ended: {manifest.ended_by}")
    for doubt in known.doubts:
        print_error(doubt)
    if known.doubts:
        print_error("the export is not what its journal says", _CHECK)
    _say_verdict(paths, known)


_CHECK = "`threadkeep validate` reads it and tells more."


def _say_verdict(paths: Paths, known: _Known) -> None:
    """The last lines: whole or not, since when, what next."""
    header, manifest = known.journal.header, known.manifest
    verdict = "whole, by its journal" if known.is_whole else "not whole"
    began = header.started_at if header is not None else "?"
    ended = "no run has ended since" if manifest is None else f"the last run ended at {_moment(manifest.finished_at)}"
    print_line(f"{escape(str(paths.out))}: {verdict}; begun at {_moment(began)}, {ended}")
    if known.is_whole or known.doubts or header is None or known.is_hopeless:
        print_line(f"Next: {escape(validate_again(paths.out), 4000)}")
    else:
        print_line("Next: with your file of ids in the place of THREAD_IDS, this goes on:")
        print_line(f"  {escape(export_again(header, paths.out, 'THREAD_IDS'), 4000)}")


def _moment(written: str) -> str:
    """A time as a journal has it, for a person; as it is, when it is none."""
    try:
        return f"{datetime.fromisoformat(written).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError):
        return escape(written, 40)
