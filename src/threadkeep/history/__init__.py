"""A chat history that outlives the process, in the file that people have, or in a database.

`open_history` opens one session; its methods are those of a session of the Agents SDK, and ``sync`` has them without
``await``. Every public name of the package is here, and at the root.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threadkeep.errors import HistoryDamaged, HistoryUnusable
    from threadkeep.history.conversation import AsyncReplyStream, Conversation, Reply, ReplyStream
    from threadkeep.history.counting.tokens import count_tokens
    from threadkeep.history.entrypoints import copy_history, delete_session, list_sessions, open_history, recover
    from threadkeep.history.repairing import Repaired, repair
    from threadkeep.history.session import History, Session, SessionInfo
    from threadkeep.history.trimmed import Trimmed
    from threadkeep.history.trimming import trim

__all__ = [
    "AsyncReplyStream",
    "Conversation",
    "History",
    "HistoryDamaged",
    "HistoryUnusable",
    "Repaired",
    "Reply",
    "ReplyStream",
    "Session",
    "SessionInfo",
    "Trimmed",
    "copy_history",
    "count_tokens",
    "delete_session",
    "list_sessions",
    "open_history",
    "recover",
    "repair",
    "trim",
]

if not TYPE_CHECKING:
    _LATER = {
        "errors": ("HistoryDamaged", "HistoryUnusable"),
        "history.conversation": ("AsyncReplyStream", "Conversation", "Reply", "ReplyStream"),
        "history.entrypoints": ("copy_history", "delete_session", "list_sessions", "open_history", "recover"),
        "history.repairing": ("Repaired", "repair"),
        "history.session": ("History", "Session", "SessionInfo"),
        "history.counting.tokens": ("count_tokens",),
        "history.trimming": ("trim",),
        "history.trimmed": ("Trimmed",),
    }

    def __getattr__(name: str) -> Any:
        """Import a name when it is first used: reading a file needs none of the libraries of the others."""
        for module, names in _LATER.items():
            if name in names:
                return getattr(import_module(f"threadkeep.{module}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
