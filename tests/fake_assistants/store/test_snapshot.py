"""States go in and come out unharmed, or are refused whole."""

import gc
import json
from collections.abc import Callable
from io import BytesIO
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fake_assistants.store.import_file as loading
from fake_assistants import BadInput, FakeAssistants, Reply, Request, demo_world
from fake_assistants.http.lossless_json import OBJECT_LEVELS, dumps, loads
from fake_assistants.store.kinds import KINDS
from strategies import json_values

Ask = Callable[..., Reply]

ids = st.text(st.characters(), max_size=12)
odd_objects = st.dictionaries(st.text(max_size=5), json_values, max_size=2)


def named(object_ids: st.SearchStrategy[str] = ids) -> st.SearchStrategy[list[dict[str, Any]]]:
    rows = st.lists(st.tuples(object_ids, odd_objects), max_size=3, unique_by=lambda row: row[0])
    return rows.map(lambda rows: [fields | {"id": object_id} for object_id, fields in rows])


@st.composite
def states(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """Odd objects of every kind under any ids; messages of several threads in any mixture."""
    state = {name: draw(named()) for name in KINDS}
    threads = [thread["id"] for thread in state["threads"]]
    if not threads:
        return state | {"messages": []}
    rows = [message | {"thread_id": draw(st.sampled_from(threads))} for message in state["messages"]]
    return state | {"messages": rows}


def control(fake: FakeAssistants, method: str, path: str, body: bytes = b"") -> Reply:
    return fake.handle(Request(method, f"/_fake/{path}", body=body))


@settings(max_examples=50)
@given(states())
def test_putting_back_what_get_gave_changes_nothing(state: dict[str, Any]) -> None:
    """Byte for byte, whatever the objects hold; number types and the order of interleaved threads are kept."""
    fake = FakeAssistants()
    assert control(fake, "PUT", "state", json.dumps(state).encode()).status == 200
    first = control(fake, "GET", "state").body
    assert repr(loads(first)) == repr(state)
    assert control(fake, "PUT", "state", first).status == 200
    assert control(fake, "GET", "state").body == first
    assert fake.snapshot() == state


def test_a_state_has_the_real_layout(fake: FakeAssistants) -> None:
    """As if it were written whole: empty lists and all."""
    fake.load(demo_world(2, 16))
    assert control(fake, "GET", "state").body == dumps(demo_world(2, 16))


@settings(max_examples=30)
@given(states(), states())
def test_a_merge_keeps_places_and_appends_the_new(one: dict[str, Any], two: dict[str, Any]) -> None:
    """By id; a message also by its thread."""
    fake = FakeAssistants()
    fake.state = one
    assert control(fake, "PATCH", "state", json.dumps(two).encode()).status == 200
    merged = fake.state
    for kind in KINDS:
        keys = [(row.get("thread_id") if kind == "messages" else "", row["id"]) for row in one[kind]]
        fresh = {(row.get("thread_id") if kind == "messages" else "", row["id"]): row for row in two[kind]}
        expected = [fresh.pop(key, row) for key, row in zip(keys, one[kind], strict=True)]
        assert merged[kind] == [*expected, *fresh.values()]


def test_an_odd_message_is_listed_exactly_as_it_was_put_in(fake: FakeAssistants, ask: Ask) -> None:
    """Unknown fields and parts, absent fields, any key order."""
    odd = {
        "thread_id": "thread_1",
        "zeta": {"n": 2**70, "f": 1.0},
        "content": [{"type": "hologram", "depth": 3}, {"no": "type"}],
        "id": "msg_1",
        "text": "\ud800",
    }
    fake.load({"threads": [{"id": "thread_1"}], "messages": [odd]})
    listed = ask("GET", "/v1/threads/thread_1/messages").json()["data"]
    assert dumps(listed) == dumps([odd])
    assert ask("GET", "/v1/threads/thread_1/messages/msg_1").body == dumps(odd)
    assert ask("GET", "/v1/threads/thread_1").json() == {"id": "thread_1"}


def test_loaded_objects_are_served_under_any_id(fake: FakeAssistants, ask: Ask) -> None:
    """An id without the usual prefix is refused only when nothing has it."""
    message = {"id": "m/1 é", "thread_id": "t 1"}
    fake.load({"threads": [{"id": "t 1"}], "messages": [message]})
    assert ask("GET", "/v1/threads/t%201/messages/m%2F1%20%C3%A9").json() == message
    assert ask("GET", "/v1/threads/t%201/messages?after=m%2F1%20%C3%A9").json()["data"] == []
    assert ask("GET", "/v1/threads/t%202").status == 400


@pytest.mark.parametrize("query", ["", "&after=msg_2&order=asc", "&before=msg_1&order=asc"])
@pytest.mark.parametrize(("run", "status"), [("r/1", 200), ("r2", 200), ("run_3", 200), ("r4", 400), ("r5", 400)])
def test_a_run_that_exists_may_be_asked_for(fake: FakeAssistants, ask: Ask, query: str, run: str, status: int) -> None:
    """By any message of the thread, or in the list of runs; whether its page is empty is another matter."""
    rows: list[dict[str, Any]] = [
        {"id": "msg_1", "thread_id": "thread_1", "run_id": "r/1"},
        {"id": "msg_2", "thread_id": "thread_1", "run_id": None},
        {"id": "msg_3", "thread_id": "thread_2", "run_id": "r5"},
    ]
    fake.load({"threads": [{"id": "thread_1"}, {"id": "thread_2"}], "messages": rows, "runs": [{"id": "r2"}]})
    target = f"/v1/threads/thread_1/messages?run_id={run}{query}"
    assert ask("GET", target).status == status


def test_the_same_message_id_may_stand_in_two_threads(fake: FakeAssistants, ask: Ask) -> None:
    """Each thread has its own collection."""
    rows = [{"id": "msg_1", "thread_id": thread, "n": thread} for thread in ("thread_a", "thread_b")]
    fake.load({"threads": [{"id": "thread_a"}, {"id": "thread_b"}], "messages": rows})
    assert ask("DELETE", "/v1/threads/thread_a/messages/msg_1").status == 200
    assert ask("GET", "/v1/threads/thread_b/messages/msg_1").json() == rows[1]


def test_new_ids_never_meet_loaded_ones(ask: Ask) -> None:
    """A state saved from a fake with the same seed holds the very ids that would come next."""
    first = ask("POST", "/v1/threads", {"messages": [{"role": "user", "content": "a"}]}).json()
    again = FakeAssistants()
    again.load({"threads": [first]})
    reply = again.handle(
        Request("POST", "/v1/threads", (), {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"})
    )
    assert reply.json()["id"] != first["id"]
    assert len(again.snapshot()["threads"]) == 2


BAD_STATES = [
    ("[]", "$", "expected an object"),
    ("null", "$", "expected an object"),
    ("{", "$", "not JSON"),
    ('{"thraeds": []}', "$.thraeds", "unknown kind"),
    ('{"threads": {}}', "$.threads", "expected a list"),
    ('{"threads": [3]}', "$.threads[0]", "expected an object"),
    ('{"threads": [{"id": 3}]}', "$.threads[0].id", "expected a string"),
    ('{"threads": [{"id": "a"}, {"id": "a"}]}', "$.threads[1].id", "there twice"),
    ('{"messages": [{"id": "a"}]}', "$.messages[0].thread_id", "expected a string"),
    ('{"messages": [{"id": "a", "thread_id": "t"}]}', "$.messages[0].thread_id", "no thread 't'"),
    (
        '{"threads": [{"id": "t"}], "messages": [{"id": "a", "thread_id": "t"}, {"id": "b", "thread_id": "u"}]}',
        "$.messages[1].thread_id",
        "no thread 'u'",
    ),
]


@pytest.mark.parametrize(("body", "where", "reason"), BAD_STATES)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_bad_state_is_refused_and_changes_nothing(
    fake: FakeAssistants, method: str, body: str, where: str, reason: str
) -> None:
    """With what is wrong and where."""
    fake.load(demo_world(2, 3))
    before = fake.snapshot()
    reply = control(fake, method, "state", body.encode())
    error = reply.json()["error"]
    assert (reply.status, error["param"]) == (400, where)
    assert reason in error["message"]
    assert error["message"].endswith(f"@ {where}")
    assert fake.snapshot() == before


def test_a_kind_missing_from_a_put_is_empty(fake: FakeAssistants) -> None:
    """PUT replaces the world, it does not merge."""
    fake.load(demo_world(2, 3))
    assert control(fake, "PUT", "state", b'{"files": [{"id": "file-1"}]}').status == 200
    assert {kind: len(rows) for kind, rows in fake.state.items() if rows} == {"files": 1}


def test_python_states_are_copied_in_and_out(fake: FakeAssistants) -> None:
    """Neither what was given nor what is got is the fake's own."""
    world = demo_world(1, 1)
    fake.load(world)
    world["threads"].clear()
    fake.snapshot()["messages"][0]["content"].append("mine")
    assert fake.state == demo_world(1, 1)


def deep(levels: int) -> dict[str, Any]:
    """A message that is so many levels deep."""
    value: Any = []
    for _ in range(levels - 2):
        value = [value]
    return {"id": "msg_1", "thread_id": "thread_1", "x": value}


def by_export(fake: FakeAssistants, message: dict[str, Any]) -> None:
    fake.load(json.dumps({"thread_id": "thread_1", "message": message}).encode())


def by_state_file(fake: FakeAssistants, message: dict[str, Any]) -> None:
    fake.load(json.dumps({"threads": [{"id": "thread_1"}], "messages": [message]}).encode())


def by_python(fake: FakeAssistants, message: dict[str, Any]) -> None:
    fake.state = {"threads": [{"id": "thread_1"}], "messages": [message]}


def by_merge(fake: FakeAssistants, message: dict[str, Any]) -> None:
    state = {"threads": [{"id": "thread_1"}], "messages": [message]}
    reply = control(fake, "PATCH", "state", json.dumps(state).encode())
    if reply.status != 200:
        raise BadInput(reply.json()["error"]["message"])


@pytest.mark.parametrize("put_in", [by_export, by_state_file, by_python, by_merge], ids=lambda way: way.__name__)
def test_what_was_let_in_can_be_put_back_however_deep(fake: FakeAssistants, ask: Ask, put_in: Any) -> None:
    """One limit for objects, whichever way they come."""
    put_in(fake, deep(OBJECT_LEVELS))
    saved = fake.snapshot()
    fake.state = saved
    assert fake.snapshot() == saved
    assert ask("GET", "/v1/threads/thread_1/messages").json()["data"] == [deep(OBJECT_LEVELS)]
    with pytest.raises(BadInput, match="nested more than"):
        put_in(fake, deep(OBJECT_LEVELS + 1))
    assert fake.snapshot() == saved


def endless() -> dict[str, Any]:
    loop: list[Any] = []
    loop.append(loop)
    return {"threads": [{"id": "a", "x": loop}]}


@pytest.mark.parametrize(
    "state",
    [
        {"threads": [{"id": "a", "x": float("nan")}]},
        {"threads": [{"id": "a", "x": (1,)}]},
        {"threads": [{"id": "a", "x": object()}]},
        endless(),
    ],
    ids=["nan", "tuple", "object", "endless"],
)
def test_what_is_not_plain_json_is_refused(fake: FakeAssistants, state: dict[str, Any]) -> None:
    """Rather than changed on the way in."""
    with pytest.raises(BadInput, match="not plain JSON"):
        fake.load(state)
    with pytest.raises(BadInput):
        fake.state = state


def test_reset_comes_back_to_what_was_loaded(fake: FakeAssistants, ask: Ask) -> None:
    """World, request log, clock, sunset and ids; what was loaded in several steps is all there."""
    fake.load(demo_world(1, 2))
    fake.load({"files": [{"id": "file-1"}]})
    loaded = fake.snapshot()
    first = ask("POST", "/v1/threads").json()
    fake.clock.advance(100)
    fake.sunset.now()
    assert control(fake, "POST", "reset").json() == {"status": "ok"}
    assert fake.snapshot() == loaded
    assert len(fake.requests) == 0
    assert ask("POST", "/v1/threads").json() == first


def test_a_load_is_added_to_the_world_as_it_is(fake: FakeAssistants, ask: Ask) -> None:
    """What was emptied, deleted or made since the last load stays so, and comes back with a reset."""
    first, second = demo_world(1, 2), {"conversations": [{"id": "conv_1"}]}
    fake.load(first)
    fake.state = {}
    fake.load(second)
    assert {kind: rows for kind, rows in fake.state.items() if rows} == second
    fake.reset()
    assert {kind: rows for kind, rows in fake.state.items() if rows} == {
        kind: v for kind, v in first.items() if v
    } | second
    thread = ask("POST", "/v1/threads").json()
    ask("DELETE", f"/v1/threads/{first['threads'][0]['id']}")
    fake.load({"threads": [{"id": "thread_late"}]})
    assert [one["id"] for one in fake.state["threads"]] == [thread["id"], "thread_late"]
    fake.reset()
    assert [one["id"] for one in fake.state["threads"]] == [first["threads"][0]["id"], "thread_late"]


def test_a_world_that_was_reset_may_be_changed_again_and_again(fake: FakeAssistants, ask: Ask) -> None:
    """Every reset comes back to the same bytes, whatever was put, changed or deleted before."""
    fake.load(demo_world(2, 3))
    loaded = control(fake, "GET", "state").body
    thread, other = (one["id"] for one in fake.state["threads"])
    message = fake.state["messages"][0]["id"]
    for _ in range(3):
        ask("POST", f"/v1/threads/{thread}/messages", {"role": "user", "content": "more"})
        ask("POST", f"/v1/threads/{thread}/messages/{message}", {"metadata": {"a": "b"}})
        ask("DELETE", f"/v1/threads/{thread}/messages/{message}")
        ask("DELETE", f"/v1/threads/{other}")
        assert control(fake, "GET", "state").body != loaded
        fake.reset()
        assert control(fake, "GET", "state").body == loaded


def test_a_load_that_only_fits_the_changed_world_is_refused(fake: FakeAssistants, ask: Ask) -> None:
    """A reset could not come back to a message whose thread was made by a call."""
    thread = ask("POST", "/v1/threads").json()["id"]
    before = fake.snapshot()
    with pytest.raises(BadInput, match="no thread"):
        fake.load({"messages": [{"id": "msg_1", "thread_id": thread}]})
    assert fake.snapshot() == before


def test_loading_leaves_the_collector_as_it_was(fake: FakeAssistants) -> None:
    """On or off."""
    for wanted in (gc.disable, gc.enable):
        wanted()
        before = gc.isenabled()
        fake.load(demo_world(1, 1))
        assert gc.isenabled() is before


# --- files


def export_line(thread_id: str, message_id: str, **fields: Any) -> bytes:
    message = {"id": message_id, "thread_id": thread_id, **fields}
    row = {"thread_id": thread_id, "assistant_id": "asst_1", "message_id": message_id, "message": message}
    return json.dumps(row, ensure_ascii=False).encode()


def test_an_export_is_served_again(fake: FakeAssistants, ask: Ask, tmp_path: Path) -> None:
    """Threads are made up, as old as their first message; U+2028 breaks no line, blank lines are passed."""
    lines = [
        export_line("thread_a", "msg_1", created_at=7, text="one\u2028line\x85"),
        export_line("thread_b", "msg_2", n=1.0),
        b"",
        export_line("thread_a", "msg_3"),
    ]
    path = tmp_path / "out.ndjson"
    path.write_bytes(b"\n".join(lines) + b"\n")
    fake.load(path)
    assert [row["id"] for row in fake.state["messages"]] == ["msg_1", "msg_2", "msg_3"]
    assert fake.state["threads"] == [
        {"id": name, "object": "thread", "created_at": made, "metadata": {}, "tool_resources": {}}
        for name, made in (("thread_a", 7), ("thread_b", 0))
    ]
    listed = ask("GET", "/v1/threads/thread_a/messages?order=asc").json()
    assert [row["id"] for row in listed["data"]] == ["msg_1", "msg_3"]


def test_a_made_up_thread_replaces_none(fake: FakeAssistants) -> None:
    """Neither one that was loaded before, nor in what a reset goes back to; a true one replaces what was made up."""
    fake.load({"threads": [{"id": "thread_a", "metadata": {"from": "a state"}}]})
    fake.load(export_line("thread_a", "msg_1") + b"\n" + export_line("thread_b", "msg_2"))
    fake.load({"threads": [{"id": "thread_b", "metadata": {"from": "another"}}]})
    fake.load(export_line("thread_b", "msg_3"))
    for _ in range(2):
        told = [(row["id"], row["metadata"]) for row in fake.state["threads"]]
        assert told == [("thread_a", {"from": "a state"}), ("thread_b", {"from": "another"})]
        assert [row["id"] for row in fake.state["messages"]] == ["msg_1", "msg_2", "msg_3"]
        fake.reset()


def exported_rows(*rows: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


THREAD = {"id": "thread_a", "object": "thread", "created_at": 5, "metadata": {"from": "the export"}}
RUN = {"id": "run_1", "object": "thread.run", "thread_id": "thread_a", "status": "completed"}
STEPS = [{"id": f"step_{n}", "run_id": "run_1", "thread_id": "thread_a", "n": n * 1.0} for n in range(2)]
FILES_OF_AN_EXPORT = [
    export_line("thread_a", "msg_1"),
    exported_rows({"thread_id": "thread_a", "thread": THREAD}, {"thread_id": "t", "thread": {"id": "t"}}),
    exported_rows({"thread_id": "thread_a", "run_id": "run_1", "run": RUN, "steps": STEPS}),
]


@pytest.mark.parametrize("order", [*permutations(range(3))], ids=str)
def test_thread_objects_and_runs_of_an_export_are_served_too(
    fake: FakeAssistants, ask: Ask, order: tuple[int, ...]
) -> None:
    """In whichever order its files are loaded; a thread without messages comes with its object."""
    for place in order:
        fake.load(FILES_OF_AN_EXPORT[place])
    for _ in range(2):
        assert ask("GET", "/v1/threads/thread_a").json() == THREAD
        assert ask("GET", "/v1/threads/t/messages").json()["data"] == []
        assert ask("GET", "/v1/threads/thread_a/messages").json()["first_id"] == "msg_1"
        assert ask("GET", "/v1/threads/thread_a/runs").json()["data"] == [RUN]
        assert ask("GET", "/v1/threads/thread_a/runs/run_1/steps?order=asc").json()["data"] == STEPS
        fake.reset()


def test_runs_alone_have_made_up_threads(fake: FakeAssistants, ask: Ask) -> None:
    """As old as their first run."""
    fake.load(exported_rows({"thread_id": "thread_a", "run": RUN | {"created_at": 9}}))
    assert ask("GET", "/v1/threads/thread_a").json()["created_at"] == 9


def test_a_file_that_goes_bad_late_changes_nothing(fake: FakeAssistants, tmp_path: Path) -> None:
    """It is read line by line, and put into the world only when all of it is good."""
    fake.load(demo_world(1, 3))
    before = control(fake, "GET", "state").body
    path = tmp_path / "out.ndjson"
    good = [export_line("thread_a", f"msg_{number}") for number in range(500)]
    path.write_bytes(b"\n".join([*good, b"{"]))
    with pytest.raises(BadInput, match="line 501"):
        fake.load(path)
    assert control(fake, "GET", "state").body == before
    fake.reset()
    assert control(fake, "GET", "state").body == before


class Pipe(BytesIO):
    """A file that can be read once."""

    def seek(self, *_: int) -> int:
        raise AssertionError("a pipe cannot be read twice")


def test_a_file_need_not_be_one_that_can_be_read_twice() -> None:
    """Such as a pipe; blank lines before the first count as lines."""
    export = loading.read(Pipe(b"\n\n" + export_line("thread_a", "msg_1")))
    assert [row.id for row in export.rows["threads"]] == ["thread_a"]
    state = loading.read(Pipe(b'\n{"threads": [\n{"id": "thread_b"}]}'))
    assert [row.id for row in state.rows["threads"]] == ["thread_b"]
    with pytest.raises(BadInput, match="line 3"):
        loading.read(Pipe(b"\n" + export_line("thread_a", "msg_2") + b"\n{}"))


def test_a_state_file_is_loaded(fake: FakeAssistants, tmp_path: Path) -> None:
    """As PUT takes it; an empty file is the export of no thread."""
    path = tmp_path / "state.json"
    path.write_bytes(dumps(demo_world(2, 2)))
    fake.load(str(path))
    fake.load(b"")
    assert fake.state == demo_world(2, 2)


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        (b"nonsense", "$", "neither a state"),
        (b"[1]", "$", "expected an object"),
        (b'{"threads": [{}]}', "$.threads[0].id", "expected a string"),
        (export_line("t", "m") + b"\n{", "line 2", "not JSON"),
        (export_line("t", "m") + b"\n\n[]", "line 3", "expected an object"),
        (b'{"thread_id": "t", "role": "user", "text": "flat"}', "line 1", "a full export is needed"),
        (b'{"thread_id": "t", "message": {"thread_id": "t"}}', "line 1", "string id"),
        (b'{"thread_id": "t", "message": {"id": "m"}}', "line 1", "same thread_id"),
        (b'{"thread_id": "t", "thread": {"id": "u"}}', "line 1", "its thread must name the same thread_id"),
        (b'{"thread_id": "t", "thread": []}', "line 1", "a thread with a string id"),
        (b'{"thread_id": "t", "run": {"id": "r"}}', "line 1", "its run must name the same thread_id"),
        (b'{"thread_id": "t", "run": {"id": "r", "thread_id": "t"}, "steps": {}}', "line 1", "the steps of the run"),
        (b'{"thread_id": "t", "run": {"id": "r", "thread_id": "t"}, "steps": [{}]}', "line 1", "the steps of the run"),
        (
            b'{"thread_id": "t", "run": {"id": "r", "thread_id": "t"}, "steps": [{"run_id": "r"}]}',
            "line 1",
            "expected a string",
        ),
        (b'{"thread_id": 1, "message": {"id": "m", "thread_id": 1}}', "line 1", "same thread_id"),
        (export_line("t", "m") + b"\n\n" + export_line("t", "m"), "line 3", "there twice"),
        (export_line("t", "m") + b'\n{"thread_id"', "line 2", r"delimiter: column 13 \(char 12\) @ line 2"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(fake: FakeAssistants, text: bytes, where: str, reason: str) -> None:
    """Nothing is loaded of it."""
    with pytest.raises(BadInput, match=reason) as caught:
        fake.load(text)
    assert caught.value.where == where
    assert fake.state == FakeAssistants().state
