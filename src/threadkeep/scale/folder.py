"""A folder of objects. It is written here: obstore would make its files readable to everybody, and would not bring them
to the disk.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from threadkeep.scale.object_store import ObjectMissing, ObjectStore, pieces_in, pieces_of
from threadkeep.storage.private_files import on_disk, open_regular, sync_folder
from threadkeep.storage.writer import link_or_copy

__all__ = ["Folder"]


@attrs.frozen
class Folder(ObjectStore):
    """A folder. Its files are private, and on the disk when they have their names."""

    path: Path

    @property
    def url(self) -> str:  # type: ignore[override]
        """Its path."""
        return str(self.path)

    def _create(self, name: str, content: bytes | Path) -> bool:
        with self._draft(name, content) as (draft, target):
            try:
                os.link(draft, target)
            except FileExistsError:
                return False
        return True

    def _replace(self, name: str, content: Path) -> None:
        with self._draft(name, content) as (draft, target):
            linked = draft.with_name(draft.name + ".linked")
            os.link(draft, linked)  # the draft itself is removed by its name
            os.replace(linked, target)

    @contextlib.contextmanager
    def _draft(self, name: str, content: bytes | Path) -> Iterator[tuple[Path, Path]]:
        """Yield a file with this content, and the path that it is to have."""
        target = self.path / name
        with on_disk(target):
            self._make_folder(target.parent)
            # A name that begins with a dot is no object's.
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".new-") as draft:
                for piece in pieces_of(content):
                    draft.write(piece)
                draft.flush()
                os.fsync(draft.fileno())
                yield Path(draft.name), target
            sync_folder(target.parent)

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make_folder(folder.parent)
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
                sync_folder(folder.parent)

    def stream(self, name: str) -> Iterator[bytes]:
        path = self.path / name
        with on_disk(path):
            try:
                file = open_regular(path)
            except (FileNotFoundError, NotADirectoryError):
                raise ObjectMissing(f"{path} does not exist.") from None
            with file:
                yield from pieces_in(file)

    def place(self, name: str, path: Path) -> None:
        """Link it where the disk can."""
        source = self.path / name
        with on_disk(source):
            if not source.exists():
                raise ObjectMissing(f"{source} does not exist.")
            link_or_copy(source, path)

    def sizes(self, below: str = "") -> Iterator[tuple[str, int]]:
        for folder, _, files in os.walk(self.path / below):
            for path in (Path(folder) / name for name in files if not name.startswith(".")):
                with contextlib.suppress(FileNotFoundError):
                    yield str(path.relative_to(self.path)), path.lstat().st_size
