"""The files of an export, opened together: either all of the old set or all of the new one.

While a writer puts a new set in place, ``OUT.manifest.json.new`` exists. From then on the new set counts: its files are
found under ``NAME.new`` until they are renamed, and under ``NAME`` afterwards.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import attrs

from threadkeep.errors import OutputUnusable
from threadkeep.storage.lines import size_of
from threadkeep.storage.manifest import Manifest, decode_manifest
from threadkeep.storage.paths import Paths, new
from threadkeep.storage.private_files import on_disk, open_regular

__all__ = ["FileSet", "faults_of", "open_file_set"]

# Each exchange lasts milliseconds, and a reader that meets so many in a row is not reading an export.
_TRIES = 100

_MANIFEST_BYTES = 16 * 1024 * 1024


@attrs.frozen
class FileSet:
    """The open files of an export.

    Attributes:
        paths: their names.
        files: by "out", "index", "partial", "threads", "runs", "downloads"; what is not there is left out.
        manifest: None when there is none, or it cannot be read.
        manifest_fault: why the manifest cannot be read.
    """

    paths: Paths
    files: Mapping[str, BinaryIO]
    manifest: Manifest | None
    manifest_fault: str | None

    @property
    def has_index(self) -> bool:
        """Whether there is an index: without one, OUT is not an export that was written here."""
        return "index" in self.files


@contextlib.contextmanager
def open_file_set(paths: Paths) -> Iterator[FileSet]:
    """Open every file of an export that is there.

    Raises:
        OutputUnusable: a file is not regular, or cannot be opened, or the export is replaced again and again.
    """
    for _ in range(_TRIES):
        with contextlib.ExitStack() as opened:
            before = _manifest_bytes(paths)
            is_new = before is not None and before.is_new
            files = {name: _opened(path, opened, is_new=is_new) for name, path in paths.written.items()}
            after = _manifest_bytes(paths)
            if before == after:
                manifest, fault = _decoded(paths, before)
                # A file that the new set does not have is an old one that the exchange has not removed yet.
                kept = {
                    name: file
                    for name, file in files.items()
                    if file is not None and not (is_new and manifest is not None and name not in manifest.files)
                }
                yield FileSet(paths, kept, manifest, fault)
                return
    raise OutputUnusable(f"{paths.out} is being replaced again and again. Try again when no export is running.")


@attrs.frozen
class _ManifestBytes:
    content: bytes
    is_new: bool


def _manifest_bytes(paths: Paths) -> _ManifestBytes | None:
    for path, is_new in ((new(paths.manifest), True), (paths.manifest, False)):
        with on_disk(path), contextlib.suppress(FileNotFoundError), open_regular(path) as file:
            return _ManifestBytes(file.read(_MANIFEST_BYTES), is_new)
    return None


def _opened(path: Path, opened: contextlib.ExitStack, *, is_new: bool) -> BinaryIO | None:
    for name in (new(path), path) if is_new else (path,):
        with on_disk(name), contextlib.suppress(FileNotFoundError):
            return opened.enter_context(open_regular(name))
    return None


def _decoded(paths: Paths, found: _ManifestBytes | None) -> tuple[Manifest | None, str | None]:
    if found is None:
        return None, None
    try:
        return decode_manifest(found.content), None
    except ValueError as error:
        return None, f"{paths.manifest.name} cannot be read: {error}"


def faults_of(files: FileSet) -> Iterator[tuple[str | None, str]]:
    """Yield the files that are not there, or have not the size that the manifest says: their names in it, and words.

    Of a manifest that cannot be read, the name is None.
    """
    if files.manifest is None:
        yield from [(None, files.manifest_fault)] if files.manifest_fault else []
        return
    for name, claim in files.manifest.files.items():
        path = files.paths.written.get(name, name)
        if name not in files.files:
            yield name, f"{path} does not exist, and the manifest says that it does"
        elif (size := size_of(files.files[name])) != claim.bytes:
            yield name, f"{path} has {size:,} bytes, and the manifest says {claim.bytes:,}"
