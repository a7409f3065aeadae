"""What commands are given: the file of thread ids, and the name of an export."""

import sys
from pathlib import Path
from typing import Any

import click

from threadkeep.errors import UnreadableIds
from threadkeep.serialization.id_lists import ThreadIds, read_ids

__all__ = ["OUT", "load_ids"]


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
