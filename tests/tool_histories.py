"""Random chat histories with tools, in both shapes, for the tests of trimming and of repair.

Each is a plain function of a `random.Random`. `is_valid` says what an API takes, written a second time and slowly.
"""

import itertools
import random
from typing import Any

__all__ = ["damaged", "is_valid", "random_history"]

Item = dict[str, Any]

_WORDS = ["weather", "Zürich", "東京の天気", "in", "the", "морозно", "{}", "\n", "def f():", "ok", "👩‍🚀", "12.5", "°C"]
_CALLS = ["function_call", "custom_tool_call", "computer_call", "shell_call", "local_shell_call", "apply_patch_call"]


def random_history(chance: random.Random, turns: int = 8) -> list[Item]:
    """Return a valid history of some turns, in one of the two shapes."""
    ids = (f"call_{number}" for number in itertools.count())
    turn = chance.choice([_chat_turn, _responses_turn])
    head = [{"role": chance.choice(["system", "developer"]), "content": _text(chance)}] * chance.randrange(3)
    made = [turn(chance, ids) for _ in range(chance.randrange(turns))]
    return [*map(dict, head), *itertools.chain.from_iterable(made)]


def damaged(chance: random.Random, history: list[Item]) -> list[Item]:
    """Return a history without some of its items, and with some of them at another place."""
    left = [item for item in history if chance.random() < 0.8]
    for _ in range(chance.randrange(3) if left else 0):
        left.insert(chance.randrange(len(left)), left.pop(chance.randrange(len(left))))
    return left


def is_valid(items: list[Item]) -> bool:
    """Return whether an API takes the history: every call has its output, and reasoning its item."""
    return all(_stands(items, index) for index in range(len(items)))


def _stands(items: list[Item], index: int) -> bool:
    item, before, behind = items[index], items[:index], items[index + 1 :]
    kind = item.get("type", "message")
    if item.get("role") == "tool":
        source = next((other for other in reversed(before) if other.get("role") != "tool"), {})
        return item["tool_call_id"] in [call["id"] for call in source.get("tool_calls", [])]
    if item.get("tool_calls"):
        answers = itertools.takewhile(lambda other: other.get("role") == "tool", behind)
        return {call["id"] for call in item["tool_calls"]} <= {answer["tool_call_id"] for answer in answers}
    if kind == "reasoning":
        return bool(behind) and behind[0].get("role", "assistant") == "assistant" and not _is_output(behind[0])
    if kind == "mcp_approval_request":
        return any(other.get("approval_request_id") == item["id"] for other in behind)
    if kind == "mcp_approval_response":
        return any(other.get("id") == item["approval_request_id"] for other in before)
    if "call_id" in item:
        others = before if _is_output(item) else behind
        return any(o.get("call_id") == item["call_id"] and _is_output(o) != _is_output(item) for o in others)
    return True


def _is_output(item: Item) -> bool:
    return str(item.get("type")).endswith(("_output", "_response"))


def _text(chance: random.Random) -> str:
    return " ".join(chance.choices(_WORDS, k=chance.randrange(12)))


def _chat_turn(chance: random.Random, ids: Any) -> list[Item]:
    items: list[Item] = [{"role": "user", "content": _text(chance)}]
    for _ in range(chance.randrange(3)):
        calls = [next(ids) for _ in range(chance.randrange(1, 4))]
        functions = [{"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}} for name in calls]
        items.append({"role": "assistant", "content": chance.choice([None, "I look"]), "tool_calls": functions})
        chance.shuffle(calls)
        items += [{"role": "tool", "tool_call_id": name, "content": _text(chance)} for name in calls]
    return [*items, {"role": "assistant", "content": _text(chance)}] if chance.random() < 0.8 else items


def _responses_turn(chance: random.Random, ids: Any) -> list[Item]:
    items: list[Item] = [{"role": "user", "content": [{"type": "input_text", "text": _text(chance)}]}]
    for _ in range(chance.randrange(3)):
        items += _reasoning(chance)
        calls = [(chance.choice(_CALLS), next(ids)) for _ in range(chance.randrange(1, 4))]
        items += [{"type": kind, "call_id": name, "name": "f", "arguments": _text(chance)} for kind, name in calls]
        items += [{"role": "user", "content": "quick"}] * (chance.random() < 0.2)
        chance.shuffle(calls)
        items += [{"type": f"{kind}_output", "call_id": name, "output": _text(chance)} for kind, name in calls]
    if chance.random() < 0.2:
        name = next(ids)
        items.append({"type": "mcp_approval_request", "id": name, "name": "f", "arguments": "{}", "server_label": "s"})
        items.append({"type": "mcp_approval_response", "approval_request_id": name, "approve": True})
    answer = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": _text(chance)}]}
    return [*items, *_reasoning(chance), answer]


def _reasoning(chance: random.Random) -> list[Item]:
    found = {"type": "reasoning", "summary": [{"type": "summary_text", "text": _text(chance)}]}
    return [found] * chance.choice([0, 0, 1, 1, 2])
