"""The manifest of an export: totals, how the run ended, and the size and digest of every file. It holds no secrets."""

import hashlib
from typing import Literal

import msgspec

from threadkeep.serialization.lossless_json import dumps_pretty, loads
from threadkeep.storage.index import IndexRow

__all__ = ["FileClaim", "Manifest", "ThreadDigest", "Totals", "decode_manifest", "encode_manifest"]


class FileClaim(msgspec.Struct, frozen=True):
    """The size of a file in bytes, and its sha256."""

    bytes: int
    sha256: str


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What an export amounts to.

    Attributes:
        threads: how many rows the index has, dropped ones too.
        messages: how many lines OUT has.
        partial_messages: how many lines the partial file has.
    """

    threads: int
    messages: int
    partial_messages: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All that a manifest holds.

    Attributes:
        source, assistant_id, flat, include: as in the index's header.
        lacking: how many complete threads are without their thread object or runs, though these are to be saved.
        downloads: how many files have each outcome; None where files are not downloaded.
        started_at, finished_at: of the run that wrote it, ISO 8601, UTC.
        versions: of threadkeep, of Python, of the SDK, and of the HTTP library if the API was asked.
        totals: what the export amounts to.
        outcomes: how many threads have each outcome.
        ended_by: what ended the run before every thread had its turn; None when nothing did.
        kept_as: N, when the files before it were damaged or set aside, and are kept as ``out.old-N.*``.
        digest: over the threads, whatever their order; see `ThreadDigest`.
        files: the other files, by "out", "index", "partial", "threads", "runs" and "downloads".
    """

    format: Literal["threadkeep-manifest/2"] = "threadkeep-manifest/2"
    source: str
    assistant_id: str
    flat: bool
    include: tuple[str, ...]
    started_at: str
    finished_at: str
    versions: dict[str, str]
    totals: Totals
    outcomes: dict[str, int]
    lacking: int = 0
    downloads: dict[str, int] | None = None
    ended_by: str | None = None
    kept_as: int | None = None
    digest: str
    files: dict[str, FileClaim]

    @property
    def is_complete(self) -> bool:
        """Whether every wanted thread is complete, and every wanted file saved or never to be had."""
        not_complete = {*self.outcomes} - {"complete", "dropped"}
        files = self.downloads or {}
        is_any_left = self.lacking or any(self.outcomes[outcome] for outcome in not_complete)
        return not (is_any_left or files.get("failed", 0) or files.get("unfinished", 0))


class ThreadDigest:
    """A digest over the complete threads that does not depend on their order: a sum of their digests, modulo 2**256.

    Exports of parts of a list add up to that of the complete list.
    """

    def __init__(self) -> None:
        self._sum = 0

    def add(self, row: IndexRow) -> None:
        """Count a thread, if it is complete."""
        if row.outcome == "complete" and row.sha256 is not None:
            self._sum += int.from_bytes(hashlib.sha256(f"{row.thread_id}\n{row.sha256}\n".encode()).digest(), "big")

    @property
    def value(self) -> str:
        """The digest, as 64 hexadecimal digits."""
        return f"{self._sum % 2**256:064x}"


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the file's bytes, indented for people."""
    return dumps_pretty(msgspec.to_builtins(manifest))


def decode_manifest(content: bytes) -> Manifest:
    """Read a manifest.

    Raises:
        ValueError: the bytes are no manifest, or one of another format.
    """
    return msgspec.convert(loads(content), Manifest)  # not msgspec's own: an id may hold a lone surrogate
