"""The files of an export while it is written: begun, gone on with, committed to and brought to their end.

One writer. What is finished is committed in batches.
"""

import contextlib
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

import attrs

import threadkeep.resume as resume
import threadkeep.rewrite as rewrite
from threadkeep.account import Account, Finished
from threadkeep.clearing import clear
from threadkeep.disk import Disk, OsDisk, on_disk
from threadkeep.growing import GrowingFiles
from threadkeep.healing import Asked, diagnose, heal
from threadkeep.journal import Entry, FileEntry, Header, Journal, encode_line, fold
from threadkeep.kept import Exported
from threadkeep.partial import unlike
from threadkeep.partialfile import PartialFile
from threadkeep.serialization.lossless_json import dumps_pretty
from threadkeep.spool import Spool
from threadkeep.storage.manifest import Manifest, to_json
from threadkeep.storage.paths import Paths, draft
from threadkeep.wantedfile import WantedFile
from threadkeep.wounds import strangers

if TYPE_CHECKING:
    from threadkeep.exporter.files import Downloads

__all__ = ["Finished", "OutFiles"]


class OutFiles:
    """An export that is being written.

    Attributes:
        paths: where.
        header: the journal's first line.
        left_over: the ids that the run before was asked for, and that it came to no end with.
        notices: what was done about an export that was damaged, in sentences for a person.
    """

    def __init__(self, paths: Paths, header: Header, disk: Disk, files: GrowingFiles) -> None:
        self.paths = paths
        self.header = header
        self.left_over: tuple[str, ...] = ()
        self.notices: tuple[str, ...] = ()
        self._disk = disk
        self._files = files
        self._partial = PartialFile(paths, disk, flat=header.flat)
        self._wanted = WantedFile(paths, disk)
        self._account = Account(Journal(header, {}))
        self._exported = Exported(paths, self._account, disk)

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
        with contextlib.ExitStack() as opened, on_disk(paths.out):
            clear(paths, disk, fresh=fresh)
            files = opened.enter_context(contextlib.closing(GrowingFiles(paths, disk)))
            files.lock()
            begun = cls(paths, header, disk, files)
            begun._go_on(asked, is_over)
            opened.pop_all()
        return begun

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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

    def downloads(self) -> "Downloads":
        """The place for the files that the threads which are complete by now refer to."""
        journal = self.journal
        from threadkeep.exporter.files import Downloads

        return Downloads(self.paths.files, self._disk, journal.files, journal.wanted_files)

    # --- going on

    def _go_on(self, asked: Asked | None, is_over: Callable[[], bool]) -> None:
        """Take up the export where its journal says that it stands; a new one stands at its beginning.

        First it is found out whether that can be. Then what is wanted is made safe, and only then anything is changed:
        a kill at any point leaves every id in the journal, in the manifest or in the wanted file.
        """
        self._wanted.check()
        rewrite.roll_forward(self.paths, self._disk, self._files.journal)
        journal = self._headed(asked)
        if self._wanted.were_more_than(journal.entries):  # it has lost lines: whose, only the export can tell
            lost = strangers(self.paths, journal, self._disk, is_over)
            self.left_over = tuple(dict.fromkeys((*self.left_over, *lost)))
        self._account.hold(journal)
        wrong = resume.contradiction(self.paths, journal, self._disk, is_over)
        if wrong is None:
            self._keep_wanted(asked, journal.entries)
            self._partial.mend()
            self._partial.keep_tail(journal.end_offset)
            self.compact(is_over)
        else:
            self._heal(journal, wrong, asked, is_over)
        self._files.open(resume.ends(self.paths, self.journal))
        for path in (self.paths.manifest, *self.paths.drafts):
            self._disk.remove(path)  # it spoke of the run before
        self._disk.sync_names(self.paths.out.parent)

    def _heal(self, journal: Journal, wrong: resume.Stretch, asked: Asked | None, is_over: Callable[[], bool]) -> None:
        """The damaged threads are asked for, or else it is not done; so their ids are among those that are kept."""
        left, disk = self.left_over, self._disk
        found = diagnose(self.paths, journal, wrong, asked=asked, left_over=left, disk=disk, is_over=is_over)
        known = {entry.thread_id for entry in found.planned.entries if isinstance(entry, Entry)}
        self.notices = (heal(self.paths, found, disk, lambda: self._keep_wanted(asked, known)),)
        self._take_over(found.planned)

    def _keep_wanted(self, asked: Asked | None, known: Collection[str]) -> None:
        asked = asked or Asked(frozenset())
        self._wanted.keep([*self.left_over, *sorted(asked.ids)], {*known, *asked.left_out})

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
            self._files.check_in_place()
            found = rewrite.standing(self.paths, journal)
            if any(entry.thread_id not in found for entry in journal.superseded):
                self._partial.keep_others(found.keys())
            planned = rewrite.plan(self.paths, self.header, journal, found)
            rewrite.write(self.paths, self._disk, planned, is_over)
            self._take_over(planned)

    def _take_over(self, planned: rewrite.Plan) -> None:
        """Bring to its end what was written anew."""
        self._files.let_go()
        rewrite.roll_forward(self.paths, self._disk, self._files.journal)
        self._account.hold(fold(b"".join(map(encode_line, (planned.header, *planned.entries)))))

    def _headed(self, asked: Asked | None) -> Journal:
        """The journal, with its header checked or written, and without what a crash left at its end."""
        with self._disk.read(self.paths.journal) as file:
            content = file.read()
        journal, line = fold(content), encode_line(self.header)
        self.left_over = self._wanted.left_over(journal.entries)
        if resume.is_unbegun(content, line) and self._has_no_lines():
            self._keep_wanted(asked, ())
            self._files.journal.cut(0)
            self._files.journal.write(line)
            journal = fold(line)
        self.header = resume.check(self.paths, journal, self.header)
        self._files.journal.cut(journal.end)
        self._files.journal.sync()
        return journal

    def _has_no_lines(self) -> bool:
        if not self._disk.exists(self.paths.out):
            return True
        with self._disk.read(self.paths.out) as file:
            return not file.read(1)

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
            entries = self._committed([self._exported.with_what_vanished(one, opened) for one in finished])
        for one, entry in zip(finished, entries, strict=True):
            self._account.take(one.entry, entry)
        return entries

    def _committed(self, finished: Sequence[Finished]) -> tuple[Entry | FileEntry, ...]:
        with self._files.all_or_nothing():
            entries = tuple(self._appended(one) for one in finished)
            if any(one.lines is not None for one in finished):
                self._files.sync()
            self._files.vouch(b"".join(encode_line(entry) for entry in entries if not self._account.has(entry)))
        return entries

    def _appended(self, one: Finished) -> Entry | FileEntry:
        if isinstance(one.entry, FileEntry):
            return one.entry
        standing = self._account.in_place_of(one)
        if standing is not None:
            return standing
        spans = {kind: self._files.append(self.paths.beside(kind), spool) for kind, spool in one.beside.items()}
        if one.lines is None:
            return attrs.evolve(one.entry, end_offset=self._files.end(self.paths.out))
        span = self._files.append(self.paths.out, one.lines)
        return attrs.evolve(one.entry, end_offset=span.end_offset, sha256=span.sha256, beside=spans)

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
        known = frozenset[str]() if thread_id is None else self._exported.ids(thread_id).keys()
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
            self._partial.tidy(functools.cache(self._exported.ids))
        with on_disk(self.paths.manifest):
            content = iter([dumps_pretty(to_json(claimed))])
            self._disk.put(self.paths.manifest, draft(self.paths.manifest), content, like=self.paths.out)
            self._wanted.remove()
