"""The events that a push sends while it runs."""

from collections.abc import Callable
from typing import TypeAlias

import attrs

from threadkeep.api.rate_control import Traffic
from threadkeep.exporter.events import Notice

__all__ = ["ConversationVerified", "PushBegun", "PushEvent", "ThreadPushed", "VerificationBegun"]


@attrs.frozen(kw_only=True)
class PushBegun:
    """The first event: threads are about to be sent.

    Attributes:
        total: how many threads have something to send, or had it before.
        before: how many of them need no request.
        traffic: returns the requests of all keys together; call it in the event loop of the run.
    """

    total: int
    before: int
    traffic: Callable[[], Traffic]


@attrs.frozen(kw_only=True)
class ThreadPushed:
    """What became of a thread is in the store.

    Attributes:
        conversation_id: None if there is none.
        items: how many its conversation has.
        problem: why it is not complete; None when it is.
    """

    thread_id: str
    conversation_id: str | None
    items: int
    problem: str | None = None


@attrs.frozen(kw_only=True)
class VerificationBegun:
    """All threads were sent, and so many conversations are about to be read back."""

    total: int


@attrs.frozen(kw_only=True)
class ConversationVerified:
    """A conversation was read back.

    Attributes:
        problem: what is not as it was sent; None when all is.
    """

    thread_id: str
    conversation_id: str
    problem: str | None = None


PushEvent: TypeAlias = PushBegun | ThreadPushed | VerificationBegun | ConversationVerified | Notice
"""A thread or a conversation that is through, a notice, or what begins."""
