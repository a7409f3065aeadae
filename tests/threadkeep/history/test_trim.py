"""Trimming: the instructions and an unbroken run of the newest items, as many as fit, and never half of a pair."""

import asyncio
import copy
import itertools
import random
from typing import Any

import pytest
from agents.memory import Session, SessionSettings, SQLiteSession
from hypothesis import given
from hypothesis import strategies as st

from threadkeep import Trimmed, count_tokens, open_history, repair, trim
from tokenizer import remove_tokenizer
from tool_histories import damaged, is_valid, random_history

Item = dict[str, Any]

SYSTEM: Item = {"role": "system", "content": "Be brief."}
USER: Item = {"role": "user", "content": "hi"}
CALL: Item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
OUTPUT: Item = {"type": "function_call_output", "call_id": "c", "output": "1"}
REASONING: Item = {"type": "reasoning", "summary": []}
REPLY: Item = {"type": "message", "role": "assistant", "content": "hello"}


def same(items: list[Item], others: list[Item]) -> bool:
    """Whether two lists hold the same objects."""
    return [id(item) for item in items] == [id(item) for item in others]


def without_head(history: list[Item]) -> list[Item]:
    """A history without the messages at its beginning that are always kept."""
    return list(itertools.dropwhile(lambda item: item.get("role") in ("system", "developer"), history))


def check(history: list[Item], max_tokens: int) -> None:
    """Trim a valid history, and look at the result without the code that made it."""
    head = next(
        (at for at, item in enumerate(history) if item.get("role") not in ("system", "developer")), len(history)
    )
    if head and count_tokens(history[:head], "gpt-4o") > max_tokens:
        with pytest.raises(ValueError, match="system message"):
            trim(history, max_tokens, model="gpt-4o")
        return
    left = trim(history, max_tokens, model="gpt-4o")
    start = len(history) - (len(left) - head)
    assert same(left, history[:head] + history[start:])
    assert is_valid(left)
    assert not left or count_tokens(left, "gpt-4o") <= max_tokens
    older = (at for at in range(start - 1, head - 1, -1) if is_valid(history[at:]) and is_valid(history[head:at]))
    if (at := next(older, None)) is not None:
        assert count_tokens(history[:head] + history[at:], "gpt-4o") > max_tokens


@pytest.mark.parametrize("exact", [True, False], ids=["bpe-openai", "estimate"])
def test_ten_thousand_tool_histories(monkeypatch: pytest.MonkeyPatch, exact: bool) -> None:
    """No orphan, none over the budget, and the next older group would not have fitted."""
    if not exact:
        remove_tokenizer(monkeypatch)
    chance = random.Random(13)
    for _ in range(10_000):
        check(random_history(chance, turns=5), chance.randrange(1, 300))


@given(st.randoms(use_true_random=False), st.integers(1, 400))
def test_a_damaged_history_is_trimmed_as_the_repaired_one(chance: random.Random, max_tokens: int) -> None:
    """What a failed run left does not come back, and the input is as before."""
    history = damaged(
        chance, [item for item in random_history(chance) if item.get("role") not in ("system", "developer")]
    )
    before = copy.deepcopy(history)
    left = trim(history, max_tokens)
    assert is_valid(left)
    assert left == trim(repair(history).items, max_tokens)
    assert history == before


@given(st.randoms(use_true_random=False), st.integers(50, 400), st.integers(50, 400))
def test_more_room_never_leaves_less(chance: random.Random, one: int, other: int) -> None:
    """A greater budget gives the same items, or older ones too."""
    history = [USER, *without_head(random_history(chance))]
    less, more = (trim(history, budget) for budget in sorted((one, other)))
    assert same(less, more[len(more) - len(less) :])


def test_a_budget_for_all_leaves_all() -> None:
    """The objects are those of the input."""
    history = [SYSTEM, USER, REASONING, CALL, OUTPUT, REASONING, REPLY]
    assert same(trim(iter(history), 10_000), history)
    assert trim([], 10) == []


@pytest.mark.parametrize(
    "kept", [[USER, REASONING, CALL, OUTPUT, REPLY], [REASONING, CALL, OUTPUT, REPLY], [REPLY], []]
)
def test_a_group_is_never_cut(kept: list[Item]) -> None:
    """A budget one below what a group needs gives the group after it."""
    history = [USER, REASONING, CALL, OUTPUT, REPLY]
    assert trim(history, count_tokens(kept, "gpt-4"), "gpt-4") == kept
    if kept:
        assert len(trim(history, count_tokens(kept, "gpt-4") - 1, "gpt-4")) < len(kept)


def test_the_newest_group_may_be_too_large() -> None:
    """The system message is returned alone, and nothing older in the place of what does not fit."""
    large: Item = {"role": "user", "content": "large " * 500}
    assert trim([SYSTEM, {"role": "developer", "content": "x"}, USER, large], 100) == [
        SYSTEM,
        {"role": "developer", "content": "x"},
    ]
    assert trim([USER, large], 100) == []
    assert trim([USER], 1) == []


def test_a_later_system_message_is_an_item_as_others_are() -> None:
    """Only those at the beginning are kept whatever comes."""
    assert trim([USER, SYSTEM, REPLY], count_tokens([REPLY])) == [REPLY]


def test_a_budget_below_the_system_message_is_an_error() -> None:
    """Both numbers are in the message."""
    needed = count_tokens([SYSTEM])
    assert trim([SYSTEM, USER], needed) == [SYSTEM]
    with pytest.raises(ValueError, match=rf"max_tokens is {needed - 1}, and the system message alone needs {needed}\."):
        trim([SYSTEM, USER], needed - 1)


@pytest.mark.parametrize("max_tokens", [0, -1, 1.5, "10", None, True])
def test_the_budget_is_a_positive_integer(max_tokens: Any) -> None:
    """Also that of a session."""
    with pytest.raises(ValueError, match="not a positive number of tokens"):
        trim([], max_tokens)
    with pytest.raises(ValueError, match="not a positive number of tokens"):
        Trimmed(open_history("memory://budgets"), max_tokens)


def test_a_long_history_is_counted_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100,000 items, those that cannot fit are not counted."""
    counted = []

    def ten(item: Item) -> int:
        counted.append(item)
        return 10

    monkeypatch.setattr("threadkeep.history.trimming.item_counter", lambda _: ten)
    assert len(trim([USER] * 100_000, 1_003)) == 100
    assert len(counted) == 101


def test_a_trimmed_session_is_a_session() -> None:
    """Reading is trimmed, everything else goes to the session."""
    history = open_history("memory://trimmed", "s", session_settings=SessionSettings())
    trimmed = Trimmed(history, count_tokens([SYSTEM, CALL, OUTPUT]))
    assert isinstance(trimmed, Session)
    assert (trimmed.session_id, trimmed.sync.session_id) == ("s", "s")
    assert trimmed.session_settings is history.session_settings

    async def use() -> None:
        await trimmed.add_items([SYSTEM, USER, REPLY, CALL], wrapper=None)
        assert await trimmed.get_items(wrapper=None) == [SYSTEM, USER, REPLY]
        await trimmed.add_items([OUTPUT])
        assert await trimmed.get_items() == [SYSTEM, CALL, OUTPUT]
        assert await history.get_items() == [SYSTEM, USER, REPLY, CALL, OUTPUT]
        assert await trimmed.pop_item() == OUTPUT
        await trimmed.clear_session()
        assert await history.get_items() == []
        await trimmed.close()

    asyncio.run(use())


def test_a_trimmed_session_says_that_it_omits_the_newest_item() -> None:
    """Nothing in what it returns says so: a model would be asked without the question."""
    history = open_history("memory://omits")
    trimmed = Trimmed(history, 100)
    assert (trimmed.sync.get_items(), trimmed.omits_newest) == ([], False)
    history.sync.add_items([SYSTEM])
    assert (trimmed.sync.get_items(), trimmed.omits_newest) == ([SYSTEM], False)
    history.sync.add_items([{"role": "user", "content": "large " * 500}])
    assert (asyncio.run(trimmed.get_items()), trimmed.omits_newest) == ([SYSTEM], True)
    history.sync.add_items([USER])
    assert (trimmed.sync.get_items(), trimmed.sync.omits_newest) == ([SYSTEM, USER], False)


@pytest.mark.parametrize("limit", [None, 0, 1, 2, 3, 10])
def test_a_limit_is_one_more_bound(limit: int | None) -> None:
    """It counts the items behind the system message, and cuts no group."""
    history = open_history(f"memory://limit-{limit}")
    history.sync.add_items([SYSTEM, USER, CALL, OUTPUT])
    expected = {None: [USER, CALL, OUTPUT], 0: [], 1: [], 2: [CALL, OUTPUT]}.get(limit, [USER, CALL, OUTPUT])
    trimmed = Trimmed(history, 1_000, model="gpt-4o")
    assert trimmed.sync.get_items(limit) == [SYSTEM, *expected]
    assert asyncio.run(trimmed.get_items(limit)) == [SYSTEM, *expected]


def test_a_negative_limit_is_an_error() -> None:
    """As it is for every history."""
    with pytest.raises(ValueError, match="-1 is negative"):
        Trimmed(open_history("memory://negative"), 10).sync.get_items(-1)


def test_the_limit_of_the_settings_keeps_the_system_message() -> None:
    """All items are read, so that the first of them is not lost to the limit."""
    history = open_history("memory://settings", session_settings={"limit": 1})
    history.sync.add_items([SYSTEM, USER, REPLY])
    assert history.sync.get_items() == [REPLY]
    assert Trimmed(history, 1_000).sync.get_items() == [SYSTEM, REPLY]


def test_a_session_of_the_agents_sdk() -> None:
    """It is trimmed with and without await, and closed whether its close is async or not."""
    session = SQLiteSession("s", session_settings=SessionSettings(limit=2))
    trimmed = Trimmed(session, 1_000)
    assert isinstance(trimmed, Session)
    trimmed.sync.add_items([SYSTEM, USER, CALL, OUTPUT])
    assert trimmed.sync.get_items() == asyncio.run(trimmed.get_items()) == [SYSTEM, CALL, OUTPUT]
    assert trimmed.sync.pop_item() == OUTPUT
    assert trimmed.sync.get_items() == [SYSTEM, USER]
    trimmed.sync.clear_session()
    assert trimmed.sync.get_items() == []
    trimmed.sync.close()


def test_a_session_that_cannot_be_closed() -> None:
    """The protocol has no close."""

    class Plain:
        session_id = "s"
        session_settings = None

        async def get_items(self, limit: int | None = None) -> list[Any]:
            return [USER][:limit]

        async def add_items(self, items: list[Any]) -> None: ...

        async def pop_item(self) -> Any: ...

        async def clear_session(self) -> None: ...

    trimmed = Trimmed(Plain(), 100)
    assert trimmed.sync.get_items() == [USER]
    trimmed.sync.close()
    asyncio.run(trimmed.close())
