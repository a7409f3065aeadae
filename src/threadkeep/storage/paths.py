"""The names of the files of an export."""

import os
from pathlib import Path

import attrs

__all__ = ["SIDECAR_KINDS", "Paths", "draft", "rewrite_of"]

SIDECAR_KINDS = ("threads", "runs")
"""What may be saved beside the messages, each as NDJSON under this suffix."""


def _where_it_is(out: Path) -> Path:
    """A link stands for the file that it leads to, or will: a file that takes its place would leave that one stale."""
    return Path(os.path.realpath(out)) if out.is_symlink() else out


@attrs.frozen
class Paths:
    """The names beside an export.

    Attributes:
        out: the export itself. Where it is a link, all names are beside the file that this leads to.
    """

    out: Path = attrs.field(converter=_where_it_is)

    @property
    def journal(self) -> Path:
        """What has happened to each thread."""
        return self._beside(".journal")

    @property
    def manifest(self) -> Path:
        """What the export claims."""
        return self._beside(".manifest.json")

    @property
    def wanted(self) -> Path:
        """The ids that a run was asked for, until there is a manifest; see `threadkeep.wanted`."""
        return self._beside(".wanted.json")

    @property
    def partial(self) -> Path:
        """Pages of threads that were cut off."""
        return self._beside(".partial")

    def beside(self, kind: str) -> Path:
        """The file of threads or runs, see `SIDECAR_KINDS`."""
        return self._beside(f".{kind}")

    @property
    def files(self) -> Path:
        """The folder of downloaded files. The two endings differ, so that ``a`` and ``a.ndjson`` share none."""
        return self.out.with_suffix(".files") if self.out.suffix == ".ndjson" else self._beside("-files")

    @property
    def growing(self) -> tuple[Path, ...]:
        """What grows with each thread."""
        return self.out, *map(self.beside, SIDECAR_KINDS)

    @property
    def drafts(self) -> tuple[Path, ...]:
        """What is written whole before it takes its place; leftovers of a run that was killed then."""
        return draft(self.manifest), draft(self.wanted), draft(self.partial), draft(rewrite_of(self.journal))

    @property
    def rewrites(self) -> tuple[Path, ...]:
        """What will take the place of the growing files, the journal last; see `threadkeep.rewrite`."""
        return tuple(map(rewrite_of, (*self.growing, self.journal)))

    @property
    def written(self) -> tuple[Path, ...]:
        """What an export consists of but for its downloads, the journal last."""
        return *self.growing, self.partial, self.manifest, self.wanted, self.journal

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file of the export."""
        return (
            self.out,
            self.journal,
            self.manifest,
            self.wanted,
            self.partial,
            *map(self.beside, SIDECAR_KINDS),
            *self.drafts,
            *self.rewrites,
            self.files,
        )

    def aside(self, number: int) -> "Paths":
        """The names under which an older export is kept."""
        return Paths(self.out.with_name(f"{self.out.stem}.old-{number}{self.out.suffix}"))

    def _beside(self, suffix: str) -> Path:
        return self.out.with_name(self.out.name + suffix)


def draft(path: Path) -> Path:
    """Where a file is written before it takes its place."""
    return path.with_name(path.name + ".draft")


def rewrite_of(path: Path) -> Path:
    """Where a growing file is written anew, before all of them take their places together."""
    return path.with_name(path.name + ".rewrite")
