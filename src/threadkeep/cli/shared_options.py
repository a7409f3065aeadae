"""The options that several commands take, with the same words in each."""

from collections.abc import Callable, Sequence
from typing import Any

import click

from threadkeep.api.calls import CONCURRENCY, DEFAULT_RETRIES, RETRIES
from threadkeep.cli.option_groups import OUTPUT, PACE, WHAT, option

__all__ = [
    "FILE",
    "citations_option",
    "column_option",
    "concurrency_option",
    "force_option",
    "ids_option",
    "inline_images_option",
    "json_option",
    "max_retries_option",
    "number_option",
    "only_option",
    "output_option",
    "quiet_option",
    "rpm_option",
    "to_option",
    "unsupported_option",
    "verbose_option",
]


class _File(click.Path):
    """The name of a file. Whoever opens it says what else is wrong with it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return it, unless it is empty, as of a variable of the shell that is not set."""
        return super().convert(value, param, ctx) if value else self.fail("it is empty: name a file.", param, ctx)


FILE = _File(readable=False)
"""The name of a file, which a shell completes."""


class _Number(click.IntRange):
    """A whole number within limits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return it; the error names the limits, whatever is wrong."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            limits = f"of at least {self.min}" if self.max is None else f"from {self.min} to {self.max}"
            self.fail(f"{value} is not a whole number {limits}.", param, ctx)


def number_option(
    heading: str, name: str, words: str, default: Any = None, limits: tuple[int, int | None] = (1, None)
) -> Callable[..., Any]:
    """Return an option that takes a number, with its default; a default of words is only shown."""
    number, value = _Number(*limits), None if isinstance(default, str) else default
    shown = default if isinstance(default, str) else default is not None
    return option(heading, name, type=number, metavar="N", help=words, default=value, show_default=shown)


def concurrency_option(default: int | str) -> Callable[..., Any]:
    """Return ``--concurrency``."""
    return number_option(PACE, "--concurrency", "Work on N threads at a time.", default, CONCURRENCY)


def rpm_option(default: str) -> Callable[..., Any]:
    """Return ``--rpm``; the default is only shown."""
    return number_option(PACE, "--rpm", "Send at most N requests a minute with each key.", default)


max_retries_option = number_option(PACE, "--max-retries", "Repeat a failed request N times.", DEFAULT_RETRIES, RETRIES)

column_option = option(
    WHAT,
    "--column",
    metavar="NAME",
    show_default="thread_id",
    help="Take the ids from this column of the list.",
)

ids_option = option(
    WHAT, "--ids", type=FILE, metavar="FILE", help='Take FILE as the list of the threads of OUT; "-" is standard input.'
)

only_option = option(WHAT, "--only", metavar="THREAD_ID", multiple=True, help="Take this thread only. May be repeated.")


def to_option(choices: Sequence[str], **settings: Any) -> Callable[..., Any]:
    """Return ``--to``, which must be given."""
    return option(
        WHAT, "--to", type=click.Choice(choices), required=True, help="Turn the threads into this.", **settings
    )


def citations_option(heading: str, default: str | None) -> Callable[..., Any]:
    """Return ``--citations``; None leaves the default open, which is shown all the same."""
    return option(
        heading,
        "--citations",
        type=click.Choice(["keep", "strip", "footnotes"]),
        metavar="HOW",
        default=default,
        show_default="keep",
        help="Write citations like this: keep, strip or footnotes.",
    )


def unsupported_option(heading: str, default: str | None) -> Callable[..., Any]:
    """Return ``--unsupported``, with its default as of ``--citations``."""
    return option(
        heading,
        "--unsupported",
        type=click.Choice(["skip", "text"]),
        metavar="HOW",
        default=default,
        show_default="skip",
        help="Treat what a role cannot carry: skip, or text to keep it.",
    )


def inline_images_option(heading: str, *, default: bool | None) -> Callable[..., Any]:
    """Return ``--inline-images``, with its default as of ``--citations``."""
    return option(heading, "--inline-images", is_flag=True, default=default, help="Write saved images as data URLs.")


def output_option(name: str, what: click.ParamType[Any], metavar: str, **settings: Any) -> Callable[..., Any]:
    """Return ``--output``, which the command takes by this name."""
    words = "Write the result to this path."
    return option(OUTPUT, "-o", "--output", name, type=what, metavar=metavar, help=words, **settings)


force_option = option(OUTPUT, "--force", is_flag=True, help="Replace what is at the path of --output.")

verbose_option = option(OUTPUT, "-v", "--verbose", is_flag=True, help="Print each request on standard error.")

quiet_option = option(
    OUTPUT, "--quiet", is_flag=True, help="Print no progress and no summary; problems are still printed."
)

json_option = option(OUTPUT, "--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
