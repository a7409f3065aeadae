"""The files of an export: the NDJSON, its journal, its manifest, and the pages of threads that were cut off.

One writer. A thread's lines are gathered in a spool, which moves to the disk when it grows, and go into the
export together or not at all.
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from threadkeep.errors import OutputUnusable
from threadkeep.journal import Entry, Header, Journal, Outcome, encode_line, fold
from threadkeep.jsontext import dumps_pretty
from threadkeep.manifest import Manifest, read, to_json

__all__ = ["OutFiles", "Paths", "Spool", "read_journal", "read_manifest", "read_partial"]

# A thread below this many bytes never touches the disk twice.
_SPOOL_BYTES = 8 * 1024 * 1024


@attrs.frozen
class Paths:
    """The names beside an export."""

    out: Path

    @property
    def journal(self) -> Path:
        """What has happened to each thread."""
        return self._beside(".journal")

    @property
    def manifest(self) -> Path:
        """What the export claims."""
        return self._beside(".manifest.json")

    @property
    def draft(self) -> Path:
        """The manifest while it is being written; a leftover of a process that was killed then."""
        return self._beside(".manifest.json.draft")

    @property
    def partial(self) -> Path:
        """Pages of threads that were cut off."""
        return self._beside(".partial")

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file of the export."""
        return (self.out, self.journal, self.manifest, self.draft, self.partial)

    def _beside(self, suffix: str) -> Path:
        return self.out.with_name(self.out.name + suffix)


class Spool:
    """The lines of one thread on their way to a file, in memory first and on the disk when they are many."""

    def __init__(self, folder: Path) -> None:
        # The disk that the export will need anyway, not the one for temporary files, which may be memory.
        self._file = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES, dir=str(folder))  # noqa: SIM115 - see close
        self._digest = hashlib.sha256()
        self.first_id: str | None = None
        self.last_id: str | None = None
        self.messages = 0

    def add(self, message_ids: Sequence[str], lines: Sequence[bytes]) -> None:
        """Take the lines of one page, without their newlines, and the ids of their messages.

        Raises:
            OutputUnusable: the disk refuses.
        """
        if not lines:
            return
        whole = b"\n".join([*lines, b""])
        with _disk("the pages of a thread"):
            self._file.write(whole)
        self._digest.update(whole)
        self.first_id = self.first_id or message_ids[0]
        self.last_id = message_ids[-1]
        self.messages += len(lines)

    @property
    def sha256(self) -> str:
        """Of all lines so far, newlines included."""
        return self._digest.hexdigest()

    def copy_to(self, file: FileIO) -> None:
        """Append all lines to a file."""
        self._file.seek(0)
        while chunk := self._file.read(1024 * 1024):
            _write_all(file, chunk)

    def close(self) -> None:
        """Let go of the memory, or of the disk."""
        self._file.close()


class OutFiles:
    """An export that is being written."""

    def __init__(self, paths: Paths, header: Header, files: contextlib.ExitStack) -> None:
        self.paths = paths
        self.header = header
        self._files = files
        # Unbuffered: what a full disk refused must not be tried again behind our back when the file is closed.
        self._out = files.enter_context(paths.out.open("xb", buffering=0))
        self._journal = files.enter_context(paths.journal.open("xb", buffering=0))
        self._entries: dict[str, Entry] = {}
        self._end = 0
        _write_all(self._journal, encode_line(header))

    @classmethod
    def create(cls, paths: Paths, header: Header, *, fresh: bool = False) -> Self:
        """Begin an export.

        Args:
            paths: where.
            header: the journal's first line.
            fresh: move an export that stands there already out of the way; it is kept.

        Raises:
            OutputUnusable: an export stands there already, or nothing can be written there.
        """
        with contextlib.ExitStack() as files, _disk(paths.out):
            if fresh:
                _set_aside(paths)
            _refuse_to_overwrite(paths)
            created = cls(paths, header, files)
            created._files = files.pop_all()
        return created

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with _disk(self.paths.out):
            self._files.close()

    def spool(self) -> Spool:
        """A place for the lines of one thread."""
        return Spool(self.paths.out.parent)

    def add_thread(self, thread_id: str, spool: Spool) -> Entry:
        """Put a whole thread into the export, and vouch for it in the journal.

        Raises:
            OutputUnusable: the disk refuses; the export then ends where it ended before.
        """
        before = self._end
        try:
            with _disk(self.paths.out):
                spool.copy_to(self._out)
                self._end = self._out.tell()
            return self.add_entry(
                Entry(
                    thread_id=thread_id,
                    outcome=Outcome.COMPLETE,
                    messages=spool.messages,
                    first_id=spool.first_id,
                    last_id=spool.last_id,
                    sha256=spool.sha256,
                )
            )
        except OutputUnusable:
            self._end = before
            _cut(self._out, before)
            raise

    def add_entry(self, entry: Entry) -> Entry:
        """Write down what became of a thread. Gives the entry as it stands in the journal."""
        placed = attrs.evolve(entry, end_offset=self._end)
        before = self._journal.tell()
        try:
            with _disk(self.paths.journal):
                _write_all(self._journal, encode_line(placed))
        except OutputUnusable:
            _cut(self._journal, before)
            raise
        self._entries[placed.thread_id] = placed
        return placed

    def add_partial(self, spool: Spool) -> None:
        """Keep the pages of a thread that was cut off. They are on the disk when this returns."""
        with _disk(self.paths.partial), self.paths.partial.open("ab", buffering=0) as partial:
            spool.copy_to(partial)
            os.fsync(partial.fileno())

    @property
    def journal(self) -> Journal:
        """What the journal holds."""
        return Journal(self.header, dict(self._entries))

    def finish(self, claimed: Manifest) -> None:
        """Bring everything to the disk, and write the manifest in one step."""
        with _disk(self.paths.manifest):
            os.fsync(self._out.fileno())
            os.fsync(self._journal.fileno())
            self.paths.draft.write_bytes(dumps_pretty(to_json(claimed)))
            self.paths.draft.replace(self.paths.manifest)


def read_journal(paths: Paths) -> Journal | None:
    """Read the journal beside an export; None when there is none.

    Raises:
        OutputUnusable: it is there and cannot be read.
    """
    with _disk(paths.journal):
        return fold(paths.journal.read_bytes()) if paths.journal.exists() else None


def read_partial(paths: Paths) -> list[bytes]:
    """Read the lines of the partial file; none when there is no such file.

    Raises:
        OutputUnusable: it is there and cannot be read.
    """
    with _disk(paths.partial):
        return paths.partial.read_bytes().split(b"\n")[:-1] if paths.partial.exists() else []


def read_manifest(paths: Paths) -> Manifest | None:
    """Read the manifest beside an export; None when there is none.

    Raises:
        OutputUnusable: it is there and cannot be read, or is no manifest.
    """
    with _disk(paths.manifest):
        if not paths.manifest.exists():
            return None
        try:
            return read(paths.manifest.read_bytes())
        except ValueError as error:
            raise OutputUnusable(f"{paths.manifest} is no manifest: {error}") from None


@contextlib.contextmanager
def _disk(what: Path | str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputUnusable(f"{what}: {error.strerror or error}") from error


def _cut(file: FileIO, end: int) -> None:
    """Take back what a full disk let us write half, as far as it lets us."""
    with contextlib.suppress(OSError):
        file.seek(end)
        file.truncate()


def _write_all(file: FileIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _refuse_to_overwrite(paths: Paths) -> None:
    for path in paths.all:
        if path.exists():
            raise OutputUnusable(
                f"{path} exists already, and an export is never overwritten. Give another name, or --fresh to begin"
                " anew and keep the old files under another name."
            )


def _set_aside(paths: Paths) -> None:
    folder = next((path for path in paths.all if path.is_dir()), None)
    if folder is not None:
        raise OutputUnusable(f"{folder} is a directory")
    if not any(path.exists() for path in paths.all):
        return
    number = 1
    while any(path.exists() for path in _aside(paths, number).all):
        number += 1
    for path, aside in zip(paths.all, _aside(paths, number).all, strict=True):
        if path.exists():
            path.rename(aside)


def _aside(paths: Paths, number: int) -> Paths:
    return Paths(paths.out.with_name(f"{paths.out.stem}.old-{number}{paths.out.suffix}"))
