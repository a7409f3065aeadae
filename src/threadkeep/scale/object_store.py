"""A prefix of objects: a folder, or a place in a bucket. An object is created once and never changed."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from threadkeep.errors import OutputUnusable
from threadkeep.storage.lines import CHUNK
from threadkeep.storage.private_files import create, on_disk, open_regular

__all__ = ["ObjectDamaged", "ObjectMissing", "ObjectStore", "pieces_in", "pieces_of"]


class ObjectStore(ABC):
    """The objects below a prefix. Their names have "/" between their parts.

    Attributes:
        url: of the prefix; `open_store` takes it. The url of a folder is its absolute path.
    """

    url: str

    def create(self, name: str, content: bytes | Path) -> bool:
        """Create an object, unless there is one: then compare the two, since a repeated request may meet its own.

        Returns:
            Whether the object has this content now.

        Raises:
            OutputUnusable: the store refuses.
        """
        return self._create(name, content) or _digest(self.stream(name)) == _digest(pieces_of(content))

    def put_named(self, name: str, content: Path) -> None:
        """Create an object that is named by the digest of its content. What else is at that name is of use to nobody.

        Raises:
            OutputUnusable: the store refuses.
        """
        if not self.create(name, content):
            self._replace(name, content)

    def get(self, name: str) -> bytes | None:
        """Return the content of an object; None if there is none."""
        try:
            return b"".join(self.stream(name))
        except ObjectMissing:
            return None

    def fetch(self, name: str, path: Path, sha256: str) -> None:
        """Write the content of an object to a new file.

        Raises:
            ObjectDamaged: there is no such object, or it has another digest.
            OutputUnusable: the store or the disk refuses.
        """
        digest = hashlib.sha256()
        self._copy(name, path, digest.update)
        if digest.hexdigest() != sha256:
            raise ObjectDamaged(f"{self.url}/{name} is damaged: its digest is another than its manifest says.")

    def place(self, name: str, path: Path) -> None:
        """Write the content of an object to a new file, which is only to be read. Its digest is not checked.

        Raises:
            ObjectMissing: there is none.
            OutputUnusable: the store or the disk refuses.
        """
        self._copy(name, path, lambda _piece: None)

    def _copy(self, name: str, path: Path, see: Callable[[bytes], None]) -> None:
        pieces = self.stream(name)
        first = next(pieces, b"")  # of an object that is missing no file is created
        with on_disk(path), create(path) as file:
            for piece in chain([first], pieces):
                see(piece)
                file.write(piece)

    @abstractmethod
    def _create(self, name: str, content: bytes | Path) -> bool:
        """Create an object, and return False if there is one."""

    @abstractmethod
    def _replace(self, name: str, content: Path) -> None:
        """Create an object, or write over it at once."""

    @abstractmethod
    def stream(self, name: str) -> Iterator[bytes]:
        """Yield the content of an object in pieces.

        Raises:
            ObjectMissing: there is none.
            OutputUnusable: the store refuses.
        """

    @abstractmethod
    def sizes(self, below: str = "") -> Iterator[tuple[str, int]]:
        """Yield the names of all objects, or of those below a part of their names, and their bytes, in any order."""

    def names(self, below: str = "") -> Iterator[str]:
        """Yield the names alone."""
        return (name for name, _ in self.sizes(below))


class ObjectDamaged(OutputUnusable):
    """An object is not what its name or its manifest says."""


class ObjectMissing(ObjectDamaged):
    """There is no object of that name."""


def pieces_of(content: bytes | Path) -> Iterator[bytes]:
    """Yield a content, or that of a file, in pieces.

    Raises:
        OutputUnusable: the file cannot be read.
    """
    if isinstance(content, bytes):
        yield content
    else:
        with on_disk(content), open_regular(content) as file:
            yield from pieces_in(file)


def pieces_in(file: BinaryIO) -> Iterator[bytes]:
    """Yield the content of an open file in pieces."""
    while piece := file.read(CHUNK):
        yield piece


def _digest(pieces: Iterator[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()
