"""Cut a history to what a model can take: its instructions and the newest items, as many as fit."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from threadkeep.history.counting.tokens import REPLY_TOKENS, item_counter
from threadkeep.history.groups import groups, leading_instructions
from threadkeep.history.items import Item
from threadkeep.history.repairing import repair

__all__ = ["Newest", "checked_budget", "newest", "trim"]


def trim(items: Iterable[Mapping[str, Any]], max_tokens: int, model: str | None = None) -> list[Any]:
    """Return the leading system and developer messages, and an unbroken run of the newest items, as many as fit.

    The history is repaired first, as `repair` does. Then it is cut only where a call stays with its output and with
    everything between the two, and reasoning with the item that it led to.

    If the newest of these groups does not fit, only the leading messages are returned: a question that is longer than
    the budget is not among them. Compare the last item with yours before you send the list; a `Conversation` does, and
    refuses the message.

    Args:
        items: in the shape of Chat Completions or of Responses, oldest first. They are not changed; those returned are
            the same objects, except a message that `repair` had to copy.
        max_tokens: for the items and the start of the reply, as `count_tokens` counts them.
        model: whose tokens are counted; for None or an unknown model, those of the encoding that needs more.

    Returns:
        Items, each a dict. Their type is ``Any``, so that a type checker takes them as messages of the SDK too.

    Raises:
        ValueError: max_tokens is not a positive integer, or too small for the leading messages.
        TypeError: an item is no dict.
    """
    return newest(items, checked_budget(max_tokens), model, None).items


class Newest(NamedTuple):
    """What is left of a history.

    Attributes:
        items: what fits.
        omits_newest: whether the newest group of the history is not among them.
    """

    items: list[Item]
    omits_newest: bool


def newest(items: Iterable[Mapping[str, Any]], max_tokens: int, model: str | None, limit: int | None) -> Newest:
    """Trim a history, also to at most ``limit`` items behind the leading messages."""
    left = repair(items).items
    count = item_counter(model)
    head = leading_instructions(left)
    room = max_tokens - REPLY_TOKENS - sum(map(count, left[:head]))
    if head and room < 0:
        needed = max_tokens - room
        raise ValueError(f"max_tokens is {max_tokens}, and the system message alone needs {needed}. Allow more.")
    places = len(left) - head if limit is None else limit
    start = len(left)
    for group in reversed(list(groups(left[head:]))):
        places -= len(group)
        if places < 0:
            break
        room -= sum(count(left[head + index]) for index in group)
        if room < 0:
            break
        start = head + group.start
    return Newest(left[:head] + left[start:], head < len(left) == start)


def checked_budget(max_tokens: int) -> int:
    """Return a number of tokens.

    Raises:
        ValueError: it is not a positive integer.
    """
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens <= 0:
        raise ValueError(f"max_tokens is {max_tokens!r}, not a positive number of tokens")
    return max_tokens
