"""Commands whose ``--help`` explains each argument, and lists the options under headings."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click

__all__ = [
    "HELP",
    "OUTPUT",
    "PACE",
    "WHAT",
    "GroupedCommand",
    "GroupedOption",
    "argument",
    "command",
    "option",
    "write_sections",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])

HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
"""The settings of every command: the flags of its help, and how wide that may be."""

WHAT, PACE, OUTPUT = "What", "Pace", "Output"
"""Headings."""

_OTHERS = "Options"


class GroupedOption(click.Option):
    """An option that is listed under a heading."""

    def __init__(self, *arguments: Any, heading: str, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.heading = heading

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return the default, as words where it is no value, without the range: an error names that."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return {**extra, "default": self.show_default} if isinstance(self.show_default, str) else extra


class _Argument(click.Argument):
    """An argument with its explanation. `click.Argument` itself takes one since 8.5 only."""

    def __init__(self, *arguments: Any, words: str, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.words = words


class GroupedCommand(click.Command):
    """A command that lists its arguments, and its options by heading, in the order in which they are declared.

    The pace and the output come last, and behind them the options without a heading.
    """

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write both."""
        rows = [(one.human_readable_name, one.words) for one in self.params if isinstance(one, _Argument)]
        headings: dict[str, list[tuple[str, str]]] = {"Arguments": rows}
        for one in self.get_params(ctx):
            record = one.get_help_record(ctx) if isinstance(one, click.Option) else None
            headings.setdefault(getattr(one, "heading", _OTHERS), []).extend([record] if record else [])
        last = {heading: headings.pop(heading) for heading in (PACE, OUTPUT, _OTHERS) if heading in headings}
        write_sections(formatter, {**headings, **last})


def write_sections(formatter: click.HelpFormatter, headings: Mapping[str, Iterable[tuple[str, str]]]) -> None:
    """Write the rows of each heading, but for a heading without any."""
    for heading, rows in headings.items():
        if given := [*rows]:
            with formatter.section(heading):
                formatter.write_dl(given)


def command(summary: str, cls: type[GroupedCommand] = GroupedCommand) -> Callable[[Callable[..., int]], click.Command]:
    """Make a command of a function, with the summary that the list of commands has."""
    return click.command(cls=cls, short_help=summary, context_settings=HELP)


def argument(name: str, words: str, **settings: Any) -> Callable[[_Function], _Function]:
    """Declare an argument with its explanation; the rest is what `click.argument` takes."""
    return click.argument(name, cls=_Argument, words=words, **settings)


def option(heading: str, *names: str, **settings: Any) -> Callable[[_Function], _Function]:
    """Declare an option under a heading; the rest is what `click.option` takes."""
    return click.option(*names, cls=GroupedOption, heading=heading, **settings)
