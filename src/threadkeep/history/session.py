"""A chat history as the Agents SDK's ``Session`` protocol has it, over a store with plain, blocking methods.

The SDK's protocol is met by shape: nothing of it is imported. Items that are returned are dicts, and typed Any: a type
checker takes a list of dicts neither for the SDK's items nor for the messages of the openai SDK.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar, runtime_checkable

import attrs

from threadkeep.history.background_loop import run_in_background
from threadkeep.history.items import Item, checked, named_type

__all__ = [
    "History",
    "Session",
    "SessionInfo",
    "Store",
    "SyncHistory",
    "SyncSession",
    "checked_session",
    "settings_limit",
    "sync_session",
]

_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class SessionInfo:
    """A session that a store holds.

    Attributes:
        session_id: None for a store that keeps one list whatever the session id is (a ``.json`` file).
        items: how many there are.
        first_at, last_at: when the first and the last item were added; None if the kind of store does not keep it.
        metadata: as it was given to `open_history`; None if there is none.
    """

    session_id: str | None
    items: int
    first_at: datetime | None = None
    last_at: datetime | None = None
    metadata: Mapping[str, Any] | None = None


class Store(Protocol):
    """One session of a store. Every method raises HistoryUnusable, or HistoryDamaged."""

    def read(self, limit: int | None) -> list[Item]:
        """Return the newest ``limit`` items, or all of them, oldest first. A missing store is empty."""
        ...

    def append(self, items: Sequence[Item]) -> None:
        """Add all items, or none. They are `checked`, and at least one."""
        ...

    def pop(self) -> Item | None:
        """Remove the newest item and return it; None if there is none."""
        ...

    def clear(self) -> None:
        """Remove all items of the session."""
        ...

    def close(self) -> None:
        """Close the connections that the store holds, if any."""
        ...


@runtime_checkable
class Session(Protocol):
    """What `Trimmed` and `Conversation` take: any session of the Agents SDK's shape."""

    session_id: str
    session_settings: Any

    async def get_items(self, limit: int | None = None) -> list[Any]:
        """Return the newest ``limit`` items, or all of them, oldest first."""
        ...

    async def add_items(self, items: list[Any]) -> None:
        """Add items at the end."""
        ...

    async def pop_item(self) -> Any | None:
        """Remove the newest item and return it."""
        ...

    async def clear_session(self) -> None:
        """Remove all items."""
        ...


class SyncSession(Protocol):
    """The methods of a `Session` without ``await``."""

    def get_items(self, limit: int | None = None) -> list[Any]:
        """Return the newest ``limit`` items, or all of them, oldest first."""
        ...

    def add_items(self, items: list[Any]) -> None:
        """Add items at the end."""
        ...

    def pop_item(self) -> Any | None:
        """Remove the newest item and return it."""
        ...

    def clear_session(self) -> None:
        """Remove all items."""
        ...


class History:
    """One session of a chat history. `open_history` makes it.

    Every method may be called from any thread and any event loop. Several processes may use the same store: writers
    wait for each other.

    Attributes:
        session_id: which session of the store this is.
        session_settings: of the Agents SDK, or None; its ``limit`` is used by ``get_items()``.
        sync: the same methods without ``await``.
    """

    def __init__(self, store: Store, session_id: str, session_settings: Any = None) -> None:
        self.session_id = session_id
        self.session_settings = session_settings
        self.sync = SyncHistory(store, self)

    async def get_items(self, limit: int | None = None, *, wrapper: Any = None) -> list[Any]:
        """Return items, oldest first. A store that does not exist yet has none, and is not created.

        Args:
            limit: only the newest ``limit`` items; None for all of them.
            wrapper: what the Agents SDK may pass; ignored.

        Raises:
            ValueError: a negative limit.
            HistoryDamaged: the store is damaged.
            HistoryUnusable: it cannot be read.
        """
        return await asyncio.to_thread(self.sync.get_items, limit)

    async def add_items(self, items: Iterable[Mapping[str, Any]], *, wrapper: Any = None) -> None:
        """Add items at the end: all of them, or none.

        When this returns, they are on the disk (or with the server). A caller that is cancelled waits for the outcome
        first.

        Args:
            items: dicts of what JSON can hold.
            wrapper: what the Agents SDK may pass; ignored.

        Raises:
            TypeError, ValueError: an item that JSON cannot keep exactly.
            HistoryDamaged, HistoryUnusable: as for `get_items`.
        """
        await _completed(lambda: self.sync.add_items(items))

    async def pop_item(self, *, wrapper: Any = None) -> Any | None:
        """Remove the newest item and return it; None if there is none.

        Raises:
            HistoryDamaged, HistoryUnusable: as for `get_items`.
        """
        return await _completed(self.sync.pop_item)

    async def clear_session(self, *, wrapper: Any = None) -> None:
        """Remove all items of this session.

        Raises:
            HistoryDamaged, HistoryUnusable: as for `get_items`.
        """
        await _completed(self.sync.clear_session)

    async def close(self) -> None:
        """Close the connections to a server, if there are any. Files are closed after every call."""
        await _completed(self.sync.close)


class SyncHistory:
    """The methods of a `History`, blocking."""

    def __init__(self, store: Store, history: History) -> None:
        self._store = store
        self._history = history

    @property
    def session_id(self) -> str:
        """Of the history."""
        return self._history.session_id

    def get_items(self, limit: int | None = None, *, wrapper: Any = None) -> list[Any]:
        """Return items as `History.get_items` does."""
        if limit is None:
            limit = settings_limit(self._history.session_settings)
        if limit is not None and limit < 0:
            raise ValueError(f"the limit {limit} is negative")
        return [] if limit == 0 else self._store.read(limit)

    def add_items(self, items: Iterable[Mapping[str, Any]], *, wrapper: Any = None) -> None:
        """Add items as `History.add_items` does."""
        if found := checked(items):
            self._store.append(found)

    def pop_item(self, *, wrapper: Any = None) -> Any | None:
        """Remove the newest item as `History.pop_item` does."""
        return self._store.pop()

    def clear_session(self, *, wrapper: Any = None) -> None:
        """Remove all items as `History.clear_session` does."""
        self._store.clear()

    def close(self) -> None:
        """Close connections as `History.close` does."""
        self._store.close()


class _Waiting:
    """A session of the Agents SDK, called without ``await``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_items(self, limit: int | None = None) -> list[Any]:
        return run_in_background(self._session.get_items(limit))

    def add_items(self, items: list[Any]) -> None:
        run_in_background(self._session.add_items(items))

    def pop_item(self) -> Any | None:
        return run_in_background(self._session.pop_item())

    def clear_session(self) -> None:
        run_in_background(self._session.clear_session())


def checked_session(session: Session) -> Session:
    """Return a session.

    Raises:
        TypeError: it is none, or the blocking methods of one.
    """
    if isinstance(session, SyncHistory):
        raise TypeError("the history itself is needed, not its sync: leave out .sync")
    if not hasattr(session, "get_items"):
        raise TypeError(f"a session is needed, not {named_type(session)}. open_history opens one.")
    return session


def sync_session(session: Session) -> SyncSession:
    """Return the methods of any session without ``await``: those of its ``sync``, or its own in a background loop."""
    sync: SyncSession | None = getattr(session, "sync", None)
    return sync if sync is not None else _Waiting(session)


def settings_limit(settings: Any) -> int | None:
    """Return the limit of a session's settings, which are the Agents SDK's or a dict."""
    limit: int | None = settings.get("limit") if isinstance(settings, dict) else getattr(settings, "limit", None)
    return limit


async def _completed(work: Callable[[], _T]) -> _T:
    """Run blocking work in a thread and wait until it has ended, even when the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.exception()  # so that it counts as seen: the caller learns of the cancellation only
        raise cancelled
    return task.result()
