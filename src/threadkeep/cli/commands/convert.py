"""``threadkeep convert``: an export in another format, and a report of what the format cannot carry."""

from pathlib import Path
from typing import Any

import click

from threadkeep.cli.arguments import OUT
from threadkeep.cli.console import (
    counted,
    escape,
    ignore_broken_pipe,
    print_error,
    print_json,
    print_path,
    print_row,
    print_rows,
)
from threadkeep.cli.exit_codes import Exit
from threadkeep.cli.progress_display import ThreadsBar
from threadkeep.clock import now
from threadkeep.conversion.entrypoints import FORMATS, Converted, format_named
from threadkeep.conversion.entrypoints import convert as converted
from threadkeep.conversion.source import UnknownThread

__all__ = ["convert", "print_converted", "print_not_complete"]


class _Convert(click.Command):
    """A command whose help lists the formats. They are imported for that, and not before."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list."""
        del ctx
        with formatter.section("Formats"):
            formatter.write_dl([(name, format_named(name).DESCRIPTION) for name in FORMATS])


@click.command(cls=_Convert, short_help="Write an export in another format, and name every loss.")
@click.argument("out", type=OUT)
@click.option("--to", type=click.Choice([*FORMATS]), required=True, metavar="FORMAT", help="Write this format.")
@click.option("-o", "--output", "target", metavar="TARGET", required=True, help="Write to this file or folder.")
@click.option(
    "--only", metavar="THREAD_ID", multiple=True, help="Convert this thread only; may be given several times."
)
@click.option(
    "--citations",
    type=click.Choice(["keep", "strip", "footnotes"]),
    default="keep",
    show_default=True,
    help="Keep the markers of citations, strip them, or put footnotes with file names in their place.",
)
@click.option(
    "--unsupported",
    type=click.Choice(["skip", "text"]),
    default="skip",
    show_default=True,
    help="Skip what a role cannot carry in this format, or keep it as text. It is a loss either way.",
)
@click.option("--files-url", metavar="PREFIX", help="Write image files as URLs that begin with PREFIX.")
@click.option("--inline-images", is_flag=True, help="Write downloaded image files as data URLs.")
@click.option("--force", is_flag=True, help="Replace TARGET if it exists.")
@click.option("--strict", is_flag=True, help="Exit with 1 if anything was lost.")
@click.option("--json", "is_json", is_flag=True, help="Print the summary as one JSON object, and no progress.")
@click.option("--quiet", is_flag=True, help="Print no progress and no summary.")
def convert(out: Path, only: tuple[str, ...], strict: bool, is_json: bool, quiet: bool, **asked: Any) -> int:
    """Write OUT in another format to TARGET, without network. OUT stays as it is.

    TARGET.losses.ndjson has a line for each part, list of annotations or attachments, and metadata that the format
    cannot carry. The exit code is 0 all the same, unless --strict is given.
    """
    if asked["files_url"] is not None and asked["inline_images"]:
        raise click.UsageError("Give --files-url or --inline-images, not both: each says how an image file is written.")
    if asked["target"] == "-":
        raise click.UsageError("--output takes a file or folder: standard output has the summary.")
    try:
        with ThreadsBar(shown=not is_json and not quiet, clock=lambda: now().timestamp()) as bar:
            done = converted(
                out, only=only or None, on_event=lambda event: bar.take(event.messages, event.total), **asked
            )
    except UnknownThread as error:
        raise click.UsageError(str(error)) from None
    code = Exit.INCOMPLETE if strict and done.losses else Exit.COMPLETE
    with ignore_broken_pipe():
        if is_json:
            print_json({"out": str(out), "exit": code, **_as_json(done)})
        elif not quiet:
            print_converted(done)
    if not is_json:
        print_not_complete(done, out)
    return code


def _as_json(done: Converted) -> dict[str, Any]:
    return {
        "to": done.format,
        "target": str(done.path),
        "losses_file": str(done.losses_path),
        "threads": done.threads,
        "messages": done.messages,
        "losses": done.losses,
        "left_out": done.left_out,
        "no_place": done.no_place,
        "not_complete": done.not_complete,
        "flat": done.is_flat,
    }


def print_not_complete(done: Converted, out: Path) -> None:
    """Name on standard error what of the export is not in the target: threads, and sidecar files that are damaged."""
    for fault in done.faults:
        print_error(f"{fault}: what it held is not converted", "`threadkeep validate` says more.")
    if done.not_complete:
        print_error(f"{counted(done.not_complete, 'thread')} of {out} not complete, and so not converted")


def print_converted(done: Converted) -> None:
    """Print the summary of a conversion."""
    what = f"{counted(done.threads, 'thread')}, {counted(done.messages, 'message')}"
    click.echo(f"{escape(str(done.path))}: made from {what}")
    lost = ", ".join(f"{number:,} {escape(word, 40)}" for word, number in sorted(done.losses.items()))
    flat = [("flat", "OUT has texts only: what else the messages had is not known")] if done.is_flat else []
    without = f"{counted(done.left_out, 'message')} without content for this format"
    empty = [("left out", without)] if done.left_out else []
    print_row("lost", lost or "nothing")
    if lost:
        print_path("losses in", done.losses_path)
    print_rows([*empty, ("no place for", ", ".join(done.no_place)), *flat])
