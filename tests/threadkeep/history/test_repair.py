"""What a cancelled or failed run left is made valid again, and nothing else is touched."""

import copy
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep import Repaired, repair
from tool_histories import damaged, is_valid, random_history

Item = dict[str, Any]


def call(name: str = "c") -> Item:
    return {"type": "function_call", "call_id": name, "name": "f", "arguments": "{}"}


def output(name: str = "c") -> Item:
    return {"type": "function_call_output", "call_id": name, "output": "1"}


def tools(*names: str | None, **more: Any) -> Item:
    calls = [{"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}} for name in names]
    return {"role": "assistant", "content": None, "tool_calls": calls, **more}


def tool(name: str | None) -> Item:
    return {"role": "tool", "tool_call_id": name, "content": "1"}


REASONING: Item = {"type": "reasoning", "id": "rs", "summary": []}
USER: Item = {"role": "user", "content": "hi"}
REPLY: Item = {"type": "message", "role": "assistant", "content": "hello"}


@given(st.randoms(use_true_random=False))
def test_a_valid_history_comes_back_unchanged(chance: random.Random) -> None:
    """The same objects, in the same order, and nothing is taken out."""
    history = random_history(chance)
    left, removed = repair(history)
    assert [id(item) for item in left] == [id(item) for item in history]
    assert removed == []


@given(st.randoms(use_true_random=False))
def test_a_damaged_history_is_valid_again(chance: random.Random) -> None:
    """Nothing is left to repair, every item is left or named, and the input is as before."""
    history = damaged(chance, random_history(chance))
    before = copy.deepcopy(history)
    left, removed = repair(history)
    assert is_valid(left)
    assert repair(left) == Repaired(left, [])
    assert history == before
    messages = [item for item in history if not any(item is other for other in left + removed)]
    assert all(message.get("tool_calls") for message in messages)


few = [call("a"), output("a"), tools("a"), tools("a", "b", content="x"), tool("a"), tool("b"), USER, REASONING, REPLY]


@given(st.lists(st.sampled_from(few), max_size=12))
def test_repairing_twice_takes_out_nothing_more(history: list[Item]) -> None:
    """Also where ids come twice, and both shapes are mixed."""
    left = repair(history).items
    assert is_valid(left)
    assert repair(left) == Repaired(left, [])


def test_ten_thousand_damaged_histories() -> None:
    """No orphan is left in any."""
    chance = random.Random(7)
    for _ in range(10_000):
        left, _ = repair(damaged(chance, random_history(chance, turns=4)))
        assert is_valid(left)


@pytest.mark.parametrize(
    ("history", "left"),
    [
        ([USER, call()], [USER]),
        ([USER, output()], [USER]),
        ([output(), call()], []),
        ([USER, REASONING], [USER]),
        ([REASONING, USER], [USER]),
        ([REASONING, output()], []),
        ([USER, REASONING, call()], [USER]),
        ([USER, REASONING, REASONING, call()], [USER]),
        ([REASONING, call("a"), call("b"), output("b")], [call("b"), output("b")]),
        ([call(), output(), call()], [call(), output()]),
        ([call(), call(), output()], [call(), output()]),
        ([call(), output(), output()], [call(), output()]),
        ([tools("a"), USER, tool("a")], [USER]),
        ([tools("a"), tool("a"), USER, tool("a")], [tools("a"), tool("a"), USER]),
        ([tools("a", "b"), tool("b")], [tools("b"), tool("b")]),
        ([tools("a", content="I look"), USER], [{"role": "assistant", "content": "I look"}, USER]),
        ([tools("a"), {"type": "function_call_output", "call_id": "a", "output": "1"}], []),
        ([{"type": "mcp_approval_request", "id": "m"}, USER], [USER]),
        ([{"type": "mcp_approval_response", "approval_request_id": "m"}, USER], [USER]),
        ([{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}}], []),
        (
            [{"role": "assistant", "content": "I look", "function_call": {"name": "f", "arguments": ""}}],
            [{"role": "assistant", "content": "I look"}],
        ),
    ],
)
def test_what_is_taken_out(history: list[Item], left: list[Item]) -> None:
    """Calls without outputs, outputs without calls before them, and reasoning alone."""
    assert repair(history).items == left


@pytest.mark.parametrize(
    "history",
    [
        [call("a"), call("b"), output("b"), USER, output("a")],
        [tools(None, None), tool(None), tool(None)],
        [{"type": "local_shell_call", "call_id": "a", "id": "lsh"}, {"type": "local_shell_call_output", "id": "a"}],
        [{"type": "tool_search_call", "call_id": None}, {"type": "tool_search_output", "call_id": None}],
        [{"type": "tool_search_call", "call_id": "a"}, {"type": "tool_search_output", "call_id": "a"}],
        [{"type": "program", "call_id": "a"}, {"type": "program_output", "call_id": "a"}],
        [REASONING, {"type": "web_search_call", "id": "ws"}, REPLY],
        [REASONING, {"type": "of_tomorrow"}],
        [{"role": "assistant", "function_call": {"name": "f"}}, {"role": "function", "name": "f", "content": "1"}],
        [{"role": "assistant", "content": "x", "tool_calls": None}],
        [{**tools("a"), "type": None, "function_call": None}, tool("a")],
        [{"role": "assistant", "content": "x", "tool_calls": []}],
        [{"type": "function_call", "call_id": 5}],
        [{"role": 5}, {"type": 5}, {}],
    ],
)
def test_what_stays(history: list[Item]) -> None:
    """Every shape that an API takes, and every shape that nobody knows."""
    assert repair(history) == Repaired(history, [])


def test_removed_names_single_calls() -> None:
    """Of a message that keeps some of its calls, the others are named."""
    lost = tools("a", "b")["tool_calls"][0]
    assert repair([tools("a", "b"), tool("b"), call("z")]).removed == [lost, call("z")]
    assert repair([tools("a", content="x")]).removed == tools("a")["tool_calls"]


def test_an_object_of_the_sdk_is_no_item() -> None:
    """The message says how to make one of it."""

    class Message:
        model_dump = None

    with pytest.raises(TypeError, match=r"item 1 is a Message, not a dict\. Use its model_dump"):
        repair([USER, Message()])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"item 0 is a str, not a dict\.$"):
        repair("hi")  # type: ignore[arg-type]
