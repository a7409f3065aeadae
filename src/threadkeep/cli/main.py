"""The command line. Rooms: one file a command, `exits` for codes and next steps, `words` for what people read."""

import sys
from io import TextIOWrapper

import click

from threadkeep import __version__
from threadkeep.cli.commands.assistants import assistants
from threadkeep.cli.commands.demo import demo
from threadkeep.cli.commands.export import export
from threadkeep.cli.commands.status import status
from threadkeep.cli.commands.threads import threads
from threadkeep.cli.commands.validate import validate
from threadkeep.cli.console import print_error
from threadkeep.cli.exit_codes import Exit, exit_for
from threadkeep.cli.runtime import interrupted_by_signals
from threadkeep.errors import ThreadkeepError

__all__ = ["main", "run"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="threadkeep")
def _threadkeep() -> None:
    """Export Assistants API threads to NDJSON, whole and unharmed, and prove it.

    Exit codes: 0 whole; 1 finished, some threads not complete (or: findings); 2 usage; 3 the API is gone;
    4 refused (key, permission); 5 the output cannot be used; 130 interrupted.
    """


for _command in (export, validate, status, threads, assistants, demo):
    _threadkeep.add_command(_command)


def main() -> None:
    """Run the command line; ends the process with one of the codes of `Exit`."""
    # An id in letters that the console has not must not end a run.
    for stream in [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, TextIOWrapper)]:
        stream.reconfigure(errors="backslashreplace")
    with interrupted_by_signals():
        code = run(sys.argv[1:])
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run one command, and give its exit code. What there is to say is said on the standard streams.

    Args:
        arguments: as typed, without the program's name.
    """
    try:
        ended = _threadkeep.main(arguments, prog_name="threadkeep", standalone_mode=False, obj=tuple(arguments))
        return int(ended or Exit.WHOLE)
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
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
