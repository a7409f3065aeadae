"""Prefixes where a command reads an export: merged for as long as the command runs."""

import contextlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from threadkeep.scale.collect import merge_parts, prefix_at, with_names
from threadkeep.scale.object_store import ObjectStore
from threadkeep.scale.validation import ValidatedPrefix, validated_prefix
from threadkeep.storage.paths import Paths
from threadkeep.storage.private_files import on_disk
from threadkeep.validation.entrypoints import Validated, validated

__all__ = ["last_part", "readable", "validated_at"]


def last_part(prefix: str | Path) -> str:
    """Return the last part of the name of a prefix, which an export of it is named after."""
    return str(prefix).rstrip("/").rpartition("/")[2].strip(".") or "export"


@contextlib.contextmanager
def readable(given: str | Path) -> Iterator[Path]:
    """Yield the place of an export to be read. A prefix is merged in a temporary folder, which is removed afterwards.

    Args:
        given: the name of an export, or a prefix.

    Raises:
        ExtraMissing, OutputUnusable: as `threadkeep.scale.collect.merge_parts`. An error in here, too, has the name of
            the prefix in the place of that of the temporary file.
    """
    store = prefix_at(given)
    if store is None:
        yield Path(given)
        return
    with _temporary(store, given) as path:
        merge_parts([store], Paths(path))
        yield path


@contextlib.contextmanager
def validated_at(given: str | Path, *, ids: Iterable[str] | None, most: int) -> Iterator[Validated | ValidatedPrefix]:
    """Validate an export or a prefix. The files that were read of a prefix are removed afterwards.

    Args:
        given: as of `readable`.
        ids, most: as of `threadkeep.validation.entrypoints.validate`.

    Raises:
        ExtraMissing, OutputUnusable: as `threadkeep.scale.validation.validated_prefix`. Errors have names as in
            `readable`.
    """
    store = prefix_at(given)
    if store is None:
        yield validated(Path(given), ids=ids, most=most)
        return
    with _temporary(store, given) as path:
        yield validated_prefix(store, path, ids=ids, most=most)


@contextlib.contextmanager
def _temporary(store: ObjectStore, given: str | Path) -> Iterator[Path]:
    """Yield the name of an export in a temporary folder, for a prefix."""
    with contextlib.ExitStack() as opened:
        with on_disk(tempfile.gettempdir()):
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="threadkeep-"))
        path = Path(folder).resolve() / last_part(store.url)
        with with_names({str(path): str(given)}):
            yield path
