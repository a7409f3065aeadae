"""What an export tells while it runs."""

from collections.abc import Callable

import attrs

from threadkeep.api.rate_control import Traffic
from threadkeep.journal import Entry, FileEntry

__all__ = ["Event", "FilesBegun", "Notice", "ThreadsBegun"]


@attrs.frozen(kw_only=True)
class ThreadsBegun:
    """The first of all: the threads are about to be walked.

    Attributes:
        total: how many are wanted.
        before: how many of them were complete before, and are not asked for.
        traffic: the requests of all keys together, whenever it is called in the loop of the run.
    """

    total: int
    before: int
    traffic: Callable[[], Traffic]


@attrs.frozen(kw_only=True)
class FilesBegun:
    """The threads are through, and the files are about to be downloaded.

    Attributes:
        total: how many the threads refer to.
        before: how many of them need no request.
    """

    total: int
    before: int


@attrs.frozen
class Notice:
    """Something that a person should know now. It ends nothing."""

    text: str


Event = Entry | FileEntry | Notice | ThreadsBegun | FilesBegun
"""The journal entry of a thread or of a file, as soon as it is on the disk; a notice; or what begins."""
