"""What several commands take: lists of ids, the name of an export, and of files that are written."""

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from threadkeep.cli.shared_options import FILE
from threadkeep.errors import OutputUnusable, UnreadableIds
from threadkeep.scale.open_store import is_url
from threadkeep.serialization.id_lists import IdList
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import create, on_disk

__all__ = ["OUT", "OUT_OR_PREFIX", "open_ids", "put", "refuse_column_without_list", "refuse_impossible"]


class _Out(click.ParamType[Path]):
    """The name of an export. It must end in a name, since other files take theirs from it."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if is_url(str(value)):
            self.fail(f"{value!r} is a prefix of objects, and not a file: `threadkeep merge` makes one.", param, ctx)
        path = Path(value)
        if str(value) == "-":
            self.fail("'-' does not name a file. Give the name of one, such as out.ndjson.", param, ctx)
        if not path.name or path.name == "..":
            self.fail(f"{value!r} does not name a file.", param, ctx)
        return path

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Let the shell complete it as a file."""
        return FILE.shell_complete(ctx, param, incomplete)


class _OutOrPrefix(click.ParamType[Path | str]):
    """The name of an export, as a path; or the URL of a prefix of objects, as it is."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        return value if isinstance(value, str) and is_url(value) else OUT.convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Let the shell complete it as a file."""
        return FILE.shell_complete(ctx, param, incomplete)


OUT = _Out()
OUT_OR_PREFIX = _OutOrPrefix()


def open_ids(source: str, column: str | None = None) -> IdList:
    """Open a list of ids. Its entries are read as they are asked for.

    Standard input, "-", is read to its end now. The file is closed when the command ends.

    Raises:
        UnreadableIds: the file cannot be opened, or is no list of ids.
    """
    command = click.get_current_context()
    name = "standard input" if source == "-" else source
    try:
        if source != "-":
            return IdList(command.with_resource(Path(source).open("rb")), name, column)
        if sys.stdin is None:
            raise UnreadableIds(f"{name}: it is closed")
        # A temporary file, since a wait for standard input must be interruptible.
        spool = command.with_resource(tempfile.TemporaryFile())  # noqa: SIM115 - closed with the command
        shutil.copyfileobj(sys.stdin.buffer, spool)
        spool.seek(0)
        return IdList(spool, name, column)
    except OSError as error:
        raise UnreadableIds(f"{name}: {error.strerror or error}") from None


def refuse_column_without_list(ids: str | None, column: str | None) -> None:
    """Refuse the name of a column where there is no list."""
    if column is not None and ids is None:
        raise click.UsageError("Give --ids too: --column names a column of that list.")


def refuse_impossible(paths: Paths, ids: str | None, written: Mapping[str, str | None]) -> None:
    """Refuse to write to a file of the export, to the list of ids, to one file twice, or where no file can be.

    Args:
        paths: of the export.
        ids: the list of ids.
        written: file names by the option that they were given with.
    """
    own = {path.resolve() for path in paths.all_files()}
    seen = {} if ids in (None, "-") else {Path(str(ids)).resolve(): "--ids"}
    given = [(option, Path(name)) for option, name in written.items() if name is not None]
    for option, path in given:
        place = path.resolve()
        if str(path) == "-":
            raise click.UsageError(f"{option} takes a file: standard output has the summary.")
        if place in own or paths.files.resolve() in place.parents:
            raise click.UsageError(f"{option} {path} is a file of the export itself: give another name.")
        if place in seen:
            raise click.UsageError(f"{seen[place]} and {option} are the same file, {path}.")
        seen[place] = option
    for _, path in given:
        if not path.parent.is_dir():
            raise OutputUnusable(f"{path}: there is no folder {path.parent}. Create it, or choose another name.")
        if path.is_dir():
            raise OutputUnusable(f"{path} is a folder. Give the name of a file.")


def put(name: str, content: bytes) -> None:
    """Write a file completely or not at all, as `on_disk` raises. A link stays one.

    Only its owner may read a new file, as those of an export; one that is replaced keeps its permissions.
    """
    with on_disk(name):
        if Path(name).exists() and not Path(name).is_file():  # /dev/stdout, a pipe: there is nothing to replace
            Path(name).write_bytes(content)
            return
        path = Path(os.path.realpath(name))
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".threadkeep-") as folder:
            draft = Path(folder) / "draft"
            with create(draft) as file:
                file.write(content)
            if path.exists():
                draft.chmod(path.stat().st_mode)
            draft.replace(path)
