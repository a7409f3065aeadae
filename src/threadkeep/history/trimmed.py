"""A session that shows no more than a model can take."""

import asyncio
import inspect
import sys
from typing import Any

import attrs

from threadkeep.history.background_loop import run_in_background
from threadkeep.history.items import Item
from threadkeep.history.session import Session, checked_session, settings_limit, sync_session
from threadkeep.history.trimming import checked_budget, newest

__all__ = ["SyncTrimmed", "Trimmed"]


@attrs.define
class _Window:
    """What a `Trimmed` shows of a session."""

    max_tokens: int
    model: str | None
    settings: Any
    omits_newest: bool = False

    @property
    def read_limit(self) -> int | None:
        """The limit with which a session returns all of its items, whatever its settings."""
        return None if settings_limit(self.settings) is None else sys.maxsize

    def select(self, items: list[Item], limit: int | None) -> list[Item]:
        """Trim all items of a session."""
        if limit is None:
            limit = settings_limit(self.settings)
        if limit is not None and limit < 0:
            raise ValueError(f"the limit {limit} is negative")
        left, self.omits_newest = newest(items, self.max_tokens, self.model, limit)
        return left


class Trimmed:
    """A session whose `get_items` returns no more than a model can take. The session itself keeps every item.

    It takes any session of the Agents SDK's shape, and is one.

    Attributes:
        session_id, session_settings: those of the session.
        sync: the same methods without ``await``.
    """

    def __init__(self, history: Session, max_tokens: int, *, model: str | None = None) -> None:
        self.session_id = checked_session(history).session_id
        self.session_settings = history.session_settings
        self._history = history
        self._window = _Window(checked_budget(max_tokens), model, history.session_settings)
        self.sync = SyncTrimmed(history, self._window)

    @property
    def omits_newest(self) -> bool:
        """Whether the last `get_items` left out the newest item too, since it does not fit."""
        return self._window.omits_newest

    async def get_items(self, limit: int | None = None, *, wrapper: Any = None) -> list[Any]:
        """Return what `trim` leaves of the session's items.

        Args:
            limit: only the newest ``limit`` items behind the leading system and developer messages, or fewer, where
                items belong together. None: the limit of the session's settings.
            wrapper: what the Agents SDK may pass; ignored.

        Raises:
            ValueError: a negative limit, or the leading messages alone have too many tokens.
        """
        items = await self._history.get_items(self._window.read_limit)
        return await asyncio.to_thread(self._window.select, items, limit)

    async def add_items(self, items: list[Any], *, wrapper: Any = None) -> None:
        """Add items to the session."""
        await self._history.add_items(items)

    async def pop_item(self, *, wrapper: Any = None) -> Any | None:
        """Remove the session's newest item and return it."""
        return await self._history.pop_item()

    async def clear_session(self, *, wrapper: Any = None) -> None:
        """Remove all items of the session."""
        await self._history.clear_session()

    async def close(self) -> None:
        """Close the session, if it can be closed."""
        await _close(self._history)


class SyncTrimmed:
    """The methods of a `Trimmed`, blocking."""

    def __init__(self, history: Session, window: _Window) -> None:
        self.session_id = history.session_id
        self._history = history
        self._sync = sync_session(history)
        self._window = window

    @property
    def omits_newest(self) -> bool:
        """Whether the last `get_items` left out the newest item too, since it does not fit."""
        return self._window.omits_newest

    def get_items(self, limit: int | None = None, *, wrapper: Any = None) -> list[Any]:
        """Return items as `Trimmed.get_items` does."""
        return self._window.select(self._sync.get_items(self._window.read_limit), limit)

    def add_items(self, items: list[Any], *, wrapper: Any = None) -> None:
        """Add items to the session."""
        self._sync.add_items(items)

    def pop_item(self, *, wrapper: Any = None) -> Any | None:
        """Remove the session's newest item and return it."""
        return self._sync.pop_item()

    def clear_session(self, *, wrapper: Any = None) -> None:
        """Remove all items of the session."""
        self._sync.clear_session()

    def close(self) -> None:
        """Close the session, if it can be closed."""
        run_in_background(_close(self._history))


async def _close(session: Session) -> None:
    close = getattr(session, "close", None)
    closing = close() if close is not None else None
    if inspect.isawaitable(closing):
        await closing
