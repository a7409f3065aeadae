"""Make a history valid that a cancelled or failed run left: no call without its output, no reasoning alone."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from threadkeep.arguments import wrong_type
from threadkeep.history.groups import Pairs, is_reasoning, made_by_model, pairs, role_of
from threadkeep.history.items import Item, not_a_dict

__all__ = ["Repaired", "dicts", "repair"]


class Repaired(NamedTuple):
    """A valid history.

    Attributes:
        items: what is left, oldest first: the same objects, except an assistant message that lost some of its
            ``tool_calls``, which is a copy.
        removed: what was taken out, oldest first: items, and single calls of an assistant message.
    """

    items: list[Any]
    removed: list[Any]


def repair(items: Iterable[Mapping[str, Any]]) -> Repaired:
    """Take out what an API refuses of a history that was cut off. The input is not changed.

    A call without an output goes, an output without a call before it, and reasoning without the item behind it that it
    led to. A Chat Completions message keeps its text and the calls that were answered.

    Args:
        items: in the shape of Chat Completions or of Responses, oldest first.

    Returns:
        What is left, and what was taken out.

    Raises:
        TypeError: an item is no dict.
    """
    found = dicts(items)
    matched = pairs(found)
    left: list[Item] = []
    removed: list[Item] = []
    next_stays = False
    for index in range(len(found) - 1, -1, -1):
        kept, lost = _without_open_calls(found[index], index, matched)
        if is_reasoning(found[index]) and not (next_stays and made_by_model(found[index + 1])):
            kept, lost = None, [found[index]]
        next_stays = kept is not None
        left.extend([kept] if kept is not None else [])
        removed.extend(reversed(lost))
    return Repaired(left[::-1], removed[::-1])


def dicts(items: Iterable[Any]) -> list[Item]:
    """Return the items as a list.

    Raises:
        TypeError: an item is no dict, or these are no items.
    """
    if not isinstance(items, Iterable):
        raise wrong_type("items", "a list of dicts", items)
    found = list(items)
    for number, item in enumerate(found):
        if not isinstance(item, dict):
            raise not_a_dict(number, item)
    return found


def _without_open_calls(item: Item, index: int, matched: Pairs) -> tuple[Item | None, list[Item]]:
    """Return what is left of an item, and what is taken out of it."""
    if index in matched.orphans:
        return None, [item]
    open_calls = [place for place in range(matched.calls.get(index, 0)) if (index, place) not in matched.outputs]
    if not open_calls:
        return item, []
    if role_of(item) is None or not _stays_without_calls(item, matched.calls[index] - len(open_calls)):
        return None, [item]
    return _cut_calls(item, open_calls)


def _stays_without_calls(message: Item, answered: int) -> bool:
    return answered > 0 or any(message.get(field) for field in ("content", "refusal", "audio"))


def _cut_calls(message: Item, open_calls: Sequence[int]) -> tuple[Item, list[Item]]:
    """Return a copy of a message without some of its calls, and these calls."""
    left = dict(message)
    if not message.get("tool_calls"):
        return left, [left.pop("function_call")]
    calls = left.pop("tool_calls")
    if kept := [call for place, call in enumerate(calls) if place not in open_calls]:
        left["tool_calls"] = kept
    return left, [calls[place] for place in open_calls]
