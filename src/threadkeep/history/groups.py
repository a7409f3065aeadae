"""Which items of a history belong together: a call and its output, reasoning and the item that it led to.

Both shapes are understood. In a Chat Completions history an assistant message has ``tool_calls``, and the tool messages
that answer it follow at once. In a Responses history an item with a ``call_id`` is a call, and the item with the same
``call_id`` whose type ends in ``_output`` is its output; an approval request of MCP is answered by its id.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

__all__ = ["Pairs", "groups", "is_reasoning", "leading_instructions", "made_by_model", "pairs", "role_of"]

_INSTRUCTIONS = ("system", "developer")
_ANSWERING = ("tool", "function")
_CallKey = tuple[int, int]


@attrs.frozen(kw_only=True)
class Pairs:
    """How the calls of a history and their outputs match.

    Attributes:
        outputs: the index of the output of each answered call. A call is named by the index of its item, and by its
            place among the calls of that item.
        calls: how many calls each item makes, for items that make any.
        orphans: the indexes of outputs that answer no call before them.
    """

    outputs: Mapping[_CallKey, int]
    calls: Mapping[int, int]
    orphans: frozenset[int]


def pairs(items: Sequence[Mapping[str, Any]]) -> Pairs:
    """Match each output with the newest open call of its id.

    The Chat Completions API takes a tool message only directly behind the message that made the call, or behind another
    tool message: any other item closes the calls before it.
    """
    outputs: dict[_CallKey, int] = {}
    calls: dict[int, int] = {}
    orphans: set[int] = set()
    chat: dict[str | None, list[_CallKey]] = {}
    responses: dict[str | None, list[_CallKey]] = {}
    for index, item in enumerate(items):
        role = role_of(item)
        if role not in _ANSWERING:
            chat.clear()
        waiting = responses if role is None else chat
        answers, call_id = _answered_call(item, role)
        if answers:
            if found := waiting.get(call_id):
                outputs[found.pop()] = index
            else:
                orphans.add(index)
            continue
        if made := _calls_made(item, role):
            calls[index] = len(made)
            for place, name in enumerate(made):
                waiting.setdefault(name, []).append((index, place))
    return Pairs(outputs=outputs, calls=calls, orphans=frozenset(orphans))


def groups(items: Sequence[Mapping[str, Any]]) -> Iterator[range]:
    """Split a history at every place where it can be cut, into ranges of indexes, oldest first.

    The history is one that `threadkeep.history.repair` returns.
    """
    last_needed = [index + is_reasoning(item) for index, item in enumerate(items)]
    for (call, _), output in pairs(items).outputs.items():
        last_needed[call] = max(last_needed[call], output)
    start = end = 0
    for index, needed in enumerate(last_needed):
        end = max(end, needed)
        if index == end:
            yield range(start, index + 1)
            start = end = index + 1


def leading_instructions(items: Sequence[Mapping[str, Any]]) -> int:
    """Return how many system and developer messages a history begins with."""
    return next((index for index, item in enumerate(items) if role_of(item) not in _INSTRUCTIONS), len(items))


def role_of(item: Mapping[str, Any]) -> str | None:
    """Return the role of a message; None for an item that is no message."""
    role = item.get("role")
    return role if isinstance(role, str) and item.get("type") in (None, "message") else None


def is_reasoning(item: Mapping[str, Any]) -> bool:
    """Return whether the item is reasoning, which the API takes only with the item behind it."""
    return item.get("type") == "reasoning"


def made_by_model(item: Mapping[str, Any]) -> bool:
    """Return whether the item can be one that reasoning led to: an assistant's message, a call, or a type unknown."""
    role = role_of(item)
    return role == "assistant" if role is not None else not _answered_call(item, None)[0]


def _answered_call(item: Mapping[str, Any], role: str | None) -> tuple[bool, str | None]:
    """Return whether the item is the output of a call, and the call's id."""
    kind = item.get("type")
    if role == "tool":
        return True, _text(item.get("tool_call_id"))
    if role == "function":  # calls of 2023 have no id
        return True, _text(item.get("name"))
    if role is not None or not isinstance(kind, str):
        return False, None
    if kind == "mcp_approval_response":
        return True, _text(item.get("approval_request_id"))
    call_id = item.get("call_id")
    if kind == "local_shell_call_output" and call_id is None:  # the API's own type has it as the id
        call_id = item.get("id")
    return isinstance(call_id, str) and kind.endswith("_output"), _text(call_id)


def _calls_made(item: Mapping[str, Any], role: str | None) -> list[str | None]:
    """Return the ids of the calls that an item makes."""
    if role == "assistant":
        calls, function = item.get("tool_calls"), item.get("function_call")
        if isinstance(calls, list) and calls:
            return [_text(call.get("id")) if isinstance(call, Mapping) else None for call in calls]
        return [_text(function.get("name"))] if isinstance(function, Mapping) else []
    if role is not None:
        return []
    call_id = item.get("id" if item.get("type") == "mcp_approval_request" else "call_id")
    return [call_id] if isinstance(call_id, str) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
