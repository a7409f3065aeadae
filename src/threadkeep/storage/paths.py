"""The names of the files of an export."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import attrs

from threadkeep.errors import OutputUnusable

__all__ = ["COMPANIONS", "SIDECAR_KINDS", "Paths", "SidecarKind", "is_prefix", "new", "refuse_companion"]

SidecarKind: TypeAlias = Literal["threads", "runs"]
SIDECAR_KINDS: tuple[SidecarKind, ...] = get_args(SidecarKind)
"""What may be saved next to the messages, each as NDJSON under this suffix."""

COMPANIONS = ("partial", *SIDECAR_KINDS, "downloads")
"""The files that an export has next to OUT, its index and its manifest, where they are needed."""


def is_prefix(folder: Path) -> bool:
    """Return whether a folder is the prefix of an export in shards, or has what is left of one."""
    return any((folder / name).is_dir() for name in ("plan", "shards"))


@attrs.frozen
class Paths:
    """The names of an export's files.

    Attributes:
        out: the export itself.

    Raises:
        OutputUnusable: no file can have that name.
    """

    out: Path

    def __attrs_post_init__(self) -> None:
        if not self.out.name or "\0" in self.out.name:
            raise OutputUnusable(f"{str(self.out)!r} is no name of a file. Name OUT.")

    @property
    def index(self) -> Path:
        """A row for each thread."""
        return self._next_to(".index")

    @property
    def manifest(self) -> Path:
        """Totals and digests."""
        return self._next_to(".manifest.json")

    @property
    def store(self) -> Path:
        """The working store of a run."""
        return self._next_to(".store")

    @property
    def lock(self) -> Path:
        """The lock of a run."""
        return self._next_to(".lock")

    @property
    def partial(self) -> Path:
        """Lines of threads that are not complete."""
        return self._next_to(".partial")

    @property
    def downloads(self) -> Path:
        """A row for each file that was to be downloaded."""
        return self._next_to(".downloads")

    def sidecar(self, kind: str) -> Path:
        """The file of thread objects or runs, see `SIDECAR_KINDS`."""
        return self._next_to(f".{kind}")

    @property
    def files(self) -> Path:
        """The folder of downloaded files. The two endings differ, so that ``a`` and ``a.ndjson`` share none."""
        return self.out.with_suffix(".files") if self.out.suffix == ".ndjson" else self._next_to("-files")

    @property
    def written(self) -> dict[str, Path]:
        """The files that are written and replaced together, but for the manifest: by the names the manifest uses."""
        return {"out": self.out, "index": self.index, **{name: self._next_to(f".{name}") for name in COMPANIONS}}

    @property
    def store_files(self) -> tuple[Path, ...]:
        """The store and what SQLite puts next to it, in the order in which they are deleted."""
        return (self.store, *(self.store.with_name(self.store.name + end) for end in ("-journal", "-wal", "-shm")))

    def all_files(self) -> Iterator[Path]:
        """Every name that a run may write to, but for the folder of downloads."""
        for path in (*self.written.values(), self.manifest, self.store):
            yield path
            yield new(path)
        yield from self.store_files[1:]
        yield self.lock

    def aside(self, number: int) -> "Paths":
        """The names under which the files of an earlier export are kept."""
        return Paths(self.out.with_name(f"{self.out.stem}.old-{number}{self.out.suffix}"))

    def _next_to(self, suffix: str) -> Path:
        return self.out.with_name(self.out.name + suffix)


def refuse_companion(path: Path) -> None:
    """Refuse a name for an export that is the name of a file of another export that is there.

    Raises:
        OutputUnusable: it is one.
    """
    for at in (at for at, char in enumerate(path.name) if char == "." and at):
        other = Paths(path.with_name(path.name[:at]))
        signs = (one for one in (other.index, other.manifest, other.store) if one != path)
        if path in {*other.all_files()} and any(one.exists() for one in signs):
            raise OutputUnusable(f"{path} is the name of a file of the export {other.out}. Choose another OUT.")


def new(path: Path) -> Path:
    """The name under which a file is written before it takes its place."""
    return path.with_name(path.name + ".new")
