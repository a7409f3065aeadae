"""Open a chat history by its URL, and what concerns all sessions of a store."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from threadkeep.arguments import wrong_type
from threadkeep.history.items import Item, checked
from threadkeep.history.session import History, SessionInfo

__all__ = ["copy_history", "delete_session", "list_sessions", "open_history", "recover"]


def open_history(
    url: str | os.PathLike[str],
    session_id: str = "default",
    *,
    session_settings: Any = None,
    metadata: Mapping[str, Any] | None = None,
) -> History:
    """Open one session of a chat history. Nothing is created before the first item is added.

    Args:
        url: a path that ends in ``.json`` (a JSON array, one session) or ``.jsonl`` (many sessions);
            ``sqlite:///path`` (an absolute path has four slashes); ``redis://``, ``rediss://``, or an async URL of
            SQLAlchemy such as ``postgresql+asyncpg://``, which need the extra ``agents``; ``memory://`` for tests,
            shared by all of the process.
        session_id: which session of the store. A ``.json`` file shows the same list for every id.
        session_settings: of the Agents SDK; the ``limit`` of it is used by ``get_items()``.
        metadata: kept with a new session, and returned by `list_sessions`. Only ``.jsonl`` and ``memory://`` keep it.

    Returns:
        The session. Its methods are to be awaited; ``sync`` has them without ``await``.

    Raises:
        ValueError: the URL names no kind of history, or metadata is given that the kind does not keep, or the
            session id is empty or holds a surrogate.
        TypeError: the URL is neither a str nor a path.
        HistoryUnusable: there is no such folder.
        ExtraMissing: the extra or the driver that the kind needs is not installed.
    """
    if not isinstance(session_id, str) or not session_id:
        raise ValueError("the session id is a string of at least one character")
    if _SURROGATE.search(session_id):
        raise ValueError(f"the session id {session_id!r} holds a surrogate, which is no character")
    if metadata is not None:
        metadata = checked([dict(metadata)])[0]
    store = _kind(url).open_store(os.fspath(url), session_id, metadata)
    return History(store, session_id, session_settings)


def list_sessions(url: str | os.PathLike[str]) -> list[SessionInfo]:
    """Return the sessions of a store that have items, in the order of their first items.

    Args:
        url: as `open_history` takes it.

    Raises:
        ValueError: the URL names no kind of history.
        HistoryDamaged, HistoryUnusable: as for `History.get_items`.
    """
    found: list[SessionInfo] = _kind(url).list_sessions(os.fspath(url))
    return found


def delete_session(url: str | os.PathLike[str], session_id: str = "default") -> None:
    """Remove a session from its store, also from the disk. A session that is not there is no error.

    Of a ``.json`` file, which has one session, the file is removed.

    Args:
        url: as `open_history` takes it.
        session_id: which session of the store.

    Raises:
        ValueError: the URL names no kind of history.
        HistoryDamaged, HistoryUnusable: as for `History.get_items`.
    """
    _kind(url).delete_session(os.fspath(url), session_id)


def copy_history(
    source: str | os.PathLike[str] | History, target: str | os.PathLike[str] | History, session_id: str | None = None
) -> int:
    """Copy sessions from one store to another, of the same or of another kind.

    Metadata is copied where the target keeps it. The times of the items are those of the copy.

    Args:
        source: the URL of a store, or an open history for that session alone.
        target: the URL of a store, in which the sessions have the same ids, or an open history for one session.
        session_id: of the source; None for all of its sessions.

    Returns:
        How many items were copied.

    Raises:
        ValueError: a session of the target has items already, or many sessions meet a target of one. Nothing is
            copied then.
        HistoryDamaged: a session is damaged. Nothing is copied then.
        HistoryUnusable: as for `History.get_items`.
    """
    found = _sessions_of(source, session_id)
    if len(found) > 1 and (isinstance(target, History) or not _kind(target).MANY_SESSIONS):
        raise ValueError(f"the source has {len(found)} sessions, the target holds one. Name one by session_id.")
    copies: list[tuple[str, Mapping[str, Any] | None, list[Item]]] = []
    for name, metadata in found:
        with _opened(target, name) as to:
            if to.sync.get_items(1):
                raise ValueError(f"the session {to.session_id!r} of the target has items already. Delete it first.")
        with _opened(source, name) as one:
            # Without a limit, that of its settings would be used.
            copies.append((name, metadata, one.sync.get_items(sys.maxsize)))
    for name, metadata, items in copies:
        with _opened(target, name, metadata) as to:
            to.sync.add_items(items)
    return sum(len(items) for _, _, items in copies)


def recover(url: str | os.PathLike[str], session_id: str | None = None) -> list[Any]:
    """Return every undamaged item of a damaged history, oldest first. Nothing is changed.

    Args:
        url: the file that was set aside (the error names it), or the URL of a history.
        session_id: only the items of this session; None for those of all sessions, in the order of the store.

    Raises:
        HistoryUnusable: there is no such file, or it cannot be read.
    """
    found: list[Item] = _kind(url, damaged=True).recover(os.fspath(url), session_id)
    return found


def _sessions_of(
    source: str | os.PathLike[str] | History, session_id: str | None
) -> list[tuple[str, Mapping[str, Any] | None]]:
    """Return the ids of the sessions, and their metadata."""
    if isinstance(source, History):
        return [(source.session_id, None)]
    if session_id is not None and not _kind(source).KEEPS_METADATA:
        return [(session_id, None)]
    found = {"default" if info.session_id is None else info.session_id: info.metadata for info in list_sessions(source)}
    return [*found.items()] if session_id is None else [(session_id, found.get(session_id))]


@contextlib.contextmanager
def _opened(
    place: str | os.PathLike[str] | History, session_id: str, metadata: Mapping[str, Any] | None = None
) -> Iterator[History]:
    """Open a session and close it, since a server takes a limited number of connections; leave an open one open."""
    if isinstance(place, History):
        yield place
        return
    history = open_history(place, session_id, metadata=metadata if _kind(place).KEEPS_METADATA else None)
    try:
        yield history
    finally:
        history.sync.close()


_SURROGATE = re.compile("[\ud800-\udfff]")

# Each is a module of `kinds` with MANY_SESSIONS, KEEPS_METADATA, open_store, list_sessions, delete_session and recover.
_KINDS = {
    ".json": "json_file",
    ".jsonl": "jsonl_file",
    "sqlite": "sqlite_file",
    "redis": "redis_server",
    "rediss": "redis_server",
    "memory": "memory",
}


def _kind(url: str | os.PathLike[str], *, damaged: bool = False) -> ModuleType:
    if not isinstance(url, str | os.PathLike):
        raise wrong_type("the URL of a history", "a str or a Path", url)
    name = os.fspath(url)
    scheme, is_url, _ = name.partition("://")
    if is_url:
        kind = "sqlalchemy_database" if "+" in scheme else _KINDS.get(scheme.lower())
    else:
        # What was set aside has the name of the history with an ending; a database may have any name.
        kind = _KINDS.get(
            Path(Path(name).name.partition(".corrupt-")[0]).suffix.lower(), "sqlite_file" if damaged else None
        )
    if kind is None:
        shown = f"{scheme}://" if is_url else name  # the rest of a URL may hold a password
        raise ValueError(
            f"{shown!r} names no kind of history. It is a path that ends in .json or .jsonl, or a URL that begins with"
            " sqlite:///, redis://, memory://, or with an async driver of SQLAlchemy, such as postgresql+asyncpg://."
        )
    return import_module(f"threadkeep.history.kinds.{kind}")
