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
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import SplitResult, unquote, urlsplit

import attrs

from threadkeep.errors import ExtraMissing, OutputUnusable
from threadkeep.storage.lines import CHUNK
from threadkeep.storage.private_files import create, on_disk, open_regular, sync_folder
from threadkeep.storage.writer import link_or_copy

__all__ = ["Bucket", "Folder", "ObjectDamaged", "ObjectMissing", "ObjectStore", "is_url", "open_store"]


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


def is_url(text: str) -> bool:
    """Return whether a name of an output is the URL of a prefix, and not a path."""
    return "://" in text


def open_store(place: str | Path, seconds: float | None = None) -> ObjectStore:
    """Open a prefix.

    Args:
        place: the path or the ``file://`` URL of a folder; or a URL that obstore takes: ``s3://``, ``gs://``, ``az://``.
        seconds: no request is tried again after so many; None for as many as obstore thinks right, which are minutes.

    Raises:
        ExtraMissing: obstore, which reaches buckets, is not installed.
        OutputUnusable: there can be no such prefix.
    """
    if isinstance(place, str) and is_url(place):
        parts = urlsplit(place)
        _refuse_ignored(place, parts)
        if parts.scheme != "file":
            return Bucket.at(place.rstrip("/"), seconds)
        place = unquote(parts.path)
    return Folder(Path(os.path.abspath(place)))


def _refuse_ignored(url: str, parts: SplitResult) -> None:
    """Refuse what would be passed over, so that the objects would be somewhere else."""
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    is_file = parts.scheme == "file"
    if is_file and parts.netloc not in ("", "localhost"):
        raise OutputUnusable(f"{shown} is on another host. A path begins after three slashes: file:///folder.")
    if parts.password is not None:
        raise OutputUnusable(f"{shown} was given with a password. Give it as the libraries of the store expect it.")
    taken = [] if is_file else ["%"]
    if any(mark in url for mark in ("?", "#", *taken)):
        raise OutputUnusable(f"{shown}: the URL of a prefix cannot have {' or '.join(['?', '#', *taken])}.")


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
                for piece in _pieces(content):
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
                yield from _read(file)

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


@attrs.frozen
class Bucket(ObjectStore):
    """A prefix that obstore reaches."""

    url: str
    _store: Any = attrs.field(repr=False)

    @classmethod
    def at(cls, url: str, seconds: float | None = None) -> "Bucket":
        """Open it, as `open_store` does. Nothing is asked yet."""
        try:
            from obstore.store import from_url
        except ImportError:
            raise ExtraMissing(f"{url} is reached by obstore: pip install 'threadkeep[dask]'.") from None
        with _refusals(url):
            # Options of the client would take the place of those in the environment; its requests end after 30 seconds.
            retries: Any = None if seconds is None else {"retry_timeout": timedelta(seconds=seconds)}
            return cls(url, from_url(url, retry_config=retries))

    def _create(self, name: str, content: bytes | Path) -> bool:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with _refusals(f"{self.url}/{name}"):
            try:
                obstore.put(self._store, name, content, mode="create", use_multipart=False)
            except (AlreadyExistsError, PreconditionError):
                return False
        return True

    def _replace(self, name: str, content: Path) -> None:
        import obstore

        with _refusals(f"{self.url}/{name}"):
            obstore.put(self._store, name, content, use_multipart=False)

    def stream(self, name: str) -> Iterator[bytes]:
        import obstore

        with _refusals(f"{self.url}/{name}"):
            try:
                found = obstore.get(self._store, name)
            except FileNotFoundError:
                raise ObjectMissing(f"{self.url}/{name} does not exist.") from None
            for piece in found.stream(min_chunk_size=CHUNK):
                yield bytes(piece)

    def sizes(self, below: str = "") -> Iterator[tuple[str, int]]:
        import obstore

        with _refusals(self.url):
            for rows in obstore.list(self._store, below or None, chunk_size=1000):
                yield from ((row["path"], row["size"]) for row in rows)


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
