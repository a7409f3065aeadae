"""The command line: the commands are in `commands`, and what they share is next to this file."""

import sys
from io import TextIOWrapper
from itertools import chain

import click

from threadkeep import __version__
from threadkeep.cli.commands.chat import chat
from threadkeep.cli.commands.convert import convert
from threadkeep.cli.commands.demo import demo
from threadkeep.cli.commands.export import export
from threadkeep.cli.commands.listings import assistants, threads
from threadkeep.cli.commands.merge import merge
from threadkeep.cli.commands.move import move
from threadkeep.cli.commands.push import push
from threadkeep.cli.commands.show import show
from threadkeep.cli.commands.split import split
from threadkeep.cli.commands.status import status
from threadkeep.cli.commands.validate import validate
from threadkeep.cli.commands.write import write
from threadkeep.cli.console import print_error
from threadkeep.cli.exit_codes import Exit, exit_for
from threadkeep.cli.option_groups import HELP, write_sections
from threadkeep.cli.prefix_summary import print_faults
from threadkeep.cli.runtime import interrupted_by_signals, leave
from threadkeep.errors import ThreadkeepError
from threadkeep.scale.abandonable import are_any_left
from threadkeep.scale.collect import ShardsDamaged

__all__ = ["commands", "main", "run"]


_COMMANDS = {
    "Export": (export, validate, status, write),
    "Use an export": (show, convert, chat),
    "Move it elsewhere": (push, move),
    "Several exports": (merge, split),
    "Find ids": (threads, assistants),
    "Try it": (demo,),
}


class _Group(click.Group):
    """The commands under headings, in the order in which somebody needs them, with their complete summaries."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names."""
        del ctx
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list."""
        del ctx
        width = max(map(len, self.commands))
        rows = {
            heading: [(f"{one.name:<{width}}", one.short_help or "") for one in listed]
            for heading, listed in _COMMANDS.items()
        }
        write_sections(formatter, rows)


@click.group(
    cls=_Group, commands=[*chain.from_iterable(_COMMANDS.values())], context_settings=HELP, invoke_without_command=True
)
@click.version_option(__version__, prog_name="threadkeep")
@click.pass_context
def commands(context: click.Context) -> int:
    """Export the threads of an Assistants API to NDJSON, complete and unchanged, and prove it.

    Exit codes: 0 complete; 1 finished, some threads not complete (or: findings); 2 usage, or a wrong address; 3 the
    API is gone; 4 refused (key, permission, quota); 5 the output cannot be used; 130 interrupted, resumable.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
    return Exit.USAGE


def _print_usage_error(error: click.ClickException, arguments: list[str]) -> None:
    """Print what is wrong with what was typed, how it is to be typed, and where that is explained."""
    context: click.Context | None = getattr(error, "ctx", None)
    if context is None:  # an option without its value
        context = click.Context(commands, info_name="threadkeep")
        if (command := commands.commands.get(arguments[0])) is not None:
            context = click.Context(command, context, command.name)
    what = " ".join(error.format_message().split())  # click lists choices on lines of their own
    usage = " ".join([context.command_path, *context.command.collect_usage_pieces(context)])
    print_error(what, f"Usage: {usage}", f"`{context.command_path} --help` explains it.")


def main() -> None:
    """Run the command line; ends the process with one of the codes of `Exit`."""
    # An id in letters that the console has not must not end a run.
    for stream in [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, TextIOWrapper)]:
        stream.reconfigure(errors="backslashreplace")
    with interrupted_by_signals():
        code = run(sys.argv[1:])
    if are_any_left():
        leave(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command with arguments as typed, and return its exit code."""
    try:
        ended = commands.main(arguments, prog_name="threadkeep", standalone_mode=False)
        return int(ended or Exit.COMPLETE)
    except click.ClickException as error:
        _print_usage_error(error, arguments)
        return Exit.USAGE
    except ShardsDamaged as error:
        print_faults(error.faults, f" of {error.url}")
        return Exit.OUTPUT
    except ThreadkeepError as error:
        code, next_step = exit_for(error)
        print_error(str(error), next_step)
        return code
    except OSError as error:
        # Standard output itself: full, closed, or gone.
        print_error(f"cannot write: {error.strerror or error}")
        return Exit.OUTPUT
    except (click.Abort, KeyboardInterrupt):
        print_error("interrupted")
        return Exit.INTERRUPTED
