"""One thread on its way into the export: its pages become lines in spools; nothing is written before it is whole."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from threadkeep.api.client import Walker
from threadkeep.api.pagination import Page, read_page
from threadkeep.api.resources import GATHER
from threadkeep.errors import BadPage
from threadkeep.journal import Entry, Outcome
from threadkeep.outfiles import Finished, OutFiles
from threadkeep.records.content import files_of
from threadkeep.records.ndjson import encode_message
from threadkeep.serialization.lossless_json import dumps
from threadkeep.spool import Bodies, Spool

__all__ = ["Walked"]


class Walked:
    """A thread that is being walked.

    Args:
        thread_id: its id.
        out: where spools may grow.
        assistant_id: stands on every line.
        flat: write flat lines. The pages are then kept as they came: should the thread be cut off, the partial file
            wants full lines.
        include: what else to ask for, of `threadkeep.storage.paths.BESIDE`.
        files: look for the files that messages and steps refer to.
    """

    def __init__(
        self, thread_id: str, out: OutFiles, *, assistant_id: str, flat: bool, include: Sequence[str], files: bool
    ) -> None:
        self.thread_id = thread_id
        self.lines: Spool = out.spool()
        self._out = out
        self._assistant_id = assistant_id
        self._bodies = Bodies(out.paths.out.parent) if flat else None
        self._beside: dict[str, Spool] = {kind: out.spool() for kind in include}
        self._files: dict[str, None] | None = {} if files else None
        self._open: list[Spool | Bodies] = [self.lines, *self._beside.values()]
        if self._bodies is not None:
            self._open.append(self._bodies)

    @property
    def messages(self) -> int:
        """How many have come."""
        return self.lines.lines

    async def fetch(self, walker: Walker) -> None:
        """Walk the thread to its end.

        Raises:
            ApiError: a leaf of it. What came before it is here.
            OutputUnusable: the disk refuses.
        """
        path = f"/threads/{quote(self.thread_id, safe='')}/messages"
        async for page in walker.walk(path, thread_id=self.thread_id):
            self._add(page, self.lines, flat=self._bodies is not None)
            if self._bodies is not None:
                self._bodies.add(page.body)
            self._look_for_files(page.rows)
        for kind, spool in self._beside.items():
            async for row_id, row in GATHER[kind](walker, self.thread_id):
                self._add_beside(row_id, row, spool)

    def finished(self) -> Finished:
        """The whole thread, ready to be written down."""
        entry = Entry(
            thread_id=self.thread_id,
            outcome=Outcome.COMPLETE,
            messages=self.messages,
            first_id=self.lines.first_id,
            last_id=self.lines.last_id,
            files=self._files or (),
        )
        return Finished(entry=entry, lines=self.lines, beside=self._beside)

    def full(self) -> Spool:
        """Full lines of what has come, for the partial file."""
        if self._bodies is None:
            return self.lines
        spool = self._out.spool()
        self._open.append(spool)
        for body in self._bodies.each():
            self._add(read_page(body), spool, flat=False)
        return spool

    def close(self) -> None:
        """Let go of what was not written."""
        for spool in self._open:
            spool.close()

    def _add(self, page: Page, spool: Spool, *, flat: bool) -> None:
        try:
            lines = [encode_message(row, assistant_id=self._assistant_id, flat=flat) for row in page.rows]
        except ValueError as error:
            last = page.rows[-1]["id"]
            raise BadPage(f"a message of the page that ends with {last} cannot be written: {error}") from None
        spool.add([row["id"] for row in page.rows], lines)

    def _add_beside(self, row_id: str, row: Mapping[str, Any], spool: Spool) -> None:
        try:
            line = dumps(row)
        except ValueError as error:
            raise BadPage(f"{row_id} cannot be written: {error}") from None
        spool.add([row_id], [line])
        self._look_for_files(row.get("steps", ()))

    def _look_for_files(self, rows: Iterable[Mapping[str, Any]]) -> None:
        if self._files is not None:
            self._files.update(dict.fromkeys(file_id for row in rows for file_id in files_of(row)))
