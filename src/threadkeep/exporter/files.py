"""The files that messages and run steps refer to, downloaded beside the export: once, streamed, with their digests.

The files that an export's threads refer to: each downloaded once, with a key that may have it.
"""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path

import attrs

from threadkeep.api.client import ApiClient
from threadkeep.api.worker_pool import WorkerPool
from threadkeep.disk import Disk, on_disk
from threadkeep.errors import ApiError, BadPage, OutputUnusable, RunEnded
from threadkeep.exporter.commits import Writer
from threadkeep.exporter.events import Event, FilesBegun
from threadkeep.journal import FileEntry, FileOutcome
from threadkeep.outfiles import Finished, OutFiles
from threadkeep.storage.paths import draft
from threadkeep.validation.sidecar_check import holds, place_in

__all__ = ["Downloads", "FileRound", "ends_all", "name_of"]

# What an id may look like, to be asked for and to be the name of a file (recorded ids: `file-`, letters and digits).
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,199}")

# How the API says that nobody may have a file back (recorded: "Not allowed to download files of purpose: assistants").
_NOT_ALLOWED = re.compile(r"\bnot allowed\b", re.IGNORECASE)


def name_of(file_id: str, taken: Mapping[str, str]) -> str:
    """The name of a file in its folder: its id, told apart where another one differs from it in capitals only.

    Args:
        file_id: a well-formed id.
        taken: ids by their names in small letters.
    """
    if taken.get(file_id.lower(), file_id) == file_id:
        return file_id
    return f"{file_id}~{hashlib.sha256(file_id.encode()).hexdigest()[:8]}"


@attrs.frozen
class _Saved:
    bytes: int
    sha256: str


class Downloads:
    """The folder of one export's files.

    Args:
        folder: where it is, or will be.
        disk: what it is written to.
        known: what became of files before.
        wanted: the ids of all files that are to be here.

    Attributes:
        names: of the files in the folder, by their ids. They do not depend on which of them comes first.
    """

    def __init__(self, folder: Path, disk: Disk, known: Mapping[str, FileEntry], wanted: Iterable[str]) -> None:
        self._folder = folder
        self._disk = disk
        self._known = known
        self.names = {entry.file_id: entry.name for entry in known.values() if entry.name is not None}
        taken = {name.lower(): file_id for file_id, name in self.names.items()}
        for file_id in sorted(filter(_ID.fullmatch, {*wanted} - {*self.names}), key=str.swapcase):
            self.names[file_id] = name_of(file_id, taken)
            taken[self.names[file_id].lower()] = file_id

    def is_over(self, file_id: str) -> bool:
        """Whether a file is here already, to the byte, or can never come. It is read for that.

        Raises:
            OutputUnusable: the disk refuses.
        """
        entry = self._known.get(file_id)
        if entry is None or entry.outcome is not FileOutcome.SAVED:
            return entry is not None and entry.outcome is FileOutcome.INVALID
        return self._is_here(entry)

    def _is_here(self, entry: FileEntry) -> bool:
        with on_disk(self._folder):
            return holds(place_in(self._folder, entry), entry)

    async def save(self, file_id: str, client: ApiClient) -> FileEntry:
        """Download one file, unless it is malformed, or somebody has put it back.

        Raises:
            ApiError: the server does not give it; see `ends_all` and `not_saved`.
            OutputUnusable: the disk refuses.
        """
        if not _ID.fullmatch(file_id):
            return FileEntry(file_id=file_id, outcome=FileOutcome.INVALID, reason="not a file id")
        before = self._known.get(file_id)
        if before is not None and before.name is not None and await asyncio.to_thread(self._is_here, before):
            return attrs.evolve(before, outcome=FileOutcome.SAVED, reason=None)
        name = self.names[file_id]
        self._remove_draft(name)  # of a run that was killed
        described = await client.fetch(f"/files/{file_id}", object_id=file_id)
        said, filename = described.get("bytes"), described.get("filename")
        saved = await client.download(file_id, lambda pieces: self._write(name, said, pieces))
        return FileEntry(
            file_id=file_id,
            outcome=FileOutcome.SAVED,
            name=name,
            bytes=saved.bytes,
            sha256=saved.sha256,
            filename=filename if isinstance(filename, str) else None,
        )

    def not_saved(self, file_id: str, problem: ApiError) -> FileEntry:
        """What became of a file that the server does not give.

        One that was saved once and is lost stays known by its digest: it is not called missing.
        """
        before = self._known.get(file_id)
        entry = FileEntry(file_id=file_id, outcome=_outcome(problem), reason=str(problem))
        return entry if before is None or before.name is None else _lost(before, entry)

    async def _write(self, name: str, said: object, pieces: AsyncIterator[bytes]) -> _Saved:
        path = self._folder / name
        with on_disk(path):
            self._folder.mkdir(exist_ok=True)
        try:
            saved = await self._received(draft(path), pieces)
            _check_size(saved.bytes, said)
            with on_disk(path):
                self._disk.rename(draft(path), path)
                self._disk.sync_names(self._folder)
        except BaseException:
            with contextlib.suppress(OutputUnusable):
                self._remove_draft(name)
            raise
        return saved

    def _remove_draft(self, name: str) -> None:
        path = draft(self._folder / name)
        with on_disk(path):
            self._disk.remove(path)

    async def _received(self, path: Path, pieces: AsyncIterator[bytes]) -> _Saved:
        """Only what the disk refuses is told as such: the pieces have troubles of their own."""
        digest, size = hashlib.sha256(), 0
        with on_disk(path):
            file = self._disk.grow(path)
        with contextlib.closing(file):
            async for piece in pieces:
                digest.update(piece)
                size += len(piece)
                with on_disk(path):
                    file.write(piece)
            with on_disk(path):
                file.sync()
        return _Saved(size, digest.hexdigest())


def _check_size(came: int, said: object) -> None:
    """An end that comes too early looks like any other where the server closes the connection to say so.

    Args:
        came: bytes.
        said: what the file object has under ``bytes``; believed where it is a count.

    Raises:
        BadPage: there are fewer of them. More are no loss: the object is wrong then, not the body.
    """
    if isinstance(said, int) and not isinstance(said, bool) and came < said:
        raise BadPage(f"{came} bytes came, and the API says that the file has {said}")


def _lost(before: FileEntry, entry: FileEntry) -> FileEntry:
    reason = f"it was saved, is lost or changed since, and does not come again: {entry.reason}"
    return attrs.evolve(before, outcome=FileOutcome.FAILED, reason=reason)


def ends_all(problem: ApiError) -> bool:
    """Whether no other file need be asked for either. A key may be allowed threads and no files, which 403 says."""
    return isinstance(problem, RunEnded) and problem.status != 403


def _outcome(problem: ApiError) -> FileOutcome:
    if problem.status == 404:
        return FileOutcome.MISSING
    if problem.status == 403 or (problem.status == 400 and _NOT_ALLOWED.search(str(problem))):
        return FileOutcome.NOT_ALLOWED
    return FileOutcome.FAILED


# What a file is to a key of another project, or to one that may ask for threads only.
_PERHAPS_ANOTHERS = (FileOutcome.MISSING, FileOutcome.NOT_ALLOWED)


class FileRound:
    """Downloads files, and sees to it that each one's fate is written down.

    Args:
        pool: who asks for them.
        out: says which are wanted, and where they go.
        writer: writes their entries.
        on_event: called when it is known how many there are.
    """

    def __init__(self, pool: WorkerPool, out: OutFiles, writer: Writer, on_event: Callable[[Event], None]) -> None:
        self._pool = pool
        self._downloads: Downloads = out.downloads()
        self._referred = out.journal.wanted_files
        self._writer = writer
        self._on_event = on_event

    async def go(self) -> None:
        """Download all that are not here yet."""
        wanted = [
            file_id for file_id in self._referred if not await asyncio.to_thread(self._downloads.is_over, file_id)
        ]
        self._on_event(FilesBegun(total=len(self._referred), before=len(self._referred) - len(wanted)))
        await self._pool.run(wanted, self._save)

    async def _save(self, file_id: str, client: ApiClient) -> None:
        """With one key, and with the others where that one may not have it: it may be another project's."""
        found: list[FileEntry] = []
        for key in self._pool.clients_from(client):
            try:
                found.append(await self._asked(file_id, key))
            except RunEnded as ending:
                self._pool.reassign(key, file_id, ending)
                return
            if found[-1].outcome not in _PERHAPS_ANOTHERS:
                break
        known = (entry for entry in reversed(found) if entry.outcome is not FileOutcome.MISSING)
        await self._writer.put(Finished(entry=self._doubted(next(known, found[0]))))

    async def _asked(self, file_id: str, client: ApiClient) -> FileEntry:
        try:
            entry = await self._downloads.save(file_id, client)
        except ApiError as problem:
            if ends_all(problem):
                raise
            if problem.status == 404:  # in the API's own words: anything else has ended all
                self._pool.record_response()
            else:
                self._pool.record_failure(problem)
            return self._downloads.not_saved(file_id, problem)
        self._pool.record_response()
        return entry

    def _doubted(self, entry: FileEntry) -> FileEntry:
        if entry.outcome is FileOutcome.MISSING and self._pool.is_refused:
            reason = f"a key was refused, and no other knows this file: {entry.reason}"
            return attrs.evolve(entry, outcome=FileOutcome.FAILED, reason=reason)
        return entry
