"""``threadkeep convert``: an export in another format, and a report of what the format cannot carry."""

from pathlib import Path
from typing import Any

import click

from threadkeep.cli.arguments import OUT_OR_PREFIX
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
from threadkeep.cli.option_groups import OUTPUT, GroupedCommand, argument, command, option
from threadkeep.cli.prefixes import readable
from threadkeep.cli.progress_display import ThreadsBar
from threadkeep.cli.shared_options import (
    FILE,
    citations_option,
    force_option,
    inline_images_option,
    json_option,
    only_option,
    output_option,
    quiet_option,
    to_option,
    unsupported_option,
)
from threadkeep.clock import now
from threadkeep.conversion.entrypoints import FORMATS, Converted, format_named
from threadkeep.conversion.entrypoints import convert as converted
from threadkeep.conversion.source import UnknownThread
from threadkeep.conversion.target import Target

__all__ = ["convert", "print_converted", "print_not_complete"]

_CONTENT = "Content"


class _Convert(GroupedCommand):
    """A command whose help lists the formats. They are imported for that, and not before."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list."""
        del ctx
        with formatter.section("Formats"):
            formatter.write_dl([(name, format_named(name).DESCRIPTION) for name in FORMATS])


@command("Write an export in another format, and name every loss.", _Convert)
@argument("out", "The export to convert.", type=OUT_OR_PREFIX)
@to_option([*FORMATS], metavar="FORMAT")
@only_option
@citations_option(_CONTENT, "keep")
@unsupported_option(_CONTENT, "skip")
@option(_CONTENT, "--files-url", metavar="PREFIX", help="Write image files as URLs that begin with PREFIX.")
@inline_images_option(_CONTENT, default=False)
@output_option("target", FILE, "TARGET", required=True)
@force_option
@option(OUTPUT, "--strict", is_flag=True, help="Exit with 1 if anything was lost.")
@quiet_option
@json_option
def convert(out: Path | str, only: tuple[str, ...], strict: bool, as_json: bool, quiet: bool, **asked: Any) -> int:
    """Write OUT in another format to TARGET, a file or folder, without network. OUT stays as it is.

    OUT may be a prefix of `threadkeep export --dask`: it is read as the export that `threadkeep merge` writes of it.

    TARGET.losses.ndjson has a line for each part, list of annotations or attachments, and metadata that the format
    cannot carry. The exit code is 0 all the same, unless --strict is given.
    """
    if asked["files_url"] is not None and asked["inline_images"]:
        raise click.UsageError("Give --files-url or --inline-images, not both: each says how an image file is written.")
    if asked["target"] == "-":
        raise click.UsageError("--output takes a file or folder: standard output has the summary.")
    Target(Path(asked["target"])).refuse(Path(out), force=asked["force"])  # before a prefix is fetched
    try:
        with readable(out) as path, ThreadsBar(shown=not as_json and not quiet, clock=_seconds) as bar:
            wanted = {"only": only or None, **asked}
            done = converted(path, on_event=lambda event: bar.take(event.messages, event.total), **wanted)
    except UnknownThread as error:
        raise click.UsageError(str(error)) from None
    code = Exit.INCOMPLETE if strict and done.losses else Exit.COMPLETE
    with ignore_broken_pipe():
        if as_json:
            print_json({"out": str(out), "exit": code, **_row(done)})
        elif not quiet:
            print_converted(done)
    if not as_json:
        print_not_complete(done, out)
    return code


def _seconds() -> float:
    return now().timestamp()


def _row(done: Converted) -> dict[str, Any]:
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


def print_not_complete(done: Converted, out: Path | str) -> None:
    """Name on standard error what of the export is not in the target: threads, and sidecar files that are damaged."""
    for fault in done.faults:
        print_error(f"{fault}: what it held is not converted", "`threadkeep validate` says more.")
    if done.not_complete:
        print_error(f"not converted, since not complete: {counted(done.not_complete, 'thread')} of {out}")


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
