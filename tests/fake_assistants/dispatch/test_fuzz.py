"""Whatever is asked, there is an answer: no exception, no 5xx, and every error in the envelope."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import FakeAssistants, Reply, Request, demo_world
from fake_assistants.dispatch.control import CONTROLS
from fake_assistants.dispatch.routes import ROUTES
from strategies import json_values

WORLD = demo_world(2, 16)
THREAD = WORLD["threads"][0]["id"]
KNOWN = [THREAD, WORLD["messages"][0]["id"], WORLD["assistants"][0]["id"], "thread_", "msg_x", "asst_x", "%ff"]

ODD = ["thread_odd", "msg_odd", "asst_odd"]

names = st.sampled_from([*KNOWN, *ODD]) | st.text(max_size=6)
texts = st.text(max_size=8) | st.sampled_from(["1", "100", "-1", "9" * 500, "asc", "desc", "٣"])


@st.composite
def paths(draw: st.DrawFn) -> str:
    """A real pattern with any ids, a control path, or anything at all."""
    pattern = draw(st.sampled_from([*ROUTES, *CONTROLS]) | st.text(max_size=20))
    while "{" in pattern and "}" in pattern.partition("{")[2]:
        head, _, tail = pattern.partition("{")
        pattern = head + draw(names).replace("{", "") + tail.partition("}")[2]
    return pattern


methods = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]) | st.text(max_size=5)
queries = st.lists(
    st.tuples(st.sampled_from(["limit", "order", "after", "before", "run_id"]) | texts, names | texts),
    max_size=4,
)
KEYS = [
    *("role", "content", "metadata", "messages", "tool_resources", "attachments", "model", "tools", "type"),
    *("text", "now", "frozen", "advance", "at", "after_requests", "style", "threads", "id", "thread_id"),
]
likely = st.recursive(
    json_values | st.sampled_from(["user", "text", "function", "gone", THREAD]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
)
messages = st.fixed_dictionaries({"role": st.just("user"), "content": likely}, optional={"metadata": likely})
bodies = st.one_of(st.binary(max_size=30), (likely | messages).map(lambda value: json.dumps(value).encode()))
headers = st.dictionaries(st.sampled_from(["authorization", "openai-beta", "x"]), texts, max_size=3)
good_headers = st.just({"authorization": "Bearer k", "openai-beta": "assistants=v2"})


FIELDS = {
    "assistants": ["name", "tools", "tool_resources", "metadata", "temperature", "model", "created_at", "object"],
    "threads": ["tool_resources", "metadata", "created_at", "object"],
    "messages": ["content", "attachments", "metadata", "run_id", "role", "created_at", "file_ids"],
}
ON = [{"type": "code_interpreter"}]


def odd(kind: str, object_id: str, **fixed: str) -> st.SearchStrategy[Any]:
    """An object whose fields hold any JSON, or are missing."""
    any_json = st.just(ON) | json_values
    fields = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS[kind], any_json))
    return fields.map(lambda given: {"id": object_id, **fixed, **given})


odd_worlds = st.fixed_dictionaries(
    {
        "assistants": st.tuples(odd("assistants", "asst_odd")).map(list),
        "threads": st.tuples(odd("threads", "thread_odd")).map(list),
        "messages": st.tuples(odd("messages", "msg_odd", thread_id="thread_odd")).map(list),
    }
)


def in_the_envelope(reply: Reply) -> bool:
    body: Any = reply.json()
    return list(body) in (["error"], ["error", "detail"]) and list(body["error"]) == [
        "message",
        "type",
        "param",
        "code",
    ]


GOOD: dict[str, Any] = {"authorization": "Bearer k", "openai-beta": "assistants=v2"}
CHANGES: dict[str, list[Any]] = {
    "/v1/assistants/asst_odd": [{}, {"name": "x"}, {"tools": ON}, {"tool_resources": None}, {"metadata": {"a": "b"}}],
    "/v1/threads/thread_odd": [{}, {"metadata": None}, {"tool_resources": {"file_search": {}}}],
    "/v1/threads/thread_odd/messages/msg_odd": [{}, {"metadata": {"a": "b"}}],
}


@given(odd_worlds)
def test_odd_objects_are_served_like_any(world: dict[str, Any]) -> None:
    """Retrieved, modified, listed, filtered and deleted, whatever their fields hold."""
    fake = FakeAssistants()
    fake.load(world)
    lists = ["/v1/assistants", "/v1/threads/thread_odd/messages", "/v1/threads/thread_odd/messages?run_id=run_1"]
    for path, changes in CHANGES.items():
        asked = [("GET", each, None) for each in (path, *lists)] + [("POST", path, change) for change in changes]
        for method, target, body in [*asked, *asked]:
            content = b"" if body is None else json.dumps(body).encode()
            assert fake.handle(Request.of(method, target, GOOD, content)).status == 200, (method, target, body)
    for path in reversed(CHANGES):
        assert fake.handle(Request.of("DELETE", path, GOOD)).status == 200


@given(
    st.lists(st.builds(Request, methods, paths(), queries, good_headers | headers, bodies), min_size=1, max_size=5),
    odd_worlds,
)
def test_everything_is_answered(requests: list[Request], world: dict[str, Any]) -> None:
    """In any order, on one world; and the world can still be saved and loaded."""
    fake = FakeAssistants()
    fake.load(WORLD)
    fake.load(world)
    for request in requests:
        reply = fake.handle(request)
        assert 200 <= reply.status < 500
        silent = fake.sunset.plan is not None and reply.status == 404 and not reply.body
        assert reply.status == 200 or silent or in_the_envelope(reply)
        assert reply.status != 200 or reply.json() is None or reply.json() == json.loads(reply.body)
    saved = fake.snapshot()
    fake.state = saved
    assert fake.snapshot() == saved


@given(st.text(max_size=30), headers, st.binary(max_size=10))
def test_any_target_makes_a_request(target: str, given_headers: dict[str, str], body: bytes) -> None:
    """As it stands on the wire, however odd."""
    reply = FakeAssistants().handle(Request.of("GET", target, given_headers, body))
    assert in_the_envelope(reply)
