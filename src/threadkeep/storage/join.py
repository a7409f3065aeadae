"""Many exports as one: the threads of all of them, each once, in one order. The exports are only read.

One rule for a thread that several of them have: the version of the export that was finished last counts, and what only
the others still have of it stays, as when a thread is refreshed. A complete version counts before one that is not.
"""

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import attrs
import msgspec

from threadkeep.errors import OutputUnusable
from threadkeep.records.content import files_of
from threadkeep.serialization.lossless_json import loads
from threadkeep.storage.combine import Lines, Piece, ThreadToWrite
from threadkeep.storage.file_set import FileSet, open_file_set
from threadkeep.storage.index import (
    AUTO,
    DownloadOutcome,
    DownloadRow,
    IndexHeader,
    IndexRow,
    Outcome,
    decode_download,
    decode_row,
)
from threadkeep.storage.lines import lines_in
from threadkeep.storage.lock import locked
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.merge import FULLER, merged
from threadkeep.storage.paths import SIDECAR_KINDS, Paths, new
from threadkeep.storage.private_files import on_disk, refuse_irregular, sync_folder
from threadkeep.storage.rewriting import decoded_lines, proven, thread_as_written
from threadkeep.storage.writer import (
    RunFacts,
    finish_exchange,
    link_or_copy,
    put_in_place,
    remove_unfinished,
    write_new_set,
)

__all__ = ["SEVERAL", "better_download", "facts_of", "join_exports", "link_saved", "written_anew"]

SEVERAL = "several addresses"
"""The source of an export that was merged from exports of more than one."""

_SCHEMA = """
CREATE TABLE rows(id INTEGER PRIMARY KEY, thread_id BLOB NOT NULL, part INTEGER NOT NULL, start INTEGER NOT NULL);
CREATE TABLE wanted(place INTEGER PRIMARY KEY, thread_id BLOB NOT NULL);
"""
# When the rows are in: sorting millions takes a fraction of inserting them one by one.
_INDEXES = """
CREATE INDEX rows_by_thread ON rows(thread_id);
CREATE TABLE places(thread_id BLOB PRIMARY KEY, place INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO places SELECT thread_id, place FROM wanted ORDER BY place;
INSERT OR IGNORE INTO places
    SELECT thread_id, (SELECT coalesce(max(place), 0) FROM wanted) + id FROM rows ORDER BY id;
CREATE INDEX places_by_place ON places(place);
"""
_ROWS = """
SELECT p.thread_id, r.part, r.start FROM places p LEFT JOIN rows r USING (thread_id) ORDER BY p.place, r.id
"""


@attrs.frozen
class _Part:
    files: FileSet
    header: IndexHeader
    manifest: Manifest


def join_exports(parts: Sequence[Paths], out: Paths, ids: Iterable[str] = (), *, force: bool = False) -> Manifest:
    """Write one export of many, with its index and manifest, and return the manifest.

    Args:
        parts: the exports. Their order decides nothing but the order of threads that are not in ``ids``.
        out: where it goes.
        ids: the order of the threads. Threads that no part has are in the index as not asked for yet.
        force: replace an export that is there.

    Raises:
        OutputUnusable: a part is damaged, not written to its end, or of another form than the first one; ``out`` is
            there already, is one of the parts, or cannot be written. Nothing of it is left then.
    """
    if not parts:
        raise OutputUnusable("There is nothing to merge: name the exports.")
    _refuse_mixed_up(parts, out)
    with contextlib.ExitStack() as opened:
        opened.enter_context(written_anew(out, force=force))
        found = [_Part(files, *proven(files)) for files in (opened.enter_context(open_file_set(one)) for one in parts)]
        header = _header(found)
        catalog = opened.enter_context(_catalog(found, ids))
        downloads = _downloads(found)
        facts = facts_of([part.manifest for part in found])
        manifest = write_new_set(out, header, _threads(found, catalog), facts, downloads=downloads)
        link_saved([part.files.paths for part in found], out, (downloads or {}).values())
        put_in_place(out, manifest)
    return manifest


@contextlib.contextmanager
def written_anew(out: Paths, *, force: bool = False) -> Iterator[None]:
    """Hold the lock of an export that is written anew. If that fails, nothing of it is left.

    Args:
        out: where it goes.
        force: replace an export that is there.

    Raises:
        OutputUnusable: it is there already, or cannot be written.
    """
    if not out.out.parent.is_dir():
        raise OutputUnusable(f"{out.out.parent} is not a folder.")
    for path in out.all_files():
        refuse_irregular(path)
    refuse_irregular(out.files, folder=True)
    for path in (*out.written.values(), out.manifest, out.store):
        if path.exists() and not force:
            raise OutputUnusable(f"{path} exists already. Choose another OUT, or replace it with --force.")
    with locked(out.lock):
        finish_exchange(out)
        try:
            yield
        except BaseException:
            if not new(out.manifest).exists():  # else the new set counts already
                remove_unfinished(out)
            raise


def _refuse_mixed_up(parts: Sequence[Paths], out: Paths) -> None:
    for part in parts:
        if part.out.resolve() == out.out.resolve():
            raise OutputUnusable(f"{out.out} is one of the exports that are merged. Choose another OUT.")
        if part.store.exists():
            raise OutputUnusable(
                f"{part.store} has what a run that was cut off has fetched. Run the same export command again, or"
                f" `threadkeep write`, before {part.out.name} is merged."
            )


def _header(parts: Sequence[_Part]) -> IndexHeader:
    first = parts[0].header
    for part in parts:
        if part.header.flat is not first.flat:
            raise OutputUnusable(
                f"{part.files.paths.out} and {parts[0].files.paths.out} cannot be one export: one of them is flat."
            )
    sources, assistants = ({getattr(part.header, name) for part in parts} for name in ("source", "assistant_id"))
    kinds = {kind for part in parts for kind in part.header.include}
    return msgspec.structs.replace(
        first,
        source=sources.pop() if len(sources) == 1 else SEVERAL,
        assistant_id=assistants.pop() if len(assistants) == 1 else AUTO,
        include=tuple(kind for kind in SIDECAR_KINDS if kind in kinds),
    )


def facts_of(manifests: Sequence[Manifest]) -> RunFacts:
    """Return the facts of the run that was finished last, so that the same parts give the same manifest."""
    last = max(manifests, key=lambda manifest: manifest.finished_at)
    return RunFacts(
        started_at=min(manifest.started_at for manifest in manifests),
        finished_at=last.finished_at,
        versions=last.versions,
        ended_by=next((manifest.ended_by for manifest in manifests if manifest.ended_by is not None), None),
    )


@contextlib.contextmanager
def _catalog(parts: Sequence[_Part], ids: Iterable[str]) -> Iterator[sqlite3.Connection]:
    """Yield a database of where each row is: ids of millions of threads would fill the memory."""
    with contextlib.ExitStack() as opened:
        folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="threadkeep-"))
        db = opened.enter_context(contextlib.closing(sqlite3.connect(Path(folder) / "catalog", isolation_level=None)))
        db.execute("PRAGMA journal_mode=OFF")
        db.execute("PRAGMA synchronous=OFF")
        db.executescript(_SCHEMA)
        db.execute("BEGIN")
        db.executemany("INSERT INTO wanted(thread_id) VALUES (?)", ((_key(one),) for one in ids))
        for number, part in enumerate(parts):
            rows = ((_key(row.thread_id), number, start) for row, start in _rows(part.files))
            db.executemany("INSERT INTO rows(thread_id, part, start) VALUES (?, ?, ?)", rows)
        db.execute("COMMIT")
        db.executescript(_INDEXES)
        yield db


def _key(thread_id: str) -> bytes:
    """An id may hold a lone surrogate, which SQLite takes for no text."""
    return thread_id.encode("utf-8", "surrogatepass")


def _rows(files: FileSet) -> Iterator[tuple[IndexRow, int]]:
    start = 0
    index = files.files["index"]
    header = next(lines_in(index, files.paths.index.name))
    start = len(header)
    for line in lines_in(index, files.paths.index.name, start):
        yield decode_row(line), start
        start += len(line)


def _threads(parts: Sequence[_Part], catalog: sqlite3.Connection) -> Iterator[ThreadToWrite]:
    for key, found in groupby(catalog.execute(_ROWS), key=lambda row: row[0]):
        versions = [_version(parts[part], start) for _, part, start in found if part is not None]
        if versions:
            yield _joined(versions)
        else:
            yield ThreadToWrite(
                thread_id=key.decode("utf-8", "surrogatepass"),
                assistant_id=None,
                outcome=Outcome.UNFINISHED,
                reason="it is in none of the exports that were merged",
            )


@attrs.frozen
class _Version:
    part: _Part
    row: IndexRow

    @property
    def is_complete(self) -> bool:
        return self.row.outcome is Outcome.COMPLETE

    @property
    def rank(self) -> tuple[bool, bool, str]:
        """The greatest of several is the one that counts."""
        return self.is_complete, self.row.partial is not None, self.part.manifest.finished_at


def _version(part: _Part, start: int) -> _Version:
    index = part.files.files["index"]
    return _Version(part, decode_row(next(lines_in(index, part.files.paths.index.name, start))))


def _joined(versions: Sequence[_Version]) -> ThreadToWrite:
    """Return a thread as it counts, with what only other versions of it have."""
    *others, newest = sorted(versions, key=lambda one: one.rank)
    thread = thread_as_written(newest.part.files, newest.row)
    for older in reversed(others):
        if newest.is_complete and (older.is_complete or (older.row.partial is not None and not older.part.header.flat)):
            thread = _with_older(thread, newest, older)
    return thread


def _with_older(thread: ThreadToWrite, newest: _Version, older: _Version) -> ThreadToWrite:
    old = thread_as_written(older.part.files, older.row)
    is_equal = older.row.sha256 == newest.row.sha256
    was = old.messages or old.partial
    messages = thread.messages if is_equal else _lines(thread.messages, was, "messages", "message_id")
    runs = thread.sidecars.get("runs") or old.sidecars.get("runs")
    if "runs" in thread.sidecars and "runs" in old.sidecars:
        runs = _lines(thread.sidecars["runs"], old.sidecars["runs"], "runs", "run_id")
    sidecars = {**old.sidecars, **thread.sidecars, **({} if runs is None else {"runs": runs})}
    files = tuple(dict.fromkeys([*thread.files, *old.files]))
    return attrs.evolve(thread, messages=messages, sidecars=sidecars, files=files)


def _lines(new: Lines | None, old: Lines | None, kind: str, key: str) -> Lines:
    """Join two versions of a list. Both are held: a thread that two exports have differently is a rare one."""
    now, was = _keyed(new, key), _keyed(old, key)

    def pieces() -> Iterator[Piece]:
        for row_id, line, before in merged(was, now, {one for one, _ in now}):
            text = line if before is None or before == line else FULLER[kind](before, line)
            value = loads(text)
            holders = value.get("steps", ()) if kind == "runs" else filter(None, [value.get("message")])
            yield (row_id,), [file_id for holder in holders for file_id in files_of(holder)], text + b"\n"

    return Lines(pieces())


def _keyed(lines: Lines | None, key: str) -> list[tuple[str, bytes]]:
    content = b"".join(lines or ())
    return [(str(loads(line)[key]), line) for line in content.split(b"\n") if line]


def _downloads(parts: Sequence[_Part]) -> dict[str, DownloadRow] | None:
    """What became of files, by id: saved is what any part has saved."""
    found: dict[str, DownloadRow] = {}
    has_any = False
    for part in parts:
        has_any |= "downloads" in part.files.files
        for row in decoded_lines(part.files, "downloads", decode_download):
            found[row.file_id] = better_download(found.get(row.file_id), row)
    return found if has_any else None


def better_download(known: DownloadRow | None, row: DownloadRow) -> DownloadRow:
    """Return what became of a file: the first that is known, unless only the other one is saved."""
    if known is None or (row.outcome is DownloadOutcome.SAVED and known.outcome is not DownloadOutcome.SAVED):
        return row
    return known


def link_saved(parts: Sequence[Paths], out: Paths, downloads: Iterable[DownloadRow]) -> None:
    """Put the files that parts have saved into the folder of an export."""
    names = [row.name for row in downloads if row.outcome is DownloadOutcome.SAVED and row.name is not None]
    if not names:
        return
    with on_disk(out.files):
        out.files.mkdir(mode=0o700, exist_ok=True)
        for name in names:
            source = next((path for part in parts if (path := part.files / name).exists()), None)
            if source is not None:
                link_or_copy(source, out.files / name)
        sync_folder(out.files)
