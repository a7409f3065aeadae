"""The threads of an export that is written, as they are written again into another one: every line is checked."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from threadkeep.errors import OutputUnusable
from threadkeep.storage.combine import Lines, ThreadToWrite
from threadkeep.storage.damage import spans_of
from threadkeep.storage.file_set import FileSet
from threadkeep.storage.index import IndexHeader, IndexRow, Span, decode_header
from threadkeep.storage.lines import chunks, digest_of, lines_in, size_of
from threadkeep.storage.manifest import Manifest

__all__ = ["decoded_lines", "proven", "thread_as_written"]

_REPAIR = "Run the same export command again: it repairs the export."

_T = TypeVar("_T")


def proven(files: FileSet) -> tuple[IndexHeader, Manifest]:
    """Return the header and the manifest of an export whose index is the one that it was written with.

    Raises:
        OutputUnusable: there is no index or no manifest, or the index is another one.
    """
    paths, manifest = files.paths, files.manifest
    header = next(decoded_lines(files, "index", decode_header), None)
    if header is None:
        raise OutputUnusable(f"{paths.index} does not exist: this takes an export with its index only.")
    if manifest is None:
        raise OutputUnusable(f"{files.manifest_fault or f'{paths.manifest} does not exist'}. {_REPAIR}")
    index, claim = files.files["index"], manifest.files.get("index")
    if claim is None or digest_of(index, 0, size_of(index)) != claim.sha256:
        raise OutputUnusable(f"{paths.index} is not the one that {paths.manifest.name} was written with. {_REPAIR}")
    return header, manifest


def thread_as_written(files: FileSet, row: IndexRow) -> ThreadToWrite:
    """Return a thread with all its lines, as they are.

    Raises:
        OutputUnusable: when the lines are read: they are not as they were written.
    """
    lines = {name: Lines.of(row, _checked(files, name, span, row.thread_id)) for name, span in spans_of(row)}
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


def _checked(files: FileSet, name: str, span: Span, thread_id: str) -> Iterable[bytes]:
    """Return a range of bytes, in pieces, and make sure that they are as they were written."""
    if not span.bytes:
        return ()
    file = files.files.get(name)
    if file is None or digest_of(file, span.offset, span.end) != span.sha256:
        path = files.paths.written.get(name, files.paths.out)
        raise OutputUnusable(f"{path}: the lines of {thread_id} are damaged. {_REPAIR}")
    return chunks(file, span.offset, span.end)


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
                raise OutputUnusable(f"{path}: line {number} is damaged: {error}. {_REPAIR}") from None
            yield row
