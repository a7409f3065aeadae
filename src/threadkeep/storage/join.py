"""Many exports as one: the threads of all of them, each once, in one order. The exports are only read.

Where several have a thread, or a file, `threadkeep.storage.versions` says what is written of it. What comes of it does
not depend on the order of the exports.
"""

import contextlib
import resource
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import attrs
import msgspec

from threadkeep.errors import OutputUnusable
from threadkeep.serialization.thread_ids import is_thread_id
from threadkeep.storage.combine import ThreadToWrite
from threadkeep.storage.file_set import FileSet, open_file_set
from threadkeep.storage.index import (
    AUTO,
    SEVERAL_SOURCES,
    DownloadOutcome,
    DownloadRow,
    IndexHeader,
    IndexRow,
    Outcome,
    decode_download,
    decode_row,
)
from threadkeep.storage.lines import digest_of, lines_in, size_of
from threadkeep.storage.lock import held_by, locked
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import SIDECAR_KINDS, Paths, refuse_companion
from threadkeep.storage.private_files import on_disk, open_regular, refuse_irregular
from threadkeep.storage.rewriting import REPAIR, decoded_lines, link_files, proven, thread_as_written
from threadkeep.storage.versions import Version, joined
from threadkeep.storage.writer import RunFacts, finish_exchange, put_in_place, remove_unfinished, write_new_set

__all__ = ["join_exports"]

_FILES_OF_A_PART = 6
_CACHE_KIB = 32 * 1024  # of the database of rows, in memory

_SCHEMA = """
CREATE TABLE rows(id INTEGER PRIMARY KEY, thread_id BLOB NOT NULL, part INTEGER NOT NULL, start INTEGER NOT NULL);
CREATE TABLE wanted(place INTEGER PRIMARY KEY, thread_id BLOB NOT NULL);
"""
# When the rows are in, and in the order of the ids: sorting millions takes a fraction of inserting them one by one. The
# place of an id is that in the list; what is not in it comes behind, in the order of the exports.
_INDEXES = """
CREATE INDEX rows_by_thread ON rows(thread_id, part, start);
CREATE TABLE places(thread_id BLOB PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO places SELECT thread_id, min(place) FROM (
    SELECT thread_id, place FROM wanted
    UNION ALL SELECT thread_id, (SELECT coalesce(max(place), 0) FROM wanted) + id FROM rows
) GROUP BY thread_id;
"""
_ROWS = """
SELECT p.thread_id, r.part, r.start FROM places p LEFT JOIN rows r USING (thread_id) ORDER BY p.place, r.id
"""


def join_exports(parts: Sequence[Paths], out: Paths, ids: Iterable[str] = (), *, force: bool = False) -> Manifest:
    """Write one export of many, with its index and manifest, and return the manifest.

    An OUT that is there already and would be written the same is written again, so a merge can be repeated.

    Args:
        parts: the exports. Their order decides nothing but the order of threads that are not in ``ids``.
        out: where it goes.
        ids: the order of the threads. Threads that no part has are in the index as not asked for yet; what is no
            thread id is left out.
        force: replace an export that is there.

    Raises:
        OutputUnusable: a part is damaged, not written to its end, or of another form than the first one; ``out`` is
            there already, is one of the parts, or cannot be written. Nothing of it is left then.
    """
    if not parts:
        raise OutputUnusable("There is nothing to merge: name the exports.")
    _refuse_mixed_up(parts, out)
    for part in parts:
        _refuse_at_work(part)
    with contextlib.ExitStack() as opened:
        opened.enter_context(locked(out.lock))
        finish_exchange(out)
        _refuse_store(out)
        found = _Parts(parts, opened)
        header, facts = _header(found.parts), _facts(found.parts)
        times = facts.started_at, facts.finished_at
        if not force:  # what cannot be the same is refused before it is written
            _refuse_taken(out, lambda there: (there.started_at, there.finished_at) == times)
        catalog = opened.enter_context(_catalog(found, ids))
        downloads = _downloads(found)
        undo = opened.enter_context(contextlib.ExitStack())
        undo.callback(remove_unfinished, out)
        rows = None if downloads is None else {file_id: one.row for file_id, one in sorted(downloads.items())}
        manifest = write_new_set(out, header, _threads(found, catalog, header), facts, downloads=rows)
        if manifest.is_complete:
            manifest = msgspec.structs.replace(manifest, ended_by=None)
        if not force:
            _refuse_taken(out, lambda there: there == manifest)
        link_files(_saved(downloads or {}), out.files, undo)
        undo.pop_all()
        put_in_place(out, manifest)
    return manifest


# --- what is refused


def _refuse_mixed_up(parts: Sequence[Paths], out: Paths) -> None:
    if not out.out.parent.is_dir():
        raise OutputUnusable(f"{out.out.parent} is not a folder. Create it, or choose another OUT.")
    refuse_companion(out.out)
    with on_disk(out.out):
        for path in out.all_files():
            refuse_irregular(path)
        refuse_irregular(out.files, folder=True)
    own = {path.resolve() for path in out.all_files()}
    for part in parts:
        if not own.isdisjoint(path.resolve() for path in part.all_files()):
            raise OutputUnusable(f"{out.out} would take the place of {part.out}, which is merged. Choose another OUT.")


def _refuse_store(out: Paths) -> None:
    if out.store.exists():
        raise OutputUnusable(
            f"{out.store} has what a run that was cut off has fetched: it would be lost. Run the same export command"
            " again, or `threadkeep write`, or choose another OUT."
        )


def _refuse_at_work(part: Paths) -> None:
    """Raise if something of a part is not written yet, so that it would not be in OUT."""
    holder = held_by(part.lock)
    if holder is not None and holder.here:
        raise OutputUnusable(f"{part.out} is being written by {holder}. Merge when it has ended.")
    if holder is not None:
        raise OutputUnusable(
            f"{part.out} is being written by {holder}, as {part.lock.name} says. Merge when it has ended. If it was"
            " killed there, run the same export command again, or `threadkeep write`."
        )
    with on_disk(part.store):
        is_cut_off = part.store.exists()
    if is_cut_off:
        raise OutputUnusable(
            f"{part.store} has what a run that was cut off has fetched. Run the same export command again, or"
            f" `threadkeep write`, before {part.out.name} is merged."
        )


def _refuse_taken(out: Paths, may_be_replaced: Callable[[Manifest], bool]) -> None:
    with open_file_set(out) as there:
        if there.manifest is not None and may_be_replaced(there.manifest):
            return
    for path in (*out.written.values(), out.manifest):
        if path.exists():
            raise OutputUnusable(f"{path} exists already. Choose another OUT, or replace it with --force.")


# --- the parts


@attrs.frozen
class _Part:
    paths: Paths
    header: IndexHeader
    manifest: Manifest


class _Parts:
    """The exports that are merged. Of many only some are open at a time: a process may not open all of their files.

    Attributes:
        parts: what is known of each.
    """

    def __init__(self, paths: Sequence[Paths], opened: contextlib.ExitStack) -> None:
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = max(1, (min(most, 65_536) if most > 0 else 65_536) // (2 * _FILES_OF_A_PART))
        self._open: OrderedDict[int, tuple[FileSet, contextlib.ExitStack]] = OrderedDict()
        self._paths = paths
        self.parts: list[_Part] = []
        opened.callback(self._close)
        for number, one in enumerate(paths):
            self.parts.append(_Part(one, *proven(self._opened(number))))

    def files(self, number: int) -> FileSet:
        """Return the files of a part. They are open until others are asked for.

        Raises:
            OutputUnusable: the part is not the one any more that it was.
        """
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number][0]
        files = self._opened(number)
        if files.manifest != self.parts[number].manifest:
            raise OutputUnusable(
                f"{files.paths.out} was changed by another program while it was read. Run the same command again."
            )
        return files

    def _opened(self, number: int) -> FileSet:
        if len(self._open) >= self._most:
            self._open.popitem(last=False)[1][1].close()
        opened = contextlib.ExitStack()
        files = opened.enter_context(open_file_set(self._paths[number]))
        self._open[number] = files, opened
        return files

    def _close(self) -> None:
        for _, opened in self._open.values():
            opened.close()


def _header(parts: Sequence[_Part]) -> IndexHeader:
    first = parts[0]
    for part in parts:
        if part.header.flat is not first.header.flat:
            raise OutputUnusable(
                f"{part.paths.out} and {first.paths.out} cannot be one export: one of them is flat, and the other is"
                " not."
            )
    sources, assistants = ({getattr(part.header, name) for part in parts} for name in ("source", "assistant_id"))
    kinds = {kind for part in parts for kind in part.header.include}
    return msgspec.structs.replace(
        first.header,
        source=sources.pop() if len(sources) == 1 else SEVERAL_SOURCES,
        assistant_id=assistants.pop() if len(assistants) == 1 else AUTO,
        include=tuple(kind for kind in SIDECAR_KINDS if kind in kinds),
    )


def _facts(parts: Sequence[_Part]) -> RunFacts:
    """The facts of the run that was finished last: the same exports give the same manifest."""
    runs = sorted((part.manifest for part in parts), key=lambda one: (one.finished_at, one.digest, one.ended_by or ""))
    return RunFacts(
        started_at=min(run.started_at for run in runs),
        finished_at=runs[-1].finished_at,
        versions=runs[-1].versions,
        ended_by=next((run.ended_by for run in reversed(runs) if run.ended_by is not None), None),
    )


# --- threads


@contextlib.contextmanager
def _catalog(parts: _Parts, ids: Iterable[str]) -> Iterator[sqlite3.Connection]:
    """Yield a database of where each row is: ids of millions of threads would fill the memory.

    It is in a temporary file without a name, so that nothing is left after a kill.
    """
    try:
        with contextlib.closing(sqlite3.connect("", isolation_level=None)) as db:
            _fill(db, parts, ids)
            yield db
    except sqlite3.Error as error:
        raise OutputUnusable(
            f"The temporary file of the merge: {error}. Free some space, or name another folder in TMPDIR."
        ) from None


def _fill(db: sqlite3.Connection, parts: _Parts, ids: Iterable[str]) -> None:
    db.execute("PRAGMA journal_mode=OFF")
    db.execute("PRAGMA synchronous=OFF")
    db.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    db.executescript(_SCHEMA)
    db.execute("BEGIN")
    db.executemany("INSERT INTO wanted(thread_id) VALUES (?)", ((_key(one),) for one in ids if is_thread_id(one)))
    for number in range(len(parts.parts)):
        rows = ((_key(row.thread_id), number, start) for row, start in _rows(parts.files(number)))
        db.executemany("INSERT INTO rows(thread_id, part, start) VALUES (?, ?, ?)", rows)
    db.execute("COMMIT")
    db.executescript(_INDEXES)


def _key(thread_id: str) -> bytes:
    """An id may hold a lone surrogate, which SQLite takes for no text."""
    return thread_id.encode("utf-8", "surrogatepass")


def _rows(files: FileSet) -> Iterator[tuple[IndexRow, int]]:
    index, name = files.files["index"], files.paths.index.name
    start = len(next(lines_in(index, name)))
    for line in lines_in(index, name, start):
        try:
            row = decode_row(line)
        except ValueError as error:
            raise OutputUnusable(f"{files.paths.index}: byte {start:,} begins no row: {error}. {REPAIR}") from None
        yield row, start
        start += len(line)


def _threads(parts: _Parts, catalog: sqlite3.Connection, header: IndexHeader) -> Iterator[ThreadToWrite]:
    for key, found in groupby(catalog.execute(_ROWS), key=lambda row: row[0]):
        versions = [_version(parts, part, start) for _, part, start in found if part is not None]
        if versions:
            yield joined(versions)
        else:
            yield ThreadToWrite(
                thread_id=key.decode("utf-8", "surrogatepass"),
                assistant_id=None if header.assistant_id == AUTO else header.assistant_id,
                outcome=Outcome.UNFINISHED,
                reason="it is in none of the exports that were merged",
            )


def _version(parts: _Parts, number: int, start: int) -> Version:
    files, part = parts.files(number), parts.parts[number]
    index = files.files["index"]
    index.seek(start)
    row = decode_row(index.readline())
    return Version(
        header=part.header,
        finished_at=part.manifest.finished_at,
        row=row,
        read=lambda: thread_as_written(parts.files(number), row),
    )


# --- downloaded files


@attrs.frozen
class _Download:
    """What became of a file, as one part has it."""

    row: DownloadRow
    part: _Part

    @property
    def rank(self) -> tuple[bool, bool, str, str]:
        """The greatest of several is the one that counts."""
        row = self.row
        is_known = row.outcome is not DownloadOutcome.UNFINISHED
        return row.outcome is DownloadOutcome.SAVED, is_known, self.part.manifest.finished_at, repr(row)


def _downloads(parts: _Parts) -> dict[str, _Download] | None:
    """What became of files, by id; None where no part has any."""
    found: dict[str, _Download] = {}
    has_any = False
    for number, part in enumerate(parts.parts):
        files = parts.files(number)
        has_any |= "downloads" in files.files
        for row in decoded_lines(files, "downloads", decode_download):
            one, known = _Download(row, part), found.get(row.file_id)
            _refuse_two_files(one, known)
            found[row.file_id] = one if known is None else max(one, known, key=lambda download: download.rank)
    return found if has_any else None


def _refuse_two_files(one: _Download, other: _Download | None) -> None:
    if other is None or not one.row.outcome is other.row.outcome is DownloadOutcome.SAVED:
        return
    if one.row.sha256 != other.row.sha256:
        raise OutputUnusable(
            f"The file {one.row.file_id} has other bytes in {one.part.paths.files} than in {other.part.paths.files}."
            " One export has one file of an id: write two."
        )


def _saved(downloads: Mapping[str, _Download]) -> Iterator[Path]:
    """Yield the files that were saved, and make sure that they are what they were."""
    names: dict[str, str] = {}
    for file_id, one in downloads.items():
        row = one.row
        if row.outcome is not DownloadOutcome.SAVED or row.name is None:
            continue
        path = one.part.paths.files / row.name
        if names.setdefault(row.name, file_id) != file_id:
            raise OutputUnusable(f"{path}: the files {names[row.name]} and {file_id} have the same name.")
        with on_disk(path), open_regular(path) as file:
            if digest_of(file, 0, size_of(file)) != row.sha256:
                raise OutputUnusable(f"{path} is damaged. {REPAIR}")
        yield path
