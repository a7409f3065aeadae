"""Every kind of history against plain lists: whatever is done, all of them hold what the lists hold."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from servers import PostgresqlServed, RedisServed
from strategies import json_values, raw_text
from threadkeep.history import History, copy_history, delete_session, list_sessions, open_history, recover

ITEM = st.one_of(
    st.dictionaries(raw_text, json_values, max_size=4),
    st.sampled_from([{}, {"type": "reasoning", "content": [], "n": 2**70}, {"b": 1, "a": 1.0}, {"\ud800": "\u2028"}]),
    st.integers(1, 70_000).map(lambda size: {"role": "user", "content": "é\0" * size}),
)
SESSIONS = st.sampled_from(["default", "a:b/%41?", "Ω 🌮"])

_numbers = itertools.count()


@attrs.define
class Kind:
    """A kind of history, and the lists that it should hold.

    Attributes:
        fresh: returns the URL of an empty store, which no earlier one is used after.
        many: whether it has many sessions; one list is shown for every id otherwise.
        in_order: whether sessions are listed in the order of their first items.
    """

    fresh: Callable[[], str]
    many: bool = True
    in_order: bool = True
    url: str = ""
    lists: dict[str, list[Any]] = attrs.field(factory=dict)
    handles: dict[tuple[str, int], History] = attrs.field(factory=dict)

    def begin(self) -> None:
        """Begin with an empty store."""
        self.url, self.lists = self.fresh(), {}

    def end(self) -> None:
        """Close what is open."""
        for handle in self.handles.values():
            handle.sync.close()
        self.handles.clear()

    def key(self, session: str) -> str:
        """The list of a session."""
        return session if self.many else ""

    def items(self, session: str) -> list[Any]:
        """What the session should hold."""
        return self.lists.get(self.key(session), [])

    def set(self, session: str, items: list[Any]) -> None:
        """Change what the session should hold; a session that was empty comes last."""
        if items:
            self.lists[self.key(session)] = items
        else:
            self.lists.pop(self.key(session), None)

    def handle(self, session: str, which: int) -> History:
        """One of the two histories that are open for a session."""
        if (session, which) not in self.handles:
            self.handles[session, which] = open_history(self.url, session)
        return self.handles[session, which]


def exact(value: object) -> str:
    """A value as a text that shows the order of keys and the types of numbers."""
    return json.dumps(value)


class Agreement(RuleBasedStateMachine):
    """Every rule is applied to all kinds."""

    def __init__(self, kinds: list[Kind]) -> None:
        super().__init__()
        self.kinds = kinds
        for kind in kinds:
            kind.begin()

    def teardown(self) -> None:
        """Everything that is there can be recovered; then all is closed."""
        for kind in self.kinds:
            for session in kind.lists:
                assert exact(recover(kind.url, session or None)) == exact(kind.items(session))
            kind.end()

    @rule(session=SESSIONS, which=st.integers(0, 1), items=st.lists(ITEM, max_size=4))
    def add(self, session: str, which: int, items: list[Any]) -> None:
        """Add items at the end."""
        for kind in self.kinds:
            kind.handle(session, which).sync.add_items(items)
            kind.set(session, kind.items(session) + items)

    @rule(session=SESSIONS, which=st.integers(0, 1), limit=st.none() | st.integers(0, 9) | st.just(10**20))
    def get(self, session: str, which: int, limit: int | None) -> None:
        """Read the newest items, or all."""
        for kind in self.kinds:
            items = kind.items(session)
            expected = items if limit is None else items[-limit:] if limit else []
            assert exact(kind.handle(session, which).sync.get_items(limit)) == exact(expected)

    @rule(session=SESSIONS, which=st.integers(0, 1), limit=st.integers(max_value=-1))
    def get_negative(self, session: str, which: int, limit: int) -> None:
        """A negative limit is an error."""
        for kind in self.kinds:
            with pytest.raises(ValueError, match="negative"):
                kind.handle(session, which).sync.get_items(limit)

    @rule(session=SESSIONS, which=st.integers(0, 1))
    def pop(self, session: str, which: int) -> None:
        """Remove the newest item."""
        for kind in self.kinds:
            items = kind.items(session)
            expected = items[-1] if items else None
            assert exact(kind.handle(session, which).sync.pop_item()) == exact(expected)
            kind.set(session, items[:-1])

    @rule(session=SESSIONS, which=st.integers(0, 1), completely=st.booleans())
    def clear(self, session: str, which: int, completely: bool) -> None:
        """Empty a session, or delete it."""
        for kind in self.kinds:
            if completely:
                delete_session(kind.url, session)
            else:
                kind.handle(session, which).sync.clear_session()
            kind.set(session, [])

    @rule()
    def reopen(self) -> None:
        """Close every history; the next rule opens it again."""
        for kind in self.kinds:
            kind.end()

    @rule()
    def sessions(self) -> None:
        """List the sessions."""
        for kind in self.kinds:
            found = [(info.session_id or "", info.items) for info in list_sessions(kind.url)]
            expected = [(name, len(items)) for name, items in kind.lists.items()]
            assert (found if kind.in_order else sorted(found)) == (expected if kind.in_order else sorted(expected))

    @rule(data=st.data(), session=SESSIONS)
    def copy(self, data: st.DataObject, session: str) -> None:
        """Copy a session between two kinds; a target that has items already stays as it is."""
        source, target = data.draw(st.permutations(self.kinds).map(lambda order: order[:2]), label="from, to")
        if target.items(session):
            with pytest.raises(ValueError, match="has items already"):
                copy_history(source.url, target.url, session)
            delete_session(target.url, session)
        assert copy_history(source.url, target.url, session) == len(source.items(session))
        target.set(session, [])
        target.set(session, source.items(session))
        assert exact(target.handle(session, 0).sync.get_items()) == exact(target.items(session))

    @rule(data=st.data())
    def copy_all(self, data: st.DataObject) -> None:
        """Copy all sessions of a kind into memory."""
        source = data.draw(st.sampled_from(self.kinds), label="from")
        target = f"memory://copy-{next(_numbers)}"
        assert copy_history(source.url, target) == sum(map(len, source.lists.values()))
        for name, items in source.lists.items():
            assert exact(open_history(target, name or "default").sync.get_items()) == exact(items)


@pytest.fixture
def kinds(redis_server: RedisServed, postgresql_server: PostgresqlServed, tmp_path: Path) -> list[Kind]:
    """All kinds of histories."""
    return [
        Kind(lambda: f"{tmp_path}/{next(_numbers)}.json", many=False),
        Kind(lambda: f"{tmp_path}/{next(_numbers)}.jsonl"),
        Kind(lambda: f"sqlite:///{tmp_path}/{next(_numbers)}.db"),
        Kind(lambda: f"memory://{next(_numbers)}"),
        Kind(redis_server.emptied, in_order=False),
        Kind(postgresql_server.emptied),
    ]


@pytest.mark.parametrize("emptied", [False, True])
def test_a_session_is_as_old_as_its_first_item(kinds: list[Kind], emptied: bool) -> None:
    """One that was read before, or had items that were popped, is listed behind those that had items meanwhile."""
    for kind in kinds:
        kind.begin()
        first, second = kind.handle("a", 0).sync, kind.handle("b", 0).sync
        if emptied:
            first.add_items([{}])
        first.pop_item()
        first.get_items()
        second.add_items([{}])
        first.add_items([{}])
        found = [info.session_id for info in list_sessions(kind.url)]
        kind.end()
        assert (found if kind.in_order else sorted(map(str, found), reverse=True)) == ["b", "a"] or not kind.many


def test_all_kinds_of_histories_agree_with_plain_lists(kinds: list[Kind]) -> None:
    """Whatever is added, read, popped, cleared, listed and copied, through however many histories."""
    run_state_machine_as_test(
        cast(Any, lambda: Agreement(kinds)),
        settings=settings(
            max_examples=40, stateful_step_count=25, suppress_health_check=list(HealthCheck), deadline=None
        ),
    )
