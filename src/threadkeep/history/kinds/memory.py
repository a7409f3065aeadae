"""A history in memory, for tests: ``memory://``, or ``memory://NAME`` for several. All of the process shares it."""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from threadkeep.clock import now
from threadkeep.history.items import Item, decode_item, encode_item
from threadkeep.history.session import SessionInfo

__all__ = ["KEEPS_METADATA", "MANY_SESSIONS", "delete_session", "list_sessions", "open_store", "recover"]

MANY_SESSIONS = True
KEEPS_METADATA = True


@attrs.define
class _Rows:
    """A session. Items are stored as JSON, so that a later change of a caller's dict does not change the history."""

    metadata: Mapping[str, Any] | None
    rows: list[tuple[datetime, bytes]] = attrs.field(factory=list)


_sessions: dict[tuple[str, str], _Rows] = {}
_lock = threading.Lock()


@attrs.frozen
class _Memory:
    url: str
    session_id: str
    metadata: Mapping[str, Any] | None

    def _rows(self) -> list[tuple[datetime, bytes]]:
        session = _sessions.get((self.url, self.session_id))
        return session.rows if session else []

    def read(self, limit: int | None) -> list[Item]:
        with _lock:
            rows = self._rows()
            return [decode_item(row) for _, row in (rows if limit is None else rows[-limit:])]

    def append(self, items: Sequence[Item]) -> None:
        added = [(now(), encode_item(item)) for item in items]
        with _lock:
            _sessions.setdefault((self.url, self.session_id), _Rows(self.metadata)).rows.extend(added)

    def pop(self) -> Item | None:
        with _lock:
            rows = self._rows()
            item = decode_item(rows.pop()[1]) if rows else None
            if not rows:  # when it has items again, it is listed as a new session
                _sessions.pop((self.url, self.session_id), None)
            return item

    def clear(self) -> None:
        delete_session(self.url, self.session_id)

    def close(self) -> None:
        """Nothing is open."""


def open_store(url: str, session_id: str, metadata: Mapping[str, Any] | None) -> _Memory:
    """Open a session in memory."""
    return _Memory(url, session_id, metadata)


def list_sessions(url: str) -> list[SessionInfo]:
    """Return the sessions that have items."""
    with _lock:
        return [
            SessionInfo(
                session_id=session_id,
                items=len(session.rows),
                first_at=session.rows[0][0],
                last_at=session.rows[-1][0],
                metadata=session.metadata,
            )
            for (store, session_id), session in _sessions.items()
            if store == url and session.rows
        ]


def delete_session(url: str, session_id: str) -> None:
    """Forget a session."""
    with _lock:
        _sessions.pop((url, session_id), None)


def recover(url: str, session_id: str | None) -> list[Item]:
    """Return the items, none of which can be damaged."""
    wanted = [session_id] if session_id is not None else [info.session_id or "" for info in list_sessions(url)]
    return [item for name in wanted for item in _Memory(url, name, None).read(None)]
