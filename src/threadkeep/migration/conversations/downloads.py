"""Files that a push needs and the export does not have: those that may still come, and those that never do. Pure.

A push whose options need files sends no thread whose files are not here yet, if another export run may download them.
"""

from collections.abc import Iterable

from threadkeep.conversion.source import Thread
from threadkeep.storage.index import DownloadOutcome

__all__ = ["awaited", "why_awaited", "why_not_here"]

_NEVER = (DownloadOutcome.MISSING, DownloadOutcome.NOT_ALLOWED, DownloadOutcome.INVALID)


def awaited(thread: Thread, file_ids: Iterable[str]) -> str | None:
    """Return why the first of these files that may still come is not here; None if none of them may come."""
    reasons = (why_awaited(thread, file_id) for file_id in file_ids)
    return next((why for why in reasons if why is not None), None)


def why_awaited(thread: Thread, file_id: str) -> str | None:
    """Return why a file is not here, if another export run may download it; None if it never comes.

    Args:
        thread: refers to it.
        file_id: of a file that cannot be read.
    """
    row = thread.not_saved.get(file_id)
    if file_id not in thread.files and (row is None or row.outcome in _NEVER):
        return None
    return f"the file {file_id} {why_not_here(thread, file_id)}"


def why_not_here(thread: Thread, file_id: str) -> str:
    """Return why a file cannot be read, as words behind its name."""
    if (path := thread.files.get(file_id)) is not None:
        return f"was downloaded, and {path.name} cannot be read"
    row = thread.not_saved.get(file_id)
    if row is None:
        return "is not among the files that were downloaded"
    if row.outcome is DownloadOutcome.UNFINISHED:
        return "is not downloaded yet"
    return f"could not be downloaded: {row.reason}"
