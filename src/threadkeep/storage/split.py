"""One export for each assistant of an export, next to it. The export itself is only read."""

import contextlib
from collections.abc import Iterable, Iterator

import attrs
import msgspec

from threadkeep.errors import OutputUnusable
from threadkeep.storage.combine import ThreadToWrite
from threadkeep.storage.file_set import FileSet, open_file_set
from threadkeep.storage.index import decode_download, decode_row
from threadkeep.storage.lock import locked
from threadkeep.storage.manifest import Manifest
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import refuse_irregular
from threadkeep.storage.rewriting import decoded_lines, link_files, proven, thread_as_written
from threadkeep.storage.writer import (
    RunFacts,
    finish_exchange,
    put_in_place,
    remove_unfinished,
    write_new_set,
)

__all__ = ["NO_ASSISTANT", "Part", "split_by_assistant"]

NO_ASSISTANT = "none"
"""In the name of the export of those threads that have no assistant."""

_NAME_BYTES = 200


@attrs.frozen
class Part:
    """An export that was split off: its files, and its manifest."""

    paths: Paths
    manifest: Manifest


def split_by_assistant(paths: Paths) -> list[Part]:
    """Write one export for each assistant: ``out.asst_1.ndjson`` and so on, and ``out.none.ndjson`` for no assistant.

    Sidecars, partial lines and downloads go along. Every line is checked, and no part counts before all are written.
    A part that is there already and would be written the same is written again, so a split can be repeated.

    Returns:
        The parts, in the order in which their assistants come first.

    Raises:
        OutputUnusable: another run is at work or was cut off, the export is damaged, another export has the name of a
            part, an assistant's id cannot be a part of a file's name, or the disk reports an error.
    """
    if not paths.out.parent.is_dir():
        raise OutputUnusable(f"{paths.out.parent} is not a folder.")
    with locked(paths.lock):
        finish_exchange(paths)
        if paths.store.exists():
            raise OutputUnusable(
                f"{paths.store} has what a run that was cut off has fetched. Run the same export command again, or"
                f" `threadkeep write`, before {paths.out.name} is split."
            )
        with contextlib.ExitStack() as held:  # nobody else may write to a part before all are in place
            with open_file_set(paths) as files:
                parts = _written(files, held)
            for part in parts:
                put_in_place(part.paths, part.manifest)
    return parts


def _written(files: FileSet, held: contextlib.ExitStack) -> list[Part]:
    """Write the files of every part, or of none. The locks of the parts are held then."""
    paths, (header, of) = files.paths, proven(files)
    facts = RunFacts(started_at=of.started_at, finished_at=of.finished_at, versions=of.versions, ended_by=of.ended_by)
    referred: dict[str | None, dict[str, None]] = {}
    for row in decoded_lines(files, "index", decode_row, first=2):
        referred.setdefault(row.assistant_id, {}).update(dict.fromkeys(row.files))
    downloads = {row.file_id: row for row in decoded_lines(files, "downloads", decode_download)}
    written = []
    with contextlib.ExitStack() as undo:
        for one, part in _part_paths(paths, referred).items():
            own = {file_id: downloads[file_id] for file_id in referred[one] if file_id in downloads}
            known = own if "downloads" in files.files else None
            of_part = header if one is None else msgspec.structs.replace(header, assistant_id=one)
            held.enter_context(locked(part.lock))
            finish_exchange(part)  # of a split that was killed
            undo.callback(remove_unfinished, part)
            manifest = write_new_set(part, of_part, _threads(files, one), facts, downloads=known)
            _refuse_other(part, manifest)
            saved = [row.name for row in own.values() if row.name is not None and "/" not in row.name]
            link_files((paths.files / name for name in saved), part.files, undo)
            written.append(Part(part, manifest))
        undo.pop_all()
    return written


def _part_paths(paths: Paths, assistants: Iterable[str | None]) -> dict[str | None, Paths]:
    parts = {}
    for one in assistants:
        name = NO_ASSISTANT if one is None else one
        if not name.isprintable() or "/" in name or "\\" in name or not 0 < len(name.encode()) <= _NAME_BYTES:
            raise OutputUnusable(f"The assistant's id {name[:_NAME_BYTES]!r} cannot be a part of a file's name.")
        part = parts[one] = Paths(paths.out.with_name(f"{paths.out.stem}.{name}{paths.out.suffix}"))
        for path in part.all_files():
            refuse_irregular(path)
        refuse_irregular(part.files, folder=True)
    if None in parts and NO_ASSISTANT in parts:
        raise OutputUnusable(f"An assistant is called {NO_ASSISTANT!r}, which is the name for threads without one.")
    return parts


def _refuse_other(part: Paths, manifest: Manifest) -> None:
    """Raise if files of a part are there already, unless an earlier split has written the same."""
    with open_file_set(part) as there:
        if there.manifest == manifest and not part.store.exists():
            return
    for path in (*part.written.values(), part.manifest, part.store):
        if path.exists():
            raise OutputUnusable(
                f"{path} exists already, and is not what this split would write. Move {part.out.name} and the files"
                " next to it away, and run the same command again."
            )


def _threads(files: FileSet, assistant_id: str | None) -> Iterator[ThreadToWrite]:
    for row in decoded_lines(files, "index", decode_row, first=2):
        if row.assistant_id == assistant_id:
            yield thread_as_written(files, row)
