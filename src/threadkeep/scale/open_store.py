"""Open the prefix that a path or a URL names."""

import os
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from threadkeep.errors import OutputUnusable
from threadkeep.scale.bucket import Bucket
from threadkeep.scale.folder import Folder
from threadkeep.scale.object_store import ObjectStore

__all__ = ["is_url", "open_store"]


def is_url(text: str) -> bool:
    """Return whether a name of an output is the URL of a prefix, and not a path."""
    return "://" in text


def open_store(place: str | Path, seconds: float | None = None) -> ObjectStore:
    """Open a prefix.

    Args:
        place: the path or the ``file://`` URL of a folder; or a URL that obstore takes: ``s3://``, ``gs://``, ``az://``.
        seconds: no request is tried again after so many; None for as many as obstore thinks right, which are minutes.

    Raises:
        ExtraMissing: obstore, which reaches buckets, is not installed.
        OutputUnusable: there can be no such prefix.
    """
    if isinstance(place, str) and is_url(place):
        parts = urlsplit(place)
        _refuse_ignored(place, parts)
        if parts.scheme != "file":
            return Bucket.at(place.rstrip("/"), seconds)
        place = unquote(parts.path)
    if os.path.lexists(place) and not os.path.isdir(place):
        raise OutputUnusable(f"{place} is a file, and an export in shards is a folder or a bucket. Name another OUT.")
    return Folder(Path(os.path.abspath(place)))


def _refuse_ignored(url: str, parts: SplitResult) -> None:
    """Refuse what would be passed over, so that the objects would be somewhere else."""
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    is_file = parts.scheme == "file"
    if is_file and parts.netloc not in ("", "localhost"):
        raise OutputUnusable(f"{shown} is on another host. A path begins after three slashes: file:///folder.")
    if parts.password is not None:
        raise OutputUnusable(f"{shown} was given with a password. Give it as the libraries of the store expect it.")
    taken = [] if is_file else ["%"]
    if any(mark in url for mark in ("?", "#", *taken)):
        raise OutputUnusable(f"{shown}: the URL of a prefix cannot have {' or '.join(['?', '#', *taken])}.")
