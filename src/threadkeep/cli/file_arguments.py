"""What commands are given: the file of thread ids, and the name of an export.

Files that a command writes beside its answer: never over a file of the export that it is about.
"""

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from threadkeep.disk import on_disk
from threadkeep.errors import OutputUnusable, UnreadableIds
from threadkeep.serialization.id_lists import ThreadIds, read_ids
from threadkeep.storage.paths import Paths

__all__ = ["OUT", "load_ids", "put", "refuse_nowhere", "refuse_the_exports_own"]


class _Out(click.ParamType[Path]):
    """The name of an export. It must end in a name, since other files take theirs from it."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(value)
        if not path.name or path.name == "..":
            self.fail(f"{value!r} does not name a file.", param, ctx)
        return path


OUT = _Out()


def load_ids(source: str) -> ThreadIds:
    """Read the ids from a file, or from standard input for "-".

    Raises:
        UnreadableIds: the file cannot be read, or is not text.
    """
    try:
        return read_ids(_content(source))
    except OSError as error:
        raise UnreadableIds(f"{source}: {error.strerror or error}") from None
    except UnreadableIds as error:
        raise UnreadableIds(f"{source}: {error}") from None


def _content(source: str) -> bytes:
    if source != "-":
        return Path(source).read_bytes()
    if sys.stdin is None:
        raise UnreadableIds("standard input is closed")
    return sys.stdin.buffer.read()


def refuse_the_exports_own(paths: Paths, given: Mapping[str, str | None]) -> None:
    """Refuse to write over what is to be proved, or over what was just given to be read.

    Args:
        paths: of the export.
        given: file names by the option that they were given with; None where one was not.

    Raises:
        click.UsageError: one of them is a file of the export, is in its folder of files, or is given twice.
    """
    own = {path.resolve() for path in paths.all}
    seen: dict[Path, str] = {}
    for option, name in given.items():
        if name is None or (name == "-" and option == "--ids"):
            continue
        if name == "-":
            raise click.UsageError(f"{option} takes a file: standard output has the summary.")
        path = Path(name).resolve()
        if path in own or paths.files.resolve() in path.parents:
            raise click.UsageError(f"{option} {name} is a file of the export itself: give another name.")
        if path in seen:
            raise click.UsageError(f"{seen[path]} and {option} are the same file, {name}.")
        seen[path] = option


def refuse_nowhere(name: str) -> None:
    """Refuse a name that no file can have.

    Raises:
        OutputUnusable: its folder is not there, or it is a folder itself.
    """
    path = Path(name)
    if not path.parent.is_dir():
        raise OutputUnusable(f"{name}: there is no folder {path.parent}")
    if path.is_dir():
        raise OutputUnusable(f"{name} is a folder")


def put(name: str, content: bytes) -> None:
    """Write a file whole or not at all. A link stays one.

    Raises:
        OutputUnusable: the disk refuses.
    """
    path = Path(name)
    with on_disk(path):
        if path.exists() and not path.is_file():  # /dev/stdout, a pipe: there is nothing to replace
            path.write_bytes(content)
        else:
            _replace(Path(os.path.realpath(path)), content)


def _replace(path: Path, content: bytes) -> None:
    """By way of a name that nobody has, which is gone again when the disk refuses."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
    draft = Path(name)
    try:
        with open(number, "wb") as file:
            file.write(content)
        draft.chmod(path.stat().st_mode if path.exists() else 0o666 & ~_umask())
        draft.replace(path)
    except BaseException:
        draft.unlink()
        raise


def _umask() -> int:
    """There is no way to read it but to set it."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask
