"""Whatever is asked of the routes beside the Assistants API, there is an answer, and every stream comes to its end."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import FakeAssistants, Reply, Request
from fake_assistants.dispatch.routes import OTHER_ROUTES
from strategies import json_values

GOOD = {"authorization": "Bearer k"}
FORM = {**GOOD, "content-type": "multipart/form-data; boundary=B"}
ODD = {
    "{file_id}": "file-odd",
    "{vector_store_id}": "vs_odd",
    "{batch_id}": "vsfb_odd",
    "{model}": "gpt-4o",
    "{conversation_id}": "conv_odd",
    "{item_id}": "msg_odd",
    "{response_id}": "resp_odd",
}
FIELDS = {
    "files": ["purpose", "filename", "bytes", "created_at"],
    "file_contents": ["content"],
    "vector_stores": ["file_counts", "usage_bytes", "metadata", "expires_after", "name"],
    "vector_store_files": ["status", "usage_bytes", "attributes"],
    "vector_store_file_batches": ["status", "file_ids", "file_counts"],
    "conversations": ["metadata", "created_at"],
    "conversation_items": ["type", "role", "content", "call_id", "output", "arguments", "status"],
    "responses": ["output", "status", "usage", "metadata"],
    "response_input_items": ["type", "role", "content", "call_id"],
}
PARENTS = {
    "vector_store_files": {"vector_store_id": "vs_odd"},
    "vector_store_file_batches": {"vector_store_id": "vs_odd"},
    "conversation_items": {"conversation_id": "conv_odd"},
    "response_input_items": {"response_id": "resp_odd"},
}
NAMES = {
    "files": "file-odd",
    "file_contents": "file-odd",
    "vector_stores": "vs_odd",
    "vector_store_files": "file-odd",
    "vector_store_file_batches": "vsfb_odd",
    "conversations": "conv_odd",
    "conversation_items": "msg_odd",
    "responses": "resp_odd",
    "response_input_items": "msg_odd",
}
likely = json_values | st.sampled_from(
    ["message", "user", "function_call", "function_call_output", "completed", "vision"]
)


def odd(kind: str) -> st.SearchStrategy[list[Any]]:
    """One object whose fields hold any JSON, or are missing."""
    inner = likely | st.lists(st.fixed_dictionaries({}, optional={"type": likely, "text": likely, "id": likely}))
    fields = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS[kind], inner))
    return fields.map(lambda given: [{**given, "id": NAMES[kind], **PARENTS.get(kind, {})}])


odd_worlds = st.lists(st.sampled_from(list(FIELDS)), max_size=3).flatmap(
    lambda kinds: st.fixed_dictionaries({kind: odd(kind) for kind in kinds})
)

KEYS = [
    *("model", "input", "messages", "items", "role", "content", "type", "text", "id", "call_id", "output", "name"),
    *("arguments", "conversation", "previous_response_id", "tools", "include", "stream", "metadata", "file_id"),
    *("file_ids", "attributes", "chunking_strategy", "expires_after", "n", "instructions", "store", "reasoning"),
    *("filters", "key", "value", "query"),
]
nested = st.recursive(
    likely | st.sampled_from(list(NAMES.values())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
)
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool"]), "content": nested}), max_size=2
)
asked = st.fixed_dictionaries(
    {"model": st.just("m"), "input": st.text(max_size=5) | messages, "messages": messages},
    optional={"conversation": st.just("conv_odd"), "previous_response_id": st.just("resp_odd")},
)
streamed = st.builds(lambda body, stream: {**body, "stream": stream}, asked, st.booleans())


def without(body: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != key}


bodies = st.one_of(
    nested,
    streamed.map(lambda body: without(body, "messages")),
    streamed.map(lambda body: without(without(without(body, "input"), "conversation"), "previous_response_id")),
    st.fixed_dictionaries({"items": st.lists(nested, max_size=3)}),
    st.fixed_dictionaries({"query": nested}, optional={"filters": nested, "max_num_results": nested}),
    st.fixed_dictionaries({"input": nested, "model": st.just("m")}, optional={"dimensions": st.integers(-1, 9)}),
    st.fixed_dictionaries({}, optional={"file_ids": nested, "files": nested}),
    st.fixed_dictionaries({"file_id": nested}, optional={"attributes": nested}),
).map(lambda value: json.dumps(value).encode())
forms = st.lists(st.tuples(st.sampled_from(["file", "purpose", "expires_after[seconds]"]), st.binary(max_size=9))).map(
    lambda parts: (
        b"".join(
            b'--B\r\ncontent-disposition: form-data; name="%b"; filename="%b"\r\n\r\n%b\r\n'
            % (name.encode(), text, text)
            for name, text in parts
        )
        + b"--B--\r\n"
    )
)
queries = st.lists(
    st.tuples(st.sampled_from(["limit", "order", "after", "before", "purpose", "filter"]), st.text(max_size=5)),
    max_size=3,
)
scripts = st.lists(
    st.sampled_from(
        [
            {"reply": "x y", "pause": 1},
            {"reply": [{"type": "output_text", "annotations": 3, "text": 7}]},
            {"call": [{"name": "f"}]},
            {"code": {"input": "", "outputs": [{"type": "image", "image": 5}]}},
            {"search": {"results": [{"content": 5}]}},
            {"refuse": "", "cut": 0},
            {"incomplete": "x"},
            {"error": {}},
            {"fail": {"code": "x", "message": "y"}},
        ]
    ),
    max_size=3,
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any of the routes, with ids that exist."""
    pattern = draw(st.sampled_from(list(OTHER_ROUTES)))
    method = draw(st.sampled_from([*OTHER_ROUTES[pattern]]))
    for name, value in ODD.items():
        pattern = pattern.replace(name, value)
    body, headers = draw(st.one_of(st.tuples(bodies, st.just(GOOD)), st.tuples(forms, st.just(FORM))))
    return Request(method, pattern, draw(queries), headers, body)


def check(reply: Reply) -> None:
    assert 200 <= reply.status < 500 or (reply.status == 500 and reply.json()["error"]["type"] == "server_error")
    if reply.status != 200:
        assert list(reply.json()) in (["error"], ["error", "detail"])
    for chunk in reply.chunks or ():
        assert not isinstance(chunk, bytes) or chunk.endswith(b"\n\n")


@given(st.lists(requests(), min_size=1, max_size=5), odd_worlds, scripts)
def test_everything_is_answered(asking: list[Request], world: dict[str, Any], script: list[Any]) -> None:
    """In any order, on one world, whatever it holds; 500 only where a script says so; and the world can be saved."""
    fake = FakeAssistants()
    fake.load(world)
    fake.script = {"default": script}
    for request in asking:
        check(fake.handle(request))
    saved = fake.snapshot()
    fake.state = saved
    assert fake.snapshot() == saved
