"""What people read: problems on standard error, and how names, numbers and times are written."""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

import click

from threadkeep.journal import Entry, Outcome
from threadkeep.serialization.lossless_json import dumps_pretty

__all__ = ["counted", "escape", "ignore_broken_pipe", "print_error", "print_json", "print_line", "problem_line", "span"]


def print_error(what: str, *next_steps: str) -> None:
    """Say on standard error what happened and what to do next, a line each."""
    with ignore_broken_pipe(sys.stderr):
        click.echo(f"threadkeep: {escape(what, 2000)}", err=True)
        for step in filter(None, next_steps):
            click.echo(f"  {step}", err=True)


def print_line(line: str) -> None:
    """Print a line on standard output as it is."""
    click.echo(line)


@contextlib.contextmanager
def ignore_broken_pipe(stream: TextIO | None = None) -> Iterator[None]:
    """Print in here what changes nothing: a reader that has gone away, as ``| head`` does, is no error then.

    Args:
        stream: where to; None for standard output.
    """
    try:
        yield
    except BrokenPipeError:
        # What is left in the buffer would be written when the process ends, and fail once more.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, (stream or sys.stdout).fileno())
        os.close(nowhere)


def escape(text: str, most: int = 200) -> str:
    """Make foreign text safe for a terminal: one line, no control characters, not endless."""
    safe = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return safe if len(safe) <= most else safe[: most - 1] + "…"


def problem_line(entry: Entry) -> str:
    """One line about a thread that was not exported. What cuts many off at once is told once, when the run ends."""
    if entry.outcome is Outcome.PARTIAL:
        return f"{escape(entry.thread_id, 80)}: cut off behind {counted(entry.messages, 'message')}"
    return f"{escape(entry.thread_id, 80)}: {entry.outcome}: {escape(entry.reason or '', 300)}"


def print_json(value: object) -> None:
    """Print one JSON object on standard output."""
    click.echo(dumps_pretty(value), nl=False)


def counted(number: int, what: str) -> str:
    """A number of things, in the singular where there is one."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """A length of time: hours, minutes and seconds, or days where there are many."""
    whole = max(0, int(seconds))
    if whole >= 2 * _DAY:
        return f"{whole // _DAY:,} days"
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


_DAY = 24 * 3600
