"""Write an export: every file anew under ``NAME.new``, and then all of them in place together.

The new set counts from the moment when its manifest has the name ``OUT.manifest.json.new``. A kill before that leaves
files that the next holder of the lock removes; a kill after it leaves an exchange that the next holder finishes.
Whoever calls anything here holds the lock, see `threadkeep.storage.lock`.
"""

import contextlib
import hashlib
import os
import shutil
import stat
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import attrs

from threadkeep.errors import OutputUnusable
from threadkeep.storage.combine import Lines, ThreadToWrite
from threadkeep.storage.index import (
    DownloadOutcome,
    DownloadRow,
    IndexHeader,
    IndexRow,
    Outcome,
    Span,
    encode_line,
)
from threadkeep.storage.lines import CHUNK
from threadkeep.storage.manifest import FileClaim, Manifest, ThreadDigest, Totals, decode_manifest, encode_manifest
from threadkeep.storage.paths import Paths, new
from threadkeep.storage.private_files import create, on_disk, open_regular, refuse_irregular, sync_folder

__all__ = [
    "RunFacts",
    "delete_store",
    "finish_exchange",
    "keep_aside",
    "link_or_copy",
    "next_aside",
    "put_in_place",
    "remove_unfinished",
    "write_new_set",
]

# The ending of a copy that is being made. It is not ".new": another export may have the names of the files kept aside.
_COPY = ".copy"

# So many chunks may wait to be hashed and written.
_PENDING = 4


@attrs.frozen(kw_only=True)
class RunFacts:
    """What a manifest says of the run that wrote it; see `threadkeep.storage.manifest.Manifest`."""

    started_at: str
    finished_at: str
    versions: Mapping[str, str]
    ended_by: str | None
    kept_as: int | None = None


def write_new_set(
    paths: Paths,
    header: IndexHeader,
    threads: Iterable[ThreadToWrite],
    facts: RunFacts,
    *,
    downloads: Mapping[str, DownloadRow] | None,
) -> Manifest:
    """Write the files of an export next to those that are there. They do not count before `put_in_place`.

    Args:
        paths: of the export.
        header: what it is of.
        threads: in the order of the index.
        facts: of the run.
        downloads: what became of files, by id; None where none are downloaded.

    Returns:
        The manifest that goes with the files; it is not written yet.

    Raises:
        OutputUnusable: the disk reports an error. What was written by then is removed.
    """
    try:
        with on_disk(paths.out), contextlib.ExitStack() as opened:
            return _written(paths, header, threads, facts, downloads, opened)
    except BaseException:
        with contextlib.suppress(OSError):
            remove_unfinished(paths)
        raise


def _written(
    paths: Paths,
    header: IndexHeader,
    threads: Iterable[ThreadToWrite],
    facts: RunFacts,
    downloads: Mapping[str, DownloadRow] | None,
    opened: contextlib.ExitStack,
) -> Manifest:
    mode = _mode_of(paths.out)
    executor = opened.enter_context(ThreadPoolExecutor(max_workers=1))
    files = {
        name: _NewFile(
            path, opened, executor, mode=mode if name == "out" else 0o600, is_needed=name in ("out", "index")
        )
        for name, path in paths.written.items()
    }
    for kind in header.include:
        files[kind].open()
    digest, outcomes = ThreadDigest(), Counter[str](dict.fromkeys(Outcome, 0))
    referred = dict[str, None]()
    messages = partial_messages = lacking = 0
    files["index"].write(encode_line(header))
    for thread in threads:
        row = _row(thread, files)
        files["index"].write(encode_line(row))
        digest.add(row)
        outcomes[row.outcome] += 1
        if row.outcome is Outcome.COMPLETE:
            messages += row.messages or 0
            lacking += not row.sidecars.keys() >= set(header.include)
            if downloads is not None:
                referred.update(dict.fromkeys(row.files))
        if thread.partial is not None:
            partial_messages += thread.partial.count
    counts = None
    if downloads is not None:
        counts = _write_downloads(files["downloads"], referred, downloads)
    claims = {name: file.finish() for name, file in files.items() if file.is_open}
    return Manifest(
        source=header.source,
        assistant_id=header.assistant_id,
        flat=header.flat,
        include=header.include,
        started_at=facts.started_at,
        finished_at=facts.finished_at,
        versions=dict(facts.versions),
        totals=Totals(threads=sum(outcomes.values()), messages=messages, partial_messages=partial_messages),
        outcomes={str(outcome): count for outcome, count in outcomes.items()},
        lacking=lacking,
        downloads=counts,
        ended_by=facts.ended_by,
        kept_as=facts.kept_as,
        digest=digest.value,
        files=claims,
    )


def _row(thread: ThreadToWrite, files: "Mapping[str, _NewFile]") -> IndexRow:
    """Write the lines of a thread, and return its row."""
    span = None if thread.messages is None else files["out"].write_span(thread.messages)
    sidecars = {kind: files[kind].write_span(lines) for kind, lines in thread.sidecars.items()}
    partial = None if thread.partial is None else files["partial"].write_span(thread.partial)
    of = thread.messages or thread.partial
    lists = () if thread.messages is None else (thread.messages, *thread.sidecars.values())
    return IndexRow(
        thread_id=thread.thread_id,
        assistant_id=thread.assistant_id,
        outcome=thread.outcome,
        messages=None if of is None else of.count,
        first_id=None if of is None else of.first_id,
        last_id=None if of is None else of.last_id,
        offset=None if span is None else span.offset,
        bytes=None if span is None else span.bytes,
        sha256=None if span is None else span.sha256,
        sidecars=sidecars,
        partial=partial,
        files=tuple(dict.fromkeys([*thread.files, *(file_id for lines in lists for file_id in lines.files)])),
        reason=thread.reason,
    )


def _write_downloads(file: "_NewFile", referred: Iterable[str], known: Mapping[str, DownloadRow]) -> dict[str, int]:
    """Write a row for each file that a complete thread refers to, and for each that was saved before."""
    file.open()
    counts = Counter[str](dict.fromkeys(DownloadOutcome, 0))
    for file_id in dict.fromkeys([*referred, *known]):
        row = known.get(file_id) or DownloadRow(file_id=file_id, outcome=DownloadOutcome.UNFINISHED)
        file.write(encode_line(row))
        counts[row.outcome] += 1
    return {str(outcome): count for outcome, count in counts.items()}


class _NewFile:
    """A file of the new set. It is created when something is written to it, or when it is needed in any case.

    Bytes are hashed and written on another thread, since the lines of each thread are hashed here too.
    """

    def __init__(
        self, path: Path, opened: contextlib.ExitStack, executor: Executor, *, mode: int, is_needed: bool
    ) -> None:
        self._path = new(path)
        self._opened = opened
        self._executor = executor
        self._mode = mode
        self._file: BinaryIO | None = None
        self._digest = hashlib.sha256()
        self._pending: deque[Future[None]] = deque()
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._size = 0
        if is_needed:
            self.open()

    @property
    def is_open(self) -> bool:
        """Whether there is such a file in the new set."""
        return self._file is not None

    def open(self) -> BinaryIO:
        """Create the file, if it is not there yet."""
        if self._file is None:
            with on_disk(self._path):
                self._file = self._opened.enter_context(create(self._path, mode=self._mode))
        return self._file

    def write(self, content: bytes) -> None:
        """Append to it."""
        self._pieces.append(content)
        self._size += len(content)
        self._waiting += len(content)
        if self._waiting >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        content = b"".join(self._pieces)
        self._pieces.clear()
        self._waiting = 0
        self._pending.append(self._executor.submit(self._put, content))
        if len(self._pending) > _PENDING:
            self._pending.popleft().result()

    def _put(self, content: bytes) -> None:
        self._digest.update(content)
        with on_disk(self._path):
            self.open().write(content)

    def write_span(self, lines: Lines) -> Span:
        """Append lines, and return where they are."""
        start, digest = self._size, hashlib.sha256()
        self.open()
        for piece in lines:
            self.write(piece)
            if lines.sha256 is None:
                digest.update(piece)
        return Span(start, self._size - start, lines.sha256 or digest.hexdigest())

    def finish(self) -> FileClaim:
        """Bring it to the disk."""
        self._flush()
        for pending in self._pending:
            pending.result()
        file = self.open()
        with on_disk(self._path):
            file.flush()
            os.fsync(file.fileno())
            file.close()
        return FileClaim(self._size, self._digest.hexdigest())


def _mode_of(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(path).st_mode
        if stat.S_ISREG(found):  # anybody may pass through a link
            return stat.S_IMODE(found) & 0o777
    return 0o600


def put_in_place(paths: Paths, manifest: Manifest) -> None:
    """Let the new set count, give its files their names, and delete the store that it was written from.

    Raises:
        OutputUnusable: the disk reports an error. The next holder of the lock resumes where this ended.
    """
    marker = new(paths.manifest)
    with on_disk(marker):
        sync_folder(paths.out.parent)
        with create(new(marker)) as file:
            file.write(encode_manifest(manifest))
            file.flush()
            os.fsync(file.fileno())
        os.rename(new(marker), marker)
        sync_folder(paths.out.parent)
    _exchange(paths, manifest)


def _exchange(paths: Paths, manifest: Manifest) -> None:
    for name, claim in manifest.files.items():
        path = paths.written.get(name, paths.out)
        if not any(one.exists() and one.stat().st_size == claim.bytes for one in (new(path), path)):
            raise OutputUnusable(
                f"{new(paths.manifest)} names a file that is not there as it was written: {path}. Nothing was deleted:"
                f" move {new(paths.manifest).name} away, and run the same command again."
            )
    for name, path in paths.written.items():
        with on_disk(path):
            if name not in manifest.files:
                path.unlink(missing_ok=True)
            elif new(path).exists():
                os.rename(new(path), path)
    # The manifest last: until it has its name, the next holder of the lock knows that the store is in the files.
    delete_store(paths)
    with on_disk(paths.manifest):
        os.rename(new(paths.manifest), paths.manifest)
        sync_folder(paths.out.parent)


def finish_exchange(paths: Paths) -> bool:
    """Finish an exchange that a kill has cut off, and remove what was written for one that never began.

    Returns:
        Whether there was an exchange to be finished: the store that it was written from goes then.

    Raises:
        OutputUnusable: the disk reports an error, or the files are not what a writer leaves.
    """
    marker = new(paths.manifest)
    try:
        with on_disk(marker), open_regular(marker) as file:
            manifest = decode_manifest(file.read())
    except ValueError as error:
        raise OutputUnusable(f"{marker} is not what an export leaves there ({error}). Move it away.") from None
    except OutputUnusable as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            raise
        remove_unfinished(paths)
        return False
    with on_disk(paths.manifest):
        is_copy = paths.manifest.exists() and paths.manifest.read_bytes() == marker.read_bytes()
    if is_copy:  # nothing is left to be exchanged, and what a store has came since
        with on_disk(marker):
            marker.unlink()
    else:
        _exchange(paths, manifest)
    remove_unfinished(paths)
    return not is_copy


def remove_unfinished(paths: Paths) -> None:
    """Remove what a writer that was killed has left: ``.new`` files that no manifest names.

    Raises:
        OutputUnusable: the disk reports an error.
    """
    folder, out = paths.out.parent, paths.out
    with on_disk(folder):
        for path in (*paths.written.values(), paths.manifest, new(paths.manifest), *paths.store_files):
            new(path).unlink(missing_ok=True)
        drafts = folder.glob(f"{_literal(out.stem)}.old-*{_COPY}"), folder.glob(f"{_literal(out.stem)}.old-*/*{_COPY}")
        for path in chain(*drafts, paths.files.glob(f"*{_COPY}"), paths.files.glob("*.new")):
            if path.is_file() and not path.is_symlink():
                path.unlink(missing_ok=True)


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def delete_store(paths: Paths) -> None:
    """Delete the working store: the database first, since what is next to it belongs to one that is there.

    Raises:
        OutputUnusable: the disk reports an error.
    """
    with on_disk(paths.store):
        for path in paths.store_files:
            path.unlink(missing_ok=True)
        sync_folder(paths.store.parent)


def next_aside(paths: Paths) -> int:
    """Return the first N for which nothing is kept as ``out.old-N.*`` yet."""
    number = 1
    while any(os.path.lexists(path) for path in _names(paths.aside(number))):
        number += 1
    return number


def _names(paths: Paths) -> list[Path]:
    return [*paths.written.values(), paths.manifest, paths.store, paths.files]


def keep_aside(paths: Paths, number: int, *, with_downloads: bool) -> None:
    """Keep the files of an export as ``out.old-N.*``: hard links, or copies where there are none.

    It can be done again after a kill; what is there already stays.

    Args:
        paths: of the export.
        number: N.
        with_downloads: keep the folder of downloads too.

    Raises:
        OutputUnusable: the disk reports an error.
    """
    kept = paths.aside(number)
    pairs = [*zip(paths.written.values(), kept.written.values(), strict=True), (paths.manifest, kept.manifest)]
    with on_disk(kept.out):
        for path, copy in pairs:
            link_or_copy(path, copy)
        if with_downloads and paths.files.is_dir():
            kept.files.mkdir(mode=0o700, exist_ok=True)
            for path in sorted(paths.files.iterdir()):
                link_or_copy(path, kept.files / path.name)
        sync_folder(kept.out.parent)


def link_or_copy(path: Path, copy: Path) -> None:
    """Put a file at another name too, unless it is not there or the name is taken: a hard link, or else a copy.

    Raises:
        OutputUnusable: it is not a regular file.
        OSError: the disk reports an error.
    """
    if not path.exists() or copy.exists():
        return
    refuse_irregular(path)
    try:
        os.link(path, copy, follow_symlinks=False)
    except OSError:  # this file system has no hard links
        draft = copy.with_name(copy.name + _COPY)
        with open_regular(path) as source, create(draft, mode=_mode_of(path)) as target:
            shutil.copyfileobj(source, target, 1024 * 1024)
            target.flush()
            os.fsync(target.fileno())
        os.rename(draft, copy)
