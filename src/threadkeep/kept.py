"""What an export holds of its threads, and keeps when a thread is written down anew and the server has less of it.

Messages are deleted, and an API that is being switched off may give empty lists: of messages, of runs, of the steps of
one, or of what a message holds. What was exported once stays.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, BinaryIO

import attrs

from threadkeep.account import Account, Finished
from threadkeep.disk import Disk, on_disk
from threadkeep.errors import OutputUnusable
from threadkeep.journal import Entry
from threadkeep.records.content import is_blank
from threadkeep.resume import Stretch, chunks
from threadkeep.rewrite import Standing, standing
from threadkeep.serialization.lossless_json import loads
from threadkeep.spool import Spool
from threadkeep.storage.merge import FULLER, merged
from threadkeep.storage.paths import Paths

__all__ = ["Exported"]

_At = tuple[IO[bytes], int, int]  # a file, and where in it a line begins and ends
_Rows = list[tuple[str, _At]]


class Exported:
    """What an export that is being written has of its complete threads.

    Args:
        paths: of the export.
        account: what its journal says by now.
        disk: what it is on.
    """

    def __init__(self, paths: Paths, account: Account, disk: Disk) -> None:
        self._paths, self._account, self._disk = paths, account, disk
        self._entries: Mapping[str, Entry] = {}  # those that the places were worked out from
        self._places: Standing = {}

    def stretches(self, thread_id: str) -> Sequence[Stretch]:
        """Where the lines of a thread are, its messages first; nowhere, unless it is complete.

        All places are worked out at once, and anew when it was written since.
        """
        entry = self._account.complete(thread_id)
        if entry is None:
            return ()
        if self._entries.get(thread_id) is not entry:
            journal = self._account.journal
            self._entries, self._places = journal.entries, standing(self._paths, journal)
        return self._places[thread_id]

    def ids(self, thread_id: str) -> Mapping[str, bool]:
        """The ids of the messages that it has of a thread, each with whether it is blank.

        None where they cannot be read: who asks keeps all then.
        """
        with contextlib.suppress(OutputUnusable):
            for stretch in self.stretches(thread_id)[:1]:
                return self._ids_in(stretch)
        return {}

    def with_what_vanished(self, one: Finished, opened: contextlib.ExitStack) -> Finished:
        """Give a complete thread with what only its old version has put back: messages and runs, or what they held.

        Args:
            one: what became of a thread, or of a file; where no lines give way to it, it is given back as it is.
            opened: closes the new spools in the end.

        Raises:
            OutputUnusable: the old lines were changed since, or the disk refuses.
        """
        before = self._account.before(one)
        if before is None:
            return one
        assert isinstance(one.entry, Entry)
        assert one.lines is not None
        old = {stretch.path: stretch for stretch in self.stretches(before.thread_id)}
        lines = self._joined(one.lines, old[self._paths.out], "message_id", opened)
        beside = dict(one.beside)
        runs = old.get(self._paths.beside("runs"))
        if runs is not None and "runs" in beside:
            beside["runs"] = self._joined(beside["runs"], runs, "run_id", opened)
        if lines is one.lines and all(beside[kind] is spool for kind, spool in one.beside.items()):
            return one
        entry = attrs.evolve(
            one.entry,
            messages=lines.lines,
            first_id=lines.first_id,
            last_id=lines.last_id,
            files=tuple(dict.fromkeys((*before.files, *one.entry.files))),
        )
        return Finished(entry=entry, lines=lines, beside=beside)

    def _joined(self, new: Spool, old: Stretch, key: str, opened: contextlib.ExitStack) -> Spool:
        """The new lines themselves where nothing has vanished."""
        if old.is_empty or new.sha256 == old.sha256:
            return new
        joined = Spool(self._paths.out.parent)
        opened.callback(joined.close)
        with self._read(old) as file:
            before = _rows_of(old, file, key)
            was = dict(before)
            for row_id, at in merged(before, _rows(new.file, 0, key)):
                line = _line(at)
                joined.add([row_id], [FULLER[key](_line(was[row_id]), line) if row_id in was else line])
        return new if joined.sha256 == new.sha256 else joined

    def _ids_in(self, stretch: Stretch) -> Mapping[str, bool]:
        if stretch.is_empty:
            return {}
        with self._read(stretch) as file:
            return {row_id: _is_blank(_line(at)) for row_id, at in _rows_of(stretch, file, "message_id")}

    @contextlib.contextmanager
    def _read(self, stretch: Stretch) -> Iterator[BinaryIO]:
        with on_disk(stretch.path), self._disk.read(stretch.path) as file:
            yield file


def _rows_of(stretch: Stretch, file: BinaryIO, key: str) -> _Rows:
    digest = hashlib.sha256()
    file.seek(stretch.start)
    for chunk, _ in chunks(file, stretch.start, stretch.end):
        digest.update(chunk)
    if digest.hexdigest() != stretch.sha256:
        raise OutputUnusable(f"{stretch.path} was changed by somebody else while {stretch.thread_id} was refreshed")
    return _rows(file, stretch.start, key, stretch.lines)


def _rows(file: IO[bytes], start: int, key: str, most: int | None = None) -> _Rows:
    """Lines that are JSON objects, as whoever wrote them knows."""
    return [(loads(line)[key], (file, place, end)) for line, place, end in _lines(file, start, most)]


def _is_blank(line: bytes) -> bool:
    row = loads(line)
    return is_blank(row["message"]) if "message" in row else not row["text"].strip()


def _line(at: _At) -> bytes:
    """Without its newline."""
    file, start, end = at
    file.seek(start)
    return file.read(end - start - 1)


def _lines(file: IO[bytes], start: int, most: int | None) -> Iterator[tuple[bytes, int, int]]:
    file.seek(start)
    number = 0
    while number != most and (line := file.readline()):
        yield line, start, start + len(line)
        start, number = start + len(line), number + 1
