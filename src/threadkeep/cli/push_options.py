"""The options of a push, for the commands that push."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click

from threadkeep.api.endpoints import ApiSource, endpoint_for, without_secrets
from threadkeep.cli.option_groups import OUTPUT, WHAT, option
from threadkeep.cli.shared_options import (
    FILE,
    citations_option,
    inline_images_option,
    unsupported_option,
)
from threadkeep.cli.source_options import WHERE_TO
from threadkeep.migration.entrypoints import choices_of, target_is_foundry
from threadkeep.migration.job import PushJob
from threadkeep.migration.targets import TARGETS, PushTarget

__all__ = ["PushOptions", "kind_option", "push_options", "user_identity_option"]

_CONTENT = "Content"

_OPTIONS = (
    option(WHAT, "--anew", is_flag=True, help="Push threads again that --verify found gone or changed."),
    option(
        _CONTENT, "--upload-files", is_flag=True, default=None, help="Upload saved files that the target does not know."
    ),
    inline_images_option(_CONTENT, default=None),
    option(
        _CONTENT, "--without-files", is_flag=True, help="Push threads also without files that are not downloaded yet."
    ),
    citations_option(_CONTENT, None),
    unsupported_option(_CONTENT, None),
    option(
        OUTPUT,
        "--map",
        "map_",
        type=FILE,
        metavar="FILE",
        show_default="OUT.conversations.ndjson",
        help="Write what each thread became to FILE.",
    ),
)


def kind_option(name: str) -> Callable[..., Any]:
    """Return the option that says what kind of server the target is."""
    return option(
        WHERE_TO,
        name,
        "kind",
        type=click.Choice(["openai", "foundry"]),
        show_default="by the address",
        help="Take the target for one of this kind.",
    )


def user_identity_option(*names: str) -> Callable[..., Any]:
    """Return the option that names the end user of the conversations."""
    return option(WHERE_TO, *names, "user_identity", metavar="ID", help="On Foundry, push for this end user.")


@attrs.frozen(kw_only=True)
class PushOptions:
    """The options, as typed. Those of how items are made are None where they were not given: the first push counts."""

    map_: str | None
    upload_files: bool | None
    inline_images: bool | None
    citations: str | None
    unsupported: str | None
    anew: bool
    without_files: bool

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
            without_files=self.without_files,
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

    return functools.reduce(lambda wrapped, one: one(wrapped), reversed(_OPTIONS), with_options)
