"""What a push asks of a destination: an API, and the form that threads take there."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import attrs

from threadkeep.api.client import ApiClient
from threadkeep.conversion.job import Options
from threadkeep.conversion.source import Thread
from threadkeep.errors import ApiError
from threadkeep.migration.store import PushStore, StoredThread
from threadkeep.storage.store_thread import StoreThread

__all__ = ["Delivery", "Destination", "FilesAwaited", "OtherItems", "PushContext"]


@attrs.frozen(kw_only=True)
class PushContext:
    """What a destination works with.

    Attributes:
        options: of the items.
        store: of the push.
        thread: uses the store.
        threads: reads all complete threads of the export, on that thread.
        notify: called with a text for people.
        anew, without_files, is_foundry, upload_files: as `threadkeep.migration.job.PushJob` has them.
    """

    options: Options
    store: PushStore
    thread: StoreThread
    threads: Callable[[], Iterable[Thread]]
    notify: Callable[[str], None]
    anew: bool
    without_files: bool
    is_foundry: bool
    upload_files: bool


class OtherItems(Exception):
    """A destination does not have what was sent."""


class FilesAwaited(Exception):
    """A thread needs a file that is not downloaded, and that another export run may download."""


class Delivery(Protocol):
    """One thread that is sent.

    Attributes:
        sent: how many items this run has sent of it.
        behind: how many items of others were behind ours when it was verified.
        is_certain: whether each request that writes was answered.
    """

    sent: int
    behind: int
    is_certain: bool

    def may_be_anothers(self, problem: ApiError) -> bool:
        """Return whether an error may mean that another key has what is asked for."""

    async def run(self, client: ApiClient) -> None:
        """Send what is not there yet.

        Raises:
            ApiError: there is no usable answer. The store says how far it came.
            OtherItems: there is something else than what was sent.
            FilesAwaited: nothing was sent, since a file is not here yet.
            MalformedLine, OutputUnusable: the export or the store cannot be read.
        """

    async def verify(self, client: ApiClient) -> None:
        """Compare what is there with what was to be sent. Raises as `run` does."""


class Destination(Protocol):
    """An API that threads are pushed to."""

    def delivery(self, thread: Thread) -> Delivery:
        """Return what sends a thread."""

    async def settle(self, client: ApiClient, rows: Sequence[StoredThread]) -> None:
        """Find out what became of threads of which a request was not answered, and store it.

        Raises:
            ApiError: there is no usable answer.
        """
