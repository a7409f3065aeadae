"""Where a conversion goes: written in a private folder next to it, and put in place when it is complete."""

import contextlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from threadkeep.errors import OutputUnusable
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import on_disk, sync_folder

__all__ = ["Draft", "Target"]


@attrs.frozen
class Draft:
    """The names under which a target is written before it is put in place. Neither is there yet."""

    path: Path
    losses: Path


@attrs.frozen
class Target:
    """A file or folder that a conversion writes, and the loss report next to it."""

    path: Path

    @property
    def losses(self) -> Path:
        """The loss report."""
        return self.path.with_name(f"{self.path.name}.losses.ndjson")

    def refuse(self, out: Path, *, force: bool) -> None:
        """Refuse a target that cannot be, or that would take the place of something else.

        Args:
            out: the export that is converted.
            force: an earlier target may be replaced. A folder may be only when a loss report is next to it: then it
                was written by a conversion.

        Raises:
            OutputUnusable: in words.
        """
        if not self.path.name or self.path.name == ".." or "\0" in self.path.name:
            raise OutputUnusable(f"{str(self.path)!r} does not name a file. Name the target.")
        with on_disk(self.path):
            if not self.path.parent.is_dir():
                raise OutputUnusable(
                    f"{self.path}: there is no folder {self.path.parent}. Create it, or choose another name."
                )
            for place in (self.path, self.losses):
                if _is_of_export(place, Paths(out)):
                    raise OutputUnusable(f"{place} is a file of the export itself: give another name.")
            self._refuse_existing(force=force)

    def _refuse_existing(self, *, force: bool) -> None:
        for place in (self.path, self.losses):
            if not force and os.path.lexists(place):
                raise OutputUnusable(f"{place} exists already. Replace it with --force, or give another name.")
            if place.is_symlink() or (place.exists() and not (place.is_file() or place.is_dir())):
                raise OutputUnusable(f"{place} is no regular file, and is not replaced. Give another name.")
        if self.path.is_dir() and not self.losses.is_file():
            raise OutputUnusable(
                f"{self.path} is a folder that no conversion has written, and is not replaced. Give another name."
            )

    @contextlib.contextmanager
    def written(self, *, force: bool) -> Iterator[Draft]:
        """Yield a draft to be written. It is put in place at the end; after an error, nothing of it stays.

        The loss report comes first, so that a target always has one. What has appeared at the target in the meantime is
        not replaced without ``force``.

        Raises:
            OutputUnusable: the disk reports an error.
        """
        with on_disk(self.path), _folder(self.path) as folder:
            draft = Draft(folder / self.path.name, folder / self.losses.name)
            yield draft
            for path in (draft.losses, draft.path):
                _make_private(path)
            self._refuse_existing(force=force)
            os.replace(draft.losses, self.losses)
            if draft.path.is_dir() or self.path.is_dir():
                with contextlib.suppress(FileNotFoundError):
                    os.rename(self.path, folder / "old")  # a folder is never replaced by a rename
            os.replace(draft.path, self.path)
            sync_folder(self.path.parent)


@contextlib.contextmanager
def _folder(target: Path) -> Iterator[Path]:
    """A folder next to the target, that nobody else may look into, and that is gone in the end."""
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=".threadkeep-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_private(path: Path) -> None:
    """Let only the owner read a file, or a folder with all that is in it, and bring a file to the disk."""
    if path.is_dir():
        for folder, folders, files in os.walk(path):
            for name in folders:
                Path(folder, name).chmod(stat.S_IRWXU)
            for name in files:
                Path(folder, name).chmod(stat.S_IRUSR | stat.S_IWUSR)
        path.chmod(stat.S_IRWXU)
        return
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _is_of_export(path: Path, export: Paths) -> bool:
    """Whether a name is one of an export's own: of its files, its downloads, earlier ones, or a folder around it.

    OUT may be a folder of pages; what is in it is its own.
    """
    place, out = path.resolve(), export.out.resolve()
    own = {one.resolve() for one in export.all_files()}
    old = re.compile(rf"{re.escape(export.out.stem)}\.old-\d+\b")
    return (
        place in own
        or export.files.resolve() in (place, *place.parents)
        or place in out.parents
        or out in place.parents
        or (place.parent == out.parent and old.match(place.name) is not None)
    )
