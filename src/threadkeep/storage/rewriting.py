"""An export that is written, as it is written again into another one: every line and every file is checked."""

import contextlib
import filecmp
import hashlib
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from threadkeep.errors import OutputUnusable
from threadkeep.storage.combine import Lines, ThreadToWrite
from threadkeep.storage.damage import spans_of
from threadkeep.storage.file_set import FileSet, faults_of
from threadkeep.storage.index import IndexHeader, IndexRow, Span, decode_header
from threadkeep.storage.lines import CHUNK, chunks, digest_of, lines_in, size_of
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.not_exports import refuse_no_export
from threadkeep.storage.private_files import on_disk, sync_folder
from threadkeep.storage.writer import link_or_copy

__all__ = ["REPAIR", "decoded_lines", "link_files", "proven", "thread_as_written"]

REPAIR = "Run the same export command again: it repairs the export."

_T = TypeVar("_T")


def proven(files: FileSet) -> tuple[IndexHeader, Manifest]:
    """Return the header and the manifest of an export whose files are those that it was written with, as far as is
    known without reading OUT and the sidecars.

    Raises:
        OutputUnusable: there is no index or no manifest, the index or the list of downloads is another one, or a file
            is not there, or of another size.
    """
    paths, manifest = files.paths, files.manifest
    header = next(decoded_lines(files, "index", decode_header), None)
    if header is None and "out" not in files.files:
        raise OutputUnusable(f"{paths.out} is no export: there is nothing of that name. Check the path.")
    if header is None:
        refuse_no_export(paths.out)
        raise OutputUnusable(f"{paths.index} does not exist: this takes an export with its index only. Check the path.")
    if manifest is None:
        raise OutputUnusable(f"{files.manifest_fault or f'{paths.manifest} does not exist'}. {REPAIR}")
    for name in ("index", "downloads"):
        file, claim = files.files.get(name), manifest.files.get(name)
        found = None if file is None else digest_of(file, 0, size_of(file))
        if found != (None if claim is None else claim.sha256):
            path = paths.written[name]
            raise OutputUnusable(f"{path} is not the one that {paths.manifest.name} was written with. {REPAIR}")
    for _, fault in faults_of(files):
        raise OutputUnusable(f"{fault}. {REPAIR}")
    return header, manifest


def thread_as_written(files: FileSet, row: IndexRow) -> ThreadToWrite:
    """Return a thread with all its lines, as they are.

    Raises:
        OutputUnusable: when the lines are read: they are not as they were written.
    """
    lines = {name: _checked(files, name, span, row) for name, span in spans_of(row)}
    messages, partial = lines.pop("out", None), lines.pop("partial", None)
    if partial is not None and row.partial is not None and "partial" in files.files:
        # The row may count lines of OUT.
        pieces = chunks(files.files["partial"], row.partial.offset, row.partial.end)
        partial.count = sum(piece.count(b"\n") for piece in pieces)
    return ThreadToWrite(
        thread_id=row.thread_id,
        assistant_id=row.assistant_id,
        outcome=row.outcome,
        reason=row.reason,
        files=row.files,
        messages=messages,
        sidecars=lines,
        partial=partial,
    )


def _checked(files: FileSet, name: str, span: Span, row: IndexRow) -> Lines:
    """Return the lines in a range of bytes, and make sure that they are as they were written."""
    file = files.files.get(name)
    if not span.bytes:
        return Lines.of(row, ())
    if file is not None and span.bytes <= CHUNK:
        content = b"".join(chunks(file, span.offset, span.end))
        if hashlib.sha256(content).hexdigest() == span.sha256:
            lines = Lines.of(row, (content,))
            lines.sha256 = span.sha256
            return lines
    elif file is not None and digest_of(file, span.offset, span.end) == span.sha256:
        return Lines.of(row, chunks(file, span.offset, span.end))
    path = files.paths.written.get(name, files.paths.out)
    raise OutputUnusable(f"{path}: the lines of {row.thread_id} are damaged. {REPAIR}")


def decoded_lines(files: FileSet, name: str, decode: Callable[[bytes], _T], first: int = 1) -> Iterator[_T]:
    """Decode the lines of a file, from the first one wanted on.

    Raises:
        OutputUnusable: a line is damaged.
    """
    path = files.paths.written[name]
    file = files.files.get(name)
    for number, line in enumerate(lines_in(file, path.name) if file is not None else (), 1):
        if number >= first:
            try:
                row = decode(line)
            except ValueError as error:
                raise OutputUnusable(f"{path}: line {number} is damaged: {error}. {REPAIR}") from None
            yield row


def link_files(sources: Iterable[Path], folder: Path, undo: contextlib.ExitStack) -> None:
    """Put downloaded files into the folder of another export too; those that are not there are passed over.

    Args:
        sources: the files.
        folder: of the other export.
        undo: gets what removes them again.

    Raises:
        OutputUnusable: another file has the name of one, or the disk reports an error.
    """
    with on_disk(folder):
        for number, source in enumerate(sources):
            if not number and not folder.exists():
                undo.callback(shutil.rmtree, folder, ignore_errors=True)
                folder.mkdir(mode=0o700)
            target = folder / source.name
            if not target.exists():
                undo.callback(target.unlink, missing_ok=True)
            link_or_copy(source, target)
            if source.exists() and not (source.samefile(target) or filecmp.cmp(source, target, shallow=False)):
                raise OutputUnusable(f"{target} exists already, and is another file. Move it away, and try again.")
        if folder.exists():
            sync_folder(folder)
