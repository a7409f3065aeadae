"""The options of a push, for the commands that push."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click

from threadkeep.api.endpoints import ApiSource, endpoint_for, without_secrets
from threadkeep.migration.entrypoints import choices_of, target_is_foundry
from threadkeep.migration.job import PushJob
from threadkeep.migration.targets import TARGETS, PushTarget

__all__ = ["PushOptions", "push_options"]

_OPTIONS = (
    click.option("--map", "map_", metavar="FILE", help="Write which conversation each thread became to FILE."),
    click.option(
        "--upload-files", is_flag=True, default=None, help="Upload downloaded files that the target does not know."
    ),
    click.option("--inline-images", is_flag=True, default=None, help="Send downloaded images as data URLs."),
    click.option(
        "--citations",
        type=click.Choice(["keep", "strip", "footnotes"]),
        help="Keep the markers of citations (default), strip them, or put footnotes with file names in their place.",
    ),
    click.option(
        "--unsupported",
        type=click.Choice(["skip", "text"]),
        help="Skip what a role cannot carry (default), or keep it as text. It is a loss either way.",
    ),
    click.option(
        "--anew",
        is_flag=True,
        help="Push threads again whose conversation is gone or not as it was sent, as --verify has found.",
    ),
)


@attrs.frozen(kw_only=True)
class PushOptions:
    """The options, as typed. Those that say how items are made are what the first push said where they are None."""

    map_: str | None
    upload_files: bool | None
    inline_images: bool | None
    citations: str | None
    unsupported: str | None
    anew: bool

    def job(self, out: Path, to: PushTarget, target: ApiSource, kind: Any, **more: Any) -> PushJob:
        """Return the push of an export to a target of this kind."""
        address = endpoint_for(TARGETS[to].api, target, os.environ).base_url
        return PushJob(
            out=out,
            to=to,
            map=None if self.map_ is None else Path(self.map_),
            choices=choices_of(
                citations=self.citations,
                unsupported=self.unsupported,
                inline_images=self.inline_images,
                upload_files=self.upload_files,
            ),
            address=without_secrets(address),
            anew=self.anew,
            is_foundry=target_is_foundry(kind, address),
            **more,
        )


def push_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options; it takes them as `PushOptions` by the name ``pushing``."""

    @functools.wraps(command)
    def with_options(**arguments: Any) -> int:
        names = [field.name for field in attrs.fields(PushOptions)]
        pushing = PushOptions(**{name: arguments.pop(name) for name in names})
        if pushing.map_ == "-":
            raise click.UsageError("--map takes a file: standard output has the summary.")
        return command(pushing=pushing, **arguments)

    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), with_options)
