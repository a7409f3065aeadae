"""A place in a bucket, reached by obstore, with the credentials that it reads from the environment."""

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs

from threadkeep.errors import ExtraMissing, OutputUnusable
from threadkeep.scale.object_store import ObjectMissing, ObjectStore
from threadkeep.storage.lines import CHUNK

__all__ = ["Bucket"]


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
