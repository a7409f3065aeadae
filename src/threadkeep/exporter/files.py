"""Download the files that messages and run steps refer to, each once, streamed, with a key that may have it."""

import asyncio
import contextlib
import hashlib
import mimetypes
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path, PurePath

import attrs
import msgspec

from threadkeep.api.client import ApiClient
from threadkeep.api.worker_pool import WorkerPool, one_batch
from threadkeep.errors import ApiError, BadPage, RunEnded
from threadkeep.exporter.commits import Commits
from threadkeep.exporter.events import Event, FilesBegun
from threadkeep.storage.index import DownloadOutcome, DownloadRow
from threadkeep.storage.lines import CHUNK
from threadkeep.storage.paths import new
from threadkeep.storage.private_files import create, on_disk, open_regular, refuse_irregular, sync_folder

__all__ = ["FileRound", "holds"]

# What an id may look like, to be asked for and to be the name of a file (recorded ids: `file-`, letters and digits).
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,199}")

# How the API says that nobody may have a file back (recorded: "Not allowed to download files of purpose: assistants").
_NOT_ALLOWED = re.compile(r"\bnot allowed\b", re.IGNORECASE)

# What a file is to a key of another project, or to one that may ask for threads only.
_PERHAPS_ANOTHERS = (DownloadOutcome.MISSING, DownloadOutcome.NOT_ALLOWED)

# Endings that stay in names: what `mimetypes` knows everywhere, and what else the API's tools take (documented).
_ENDINGS = {
    *mimetypes.types_map,
    *(".cpp", ".cs", ".docx", ".go", ".java", ".jsonl", ".md", ".php", ".pkl", ".pptx", ".rb", ".ts", ".webp", ".xlsx"),
}

# Files that the code interpreter makes have no ending in their names where they are images (recorded).
_MAGIC = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"%PDF-": ".pdf"}


class FileRound:
    """Downloads files, and stores what became of each.

    Args:
        pool: the workers.
        folder: where the files go.
        commits: where the rows go.
        wanted: the ids of all files that complete threads refer to, distinct.
        known: what became of files before.
        on_event: called when it is known how many there are.
    """

    def __init__(
        self,
        pool: WorkerPool,
        folder: Path,
        commits: Commits,
        wanted: Iterable[str],
        known: Mapping[str, DownloadRow],
        on_event: Callable[[Event], None],
    ) -> None:
        self._pool = pool
        self._folder = folder
        self._commits = commits
        self._wanted = list(wanted)
        self._known = known
        self._on_event = on_event
        self._names = _names(self._wanted, known)

    async def run(self) -> None:
        """Download all that are not here yet."""
        waiting = [file_id for file_id in self._wanted if not await asyncio.to_thread(self._is_over, file_id)]
        self._on_event(FilesBegun(total=len(self._wanted), before=len(self._wanted) - len(waiting)))
        await self._pool.run(one_batch(waiting), self._save)

    def _is_over(self, file_id: str) -> bool:
        """Whether a file is here already, to the byte, or can never come."""
        row = self._known.get(file_id)
        if row is None or row.outcome is not DownloadOutcome.SAVED:
            return row is not None and row.outcome is DownloadOutcome.INVALID
        return holds(self._folder, row)

    async def _save(self, file_id: str, client: ApiClient) -> None:
        """Ask with one key, and with the others if that one may not have it: it may be another project's."""
        found: list[DownloadRow] = []
        for key in self._pool.clients_from(client):
            try:
                found.append(await self._asked(file_id, key))
            except RunEnded as ending:
                self._pool.reassign(key, file_id, ending)
                return
            if found[-1].outcome not in _PERHAPS_ANOTHERS:
                break
        known = (row for row in reversed(found) if row.outcome is not DownloadOutcome.MISSING)
        row = self._doubted(next(known, found[0]))
        await self._commits.put(row, event=row)

    async def _asked(self, file_id: str, client: ApiClient) -> DownloadRow:
        try:
            row = await self._downloaded(file_id, client)
        except ApiError as problem:
            if _ends_all(problem):
                raise
            if problem.status == 404:  # in the API's own words: anything else has ended all
                self._pool.record_response()
            else:
                self._pool.record_failure(problem)
            return self._not_saved(file_id, problem)
        self._pool.record_response()
        return row

    async def _downloaded(self, file_id: str, client: ApiClient) -> DownloadRow:
        if not _ID.fullmatch(file_id):
            return DownloadRow(file_id=file_id, outcome=DownloadOutcome.INVALID, reason="not a file id")
        before = self._known.get(file_id)
        if before is not None and before.name is not None and await asyncio.to_thread(holds, self._folder, before):
            return msgspec.structs.replace(before, outcome=DownloadOutcome.SAVED, reason=None)
        described = await client.fetch(f"/files/{file_id}", object_id=file_id)
        size, filename = described.get("bytes"), described.get("filename")
        return await client.download(file_id, lambda pieces: self._write(file_id, size, filename, pieces))

    def _not_saved(self, file_id: str, problem: ApiError) -> DownloadRow:
        """What became of a file that the server does not give.

        One that was saved once and is lost stays known by its digest: it is not called missing.
        """
        before = self._known.get(file_id)
        if before is None or before.name is None:
            return DownloadRow(file_id=file_id, outcome=_outcome(problem), reason=str(problem))
        return msgspec.structs.replace(
            before,
            outcome=DownloadOutcome.FAILED,
            reason=f"it was saved, is lost or changed since, and does not come again: {problem}",
        )

    def _doubted(self, row: DownloadRow) -> DownloadRow:
        if row.outcome is DownloadOutcome.MISSING and self._pool.has_rejected_key:
            reason = f"a key was refused, and no other knows this file: {row.reason}"
            return DownloadRow(file_id=row.file_id, outcome=DownloadOutcome.FAILED, reason=reason)
        return row

    async def _write(self, file_id: str, size: object, filename: object, pieces: AsyncIterator[bytes]) -> DownloadRow:
        base = self._folder / self._names[file_id]
        draft = new(base)
        with on_disk(self._folder):
            self._folder.mkdir(mode=0o700, exist_ok=True)
        try:
            saved = await _received(draft, pieces)
            _check_size(saved.size, size)
            path = base if base.suffix else base.with_name(base.name + _ending(filename, saved.beginning))
            with on_disk(path):
                refuse_irregular(path)
                os.rename(draft, path)
                sync_folder(self._folder)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise
        return DownloadRow(
            file_id=file_id,
            outcome=DownloadOutcome.SAVED,
            name=path.name,
            bytes=saved.size,
            sha256=saved.sha256,
        )


def holds(folder: Path, row: DownloadRow) -> bool:
    """Whether a file that was saved is in its folder, to the byte.

    Raises:
        OutputUnusable: it cannot be read.
    """
    path = folder / PurePath(row.name or "-").name
    digest, size = hashlib.sha256(), 0
    with on_disk(path):
        try:
            file = open_regular(path)
        except FileNotFoundError:
            return False
        with file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
    return size == row.bytes and digest.hexdigest() == row.sha256


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


@attrs.frozen
class _Saved:
    size: int
    sha256: str
    beginning: bytes


async def _received(path: Path, pieces: AsyncIterator[bytes]) -> _Saved:
    """Only what the disk refuses is an error of the disk: the pieces have troubles of their own."""
    digest, size, beginning = hashlib.sha256(), 0, b""
    with on_disk(path):
        file = create(path)
    with contextlib.closing(file):
        async for piece in pieces:
            digest.update(piece)
            size += len(piece)
            beginning += piece[: 16 - len(beginning)]
            with on_disk(path):
                file.write(piece)
        with on_disk(path):
            file.flush()
            os.fsync(file.fileno())
    return _Saved(size, digest.hexdigest(), beginning)


def _ending(filename: object, beginning: bytes) -> str:
    """The ending of a file's type: that of its name at the server if it is a known one, else what its bytes say."""
    suffix = PurePath(filename).suffix.lower() if isinstance(filename, str) else ""
    if suffix in _ENDINGS:
        return suffix
    return next((ending for magic, ending in _MAGIC.items() if beginning.startswith(magic)), "")


def _check_size(came: int, said: object) -> None:
    """An end that comes too early looks like any other where the server closes the connection to mark it.

    Args:
        came: bytes.
        said: what the file object has under ``bytes``; used if it is a count.

    Raises:
        BadPage: there are fewer of them. More are no loss: the object is wrong then, not the body.
    """
    if isinstance(said, int) and not isinstance(said, bool) and came < said:
        raise BadPage(f"{came} bytes came, and the API says that the file has {said}")


def _ends_all(problem: ApiError) -> bool:
    """Whether no other file need be asked for either. A key may be allowed threads and no files, which 403 says."""
    return isinstance(problem, RunEnded) and problem.status != 403


def _outcome(problem: ApiError) -> DownloadOutcome:
    if problem.status == 404:
        return DownloadOutcome.MISSING
    if problem.status == 403 or (problem.status == 400 and _NOT_ALLOWED.search(str(problem))):
        return DownloadOutcome.NOT_ALLOWED
    return DownloadOutcome.FAILED
