"""Prefixes where a command reads an export: merged for as long as the command runs."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from threadkeep.scale.collect import merge_parts, prefix_at, with_names
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import on_disk

__all__ = ["Readable", "last_part", "readable"]


@attrs.frozen
class Readable:
    """An export to be read.

    Attributes:
        path: where it is.
        is_prefix: whether it was merged from a prefix, for as long as it is read.
    """

    path: Path
    is_prefix: bool


def last_part(prefix: str | Path) -> str:
    """Return the last part of the name of a prefix, which an export of it is named after."""
    return str(prefix).rstrip("/").rpartition("/")[2].strip(".") or "export"


@contextlib.contextmanager
def readable(given: str | Path) -> Iterator[Readable]:
    """Yield an export to be read. A prefix is merged in a temporary folder, which is removed afterwards.

    Args:
        given: the name of an export, or a prefix.

    Raises:
        ExtraMissing, OutputUnusable: as `threadkeep.scale.collect.merge_parts`. An error in here, too, has the name of
            the prefix in the place of that of the temporary file.
    """
    store = prefix_at(given)
    if store is None:
        yield Readable(Path(given), is_prefix=False)
        return
    with contextlib.ExitStack() as opened:
        with on_disk(tempfile.gettempdir()):
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="threadkeep-"))
        path = Path(folder).resolve() / last_part(store.url)
        with with_names({str(path): str(given)}):
            merge_parts([store], Paths(path))
            yield Readable(path, is_prefix=True)
