"""What a format is given next to the threads: what was asked for, and where its losses go."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, TypeAlias

import attrs

from threadkeep.conversion.losses import Loss, LossReport

__all__ = ["Citations", "Conversion", "FormatName", "Options", "Unsupported"]

FormatName: TypeAlias = Literal[
    "chat",
    "items",
    "finetune",
    "engramia",
    "markdown",
    "html",
    "sqlite",
    "parquet",
    "csv",
    "open-webui",
    "librechat",
    "otlp",
]
"""The name of a format, in the order in which they are listed."""

Citations: TypeAlias = Literal["keep", "strip", "footnotes"]
"""Texts as they are; without the markers of citations; or with footnotes in the place of the markers."""

Unsupported: TypeAlias = Literal["skip", "text"]
"""What a role cannot carry is left out, or kept as text."""


@attrs.frozen(kw_only=True)
class Options:
    """What was asked for.

    Attributes:
        files_url: the beginning of the URLs of image files; None for no such URLs.
        inline_images: put downloaded image files into the target as data URLs.

    Raises:
        ValueError: options that contradict each other, or that there are not.
    """

    citations: Citations = "keep"
    unsupported: Unsupported = "skip"
    files_url: str | None = None
    inline_images: bool = False

    def __attrs_post_init__(self) -> None:
        if self.citations not in ("keep", "strip", "footnotes"):
            raise ValueError(f"citations is {self.citations!r}: it must be 'keep', 'strip' or 'footnotes'")
        if self.unsupported not in ("skip", "text"):
            raise ValueError(f"unsupported is {self.unsupported!r}: it must be 'skip' or 'text'")
        if self.files_url is not None and self.inline_images:
            raise ValueError("give files_url or inline_images, not both: each says how an image file is written")


@attrs.frozen(kw_only=True)
class Conversion:
    """One conversion.

    Attributes:
        out: the export that is converted, for names and titles. Read from the threads, not from here.
        options: what was asked for.
        losses: the report that losses are added to.
        target: what is written, under its final name, for links that begin there. Nothing is there yet.
    """

    out: Path
    options: Options
    losses: LossReport
    target: Path = Path()

    def lose(self, losses: Iterable[Loss]) -> None:
        """Report losses."""
        self.losses.add(losses)

    def leave_out(self, messages: int = 1) -> None:
        """Count messages of which nothing is left. What they held is reported by `lose`; many never held anything."""
        self.losses.left_out += messages
