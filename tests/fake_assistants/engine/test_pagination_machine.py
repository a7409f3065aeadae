"""Walking the pages yields the list: the law of paging, against a plain list, over random histories."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fake_assistants import FakeAssistants, Request

HEADERS = {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"}
limits = st.one_of(st.integers(1, 7), st.integers(1, 100))
orders = st.sampled_from(["asc", "desc"])
runs = st.sampled_from(["run_1", "run_2", "r7"])  # a state may hold any id; r7 is one on the runs' shelf


class Paging(RuleBasedStateMachine):
    """`model` is the thread as a plain list, oldest first; the fake must never say anything else."""

    def __init__(self) -> None:
        super().__init__()
        self.fake = FakeAssistants()
        self.model: list[dict[str, Any]] = []
        self.graves: dict[str, set[str]] = {}  # a deleted id -> the ids that stood before it
        self.made = 0

    def ask(self, method: str, target: str, body: object = None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        reply = self.fake.handle(Request.of(method, f"/v1{target}", HEADERS, content))
        assert reply.status == 200, reply.body
        return reply.json()

    def page(self, **query: object) -> Any:
        text = "&".join(f"{name}={value}" for name, value in query.items())
        return self.ask("GET", f"/threads/{self.thread}/messages?{text}")

    @initialize()
    def begin(self) -> None:
        self.fake.load({"runs": [{"id": "r7"}]})
        self.thread = self.ask("POST", "/threads", {})["id"]

    # --- histories

    def create(self) -> str:
        body = {"role": "user", "content": "hello"}
        made = self.ask("POST", f"/threads/{self.thread}/messages", body)
        self.model.append(made)
        return str(made["id"])

    @rule()
    def append_one(self) -> None:
        self.create()

    @rule(count=st.integers(1, 30), run=runs)
    def many_from_a_run(self, count: int, run: str) -> None:
        self.made += count
        shape = {"thread_id": self.thread, "run_id": run}
        fresh = [{"id": f"msg_{self.made}_{number}", **shape} for number in range(count)]
        body = json.dumps({"messages": fresh}).encode()
        assert self.fake.handle(Request("PATCH", "/_fake/state", body=body)).status == 200
        self.model += fresh

    def pick(self, data: st.DataObject) -> str:
        return str(data.draw(st.sampled_from(self.model))["id"])

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete_one(self, data: st.DataObject) -> None:
        self.delete(data)

    def delete(self, data: st.DataObject) -> str:
        message = self.pick(data)
        self.ask("DELETE", f"/threads/{self.thread}/messages/{message}")
        ids = [one["id"] for one in self.model]
        rank = ids.index(message)
        self.graves[message] = set(ids[:rank])
        del self.model[rank]
        return message

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def modify(self, data: st.DataObject) -> None:
        message = self.pick(data)
        self.ask("POST", f"/threads/{self.thread}/messages/{message}", {"metadata": {"seen": "yes"}})
        next(one for one in self.model if one["id"] == message)["metadata"] = {"seen": "yes"}

    @rule(seconds=st.integers(-3, 3))
    def tick(self, seconds: int) -> None:
        """Time may even go back: insertion order is the order, not created_at."""
        self.fake.clock.advance(seconds)

    # --- what the pages must say

    def expected(self, order: str, run: str | None = None) -> list[dict[str, Any]]:
        rows = [one for one in self.model if run is None or one["run_id"] == run]
        return rows if order == "asc" else rows[::-1]

    def walk(self, limit: int, order: str, **query: object) -> Iterator[Any]:
        page = self.page(limit=limit, order=order, **query)
        seen = {one["id"] for one in page["data"]}
        yield page
        while page["has_more"]:
            page = self.page(limit=limit, order=order, after=page["last_id"], **query)
            assert not {one["id"] for one in page["data"]} & seen, "a walk must come to its end"
            seen |= {one["id"] for one in page["data"]}
            yield page

    @rule(limit=limits, order=orders, run=st.none() | runs)
    def walking_forwards_yields_the_list(self, limit: int, order: str, run: str | None) -> None:
        query = {} if run is None else {"run_id": run}
        pages = list(self.walk(limit, order, **query))
        assert [one for page in pages for one in page["data"]] == self.expected(order, run)
        assert all(len(page["data"]) == limit for page in pages[:-1])
        assert all(page["data"] for page in pages[1:]), "has_more must not promise an empty page"

    @precondition(lambda self: self.model)
    @rule(limit=limits, order=orders)
    def walking_backwards_yields_the_list(self, limit: int, order: str) -> None:
        """From the last message back with `before`, every page still in the requested order."""
        expected = self.expected(order)
        walked, more = expected[-1:], True
        while more:
            page = self.page(limit=limit, order=order, before=walked[0]["id"])
            assert page["data"] or not page["has_more"]
            assert len(walked) <= len(expected), "a walk must come to its end"
            walked, more = [*page["data"], *walked], page["has_more"]
        assert walked == expected

    @precondition(lambda self: self.model)
    @rule(limit=limits, order=orders, run=st.none() | runs, data=st.data())
    def every_cursor_has_its_place(self, limit: int, order: str, run: str | None, data: st.DataObject) -> None:
        """Both sides of one cursor, also one that the run filter leaves out."""
        message = self.pick(data)
        query = {} if run is None else {"run_id": run}
        ids = [one["id"] for one in self.expected(order)]
        rank = ids.index(message)
        kept = {one["id"] for one in self.expected(order, run)}
        beyond = [one for one in ids[rank + 1 :] if one in kept]
        ahead = [one for one in ids[:rank] if one in kept]
        after = self.page(limit=limit, order=order, after=message, **query)
        before = self.page(limit=limit, order=order, before=message, **query)
        assert [one["id"] for one in after["data"]] == beyond[:limit]
        assert after["has_more"] == (len(beyond) > limit)
        assert [one["id"] for one in before["data"]] == ahead[-limit:]
        assert before["has_more"] == (len(ahead) > limit)

    @precondition(lambda self: self.model)
    @rule(limit=limits, order=orders, data=st.data())
    def two_cursors_are_an_open_interval(self, limit: int, order: str, data: st.DataObject) -> None:
        first, second = self.pick(data), self.pick(data)
        ids = [one["id"] for one in self.expected(order)]
        inside = ids[ids.index(first) + 1 : max(ids.index(second), ids.index(first) + 1)]
        page = self.page(limit=limit, order=order, after=first, before=second)
        assert [one["id"] for one in page["data"]] == inside[:limit]
        assert page["has_more"] == (len(inside) > limit)

    @precondition(lambda self: self.graves)
    @rule(limit=limits, order=orders, data=st.data())
    def a_deleted_cursor_goes_on_from_where_it_stood(self, limit: int, order: str, data: st.DataObject) -> None:
        grave = data.draw(st.sampled_from(sorted(self.graves)))
        is_older = order == "desc"
        ids = [one["id"] for one in self.expected(order)]
        expected = [one for one in ids if (one in self.graves[grave]) is is_older]
        page = self.page(limit=limit, order=order, after=grave)
        assert [one["id"] for one in page["data"]] == expected[:limit]

    @rule(limit=limits, order=orders, data=st.data())
    def a_walk_sees_what_happens_on_the_way(self, limit: int, order: str, data: st.DataObject) -> None:
        """Messages deleted or appended between two pages.

        Ascending: what was there at the start, without what was deleted before its page came, and then what
        was appended. Descending: the same without what was appended, since that lies behind the walk.
        """
        start = [one["id"] for one in self.expected(order)]
        walked: list[str] = []
        unseen: set[str] = set()
        added: list[str] = []
        for page in self.walk(limit, order):
            walked += [one["id"] for one in page["data"]]
            what = data.draw(st.sampled_from(["append", "delete", "nothing"])) if page["has_more"] else "end"
            if what == "append":
                added.append(self.create())
            if what == "delete":
                unseen |= {self.delete(data)} - set(walked)
        late = added if order == "asc" else []
        assert walked == [one for one in [*start, *late] if one not in unseen]

    @invariant()
    def a_page_names_its_ends(self) -> None:
        page = self.page(limit=3)
        ids = [one["id"] for one in page["data"]]
        assert list(page) == ["object", "data", "first_id", "last_id", "has_more"]
        assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


TestPaging = Paging.TestCase
TestPaging.settings = settings(max_examples=60, stateful_step_count=30)
