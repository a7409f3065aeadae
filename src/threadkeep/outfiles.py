"""The files of an export while it is written: begun, gone on with, committed to and brought to their end.

One writer. What is finished is committed in batches: the lines are appended whole and synced, and only then does the
journal vouch for them, synced too. So whatever the journal says is in the files, wherever the power goes off.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

import threadkeep.partial as partial
import threadkeep.resume as resume
from threadkeep.clearing import clear
from threadkeep.disk import Disk, Growing, OsDisk, on_disk
from threadkeep.downloads import Downloads
from threadkeep.errors import OutputUnusable
from threadkeep.journal import Entry, FileEntry, Header, Journal, Outcome, Span, encode_line, fold
from threadkeep.jsontext import dumps_pretty
from threadkeep.manifest import Manifest, read, to_json
from threadkeep.paths import Paths, draft
from threadkeep.spool import Spool

__all__ = ["Finished", "OutFiles"]


@attrs.frozen(kw_only=True)
class Finished:
    """What became of a thread or of a file, ready to be written down.

    Attributes:
        entry: for the journal; where a thread's lines end is filled in when they are written.
        lines: its messages; None unless it is complete.
        beside: what goes into the files beside the export, by their kind.
    """

    entry: Entry | FileEntry
    lines: Spool | None = None
    beside: Mapping[str, Spool] = attrs.field(factory=dict)


class OutFiles:
    """An export that is being written.

    Attributes:
        paths: where.
        header: the journal's first line.
        left_over: the ids that the run before was asked for, and that it came to no end with.
    """

    def __init__(self, paths: Paths, header: Header, disk: Disk, files: contextlib.ExitStack) -> None:
        self.paths = paths
        self.header = header
        self._disk = disk
        self._files = files
        self.left_over: tuple[str, ...] = ()
        self._entries: dict[str, Entry] = {}
        self._file_entries: dict[str, FileEntry] = {}
        self._journal = self._open(paths.journal)
        if not self._journal.lock():
            raise OutputUnusable(f"another threadkeep is writing {paths.out}. Wait until it has ended.")

    @classmethod
    def begin(
        cls,
        paths: Paths,
        header: Header,
        *,
        fresh: bool = False,
        disk: Disk | None = None,
        is_over: Callable[[], bool] = lambda: False,
    ) -> Self:
        """Begin an export, or go on with the one that stands there.

        Args:
            paths: where.
            header: what the export is of.
            fresh: begin anew; an export that stands there is moved out of the way and kept.
            disk: what to write to; None for the real one.
            is_over: asked again and again while the lines that stand there are read, which may be gigabytes.

        Raises:
            OutputUnusable: what stands there is another export, is damaged or in use, or nothing can be written.
            Interrupted: it is over. What stood there stands as it was.
        """
        disk = disk or OsDisk()
        with contextlib.ExitStack() as files, on_disk(paths.out):
            clear(paths, disk, fresh=fresh)
            begun = cls(paths, header, disk, files)
            begun._go_on(is_over)
            begun._files = files.pop_all()
        return begun

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with on_disk(self.paths.out):
            self._files.close()

    @property
    def journal(self) -> Journal:
        """What the journal holds."""
        return Journal(self.header, dict(self._entries), files=dict(self._file_entries))

    def spool(self) -> Spool:
        """A place for the lines of one thread."""
        return Spool(self.paths.out.parent)

    def downloads(self) -> Downloads:
        """The place for the files that the threads which are complete by now refer to."""
        return Downloads(self.paths.files, self._disk, dict(self._file_entries), self.journal.wanted_files)

    # --- going on

    def _go_on(self, is_over: Callable[[], bool]) -> None:
        """Take up the export where its journal says that it stands; a new one stands at its beginning."""
        journal = self._headed()
        self._entries, self._file_entries = dict(journal.entries), dict(journal.files)
        ends = resume.ends(self.paths, journal)
        resume.verify(self.paths, journal, self._disk, is_over)
        self._mend_partial()
        self._keep_tail(ends[self.paths.out])
        self._grown = {path: self._open(path) for path in ends}
        for path, file in self._grown.items():
            file.cut(ends[path])
            file.sync()
        self.left_over = self._unfinished_before()
        for path in (self.paths.manifest, *self.paths.drafts):
            self._disk.remove(path)  # it spoke of the run before
        self._disk.sync_names(self.paths.out.parent)

    def _headed(self) -> Journal:
        """The journal, with its header checked or written, and without what a crash left at its end."""
        with self._disk.read(self.paths.journal) as file:
            content = file.read()
        journal, line = fold(content), encode_line(self.header)
        if resume.is_unbegun(content, line) and not self._disk.exists(self.paths.out):
            self._journal.cut(0)
            self._journal.write(line)
            journal = fold(line)
        self.header = resume.check(self.paths, journal, self.header)
        self._journal.cut(journal.end)
        self._journal.sync()
        return journal

    def _unfinished_before(self) -> tuple[str, ...]:
        if not self._disk.exists(self.paths.manifest):
            return ()
        with self._disk.read(self.paths.manifest) as file, contextlib.suppress(ValueError):
            return read(file.read()).unfinished
        return ()

    def _mend_partial(self) -> None:
        """Take back a line that a crash left half written, so that the next one does not go on from it."""
        if self._disk.exists(self.paths.partial):
            with self._disk.read(self.paths.partial) as file:
                whole = sum(len(line) for line in file if line.endswith(b"\n"))
            with contextlib.closing(self._disk.grow(self.paths.partial)) as growing:
                growing.cut(whole)

    def _keep_tail(self, end: int) -> None:
        """Put what stands behind the journal's end into the partial file: it may never be given again."""
        if self.header.flat or not self._disk.exists(self.paths.out):
            return  # a flat line is too little for the partial file
        with self._disk.read(self.paths.out) as file:
            file.seek(end)
            self._add_partial(partial.records(file))

    # --- writing

    def commit(self, finished: Sequence[Finished]) -> tuple[Entry | FileEntry, ...]:
        """Write down what became of some threads and files, whole and for good.

        Returns:
            Their entries as they stand in the journal.

        Raises:
            OutputUnusable: the disk refuses, or the files have vanished; nothing of the batch is in them then.
        """
        files = [self._journal, *self._grown.values()]
        marks = [file.end for file in files]
        try:
            entries = tuple(self._appended(one) for one in finished)
            if any(one.lines is not None for one in finished):
                self._sync_lines()
            self._vouch(entries)
        except Exception:
            _take_back(files, marks)
            raise
        for entry in entries:
            self._remember(entry)
        return entries

    def _remember(self, entry: Entry | FileEntry) -> None:
        """The last entry counts, and stands where it was written."""
        if isinstance(entry, FileEntry):
            self._file_entries.pop(entry.file_id, None)
            self._file_entries[entry.file_id] = entry
        else:
            self._entries.pop(entry.thread_id, None)
            self._entries[entry.thread_id] = entry

    def _appended(self, one: Finished) -> Entry | FileEntry:
        if isinstance(one.entry, FileEntry):
            return one.entry
        spans = {kind: self._append(self.paths.beside(kind), spool) for kind, spool in one.beside.items()}
        if one.lines is None:
            return attrs.evolve(one.entry, end_offset=self._grown[self.paths.out].end)
        span = self._append(self.paths.out, one.lines)
        return attrs.evolve(one.entry, end_offset=span.end_offset, sha256=span.sha256, beside=spans)

    def _append(self, path: Path, spool: Spool) -> Span:
        file = self._grown[path]
        with on_disk(path):
            for chunk in spool.chunks():
                file.write(chunk)
        return Span(lines=spool.lines, end_offset=file.end, sha256=spool.sha256)

    def _sync_lines(self) -> None:
        for path, file in self._grown.items():
            with on_disk(path):
                file.sync()

    def _vouch(self, entries: Iterable[Entry | FileEntry]) -> None:
        for path, file in {**self._grown, self.paths.journal: self._journal}.items():
            with on_disk(path):
                if not file.is_in_place():
                    raise OutputUnusable(f"{path} was moved or deleted while the export was written")
        with on_disk(self.paths.journal):
            self._journal.write(b"".join(map(encode_line, entries)))
            self._journal.sync()

    def add_partial(self, spool: Spool) -> None:
        """Keep the pages of a thread that was cut off. They are on the disk when this returns.

        Raises:
            OutputUnusable: the disk refuses.
        """
        with on_disk(self.paths.partial):
            self._add_partial(spool.chunks())

    def _add_partial(self, chunks: Iterator[bytes]) -> None:
        first = next(chunks, None)
        if first is None:
            return
        with contextlib.closing(self._disk.grow(self.paths.partial)) as file:
            file.write(first)
            for chunk in chunks:
                file.write(chunk)
            file.sync()
        self._disk.sync_names(self.paths.partial.parent)

    # --- the end

    def finish(self, claimed: Manifest) -> None:
        """Leave in the partial file what is nowhere else, and write the manifest.

        Raises:
            OutputUnusable: the disk refuses.
        """
        with on_disk(self.paths.partial):
            self._tidy_partial()
        with on_disk(self.paths.manifest):
            self._put(self.paths.manifest, iter([dumps_pretty(to_json(claimed))]))

    def _tidy_partial(self) -> None:
        if not self._disk.exists(self.paths.partial):
            return
        complete = {entry.thread_id for entry in self._entries.values() if entry.outcome is Outcome.COMPLETE}
        with self._disk.read(self.paths.partial) as file:
            kept = partial.newest(file, complete)
            if kept:
                self._put(self.paths.partial, partial.lines_at(file, kept))
        if not kept:
            self._disk.remove(self.paths.partial)

    def _put(self, path: Path, chunks: Iterator[bytes]) -> None:
        self._disk.put(path, draft(path), chunks)

    def _open(self, path: Path) -> Growing:
        with on_disk(path):
            file = self._disk.grow(path)
        self._files.callback(file.close)
        return file


def _take_back(files: Sequence[Growing], marks: Sequence[int]) -> None:
    """Cut what a full disk let us write, as far as it lets us; each before the next, the journal first.

    While the journal may still vouch for lines on the disk, they must stay.
    """
    with contextlib.suppress(OSError):
        for file, mark in zip(files, marks, strict=True):
            file.cut(mark)
            file.sync()
