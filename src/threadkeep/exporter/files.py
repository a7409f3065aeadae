"""Download the files that messages and run steps refer to, each once, streamed, with a key that may have it."""

import asyncio
import contextlib
import hashlib
import mimetypes
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath

import attrs
import msgspec

from threadkeep.api.client import ApiClient
from threadkeep.api.worker_pool import WorkerPool, one_batch
from threadkeep.errors import ApiError, BadPage, RunEnded
from threadkeep.exporter.commits import Commits
from threadkeep.exporter.events import Event, FilesBegun
from threadkeep.storage.index import DownloadOutcome, DownloadRow
from threadkeep.storage.lines import digest_of, size_of
from threadkeep.storage.paths import new
from threadkeep.storage.private_files import create, on_disk, open_regular, refuse_irregular, sync_folder

__all__ = ["FileRound"]

# What an id may look like, to be asked for and to be the name of a file (recorded ids: `file-`, letters and digits).
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,199}")

# How the API says that nobody may have a file back (recorded: "Not allowed to download files of purpose: assistants").
_NOT_ALLOWED = re.compile(r"\bnot allowed\b", re.IGNORECASE)

# Endings that stay in names: what `mimetypes` knows everywhere, and what else the API's tools take (documented).
_ENDINGS = {
    *mimetypes.types_map,
    *(".cpp", ".cs", ".docx", ".go", ".java", ".jsonl", ".md", ".php", ".pkl", ".pptx", ".rb", ".ts", ".webp", ".xlsx"),
}

# Files that the code interpreter makes have no ending in their names where they are images (recorded).
_MAGIC = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"%PDF-": ".pdf"}


@attrs.define
class FileRound:
    """Downloads files, and stores what became of each.

    Args:
        folder: where the files go.
        wanted: the ids of all files that complete threads refer to, distinct.
        known: what became of files before.
        on_event: called when it is known how many there are.
    """

    _pool: WorkerPool
    _folder: Path
    _commits: Commits
    _wanted: Sequence[str]
    _known: Mapping[str, DownloadRow]
    _on_event: Callable[[Event], None]
    _names: Mapping[str, str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._names = _names(self._wanted, self._known)

    async def run(self) -> None:
        """Download all that are not here yet."""
        waiting = [file_id for file_id in self._wanted if not await asyncio.to_thread(self._is_over, file_id)]
        self._on_event(FilesBegun(total=len(self._wanted), before=len(self._wanted) - len(waiting)))
        await self._pool.run(one_batch(waiting), self._save)

    def _is_over(self, file_id: str) -> bool:
        """Whether a file is here already, to the byte, or can never come."""
        row = self._known.get(file_id)
        if row is not None and row.outcome is DownloadOutcome.SAVED:
            return self._holds(row)
        return row is not None and row.outcome is DownloadOutcome.INVALID

    def _holds(self, row: DownloadRow) -> bool:
        """Whether a file that was saved is in the folder, to the byte."""
        path = self._folder / PurePath(row.name or "-").name
        with on_disk(path), contextlib.suppress(FileNotFoundError), open_regular(path) as file:
            size = size_of(file)
            return size == row.bytes and digest_of(file, 0, size) == row.sha256
        return False

    async def _save(self, file_id: str, client: ApiClient) -> None:
        """Download a file with the first key that may have it, unless it is here, and store what became of it."""
        before = self._known.get(file_id)
        if not _ID.fullmatch(file_id):
            row = DownloadRow(file_id=file_id, outcome=DownloadOutcome.INVALID, reason="not a file id")
        elif before is not None and await asyncio.to_thread(self._holds, before):
            row = msgspec.structs.replace(before, outcome=DownloadOutcome.SAVED, reason=None)
        else:
            try:
                row = await self._pool.ask(file_id, client, partial(self._download, file_id), _may_be_anothers)
            except ApiError as problem:
                if _ends_the_run(problem):
                    return
                row = self._not_saved(file_id, problem)
        await self._commits.put(row, event=row)

    def _not_saved(self, file_id: str, problem: ApiError) -> DownloadRow:
        if problem.status != 404:  # which is an answer, in the API's own words
            self._pool.record_failure(problem)
        before = self._known.get(file_id)
        if before is None or before.name is None:
            return DownloadRow(file_id=file_id, outcome=_outcome(problem), reason=str(problem))
        # It stays known by its digest, and is not called missing.
        reason = f"it was saved, is lost or changed since, and does not come again: {problem}"
        return msgspec.structs.replace(before, outcome=DownloadOutcome.FAILED, reason=reason)

    async def _download(self, file_id: str, client: ApiClient) -> DownloadRow:
        described = await client.fetch(f"/files/{file_id}", object_id=file_id)
        return await client.download(file_id, lambda pieces: self._write(file_id, described, pieces), _size(described))

    async def _write(self, file_id: str, described: Mapping[str, object], pieces: AsyncIterator[bytes]) -> DownloadRow:
        """Save a file under its final name, if as many bytes come as its object says."""
        base, expected = self._folder / self._names[file_id], _size(described)
        draft = new(base)
        with on_disk(self._folder):
            self._folder.mkdir(mode=0o700, exist_ok=True)
        try:
            size, sha256, beginning = await _received(draft, pieces)
            # An end that comes too early looks like any other where the server closes the connection to mark it. More
            # bytes are no loss: the object is wrong then, not the body.
            if expected is not None and size < expected:
                raise BadPage(f"{size} bytes came, and the API says that the file has {expected}")
            path = base if base.suffix else base.with_name(base.name + _ending(described.get("filename"), beginning))
            with on_disk(path):
                refuse_irregular(path)
                os.rename(draft, path)
                sync_folder(self._folder)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        return DownloadRow(file_id=file_id, outcome=DownloadOutcome.SAVED, name=path.name, bytes=size, sha256=sha256)


def _size(described: Mapping[str, object]) -> int | None:
    size = described.get("bytes")
    return size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None


def _names(wanted: Iterable[str], known: Mapping[str, DownloadRow]) -> dict[str, str]:
    """The names of files, by their ids: without an ending where they are not known yet.

    A file system may not tell capitals from small letters. The names do not depend on which file comes first.
    """
    names = {row.file_id: PurePath(row.name).name for row in known.values() if row.name is not None}
    taken = {PurePath(name).stem.lower(): file_id for file_id, name in names.items()}
    for file_id in sorted(filter(_ID.fullmatch, {*wanted} - {*names}), key=str.swapcase):
        is_free = taken.get(file_id.lower(), file_id) == file_id
        names[file_id] = file_id if is_free else f"{file_id}~{hashlib.sha256(file_id.encode()).hexdigest()[:8]}"
        taken[names[file_id].lower()] = file_id
    return names


async def _received(path: Path, pieces: AsyncIterator[bytes]) -> tuple[int, str, bytes]:
    """Write a file, and return its size, its sha256, and its first bytes.

    Only what the disk reports an error is an error of the disk: the pieces have troubles of their own.
    """
    digest, size, beginning = hashlib.sha256(), 0, b""
    with on_disk(path):
        file = create(path)
    try:
        async for piece in pieces:
            digest.update(piece)
            size += len(piece)
            beginning += piece[: 16 - len(beginning)]
            with on_disk(path):
                file.write(piece)
        with on_disk(path):
            file.flush()
            os.fsync(file.fileno())
    finally:
        with on_disk(path):  # what is in the buffer after a failed write is written once more
            file.close()
    return size, digest.hexdigest(), beginning


def _ending(filename: object, beginning: bytes) -> str:
    """The ending of a file's type: that of its name at the server if it is a known one, else what its bytes say."""
    suffix = PurePath(filename).suffix.lower() if isinstance(filename, str) else ""
    if suffix in _ENDINGS:
        return suffix
    return next((ending for magic, ending in _MAGIC.items() if beginning.startswith(magic)), "")


def _may_be_anothers(problem: ApiError) -> bool:
    """A file is missing to a key of another project, and not allowed to one that may ask for threads only (403)."""
    return not _ends_the_run(problem) and _outcome(problem) is not DownloadOutcome.FAILED


def _ends_the_run(problem: ApiError) -> bool:
    """A key may be allowed threads and no files, which 403 says."""
    return isinstance(problem, RunEnded) and problem.status != 403


def _outcome(problem: ApiError) -> DownloadOutcome:
    if problem.status == 404:
        return DownloadOutcome.MISSING
    if problem.status == 403 or (problem.status == 400 and _NOT_ALLOWED.search(str(problem))):
        return DownloadOutcome.NOT_ALLOWED
    return DownloadOutcome.FAILED
