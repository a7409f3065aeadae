"""What threads can become, and where: a row for each."""

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import attrs

from threadkeep.api.calls import DEFAULT_CONCURRENCY
from threadkeep.api.endpoints import Api
from threadkeep.conversion.job import Options
from threadkeep.conversion.source import Thread
from threadkeep.migration.conversations import planning
from threadkeep.migration.conversations.delivery import Conversations
from threadkeep.migration.conversations.requests import ITEMS_PER_REQUEST
from threadkeep.migration.destination import Destination, PushContext
from threadkeep.migration.engramia import patterns
from threadkeep.migration.engramia.delivery import Patterns
from threadkeep.migration.store import ThreadPlan

__all__ = ["TARGETS", "PushTarget", "Target", "useless_with"]

PushTarget: TypeAlias = Literal["conversations", "engramia"]
"""What threads become, as users say it."""


@attrs.frozen(kw_only=True)
class Target:
    """What threads become.

    Attributes:
        api: which API they are sent to.
        plan_of: returns what is to be sent of a thread: as it is read from the export, by the options, and how many of
            its items were sent when it was complete last.
        requests_for: returns how many requests create something for a thread, and how many send its items: by whether
            it has a conversation, and how many items are left.
        destination: connects to the API.
        item: the word for what is sent.
        thread: the word for what a thread is there.
        anew: what becomes of threads that are pushed anew.
        has_conversations: whether each thread becomes a conversation, with an id and metadata; there is a map then.
        concurrency: how many threads are sent at a time, if no other number is given.
        rpm: the requests a minute, likewise; None for a pace that is found.
    """

    api: Api
    plan_of: Callable[[Thread, Options, int], ThreadPlan]
    requests_for: Callable[[bool, int], tuple[int, int]]
    destination: Callable[[PushContext], Destination]
    item: str
    thread: str
    anew: str
    has_conversations: bool
    concurrency: int = DEFAULT_CONCURRENCY
    rpm: int | None = None


TARGETS: Mapping[PushTarget, Target] = {
    "conversations": Target(
        api=Api.CONVERSATIONS,
        plan_of=planning.plan_of,
        requests_for=lambda is_there, items: (not is_there, -(-items // ITEMS_PER_REQUEST)),
        destination=Conversations.of,
        item="item",
        thread="conversation",
        anew="pushes these threads again, into new conversations; the old ones stay, and leave the map",
        has_conversations=True,
    ),
    # The server's own limit is 60 requests a minute. With JSON storage, requests that overlap fail after their effect.
    "engramia": Target(
        api=Api.ENGRAMIA,
        plan_of=patterns.plan_of,
        requests_for=lambda _is_there, items: (0, items),
        destination=Patterns,
        item="pattern",
        thread="thread",
        anew="sends the patterns again that are gone, and those of which the export has other texts now",
        has_conversations=False,
        concurrency=1,
        rpm=60,
    ),
}
"""The targets, by their names."""


def useless_with(to: PushTarget, given: Mapping[str, object]) -> str | None:
    """Return the first option that was given and that only conversations have a use for, if ``to`` is something else.

    Args:
        to: what threads become.
        given: what was given for these options, by their names.
    """
    return None if TARGETS[to].has_conversations else next((name for name, value in given.items() if value), None)
