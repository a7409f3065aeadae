"""Look at the files of an export before a run resumes it: which threads are as the index says, and what else is
there.

A thread is intact when the bytes at its place have the digest of its row. Where bytes were lost or inserted, the
threads behind them are intact too, at other places: they are looked for, by the same digests. Full lines in bytes that
no intact thread claims are salvaged: they belong to threads that are damaged, or that the index does not know any more.
"""

import contextlib
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import BinaryIO

from threadkeep.errors import MalformedLine
from threadkeep.records.ndjson import decode
from threadkeep.serialization.lossless_json import dumps
from threadkeep.serialization.thread_ids import is_thread_id
from threadkeep.storage.file_set import FileSet
from threadkeep.storage.index import (
    DownloadRow,
    IndexHeader,
    IndexRow,
    Outcome,
    Span,
    decode_download,
    decode_header,
    decode_row,
)
from threadkeep.storage.lines import digest_of, lines_from, lines_in, size_of
from threadkeep.storage.manifest import Manifest, ThreadDigest, Totals
from threadkeep.storage.spans import SpanFile, thread_of
from threadkeep.storage.store import PlannedThread, Store

__all__ = ["DAMAGED", "LACKING", "Inspection", "download_rows", "index_rows", "spans_of"]

DAMAGED = "damaged"
"""The word of `PlannedThread.old` for a thread whose lines in OUT or in the partial file are not as they were."""

LACKING = "lacking"
"""The word for a thread that is complete in OUT, and whose thread object or runs are damaged or were never saved."""


class Inspection:
    """One look at the files of an export.

    Attributes:
        damaged: how many rows are of threads that are damaged, or complete without all of their sidecars.
        unreadable_rows: how many lines of the index cannot be read, its header too.
        unclaimed: how many bytes of the files no row claims.
        is_index_altered: the index is not the one that the manifest was written with.
        is_list_altered: the list of downloads is not.
    """

    def __init__(self, files: FileSet, include: tuple[str, ...], store: Store) -> None:
        self._set = files
        self._include = include
        self._store = store
        self._files = {
            name: SpanFile(files.paths.written[name].name, files.files.get(name))
            for name in ("out", "partial", *include)
        }
        self.damaged = 0
        self.unreadable_rows = 0
        self.unclaimed = 0
        self.is_index_altered = self.is_list_altered = False
        self.index_digest = hashlib.sha256()
        self._digest, self._outcomes, self._messages = ThreadDigest(), Counter[str](), 0

    @property
    def is_clean(self) -> bool:
        """Whether every byte is as it was written."""
        is_altered = self.is_index_altered or self.is_list_altered
        is_damaged = self.damaged or self.unreadable_rows or self.unclaimed or self._store.has_damage
        return not (is_damaged or is_altered)

    def look(self, on_row: Callable[[], None] = lambda: None) -> None:
        """Read the files, and put what has moved or can be salvaged into the store.

        Args:
            on_row: called for each row of the index; what it raises ends the look.

        Raises:
            OutputUnusable: the disk reports an error.
        """
        index = self._set.files.get("index")
        with self._store.looking_for_damage():
            rows = index_rows(index, self._set.paths.index.name, self) if index is not None else ()
            for number, row in enumerate(rows, 1):
                on_row()
                self._digest.add(row)
                self._outcomes[row.outcome] += 1
                self._messages += row.messages or 0 if row.outcome is Outcome.COMPLETE else 0
                begins = b'{"thread_id":' + dumps(row.thread_id)
                for name, span in spans_of(row):
                    if span.bytes and name in self._files and self._files[name].take(span, begins) is None:
                        self._store.lose(number, row.thread_id, name, span)
            if self._set.manifest is not None:
                claims, list_of_files = self._set.manifest.files, self._set.files.get("downloads")
                self.is_index_altered = "index" in claims and claims["index"].sha256 != self.index_digest.hexdigest()
                found = None if list_of_files is None else digest_of(list_of_files, 0, size_of(list_of_files))
                self.is_list_altered = found != (claims["downloads"].sha256 if "downloads" in claims else None)
            for name, file in self._files.items():
                for start, end in file.gaps():
                    self._search(name, file, start, end)

    def agrees_with(self, manifest: Manifest, header: IndexHeader) -> bool:
        """Whether a manifest says what the other files say, all that `validate` compares; after `look`."""
        sizes = {name: claim.bytes for name, claim in manifest.files.items()}
        return (_counted(manifest.outcomes), _counted(manifest.downloads), manifest.totals, manifest.digest, sizes) == (
            dict(self._outcomes),
            self._downloads(),
            self._totals(),
            self._digest.value,
            {name: size_of(file) for name, file in self._set.files.items()},
        ) and all(
            getattr(manifest, name) == getattr(header, name) for name in ("source", "assistant_id", "flat", "include")
        )

    def _totals(self) -> Totals:
        partial = self._set.files.get("partial")
        lines = 0 if partial is None else sum(1 for _ in lines_in(partial, self._set.paths.partial.name))
        return Totals(threads=self._outcomes.total(), messages=self._messages, partial_messages=lines)

    def _downloads(self) -> dict[str, int] | None:
        if "downloads" not in self._set.files:
            return None
        return dict(Counter(str(row.outcome) for row in download_rows(self._set).values()))

    def threads(self) -> Iterator[PlannedThread]:
        """Yield every row of the index, in order, with the state of its thread; after `look`."""
        index = self._set.files.get("index")
        has_damage = self._store.has_damage
        rows = index_rows(index, self._set.paths.index.name) if index is not None else ()
        for number, row in enumerate(rows, 1):
            yield PlannedThread(row.thread_id, self._state(number, row, has_damage=has_damage), row.reason)

    def _search(self, name: str, file: SpanFile, start: int, end: int) -> None:
        """Look through bytes that no intact thread claims, for threads that have moved, and for lines."""
        for thread_id, first, last, digest in _groups(file, start, end):
            if thread_id is not None and self._store.find(thread_id, name, first, last - first, digest):
                continue
            self.unclaimed += last - first
            has_messages = name in ("out", "partial")
            is_row_lost = self.unreadable_rows or self.is_index_altered or self._set.manifest is None
            if is_row_lost and thread_id is not None and is_thread_id(thread_id):
                # Flat lines and those of sidecars say no more than that their thread was there.
                self._store.salvage(thread_id, has_messages=has_messages)
            if has_messages:
                self._salvage(file, first, last)

    def _salvage(self, file: SpanFile, start: int, end: int) -> None:
        for line in file.lines_in(start, end):
            text = line.removesuffix(b"\n")
            try:
                record = decode(text)
            except MalformedLine:
                continue
            if record.raw and is_thread_id(record.thread_id):
                self._store.salvage(record.thread_id, text + b"\n")

    def _state(self, number: int, row: IndexRow, *, has_damage: bool) -> str:
        gone = {name for name, start in self._store.lost(number).items() if start is None} if has_damage else set()
        is_complete = row.outcome is Outcome.COMPLETE
        if has_damage and row.span is not None and not row.bytes and self._store.is_in_damage(row.thread_id):
            self._store.lose(
                number, row.thread_id, "out", row.span
            )  # the row is damaged: there are lines of the thread
            gone.add("out")
        is_lacking = is_complete and (not row.sidecars.keys() >= set(self._include) or gone & set(self._include))
        if not is_lacking and not gone & {"out", *(() if is_complete else ("partial",))}:
            return str(row.outcome)
        self.damaged += 1
        return DAMAGED if gone & {"out", "partial"} - ({"partial"} if is_complete else set()) else LACKING


def _counted(counts: Mapping[str, int] | None) -> dict[str, int] | None:
    return None if counts is None else {name: count for name, count in counts.items() if count}


def index_rows(index: BinaryIO, name: str, inspection: Inspection | None = None) -> Iterator[IndexRow]:
    """Yield the rows of an index; lines that cannot be read are passed over, and counted where somebody counts."""
    index.seek(0)
    for number, line in enumerate(lines_from(index, name)):
        if inspection is not None:
            inspection.index_digest.update(line)
        try:
            if number:
                yield decode_row(line)
            elif inspection is not None:
                decode_header(line)
        except ValueError:
            if inspection is not None:
                inspection.unreadable_rows += 1


def download_rows(files: FileSet) -> dict[str, DownloadRow]:
    """Return what became of the files of an export, by their ids; lines that cannot be read are passed over."""
    file = files.files.get("downloads")
    rows: dict[str, DownloadRow] = {}
    for line in lines_in(file, files.paths.downloads.name) if file is not None else ():
        with contextlib.suppress(ValueError):
            row = decode_download(line)
            rows[row.file_id] = row
    return rows


def spans_of(row: IndexRow) -> Iterator[tuple[str, Span]]:
    """Yield the ranges of bytes that a row claims, by the name of their file."""
    if row.span is not None:
        yield "out", row.span
    if row.partial is not None:
        yield "partial", row.partial
    yield from row.sidecars.items()


def _groups(file: SpanFile, start: int, end: int) -> Iterator[tuple[str | None, int, int, str]]:
    """Yield runs of lines of one thread, as (thread_id, start, end, sha256)."""
    for thread_id, lines in groupby(file.lines_in(start, end), thread_of):
        digest, first = hashlib.sha256(), start
        for line in lines:
            digest.update(line)
            start += len(line)
        yield thread_id, first, start, digest.hexdigest()
