"""A database stores text and shares collections, and changes are seen only where they are made."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import fake_assistants.engine.pagination as paging
from fake_assistants.engine.pagination import PageRequest
from fake_assistants.http.lossless_json import dumps, dumps_to_keep, loads
from fake_assistants.store.collection import Field, ObjectCollection, OneOf
from fake_assistants.store.database import Database, UsedIds
from fake_assistants.store.ids import IdSource
from fake_assistants.store.kinds import KINDS, MESSAGES, RUN_STEPS, RUNS, THREADS
from strategies import json_values

THREAD_IDS = ["thread_1", "thread_2"]
threads = st.sampled_from(THREAD_IDS)
messages = st.sampled_from(["msg_1", "msg_2", "msg_3"])


class Forks(RuleBasedStateMachine):
    """Several worlds that come of one another, each beside its model: messages by thread and id, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.worlds: list[tuple[Database, dict[tuple[str, str], Any], set[str]]] = []

    @initialize()
    def begin(self) -> None:
        world = Database()
        for name in THREAD_IDS:
            world.put(THREADS, {"id": name})
        self.worlds.append((world, {}, set(THREAD_IDS)))

    @precondition(lambda self: len(self.worlds) < 5)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        world, model, used = self.pick(data)
        fork = world.fork()
        assert fork.is_still(world)
        self.worlds.append((fork, dict(model), set(used)))

    def pick(self, data: st.DataObject) -> tuple[Database, dict[tuple[str, str], Any], set[str]]:
        picked: tuple[Database, dict[tuple[str, str], Any], set[str]] = data.draw(st.sampled_from(self.worlds))
        return picked

    @rule(data=st.data(), thread=threads, message=messages, value=json_values)
    def put(self, data: st.DataObject, thread: str, message: str, value: Any) -> None:
        world, model, used = self.pick(data)
        row = {"id": message, "thread_id": thread, "x": value}
        world.put(MESSAGES, row)
        model[thread, message] = row
        used.add(message)
        assert not any(world.is_still(other) for other, _, _ in self.worlds)

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        world, model, _ = self.pick(data)
        if model:
            thread, message = data.draw(st.sampled_from(sorted(model)))
            world.delete(MESSAGES, message, thread)
            del model[thread, message]

    @rule(data=st.data(), thread=threads)
    def empty_a_thread(self, data: st.DataObject, thread: str) -> None:
        """What stands in a deleted thread goes with it, in this world alone."""
        world, model, _ = self.pick(data)
        world.delete(THREADS, thread)
        world.put(THREADS, {"id": thread})
        for key in [key for key in model if key[0] == thread]:
            del model[key]

    @rule(data=st.data())
    def new_id(self, data: st.DataObject) -> None:
        """Ids that were ever there are not given again; ids of other worlds may be."""
        world, _, used = self.pick(data)
        ids = IdSource()
        drawn = world.new_id(ids, "msg_")
        again = IdSource()
        assert drawn == again.draw("msg_", used.__contains__)
        world.put(MESSAGES, {"id": drawn, "thread_id": "elsewhere"})
        world.delete(MESSAGES, drawn, "elsewhere")
        used.add(drawn)

    @invariant()
    def each_world_is_its_model(self) -> None:
        for world, model, _ in self.worlds:
            assert repr(world.snapshot()["messages"]) == repr(list(model.values()))
            assert {*world.thread_ids()} == {*THREAD_IDS}
            for thread, message in model:
                assert world.find(MESSAGES, message, thread) == model[thread, message]


TestForks = Forks.TestCase
TestForks.settings = settings(max_examples=40, stateful_step_count=25)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), max_size=40))
def test_used_ids_are_kept_apart_and_in_few_layers(steps: list[tuple[int, int]]) -> None:
    """Against plain sets that are copied whole."""
    rows: list[tuple[UsedIds, set[str]]] = [(UsedIds(), set())]
    for which, number in steps:
        used, model = rows[which % len(rows)]
        used.add(f"id_{number}")
        model.add(f"id_{number}")
        if number % 3 == 0:
            rows.append((used.fork(), set(model)))
    for used, model in rows:
        assert {name for name in (f"id_{number}" for number in range(41)) if name in used} == model


# --- texts


def test_what_is_found_is_the_finders_own() -> None:
    """Changing it changes nothing; nor does changing what was put in."""
    world = Database()
    given_in: dict[str, Any] = {"id": "thread_1", "metadata": {}}
    world.put(THREADS, given_in)
    given_in["metadata"]["a"] = "b"
    collection = world.collection(THREADS)
    (place,) = collection.places
    for found in (
        world.find(THREADS, "thread_1"),
        collection.get("thread_1"),
        collection.at(place),
        dict(collection.rows())[place],
    ):
        assert found == {"id": "thread_1", "metadata": {}}
        found["metadata"]["a"] = "b"
    assert world.text(THREADS, "thread_1") == dumps({"id": "thread_1", "metadata": {}})
    assert world.find(THREADS, "thread_2") is None
    assert world.find(MESSAGES, "msg_1", "nowhere") is None
    assert collection.get("thread_2") is None


def test_what_stands_in_what_is_deleted_goes_too() -> None:
    """Down to the steps of the runs of a thread; a fork made before keeps them."""
    world = Database()
    world.put(THREADS, {"id": "t"})
    world.put(RUNS, {"id": "r", "thread_id": "t"})
    world.put(RUN_STEPS, {"id": "s", "run_id": "r"})
    before = world.fork()
    world.delete(THREADS, "t")
    assert world.json() == dumps({name: [] for name in KINDS})
    assert before.find(RUN_STEPS, "s", "r") == {"id": "s", "run_id": "r"}


TRAPS = st.sampled_from(['x\n  "run_id": "a"', '"run_id": "a"', 'a"', "a", "ä\ud800", "\u2028", ""])
objects = st.recursive(
    st.dictionaries(st.just("run_id") | TRAPS, TRAPS | json_values, max_size=4),
    lambda inner: st.dictionaries(st.just("run_id") | TRAPS, inner | TRAPS, max_size=3),
)


@given(objects, st.just("run_id") | TRAPS, TRAPS | st.text())
def test_a_field_is_told_from_the_text_alone(value: dict[str, Any], name: str, wanted: str) -> None:
    """Exactly as if the object were read: deeper fields and look-alikes in strings do not count."""
    field = Field(name, wanted)
    truth = value.get(name) == wanted
    assert field.is_in(dumps_to_keep(value)) is truth
    assert field.is_in(dumps_to_keep(value | {name: wanted}))
    assert field.among([dumps_to_keep(value), b"{}"]) == [truth, False]


@given(objects, st.just("run_id") | TRAPS, st.lists(TRAPS, max_size=3))
def test_one_of_some_values_is_told_likewise(value: dict[str, Any], name: str, wanted: list[str]) -> None:
    """A value that only begins like one of them is none."""
    field = OneOf(name, wanted)
    assert field.is_in(dumps_to_keep(value)) is (value.get(name) in wanted)
    assert not field.is_in(dumps_to_keep(value | {name: "longer than any"}))
    assert all(field.is_in(dumps_to_keep(value | {name: one})) for one in wanted)


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", None]), json_values), max_size=8),
    st.integers(1, 9),
    st.sampled_from(["asc", "desc"]),
)
def test_a_page_is_what_would_be_written_whole(rows: list[tuple[str | None, Any]], limit: int, order: str) -> None:
    """The same objects, first and last id; and any condition lists what the same one as a field lists."""
    collection = ObjectCollection()
    values = [{"id": f"m{number}", "run_id": run, "x": value} for number, (run, value) in enumerate(rows)]
    for place, value in enumerate(values):
        collection.append(value["id"], dumps_to_keep(value), place)
    ask = PageRequest(limit=limit, order=order)
    listed = (values if order == "asc" else values[::-1])[:limit]
    ends = [one["id"] for one in (*listed[:1], *listed[-1:])] or [None, None]
    page = {"object": "list", "data": listed, "first_id": ends[0], "last_id": ends[1], "has_more": len(values) > limit}
    assert repr(loads(paging.page(collection, ask))) == repr(page)
    of_run = paging.page(collection, ask, keep=Field("run_id", "a"))
    assert of_run == paging.page(collection, ask, keep=lambda value: value["run_id"] == "a")
    assert [one["run_id"] for one in loads(of_run)["data"]] == ["a"] * min(limit, [run for run, _ in rows].count("a"))


def test_a_page_has_the_real_layout() -> None:
    """Byte for byte as the standard library would write it; U+2028 and newlines in strings stay."""
    collection = ObjectCollection()
    rows: list[Any] = [{"id": "é\n", "x": [{}, [], {"y": "\u2028"}]}, {"id": "b"}]
    for place, value in enumerate(rows):
        collection.append(value["id"], dumps_to_keep(value), place)
    page = {"object": "list", "data": rows, "first_id": "é\n", "last_id": "b", "has_more": False}
    assert paging.page(collection, PageRequest(order="asc")) == json.dumps(page, indent=2, ensure_ascii=False).encode()
    none: dict[str, Any] = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    assert paging.page(ObjectCollection(), PageRequest()) == json.dumps(none, indent=2).encode()
