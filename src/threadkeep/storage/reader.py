"""Read an export: its records, its threads, what is next to them. The one reader; it needs no network and no SDK."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

import attrs

from threadkeep.arguments import A_PATH, refuse_wrong_types
from threadkeep.errors import MalformedLine, OutputUnusable
from threadkeep.records.model import MessageRecord
from threadkeep.records.ndjson import decode
from threadkeep.serialization.lossless_json import loads
from threadkeep.storage.file_set import FileSet, faults_of, open_file_set
from threadkeep.storage.index import DownloadOutcome, DownloadRow, IndexRow, Outcome, Span, decode_download, decode_row
from threadkeep.storage.lines import blocks, digest_of, lines_in, refuse_endless
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.not_exports import refuse_no_export
from threadkeep.storage.pages import PageRecords, files_of_page, pages_in
from threadkeep.storage.paths import Paths
from threadkeep.storage.spans import thread_of

__all__ = ["Export", "ExportedThread", "Records", "ThreadRecords", "read"]


def read(path: str | os.PathLike[str]) -> "Export":
    """Open an export to read it. Nothing is held in memory but the message at hand.

    A bare NDJSON file, without an index next to it, is read too, by one pass: its threads are runs of lines of one
    thread. So is a folder of Markdown pages, as ``threadkeep convert`` writes it. While an export is at work, its last
    written files are read.

    Args:
        path: the path of OUT.

    Returns:
        The export. Close it, or use it in a ``with`` statement.

    Raises:
        OutputUnusable: there is no such export, or the file is plainly none, or not a regular file.
        TypeError: ``path`` is no path.
    """
    refuse_wrong_types(locals(), {"path": A_PATH})
    path = Path(path)
    if path.name and path.is_dir() and (path / "index.md").exists():
        return _Pages(path)
    refuse_no_export(path)
    return Export(path)


class ThreadRecords(Protocol):
    """The messages of one thread, read each time that they are iterated.

    Attributes:
        name: of the file that they are in.
    """

    @property
    def name(self) -> str:
        """The name of the file that they are in."""

    def __iter__(self) -> Iterator[MessageRecord]:
        """Yield them."""

    def lines(self) -> Iterator[bytes]:
        """Yield their lines, without newlines, to somebody who needs no records."""


@attrs.frozen
class Records:
    """The messages of one thread, read each time that they are iterated."""

    _file: BinaryIO | None
    name: str  # of that file
    _span: Span | None
    _export: "Export"  # its files are open as long as anybody may read them

    def __iter__(self) -> Iterator[MessageRecord]:
        if self._file is not None and self._span is not None:
            for line in lines_in(self._file, self.name, self._span.offset, self._span.end):
                if line.strip():
                    yield _record(line, self.name)

    def lines(self) -> Iterator[bytes]:
        """Yield their lines, without newlines, to somebody who needs no records. Blank lines are left out.

        Raises:
            OutputUnusable: a line is longer than `threadkeep.storage.lines.LINE_LIMIT`.
        """
        if self._file is not None and self._span is not None:
            for block in blocks(self._file, self.name, self._span.offset, self._span.end):
                for line in block.split(b"\n"):
                    if line and not line.isspace():
                        yield line

    def is_as_written(self) -> bool:
        """Return whether the lines have the digest of the index, as far as there is one. Nobody else may read now."""
        span, file = self._span, self._file
        return not (span and file and span.sha256) or digest_of(file, span.offset, span.end) == span.sha256


@attrs.frozen(kw_only=True)
class ExportedThread:
    """A thread of an export.

    Attributes:
        assistant_id: the assistant that it is exported for; None where that is not known.
        outcome: what became of it; None in a file without an index.
        reason: why it is not complete.
        messages: its messages in the server's order; of a thread that is not complete, those that came.
        thread: the thread object as the API gave it, with its metadata; None where it was not saved.
        files: where the files are that it refers to, by their ids, as far as they were downloaded.
        not_saved: what became of the other files that it refers to, likewise; none in a file without an index.
    """

    thread_id: str
    assistant_id: str | None
    outcome: Outcome | None
    reason: str | None = None
    messages: ThreadRecords
    thread: Mapping[str, Any] | None = None
    files: Mapping[str, Path] = attrs.field(factory=dict)
    not_saved: Mapping[str, DownloadRow] = attrs.field(factory=dict)
    _runs: Callable[[], Iterable[Mapping[str, Any]]] = attrs.field(default=tuple, repr=False, eq=False)

    @property
    def runs(self) -> tuple[Mapping[str, Any], ...]:
        """Its runs, each ``{"thread_id", "run_id", "run", "steps"}``, read from the disk; none where none were saved.

        Raises:
            MalformedLine, OutputUnusable: as reading the messages does.
        """
        return tuple(self._runs())


def _is_saved(row: DownloadRow) -> bool:
    return row.outcome is DownloadOutcome.SAVED and row.name is not None


def _why_nothing_is_there(paths: Paths) -> str:
    if paths.store.exists():
        return (
            f"{paths.out} is not written yet: a run was cut off, or is at work. The same export command resumes it, and"
            " `threadkeep write` writes what it has fetched."
        )
    return f"{paths.out} does not exist, and there is no index next to it. Check the path."


class Export:
    """An export that is open. Iterate it for its records, in the order of OUT.

    Attributes:
        path: of OUT.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened = contextlib.ExitStack()
        self._set: FileSet = self._opened.enter_context(open_file_set(Paths(path)))
        self._read_downloads: dict[str, DownloadRow] | None = None
        self._places: dict[str, int] | None = None
        bare = None if self._set.has_index else self._set.files.get("out")
        try:
            if bare is not None:
                refuse_endless(bare, path.name)
            elif not self._set.has_index:
                raise OutputUnusable(_why_nothing_is_there(Paths(path)))
        except OutputUnusable:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its files."""
        self._opened.close()

    @property
    def manifest(self) -> Manifest | None:
        """Its manifest; None when there is none, or it cannot be read."""
        return self._set.manifest

    @property
    def faults(self) -> Mapping[str, str]:
        """The files of it that are not there, or have not the size that its manifest says, each with words."""
        return {name: fault for name, fault in faults_of(self._set) if name is not None}

    def __iter__(self) -> Iterator[MessageRecord]:
        """Yield every record of OUT.

        Raises:
            MalformedLine: a line is no record; the message names its number.
            OutputUnusable: the file is no NDJSON, or cannot be read.
        """
        file = self._set.files.get("out")
        for number, line in enumerate(lines_in(file, self.path.name) if file is not None else (), 1):
            if line.strip():
                yield _record(line, f"line {number} of {self.path.name}")

    def threads(self) -> Iterator[ExportedThread]:
        """Yield its threads in the order of the index, those that are not complete too.

        Raises:
            MalformedLine, OutputUnusable: as iterating does.
        """
        if not self._set.has_index:
            yield from self._threads_of_lines()
        for row, _ in self._rows():
            yield self._thread(row)

    def __getitem__(self, thread_id: str) -> ExportedThread:
        """Return one thread. The first call reads the index once, and remembers where each row is.

        Raises:
            KeyError: the export does not know the thread.
        """
        if not self._set.has_index:
            for thread in self._threads_of_lines():
                if thread.thread_id == thread_id:
                    return thread
            raise KeyError(thread_id)
        if self._places is None:
            self._places = {}
            for row, start in self._rows():
                self._places.setdefault(row.thread_id, start)
        index = self._set.files["index"]
        line = next(lines_in(index, self._set.paths.index.name, self._places[thread_id]))
        return self._thread(decode_row(line))

    def _rows(self) -> Iterator[tuple[IndexRow, int]]:
        """The rows of the index, each with the byte at which its line begins; none without an index."""
        index, start = self._set.files.get("index"), 0
        for line in lines_in(index, self._set.paths.index.name) if index is not None else ():
            if start:
                with contextlib.suppress(ValueError):
                    yield decode_row(line), start
            start += len(line)

    def _thread(self, row: IndexRow) -> ExportedThread:
        is_complete = row.outcome is Outcome.COMPLETE
        name = "out" if is_complete else "partial"
        span = row.span if is_complete else row.partial
        messages = Records(self._set.files.get(name), self._set.paths.written[name].name, span, self)
        thread = next((value.get("thread") for value in self._sidecar(row, "threads")), None)
        downloads = {file_id: self._download(file_id) for file_id in row.files}
        return ExportedThread(
            thread_id=row.thread_id,
            assistant_id=row.assistant_id,
            outcome=row.outcome,
            reason=row.reason,
            messages=messages,
            thread=thread,
            runs=lambda: self._sidecar(row, "runs"),
            files={
                one.file_id: self._set.paths.files / Path(one.name or "").name
                for one in downloads.values()
                if _is_saved(one)
            },
            not_saved={file_id: one for file_id, one in downloads.items() if not _is_saved(one)},
        )

    def _sidecar(self, row: IndexRow, kind: str) -> Iterator[Mapping[str, Any]]:
        span, file = row.sidecars.get(kind), self._set.files.get(kind)
        if span is None or file is None:
            return
        for line in lines_in(file, self._set.paths.written[kind].name, span.offset, span.end):
            try:
                value = loads(line)
            except ValueError as error:
                raise MalformedLine("malformed_line", f"a line of {kind} is not JSON: {error}") from None
            if isinstance(value, dict):
                yield value

    def _download(self, file_id: str) -> DownloadRow:
        """Return what became of a file. One that the list does not have was not asked for."""
        if self._read_downloads is None:
            self._read_downloads = {}
            file = self._set.files.get("downloads")
            for line in lines_in(file, self._set.paths.written["downloads"].name) if file is not None else ():
                with contextlib.suppress(ValueError):
                    row = decode_download(line)
                    self._read_downloads[row.file_id] = row
        return self._read_downloads.get(file_id) or DownloadRow(file_id=file_id, outcome=DownloadOutcome.UNFINISHED)

    def _threads_of_lines(self) -> Iterator[ExportedThread]:
        """The threads of a file without an index: runs of lines of one thread.

        Of each only the first line is decoded, since to decode all of them twice takes twice the time.
        """
        file = self._set.files["out"]
        start = place = 0
        first: MessageRecord | None = None
        for number, line in enumerate(lines_in(file, self.path.name), 1):
            if line.strip() and (first is None or thread_of(line) != first.thread_id):
                record = _record(line, f"line {number} of {self.path.name}")
                if first is not None and record.thread_id != first.thread_id:
                    yield self._bare(file, first, start, place)
                    first, start = record, place
                first = first or record
            place += len(line)
        if first is not None:
            yield self._bare(file, first, start, place)

    def _bare(self, file: BinaryIO, first: MessageRecord, start: int, end: int) -> ExportedThread:
        messages = Records(file, self.path.name, Span(start, end - start, ""), self)
        return ExportedThread(
            thread_id=first.thread_id, assistant_id=first.assistant_id, outcome=None, messages=messages
        )


class _Pages(Export):
    """A folder of Markdown pages. It is read anew at each call, and is an `OutputUnusable` where it is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        next(pages_in(path), None)  # refuse another folder now

    def close(self) -> None:
        """Close nothing: a page is open while it is read."""

    @property
    def manifest(self) -> None:
        """There is none."""

    @property
    def faults(self) -> Mapping[str, str]:
        """Each page proves itself when it is read."""
        return {}

    def __iter__(self) -> Iterator[MessageRecord]:
        for messages in pages_in(self.path):
            yield from messages

    def threads(self) -> Iterator[ExportedThread]:
        return map(_thread_of_page, pages_in(self.path))

    def __getitem__(self, thread_id: str) -> ExportedThread:
        for messages in pages_in(self.path):
            if messages.page.thread_id == thread_id:
                return _thread_of_page(messages)
        raise KeyError(thread_id)


def _thread_of_page(messages: PageRecords) -> ExportedThread:
    page = messages.page
    return ExportedThread(
        thread_id=page.thread_id,
        assistant_id=page.assistant_id,
        outcome=None,
        messages=messages,
        thread=page.thread,
        files=files_of_page(messages),
    )


def _record(line: bytes, where: str) -> MessageRecord:
    try:
        return decode(line.removesuffix(b"\n"))
    except MalformedLine as error:
        raise MalformedLine(error.code, f"{where}: {error.what}", error.path) from None
