"""A prefix of objects: a folder, or a place in a bucket. An object is created once and never changed.

Buckets are reached by obstore, with the credentials that it reads from the environment. A folder is written here:
obstore would make its files readable to everybody, and would not bring them to the disk.
"""

import contextlib
import hashlib
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import attrs

from threadkeep.errors import ExtraMissing, OutputUnusable
from threadkeep.storage.lines import CHUNK
from threadkeep.storage.private_files import create, on_disk, open_regular, sync_folder
from threadkeep.storage.writer import link_or_copy

__all__ = ["Bucket", "Folder", "ObjectMissing", "ObjectStore", "is_url", "open_store"]


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
        return self._create(name, content) or _digest(self.stream(name)) == _digest(_pieces(content))

    def get(self, name: str) -> bytes | None:
        """Return the content of an object; None if there is none."""
        try:
            return b"".join(self.stream(name))
        except ObjectMissing:
            return None

    def fetch(self, name: str, path: Path, sha256: str) -> None:
        """Write the content of an object to a new file.

        Raises:
            OutputUnusable: there is no such object, or it has another digest; or the disk refuses.
        """
        digest = hashlib.sha256()
        self._copy(name, path, digest.update)
        if digest.hexdigest() != sha256:
            raise OutputUnusable(f"{self.url}/{name} is damaged: its digest is another than its manifest says.")

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
    def stream(self, name: str) -> Iterator[bytes]:
        """Yield the content of an object in pieces.

        Raises:
            ObjectMissing: there is none.
            OutputUnusable: the store refuses.
        """

    @abstractmethod
    def names(self, below: str = "") -> Iterator[str]:
        """Yield the names of all objects, or of those below a part of their names, in any order."""


class ObjectMissing(OutputUnusable):
    """There is no object of that name."""


def is_url(text: str) -> bool:
    """Return whether a name of an output is the URL of a prefix, and not a path."""
    return "://" in text


def open_store(place: str | Path) -> ObjectStore:
    """Open a prefix.

    Args:
        place: the path or the ``file://`` URL of a folder; or a URL that obstore takes: ``s3://``, ``gs://``, ``az://``.

    Raises:
        ExtraMissing: obstore, which reaches buckets, is not installed.
        OutputUnusable: there can be no such prefix.
    """
    if isinstance(place, str) and is_url(place):
        if urlsplit(place).scheme != "file":
            return Bucket.at(place.rstrip("/"))
        place = unquote(urlsplit(place).path)
    return Folder(Path(os.path.abspath(place)))


@attrs.frozen
class Folder(ObjectStore):
    """A folder. Its files are private, and on the disk when they have their names."""

    path: Path

    @property
    def url(self) -> str:  # type: ignore[override]
        """Its path."""
        return str(self.path)

    def _create(self, name: str, content: bytes | Path) -> bool:
        target = self.path / name
        with on_disk(target):
            self._make_folder(target.parent)
            # A name that begins with a dot is no object's.
            with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".new-") as draft:
                for piece in _pieces(content):
                    draft.write(piece)
                draft.flush()
                os.fsync(draft.fileno())
                try:
                    os.link(draft.name, target)
                except FileExistsError:
                    return False
            sync_folder(target.parent)
        return True

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
                yield from _read(file)

    def place(self, name: str, path: Path) -> None:
        """Link it where the disk can."""
        source = self.path / name
        with on_disk(source):
            if not source.exists():
                raise ObjectMissing(f"{source} does not exist.")
            link_or_copy(source, path)

    def names(self, below: str = "") -> Iterator[str]:
        for folder, _, files in os.walk(self.path / below):
            for name in files:
                if not name.startswith("."):
                    yield str((Path(folder) / name).relative_to(self.path))


@attrs.frozen
class Bucket(ObjectStore):
    """A prefix that obstore reaches."""

    url: str
    _store: Any = attrs.field(repr=False)

    @classmethod
    def at(cls, url: str) -> "Bucket":
        """Open it. Nothing is asked yet."""
        try:
            from obstore.store import from_url
        except ImportError:
            raise ExtraMissing(f"{url} is reached by obstore: pip install 'threadkeep[dask]'.") from None
        with _refusals(url):
            return cls(url, from_url(url))

    def _create(self, name: str, content: bytes | Path) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with _refusals(f"{self.url}/{name}"):
            try:
                obstore.put(self._store, name, content, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def stream(self, name: str) -> Iterator[bytes]:
        import obstore

        with _refusals(f"{self.url}/{name}"):
            try:
                found = obstore.get(self._store, name)
            except FileNotFoundError:
                raise ObjectMissing(f"{self.url}/{name} does not exist.") from None
            for piece in found.stream(min_chunk_size=CHUNK):
                yield bytes(piece)

    def names(self, below: str = "") -> Iterator[str]:
        import obstore

        with _refusals(self.url):
            for rows in obstore.list(self._store, below or None, chunk_size=1000):
                yield from (row["path"] for row in rows)


@contextlib.contextmanager
def _refusals(place: str) -> Iterator[None]:
    """Name the object in an error of obstore, whose own text is of several paragraphs for programmers."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise OutputUnusable(f"{place}: {str(error).partition(chr(10))[0]}") from None


def _pieces(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
    else:
        with on_disk(content), open_regular(content) as file:
            yield from _read(file)


def _read(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


def _digest(pieces: Iterator[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()
