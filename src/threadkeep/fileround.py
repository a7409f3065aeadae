"""The files that an export's threads refer to: each downloaded once, with a key that may have it."""

import asyncio
from collections.abc import Callable

import attrs

from threadkeep.api.client import Walker
from threadkeep.api.worker_pool import Crew
from threadkeep.errors import ApiError, RunEnded
from threadkeep.exporter.commits import Writer
from threadkeep.exporter.events import Event, FilesBegun
from threadkeep.exporter.files import Downloads, ends_all
from threadkeep.journal import FileEntry, FileOutcome
from threadkeep.outfiles import Finished, OutFiles

__all__ = ["FileRound"]

# What a file is to a key of another project, or to one that may ask for threads only.
_PERHAPS_ANOTHERS = (FileOutcome.MISSING, FileOutcome.NOT_ALLOWED)


class FileRound:
    """Downloads files, and sees to it that each one's fate is written down.

    Args:
        crew: who asks for them.
        out: says which are wanted, and where they go.
        writer: writes their entries.
        on_event: called when it is known how many there are.
    """

    def __init__(self, crew: Crew, out: OutFiles, writer: Writer, on_event: Callable[[Event], None]) -> None:
        self._crew = crew
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
        await self._crew.work_at(wanted, self._save)

    async def _save(self, file_id: str, walker: Walker) -> None:
        """With one key, and with the others where that one may not have it: it may be another project's."""
        found: list[FileEntry] = []
        for key in self._crew.all_from(walker):
            try:
                found.append(await self._asked(file_id, key))
            except RunEnded as ending:
                self._crew.hand_over(key, file_id, ending)
                return
            if found[-1].outcome not in _PERHAPS_ANOTHERS:
                break
        known = (entry for entry in reversed(found) if entry.outcome is not FileOutcome.MISSING)
        await self._writer.put(Finished(entry=self._doubted(next(known, found[0]))))

    async def _asked(self, file_id: str, walker: Walker) -> FileEntry:
        try:
            entry = await self._downloads.save(file_id, walker)
        except ApiError as problem:
            if ends_all(problem):
                raise
            if problem.status == 404:  # in the API's own words: anything else has ended all
                self._crew.heard()
            else:
                self._crew.count_silence(problem)
            return self._downloads.not_saved(file_id, problem)
        self._crew.heard()
        return entry

    def _doubted(self, entry: FileEntry) -> FileEntry:
        if entry.outcome is FileOutcome.MISSING and self._crew.is_refused:
            reason = f"a key was refused, and no other knows this file: {entry.reason}"
            return attrs.evolve(entry, outcome=FileOutcome.FAILED, reason=reason)
        return entry
