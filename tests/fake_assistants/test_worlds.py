"""Worlds by key: everyone who brings a key has a fake of their own."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import Clock, FakeAssistants, IdSource, Reply, Request, SunsetPlan, demo_world
from fake_assistants.engine.backend import Backend

WORLD = demo_world(2, 5)
THREAD = WORLD["threads"][0]["id"]
FAULTS: list[dict[str, Any]] = [{"match": {"nth": 3, "path": "/messages$"}, "do": {"status": 429}}]
OPTIONS: dict[str, Any] = {"faults": FAULTS, "rpm": 30, "seed": 4, "sunset": SunsetPlan(after_requests=9)}


def ask(fake: FakeAssistants, key: str | None, method: str, target: str, body: Any = None) -> Reply:
    headers = {"openai-beta": "assistants=v2"} | ({} if key is None else {"authorization": f"Bearer {key}"})
    return fake.handle(Request.of(method, target, headers, b"" if body is None else json.dumps(body).encode()))


keys = st.sampled_from(["sk-a", "sk-b", "sk-c"])
steps = st.sampled_from(
    [
        ("POST", "/v1/threads", None),
        ("POST", f"/v1/threads/{THREAD}/messages", {"role": "user", "content": "x"}),
        ("GET", f"/v1/threads/{THREAD}/messages", None),
        ("DELETE", f"/v1/threads/{THREAD}", None),
        ("POST", "/_fake/reset", None),
        ("GET", "/_fake/state", None),
        ("PATCH", "/_fake/state", {"threads": [{"id": "thread_z"}]}),
        ("PUT", "/_fake/clock", {"advance": 7}),
        ("PUT", "/_fake/sunset", {"now": True}),
        ("PUT", "/_fake/sunset", None),
        ("PUT", "/_fake/faults", [{"do": {"truncate": 2}}]),
        ("PUT", "/_fake/script", {"default": [{"reply": "x"}]}),
        ("GET", "/_fake/script", None),
        ("GET", "/_fake/requests", None),
        ("PUT", "/_fake/runs", {"progress": "immediate"}),
        ("POST", f"/v1/threads/{THREAD}/runs", {"assistant_id": WORLD["assistants"][0]["id"]}),
        ("GET", f"/v1/threads/{THREAD}/runs", None),
    ]
)


@given(st.lists(st.tuples(keys, steps), max_size=20))
def test_a_world_cannot_tell_that_there_are_others(asked: list[tuple[str, tuple[str, str, Any]]]) -> None:
    """Each key is answered, byte for byte, as if it had a fake to itself; the common world stays as it was."""
    shared = FakeAssistants(worlds_by_key=True, **OPTIONS)
    shared.load(WORLD)
    before = shared.snapshot()
    alone: dict[str, FakeAssistants] = {}
    for key, step in asked:
        if key not in alone:
            alone[key] = FakeAssistants(**OPTIONS)
            alone[key].load(WORLD)
        mine, single = ask(shared, key, *step), ask(alone[key], key, *step)
        assert (mine.status, mine.headers, mine.body) == (single.status, single.headers, single.body)
    assert shared.snapshot() == before
    assert len(shared.requests) == 0
    for key, fake in alone.items():
        assert shared.world(key).snapshot() == fake.snapshot()


def test_every_part_of_a_backend_is_its_own_or_cannot_change() -> None:
    """Whoever adds a part says here whether fakes share it, and in `copy` what a copy begins with."""
    shared = {"api_keys", "check_files", "list_threads", "messages_per_thread", "models", "profile"}
    own = {
        "clock",
        "ids",
        "sunset",
        "request_log",
        "script",
        "runs",
        "plans",
        "database",
        "loaded",
        "faults",
        "limit",
        "fakes_by_key",
    }
    assert {field.name for field in attrs.fields(Backend)} == shared | own | {"settled_at"}
    backend = FakeAssistants(rpm=1, worlds_by_key=True)._backend
    copied = backend.copy()
    for name in shared:
        assert getattr(copied, name) == getattr(backend, name)
    for name in own:
        assert getattr(copied, name) is not getattr(backend, name), name


def test_a_world_is_born_from_the_common_one() -> None:
    """As it stands at the first request; later changes do not reach it, and its reset goes back to its birth."""
    fake = FakeAssistants(worlds_by_key=True)
    fake.load(WORLD)
    old = fake.world("old")
    ask(fake, None, "PUT", "/_fake/state", {"threads": [{"id": "thread_new"}]})
    ask(fake, None, "PUT", "/_fake/sunset", {"at": 5000})
    ask(fake, None, "PUT", "/_fake/clock", {"now": 4000})
    ask(fake, None, "PUT", "/_fake/faults", FAULTS)
    ask(fake, None, "PUT", "/_fake/runs", {"reads": 3})
    fake.script.set({"default": [{"reply": "y"}]})
    fake.script.when(lambda _: False, [])
    new = fake.world("new")
    assert [thread["id"] for thread in old.state["threads"]] == [thread["id"] for thread in WORLD["threads"]]
    assert old.sunset.plan is None
    assert [thread["id"] for thread in new.state["threads"]] == ["thread_new"]
    assert (new.clock.now(), new.sunset.plan, new.faults.json()) == (4000, SunsetPlan(at=5000), FAULTS)
    assert (new.runs.reads, old.runs.reads) == (3, 1)
    assert new.script.json() == {"default": [{"reply": "y"}]}
    new.state = {}
    new.faults = []
    new.reset()
    assert [thread["id"] for thread in new.state["threads"]] == ["thread_new"]
    assert (new.sunset.plan, new.faults.json()) == (SunsetPlan(at=5000), FAULTS)


def test_a_key_in_either_header_says_which_world_is_meant() -> None:
    """In control calls, whatever the profile; without a key, or with an empty one, it is the common one."""
    fake = FakeAssistants(worlds_by_key=True)
    state = json.dumps({"threads": [{"id": "thread_a"}]}).encode()
    fake.handle(Request("PUT", "/_fake/state", headers={"api-key": "sk-a"}, body=state))
    assert [thread["id"] for thread in fake.world("sk-a").state["threads"]] == ["thread_a"]
    assert ask(fake, "sk-a", "GET", "/v1/threads/thread_a").status == 200
    assert ask(fake, "sk-b", "GET", "/v1/threads/thread_a").status == 404
    assert ask(fake, "", "GET", "/_fake/state").json()["threads"] == fake.state["threads"] == []


def test_a_reset_without_a_key_forgets_all_worlds() -> None:
    """They are born anew; one that is still held in Python goes on by itself."""
    fake = FakeAssistants(worlds_by_key=True)
    ask(fake, "sk-a", "POST", "/v1/threads")
    held = fake.world("sk-a")
    assert ask(fake, "sk-b", "POST", "/_fake/reset").status == 200
    assert fake.world("sk-a") is held
    assert ask(fake, None, "POST", "/_fake/reset").status == 200
    assert fake.world("sk-a").state["threads"] == []
    assert len(held.state["threads"]) == 1
    held = fake.world("sk-a")
    fake.reset()
    assert fake.world("sk-a") is not held


def test_a_refused_key_makes_no_world() -> None:
    """The API answers 401, and control too: it must not act on the common world in its stead."""
    fake = FakeAssistants(worlds_by_key=True, api_keys=["sk-right"])
    for key in ("sk-wrong", "", None):
        assert ask(fake, key, "POST", "/v1/threads").status == 401
    reply = ask(fake, "sk-wrong", "POST", "/_fake/reset")
    assert (reply.status, "sk-wrong" in reply.body.decode()) == (401, False)
    assert [entry.status for entry in fake.requests] == [401] * 3
    for key in ("sk-wrong", ""):
        with pytest.raises(ValueError, match="no fake of its own"):
            fake.world(key)
    assert ask(fake, "sk-right", "POST", "/v1/threads").status == 200
    assert len(fake.world("sk-right").requests) == 1


def test_without_the_option_a_key_changes_nothing() -> None:
    """Control calls act on the one world, whoever calls."""
    fake = FakeAssistants(api_keys=["sk-right"])
    assert ask(fake, "sk-wrong", "PUT", "/_fake/clock", {"now": 9}).json()["now"] == fake.clock.now() == 9
    with pytest.raises(ValueError, match="worlds_by_key=True"):
        fake.world("sk-right")
    with pytest.raises(ValueError, match="worlds_by_key=True"):
        FakeAssistants(worlds_by_key=True).world("sk-a").world("sk-a")


def test_settings_and_sources_of_ones_own_are_passed_on() -> None:
    """A limit of messages, a clock with a source, and an id source that begins anew in each world."""
    reading = [100.5]
    ids = IdSource(9)
    ids.draw("thread_")
    fake = FakeAssistants(worlds_by_key=True, clock=Clock(lambda: reading[0]), ids=ids, messages_per_thread=1)
    world = fake.world("sk-a")
    thread = ask(fake, "sk-a", "POST", "/v1/threads").json()
    assert (thread["id"], thread["created_at"]) == (IdSource(9).draw("thread_"), 100)
    message = {"role": "user", "content": "x"}
    asked = [ask(fake, "sk-a", "POST", f"/v1/threads/{thread['id']}/messages", message).status for _ in range(2)]
    assert asked == [200, 400]
    world.clock.set(now=5)
    reading[0] = 101.5
    assert (world.clock.now(), fake.clock.now()) == (6, 101)


def test_many_threads_may_ask_at_once() -> None:
    """Each key has one world, however many ask for it first."""
    fake = FakeAssistants(worlds_by_key=True)
    fake.load(WORLD)
    asked = [f"sk-{number % 5}" for number in range(100)]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda key: ask(fake, key, "POST", "/v1/threads").status, asked))
    assert statuses == [200] * 100
    assert [len(fake.world(f"sk-{number}").state["threads"]) for number in range(5)] == [22] * 5


def test_a_served_fake_keeps_its_worlds_apart() -> None:
    """By the key header of the service that is asked, too."""
    fake = FakeAssistants(worlds_by_key=True, profile="azure")
    path = "/openai/v1/threads"
    for key in ("a", "b"):
        assert fake.handle(Request("POST", path, headers={"api-key": key})).status == 200
    assert len(fake.world("a").state["threads"]) == len(fake.world("b").state["threads"]) == 1
    assert fake.handle(Request("POST", path)).status == 401
