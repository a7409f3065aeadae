"""The files of an export while it is written: begun, gone on with, committed to and brought to their end.

One writer. What is finished is committed in batches: the lines are appended whole and synced, and only then does the
journal vouch for them, synced too. So whatever the journal says is in the files, wherever the power goes off.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

import threadkeep.resume as resume
import threadkeep.rewrite as rewrite
from threadkeep.account import Account, Finished
from threadkeep.clearing import clear
from threadkeep.disk import Disk, Growing, OsDisk, on_disk
from threadkeep.downloads import Downloads
from threadkeep.errors import OutputUnusable
from threadkeep.healing import Asked, heal
from threadkeep.journal import Entry, FileEntry, Header, Journal, Span, encode_line, fold
from threadkeep.jsontext import dumps_pretty
from threadkeep.manifest import Manifest, read, to_json
from threadkeep.partialfile import PartialFile
from threadkeep.paths import Paths, draft
from threadkeep.spool import Spool

__all__ = ["Finished", "OutFiles"]


class OutFiles:
    """An export that is being written.

    Attributes:
        paths: where.
        header: the journal's first line.
        left_over: the ids that the run before was asked for, and that it came to no end with.
        notices: what was done about an export that was damaged, in sentences for a person.
    """

    def __init__(self, paths: Paths, header: Header, disk: Disk, files: contextlib.ExitStack) -> None:
        self.paths = paths
        self.header = header
        self._disk = disk
        self._files = files
        self._partial = PartialFile(paths, disk, flat=header.flat)
        self.left_over: tuple[str, ...] = ()
        self.notices: tuple[str, ...] = ()
        self._account = Account(Journal(header, {}))
        self._grown: dict[Path, Growing] = {}
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
        asked: Asked | None = None,
        disk: Disk | None = None,
        is_over: Callable[[], bool] = lambda: False,
    ) -> Self:
        """Begin an export, or go on with the one that stands there.

        Args:
            paths: where.
            header: what the export is of.
            fresh: begin anew; an export that stands there is moved out of the way and kept.
            asked: which threads will be, so that a damaged export may be healed; None to refuse every damaged one.
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
            begun._go_on(asked, is_over)
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
        return self._account.journal

    @property
    def not_refreshed(self) -> Mapping[str, str]:
        """The threads that were asked for again in vain, and why. What stood of them stands."""
        return self._account.not_refreshed

    def stands(self, thread_id: str) -> bool:
        """Whether an earlier run has completed a thread, and this one has not."""
        return self._account.stands(thread_id)

    def spool(self) -> Spool:
        """A place for the lines of one thread."""
        return Spool(self.paths.out.parent)

    def downloads(self) -> Downloads:
        """The place for the files that the threads which are complete by now refer to."""
        journal = self.journal
        return Downloads(self.paths.files, self._disk, journal.files, journal.wanted_files)

    # --- going on

    def _go_on(self, asked: Asked | None, is_over: Callable[[], bool]) -> None:
        """Take up the export where its journal says that it stands; a new one stands at its beginning."""
        rewrite.roll_forward(self.paths, self._disk, self._journal)
        journal = self._headed()
        self.left_over = self._unfinished_before()
        self._account = Account(journal)
        wrong = resume.contradiction(self.paths, journal, self._disk, is_over)
        if wrong is None:
            self._partial.mend()
            self._partial.keep_tail(journal.end_offset)
            self.compact(is_over)
        else:
            left = self.left_over
            healed = heal(self.paths, journal, wrong, asked=asked, left_over=left, disk=self._disk, is_over=is_over)
            self._rewrite(healed.planned)
            self.notices = (healed.notice,)
        self._grow()
        for path in (self.paths.manifest, *self.paths.drafts):
            self._disk.remove(path)  # it spoke of the run before
        self._disk.sync_names(self.paths.out.parent)

    def _grow(self) -> None:
        """Open what grows, and take off what the journal does not vouch for."""
        ends = resume.ends(self.paths, self.journal)
        self._grown = {path: self._open(path) for path in ends}
        for path, file in self._grown.items():
            file.cut(ends[path])
            file.sync()

    def compact(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Take the lines of threads that were refreshed since out of the files.

        Args:
            is_over: asked again and again; the files are as they were then.

        Raises:
            OutputUnusable: the disk refuses, or the files have vanished or changed.
            Interrupted: it is over.
        """
        journal = self.journal
        if not journal.superseded:
            return
        with on_disk(self.paths.out):
            self._check_in_place()
            found = rewrite.standing(self.paths, journal)
            if any(entry.thread_id not in found for entry in journal.superseded):
                self._partial.keep_others(found.keys())
            self._rewrite(rewrite.plan(self.paths, self.header, journal, found), is_over)

    def _rewrite(self, planned: rewrite.Plan, is_over: Callable[[], bool] = lambda: False) -> None:
        rewrite.write(self.paths, self._disk, planned, is_over)
        for file in self._grown.values():
            file.close()
        rewrite.roll_forward(self.paths, self._disk, self._journal)
        self._account.hold(fold(b"".join(map(encode_line, (planned.header, *planned.entries)))))

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
            self._vouch(entry for entry in entries if not self._account.has(entry))
        except Exception:
            _take_back(files, marks)
            raise
        for one, entry in zip(finished, entries, strict=True):
            self._account.take(one.entry, entry)
        return entries

    def _appended(self, one: Finished) -> Entry | FileEntry:
        if isinstance(one.entry, FileEntry):
            return one.entry
        standing = self._account.in_place_of(one)
        if standing is not None:
            return standing
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

    def _check_in_place(self) -> None:
        for path, file in {**self._grown, self.paths.journal: self._journal}.items():
            with on_disk(path):
                if not file.is_in_place():
                    raise OutputUnusable(f"{path} was moved or deleted while the export was written")

    def _vouch(self, entries: Iterable[Entry | FileEntry]) -> None:
        self._check_in_place()
        with on_disk(self.paths.journal):
            self._journal.write(b"".join(map(encode_line, entries)))
            self._journal.sync()

    def add_partial(self, spool: Spool) -> None:
        """Keep the pages of a thread that was cut off. They are on the disk when this returns.

        Raises:
            OutputUnusable: the disk refuses.
        """
        with on_disk(self.paths.partial):
            self._partial.add(spool.chunks())

    # --- the end

    def finish(self, claimed: Manifest) -> None:
        """Leave in the partial file what is nowhere else, and write the manifest.

        Raises:
            OutputUnusable: the disk refuses.
        """
        with on_disk(self.paths.partial):
            self._partial.tidy({entry.thread_id for entry in self.journal.complete})
        with on_disk(self.paths.manifest):
            self._disk.put(self.paths.manifest, draft(self.paths.manifest), iter([dumps_pretty(to_json(claimed))]))

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
