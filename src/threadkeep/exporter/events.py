"""The events that an export sends while it runs."""

from collections.abc import Callable
from typing import TypeAlias

import attrs

from threadkeep.api.rate_control import Traffic
from threadkeep.storage.index import DownloadRow, Outcome

__all__ = ["Event", "FilesBegun", "Notice", "ThreadEnded", "ThreadsBegun"]


@attrs.frozen(kw_only=True)
class ThreadsBegun:
    """The first event: the threads are about to be fetched.

    Attributes:
        total: how many threads are listed.
        before: how many of them need no request.
        traffic: returns the requests of all keys together; call it in the event loop of the run.
        library: the name of the distribution that speaks HTTP: httpx, httpx2 or aiohttp; None if it does not matter.
    """

    total: int
    before: int
    traffic: Callable[[], Traffic]
    library: str | None = None


@attrs.frozen(kw_only=True)
class ThreadEnded:
    """What became of a thread is in the working store.

    Attributes:
        messages: how many were fetched.
        reason: why it is not complete; None when it is.
    """

    thread_id: str
    outcome: Outcome
    messages: int
    reason: str | None = None


@attrs.frozen(kw_only=True)
class FilesBegun:
    """The threads are through, and the files are about to be downloaded.

    Attributes:
        total: how many files the threads refer to.
        before: how many of them need no request.
    """

    total: int
    before: int


@attrs.frozen
class Notice:
    """Something that a person should know now. It ends nothing.

    Attributes:
        is_problem: it is not as it should be.
    """

    text: str
    is_problem: bool = True


Event: TypeAlias = ThreadsBegun | ThreadEnded | FilesBegun | DownloadRow | Notice
"""A thread or a file that is through, a notice, or what begins."""
