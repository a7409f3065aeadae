"""Every route and every control call, hostile: whatever comes is answered, streams to their end, and no key is told."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_assistants import FakeAssistants, Reply, Request, demo_world
from fake_assistants.dispatch.control import CONTROLS
from fake_assistants.dispatch.routes import ROUTES
from fake_assistants.http.message import Cut, Pause
from fake_assistants.store.kinds import KINDS
from scripts import answers
from strategies import json_values, surrogate_text

KEY = "sk-very-secret-0123456789"
GOOD = {"authorization": f"Bearer {KEY}", "openai-beta": "assistants=v2"}

# One object of each kind, under an id that routes lead to, whose other fields hold any JSON.
IDS = {
    "assistants": "asst_1",
    "threads": "thread_1",
    "messages": "msg_1",
    "runs": "run_1",
    "run_steps": "step_1",
    "files": "file-1",
    "file_contents": "file-1",
    "vector_stores": "vs_1",
    "vector_store_files": "file-1",
    "vector_store_file_batches": "vsfb_1",
    "conversations": "conv_1",
    "conversation_items": "msg_1",
    "responses": "resp_1",
    "response_input_items": "msg_1",
}
FIELDS = [
    *("object", "created_at", "status", "metadata", "role", "content", "tools", "tool_resources", "required_action"),
    *("assistant_id", "instructions", "model", "step_details", "type", "usage", "purpose", "bytes", "filename"),
    *(
        "file_ids",
        "file_counts",
        "expires_after",
        "output",
        "conversation",
        "previous_response_id",
        "input",
        "attributes",
    ),
    *("temperature", "top_p", "response_format", "max_completion_tokens", "chunking_strategy", "attachments"),
]
CALLS = {"submit_tool_outputs": {"tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f"}}]}}
likely: st.SearchStrategy[Any] = st.sampled_from(
    [
        *(
            "",
            "user",
            "assistant",
            "text",
            "auto",
            "asst_1",
            "thread_1",
            "file-1",
            "vs_1",
            "conv_1",
            "resp_1",
            "call_1",
        ),
        *("queued", "in_progress", "requires_action", "completed", "input_text", "message", "function", "file_search"),
        *(
            True,
            None,
            0,
            -1,
            1,
            10**400,
            1e308,
            {},
            [],
            CALLS,
            "a" * 300_000,
            [{}],
            [None],
            {"type": "text", "text": "x"},
        ),
        *([{"role": "user", "content": "Hi"}], [{"type": "function", "function": {"name": "f"}}], {"a": "b"}),
        *([{"type": "input_text", "text": "x"}], [{"type": "file_search", "vector_store_ids": ["vs_1"]}]),
    ]
)
deep = st.integers(1, 2_000).map(lambda levels: "[" * levels + "]" * levels)
values = st.one_of(likely, json_values, surrogate_text)


def odd(kind: str) -> st.SearchStrategy[Any]:
    parent = KINDS[kind].within
    fixed = {"id": IDS[kind], **({str(KINDS[kind].parent): IDS[parent.name]} if parent else {})}
    fields = st.dictionaries(st.sampled_from(FIELDS), values, max_size=8)
    return fields.map(lambda given: [{**given, **fixed}])


worlds = st.fixed_dictionaries({}, optional={kind: odd(kind) for kind in KINDS if kind not in ("threads", "messages")})
whole_worlds = st.builds(
    lambda world, threads, messages: {**world, "threads": threads, "messages": messages},
    worlds,
    odd("threads"),
    odd("messages"),
)

# A body that is good for a route, before something in it is changed.
SAY = {"role": "user", "content": "Hi"}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/assistants": {"model": "m", "tools": [{"type": "file_search"}]},
    "/v1/threads": {"messages": [SAY]},
    "/v1/threads/runs": {"assistant_id": "asst_1", "thread": {"messages": [SAY]}, "stream": True},
    "/v1/threads/{thread_id}/messages": SAY,
    "/v1/threads/{thread_id}/runs": {"assistant_id": "asst_1", "additional_messages": [SAY], "stream": True},
    "/v1/threads/{thread_id}/runs/{run_id}/submit_tool_outputs": {
        "tool_outputs": [{"tool_call_id": "call_1", "output": "x"}],
        "stream": True,
    },
    "/v1/vector_stores": {"name": "n", "file_ids": ["file-1"]},
    "/v1/vector_stores/{vector_store_id}/files": {"file_id": "file-1", "attributes": {"a": "b"}},
    "/v1/vector_stores/{vector_store_id}/file_batches": {"file_ids": ["file-1"]},
    "/v1/vector_stores/{vector_store_id}/search": {
        "query": "x",
        "filters": {"type": "or", "filters": [{"type": "gt", "key": "a", "value": 1}]},
    },
    "/v1/embeddings": {"model": "m", "input": ["x"], "dimensions": 8},
    "/v1/conversations": {"items": [SAY], "metadata": {}},
    "/v1/conversations/{conversation_id}/items": {"items": [SAY]},
    "/v1/responses": {"model": "m", "input": [SAY], "conversation": "conv_1", "stream": True},
    "/v1/chat/completions": {
        "model": "m",
        "messages": [SAY],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
    "/_fake/clock": {"now": 1, "frozen": True},
    "/_fake/sunset": {"at": 1, "style": "gone"},
    "/_fake/runs": {"progress": "clock", "reads": 1, "seconds": 1},
    "/_fake/script": {"default": [{"reply": "x"}]},
    "/_fake/state": {kind: [{"id": object_id}] for kind, object_id in IDS.items() if kind != "messages"},
}
MORE = [
    *("metadata", "instructions", "tools", "tool_choice", "response_format", "truncation_strategy", "temperature"),
    *("max_completion_tokens", "tool_resources", "attachments", "store", "n", "include", "previous_response_id"),
    *("expires_after", "chunking_strategy", "additional_instructions", "text", "reasoning", "messages", "limit"),
    *("files", "file_ids", "filters", "query", "ranking_options", "max_num_results", "input", "encoding_format"),
]
PLAN = [{"match": {"path": "/v1/", "times": 1}, "do": {"drop": "mid-body"}}]


@st.composite
def bodies(draw: st.DrawFn, pattern: str) -> bytes:
    """The good body of a route with up to three keys of any value, or what is no such body at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.one_of(st.binary(max_size=40), deep.map(str.encode)))
    good = BODIES.get(pattern, {})
    changed = draw(st.dictionaries(st.sampled_from([*good, *MORE]), values, max_size=3))
    body: Any = PLAN if pattern == "/_fake/faults" and not changed else {**good, **changed}
    return json.dumps(body).encode()


HOSTILE = [
    "%2F",
    "%00",
    "%ff%fe",
    "%",
    "..",
    "%2e%2e",
    "a" * 5_000,
    "%ED%A0%80",
    "🌮",
    "\ud800",
    " ",
    "sk-x",
    "%E2%80%A8",
]
good_ids = {"run_id": "run_1", "step_id": "step_1", "item_id": "msg_1"}
good_ids |= {f"{kind.removesuffix('s')}_id": object_id for kind, object_id in IDS.items() if "_" not in kind}
good_ids |= {"vector_store_id": "vs_1", "batch_id": "vsfb_1", "model": "gpt-4o"}
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nx\r\n--b--\r\n'
)
NAMES = ["limit", "order", "after", "before", "run_id", "include[]", "purpose", "filter", "key", "api-version"]
queries = st.lists(
    st.tuples(
        st.sampled_from(NAMES), st.sampled_from(["1", "0", "-1", "9" * 5_000, "asc", "msg_1", "\ud800", "x", KEY])
    ),
    max_size=2,
)
ODD_HEADERS = [
    *({}, {"authorization": "Basic x"}, {"api-key": KEY}, {"authorization": f"bearer  {KEY} "}),
    *({**GOOD, "content-type": "\udcff"}, {**GOOD, "openai-beta": "assistants=v1"}),
]


@st.composite
def forms(draw: st.DrawFn) -> bytes:
    """A form, cut and with something put in."""
    start = draw(st.integers(0, len(FORM)))
    return FORM[:start] + draw(st.sampled_from([b"", b"\r\n", b"--b", b"\x00\xff"])) + FORM[start:]


@st.composite
def asked(draw: st.DrawFn) -> Request:
    """A route with its method, mostly with good ids and a good key; any of it may be hostile."""
    table = {**ROUTES, **CONTROLS}
    pattern = draw(st.sampled_from(list(table)))
    method = draw(st.sampled_from([*table[pattern], *table[pattern], "GET", "post", "\ud800"]))
    path = "/".join(_id(draw, part) for part in pattern.split("/"))
    headers: dict[str, str] = draw(st.sampled_from([GOOD] * 6 + ODD_HEADERS))
    if pattern == "/v1/files":
        form = {"content-type": draw(st.sampled_from(["multipart/form-data; boundary=b", "multipart/form-data"]))}
        return Request(method, path, draw(queries), {**headers, **form}, draw(forms()))
    return Request(method, path, draw(queries), headers, draw(bodies(pattern)))


def _id(draw: st.DrawFn, part: str) -> str:
    if not part.startswith("{"):
        return part
    name = part.strip("{}")
    prefix = good_ids[name].partition("1")[0]
    hostile = st.sampled_from(HOSTILE)
    return draw(
        st.one_of(st.just(good_ids[name]), st.just(good_ids[name]), hostile, hostile.map(lambda one: prefix + one))
    )


def taken(reply: Reply) -> bytes:
    """All of an answer; a stream gives bytes, pauses and cuts, and ends."""
    if reply.chunks is None:
        return reply.body
    chunks = list(reply.chunks)
    assert all(isinstance(chunk, bytes | Pause | Cut) for chunk in chunks)
    return b"".join(chunk for chunk in chunks if isinstance(chunk, bytes))


# OpenAI's, then what Microsoft's services have in some errors, and what a project of the new Foundry has.
ENVELOPES = [["message", "type", "param", "code"], ["code", "message"], ["code", "message", "param", "type"]]


def is_sound(fake: FakeAssistants, request: Request, reply: Reply) -> None:
    """An answer as any must be."""
    text = taken(reply)
    told = text.decode("utf-8", "surrogatepass") + str(reply.headers)
    assert KEY not in told
    assert "Traceback" not in told
    fault = next((entry.fault for entry in reversed([*fake.requests])), None)
    if reply.hang_up or (fault and not request.path.startswith("/_fake/")):
        return
    assert 200 <= reply.status < 500, reply
    is_silent = reply.status == 404 and not text and fake.sunset.plan is not None
    if reply.status != 200 and not is_silent:
        error = json.loads(text)["error"]
        assert list(error) in ENVELOPES[: {"openai": 1, "azure": 2, "foundry": 3}[fake.profile.name]]


def drive(fake: FakeAssistants, requests: list[Request], rebased: str = "/v1") -> None:
    """Ask everything, in order; afterwards the world can be saved and put back."""
    for request in requests:
        path = rebased + request.path.removeprefix("/v1") if request.path.startswith("/v1") else request.path
        fresh = Request(request.method, path, request.query, request.headers, request.body)
        own = fake.world(KEY) if fake._backend.fakes_by_key else fake
        is_sound(own, fresh, fake.handle(fresh))
    assert KEY not in str([entry.as_dict() for entry in fake.requests])
    saved = fake.snapshot()
    fake.state = saved
    assert fake.snapshot() == saved


@settings(max_examples=250)
@given(whole_worlds, answers, st.lists(asked(), min_size=1, max_size=5))
def test_whatever_comes_is_answered(world: dict[str, Any], script: list[Any], requests: list[Request]) -> None:
    """On an odd world, with any script."""
    fake = FakeAssistants()
    fake.load(world)
    fake.script = {"default": script}
    drive(fake, requests)


@pytest.mark.parametrize(
    ("profile", "base"),
    [
        ("foundry", "/api/projects/p"),
        ("foundry", "/api/projects/p/openai/v1"),
        ("foundry", "/openai"),
        ("azure", "/openai/v1"),
        ("azure", "/openai/deployments/gpt"),
    ],
)
@settings(max_examples=30)
@given(world=whole_worlds, requests=st.lists(asked(), min_size=1, max_size=5))
def test_azure_and_foundry_answer_whatever_comes(
    profile: str, base: str, world: dict[str, Any], requests: list[Request]
) -> None:
    """Below each of their own paths."""
    fake = FakeAssistants(profile=profile)
    fake.load(world)
    drive(fake, requests, base)


@settings(max_examples=60)
@given(st.lists(asked(), min_size=1, max_size=5), st.booleans())
def test_worlds_by_key_answer_whatever_comes(requests: list[Request], limited: bool) -> None:
    """Also where keys are few and requests limited."""
    fake = FakeAssistants(worlds_by_key=True, api_keys=[KEY], rpm=2 if limited else None)
    fake.load(demo_world(1, 2))
    drive(fake, requests)
