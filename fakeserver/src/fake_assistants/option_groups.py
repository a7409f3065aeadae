"""Commands whose `--help` lists the options under headings."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

# The flags that show the help of every command.
HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

_OTHERS = "Options"


class GroupedOption(click.Option):
    """An option that is listed under a heading."""

    def __init__(self, *arguments: Any, heading: str, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.heading = heading

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Leave out the range of numbers: a value beyond it is refused with the range."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class GroupedCommand(click.Command):
    """A command that lists its options by heading, in the order in which they are declared."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options; those without a heading come last."""
        headings: dict[str, list[tuple[str, str]]] = {}
        others: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            rows = headings.setdefault(parameter.heading, []) if isinstance(parameter, GroupedOption) else others
            rows.extend([record] if record and record[0] else [])
        for heading, rows in {**headings, _OTHERS: others}.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


def option(heading: str, *names: str, **settings: Any) -> Callable[[Function], Function]:
    """Declare an option under a heading; the rest is what `click.option` takes."""
    return click.option(*names, cls=GroupedOption, heading=heading, **settings)
