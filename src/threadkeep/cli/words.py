"""What people read: problems on standard error, tables on standard output."""

from collections.abc import Iterable

import click
from rich.console import Console
from rich.table import Table

from threadkeep.journal import Entry, Outcome
from threadkeep.jsontext import dumps_pretty
from threadkeep.manifest import Claims

__all__ = ["complain", "print_json", "print_summary", "problem_line", "shown"]

_MOST_ROWS = 20


def complain(what: str, next_step: str = "") -> None:
    """Say on standard error what happened and what to do next."""
    click.echo(f"threadkeep: {shown(what, 2000)}", err=True)
    if next_step:
        click.echo(f"  {next_step}", err=True)


def shown(text: str, most: int = 200) -> str:
    """Make foreign text safe for a terminal: one line, no control characters, not endless."""
    safe = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return safe if len(safe) <= most else safe[: most - 1] + "…"


def problem_line(entry: Entry) -> str:
    """One line about a thread that was not exported."""
    return f"{shown(entry.thread_id, 80)}: {entry.outcome}: {shown(entry.reason or '', 300)}"


def print_json(value: object) -> None:
    """Print one JSON object on standard output."""
    click.echo(dumps_pretty(value), nl=False)


def print_summary(claims: Claims, problems: Iterable[Entry], *, out: str) -> None:
    """Print what an export came to: the outcomes, and the reasons for what is not in it."""
    totals = claims.totals
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for outcome in Outcome:
        if claims.outcomes[outcome] or outcome is Outcome.COMPLETE:
            table.add_row(f"threads {outcome}", f"{claims.outcomes[outcome]:,}")
    if totals.unfinished:
        table.add_row("threads unfinished", f"{totals.unfinished:,}")
    table.add_row("messages", f"{totals.messages:,}")
    table.add_row("bytes", f"{totals.bytes:,}")
    console = Console()
    console.print(shown(out), markup=False, highlight=False, soft_wrap=True)
    console.print(table)
    _print_problems(console, list(problems))


def _print_problems(console: Console, problems: list[Entry]) -> None:
    if problems:
        console.print("Not in the export:")
    for entry in problems[:_MOST_ROWS]:
        console.print(f"  {problem_line(entry)}", markup=False, highlight=False, soft_wrap=True)
    if len(problems) > _MOST_ROWS:
        console.print(f"  … and {len(problems) - _MOST_ROWS} more, each with its reason in the journal")
