"""The way in from a shell: ``threadkeep``, or ``python -m threadkeep``."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line. Ctrl-C while it is still being imported is no traceback either."""
    try:
        from threadkeep.cli.main import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
