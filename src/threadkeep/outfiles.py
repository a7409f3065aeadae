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

import threadkeep.kept as kept
import threadkeep.resume as resume
import threadkeep.rewrite as rewrite
import threadkeep.wanted as wanted
from threadkeep.account import Account, Finished
from threadkeep.clearing import clear
from threadkeep.disk import Disk, Growing, OsDisk, on_disk
from threadkeep.downloads import Downloads
from threadkeep.errors import OutputUnusable
from threadkeep.healing import Asked, heal
from threadkeep.journal import Entry, FileEntry, Header, Journal, Span, encode_line, fold
from threadkeep.jsontext import dumps_pretty
from threadkeep.manifest import Manifest, read, to_json
from threadkeep.partial import unlike
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
        self._found: rewrite.Standing | None = None  # where the threads of the runs before are, once that is asked
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
        self.left_over = self._unfinished_before(journal)
        self._account = Account(journal)
        wrong = resume.contradiction(self.paths, journal, self._disk, is_over)
        if wrong is None:
            self._partial.mend()
            self._partial.keep_tail(journal.end_offset)
            self.compact(is_over)
        else:
            left = self.left_over
            healed = heal(self.paths, journal, wrong, asked=asked, left_over=left, disk=self._disk, is_over=is_over)
            self._take_over(healed.planned)
            self.notices = (healed.notice,)
        self._grow()
        self._keep_wanted(asked or Asked(frozenset()))
        for path in (self.paths.manifest, *self.paths.drafts):
            self._disk.remove(path)  # it spoke of the run before
        self._disk.sync_names(self.paths.out.parent)

    def _keep_wanted(self, asked: Asked) -> None:
        """Before the manifest goes: a kill from now on loses none of the ids that somebody has asked for."""
        known = {*self.journal.entries, *asked.left_out}
        ids = [one for one in dict.fromkeys([*self.left_over, *sorted(asked.ids)]) if one not in known]
        if ids:
            self._disk.put(self.paths.wanted, draft(self.paths.wanted), iter([wanted.encode(ids)]), like=self.paths.out)
        else:
            self._disk.remove(self.paths.wanted)

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

    def _rewrite(self, planned: rewrite.Plan, is_over: Callable[[], bool]) -> None:
        rewrite.write(self.paths, self._disk, planned, is_over)
        self._take_over(planned)

    def _take_over(self, planned: rewrite.Plan) -> None:
        """Bring to its end what was written anew."""
        for file in self._grown.values():
            file.close()
        rewrite.roll_forward(self.paths, self._disk, self._journal)
        self._account.hold(fold(b"".join(map(encode_line, (planned.header, *planned.entries)))))
        self._found = None

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

    def _unfinished_before(self, journal: Journal) -> tuple[str, ...]:
        """By the manifest, or by what was kept for want of one; after a kill between the two, by both."""
        ids: list[str] = []
        readers = {self.paths.manifest: lambda content: read(content).unfinished, self.paths.wanted: wanted.read}
        for path, read_ids in readers.items():
            if self._disk.exists(path):
                with self._disk.read(path) as file, contextlib.suppress(ValueError):
                    ids += read_ids(file.read())
        return tuple(one for one in dict.fromkeys(ids) if one not in journal.entries)

    # --- writing

    def commit(self, finished: Sequence[Finished]) -> tuple[Entry | FileEntry, ...]:
        """Write down what became of some threads and files, whole and for good.

        A thread that takes the place of its older version keeps what of that the server has no longer.

        Returns:
            Their entries as they stand in the journal.

        Raises:
            OutputUnusable: the disk refuses, or the files have vanished; nothing of the batch is in them then.
        """
        with contextlib.ExitStack() as opened:
            entries = self._committed([self._with_what_vanished(one, opened) for one in finished])
        for one, entry in zip(finished, entries, strict=True):
            self._account.take(one.entry, entry)
        return entries

    def _with_what_vanished(self, one: Finished, opened: contextlib.ExitStack) -> Finished:
        standing = self._account.before(one)
        if standing is None:
            return one
        found = self._where(standing.thread_id)
        return kept.with_what_vanished(one, standing, found, self.paths, self._disk, opened)

    def _where(self, thread_id: str) -> Sequence[resume.Stretch]:
        """The stretches of a complete thread. Those that this run has written are looked for anew."""
        if self._found is None or not self.stands(thread_id):
            self._found = rewrite.standing(self.paths, self.journal)
        return self._found[thread_id]

    def _committed(self, finished: Sequence[Finished]) -> tuple[Entry | FileEntry, ...]:
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

    def add_partial(self, spool: Spool, thread_id: str | None = None) -> int:
        """Keep the pages of a thread that was cut off. They are on the disk when this returns.

        Args:
            spool: its full lines.
            thread_id: of a thread that stands in the export from a run before: what it has there is left out.

        Returns:
            How many messages are kept.

        Raises:
            OutputUnusable: the disk refuses.
        """
        known = frozenset[str]()
        with contextlib.suppress(OutputUnusable):  # when the export cannot be read, all is kept
            known = known if thread_id is None else kept.ids_in(self._where(thread_id)[0], self._disk)
        count = sum(1 for _ in unlike(spool.file, known)) if known else spool.lines
        with on_disk(self.paths.partial):
            self._partial.add(unlike(spool.file, known) if known else spool.chunks())
        return count

    # --- the end

    def finish(self, claimed: Manifest) -> None:
        """Leave in the partial file what is nowhere else, and write the manifest.

        Raises:
            OutputUnusable: the disk refuses.
        """
        with on_disk(self.paths.partial):
            self._partial.tidy(kept.Exported(self.paths, self.journal, self._disk))
        with on_disk(self.paths.manifest):
            content = iter([dumps_pretty(to_json(claimed))])
            self._disk.put(self.paths.manifest, draft(self.paths.manifest), content, like=self.paths.out)
            self._disk.remove(self.paths.wanted)  # the manifest says of each what became of it

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
