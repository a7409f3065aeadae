"""What people read: problems on standard error, and how rows, names, numbers and times are written."""

import contextlib
import json
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TextIO

import click

from threadkeep.api.sent_requests import SentRequest
from threadkeep.serialization.lossless_json import dumps, dumps_pretty

__all__ = [
    "counted",
    "escape",
    "ignore_broken_pipe",
    "moment",
    "print_error",
    "print_json",
    "print_path",
    "print_request",
    "print_row",
    "print_rows",
    "print_steps",
    "problem_line",
    "request_line",
    "span",
    "wrapped",
]


_COLUMNS, _INDENT = 80, " " * 16

# What may do something to a terminal: not all of it does.
_HIDDEN = re.compile(r"[^\n\x20-\x7e]")


def print_error(what: str, *next_steps: str) -> None:
    """Print on standard error what happened and what to do next, a line each."""
    with ignore_broken_pipe(sys.stderr):
        click.echo(f"threadkeep: {escape(what, 2000)}", err=True)
        for step in filter(None, next_steps):
            click.echo(f"  {escape(step, 8000)}", err=True)


def print_request(sent: SentRequest) -> None:
    """Print the line about a request on standard error."""
    with ignore_broken_pipe(sys.stderr):
        click.echo(request_line(sent), err=True)


def print_row(name: str, words: str) -> None:
    """Print a row of a name and words on standard output, in lines of 80 columns where the words have blanks."""
    first, *others = wrapped(escape(words, 8000), _COLUMNS - len(_INDENT))
    click.echo(f"\n{_INDENT}".join([f"  {name:<14}{first}", *others]))


def wrapped(words: str, width: int = _COLUMNS) -> list[str]:
    """Break words into lines of so many columns, at blanks only. A line has more if a word has."""
    return textwrap.wrap(words, width, break_long_words=False, break_on_hyphens=False) or [""]


def print_steps(lines: Iterable[str]) -> None:
    """Print what to do next on standard output: words in lines of 80 columns, and commands as they are typed."""
    for line in lines:
        safe = escape(line, 8000)
        is_command = line.removeprefix("Next:").startswith(("  ", " threadkeep "))
        click.echo(safe if is_command else "\n".join(wrapped(safe)))


def print_path(name: str, path: object) -> None:
    """Print a row of a name and a path, which stays in one line."""
    click.echo(f"  {name:<14}{escape(str(path), 4000)}")


def print_rows(rows: Iterable[tuple[str, str]]) -> None:
    """Print several."""
    for name, words in rows:
        print_row(name, words)


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object on standard output. Where it has an iterator, its rows are printed one by one."""
    for piece in _pieces(value, "\n"):
        click.echo(_HIDDEN.sub(_as_json_escapes, piece), nl=False)
    click.echo()


def _as_json_escapes(found: re.Match[str]) -> str:
    """Return hidden characters as JSON has them in its strings, which is the only place where they can be."""
    text = found[0]
    return text if text.isprintable() else json.dumps(text)[1:-1]


def _pieces(value: object, line_end: str) -> Iterator[str]:
    """Yield JSON; every line but the first begins behind ``line_end``, which has the indentation."""
    if isinstance(value, Iterator):
        opened = "["
        for row in value:
            yield f"{opened}{line_end}  {dumps(row).decode()}"
            opened = ","
        yield "[]" if opened == "[" else f"{line_end}]"
    elif isinstance(value, Mapping) and _has_iterator(value):
        for number, (key, one) in enumerate(value.items()):
            yield f"{',' if number else '{'}{line_end}  {dumps(key).decode()}: "
            yield from _pieces(one, f"{line_end}  ")
        yield f"{line_end}}}"
    else:
        yield dumps_pretty(value).decode().rstrip("\n").replace("\n", line_end)


def _has_iterator(value: object) -> bool:
    return isinstance(value, Iterator) or (isinstance(value, Mapping) and any(map(_has_iterator, value.values())))


@contextlib.contextmanager
def ignore_broken_pipe(stream: TextIO | None = None) -> Iterator[None]:
    """Ignore that the reader of a stream (None: standard output) has gone away, as ``| head`` does."""
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


def request_line(sent: SentRequest) -> str:
    """Return the line about a request."""
    answer = f"no answer ({sent.problem})" if sent.status is None else str(sent.status)
    name = [] if sent.request_id is None else [f"request {escape(sent.request_id, 80)}"]
    facts = ", ".join([answer, f"{sent.milliseconds:,} ms", *name, f"key {sent.key}"])
    return f"threadkeep: {sent.method} {escape(sent.path)}: {facts}"


def problem_line(name: str, outcome: str, reason: str | None) -> str:
    """Return the line about a thread or a file that was not saved."""
    return ": ".join([escape(name, 80), outcome, *([escape(reason, 300)] if reason else [])])


def counted(number: int, what: str) -> str:
    """Return a number of things, in the singular where there is one."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """Return a length of time: hours, minutes and seconds, or days where there are many."""
    seconds = max(0, int(seconds))
    if seconds >= 2 * 24 * 3600:
        return f"{seconds // (24 * 3600):,} days"
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def moment(written: str) -> str:
    """Return a time of a file for a person; as it is, when it is none."""
    try:
        return f"{datetime.fromisoformat(written).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError):
        return escape(written, 40)
