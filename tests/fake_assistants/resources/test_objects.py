"""Assistants, threads and messages: the recorded shapes, key orders and quirks."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from fake_assistants import FakeAssistants, IdSource, Reply, Request

Ask = Callable[..., Reply]
NOW = 1774963200


def test_a_thread_is_recorded_in_three_shapes(ask: Ask) -> None:
    """Create and modify answer `{}`, retrieve the long form of the same nothing."""
    made = ask("POST", "/v1/threads", {}).json()
    assert list(made.items())[1:] == [
        ("object", "thread"),
        ("created_at", NOW),
        ("metadata", {}),
        ("tool_resources", {}),
    ]
    path = f"/v1/threads/{made['id']}"
    assert ask("GET", path).json()["tool_resources"] == {"code_interpreter": {"file_ids": []}}
    changed = ask("POST", path, {"metadata": {"a": "1"}}).json()
    assert changed == made | {"metadata": {"a": "1"}}
    assert ask("POST", path, {"metadata": None}).json() == made


def test_metadata_given_replaces_the_whole(ask: Ask) -> None:
    """It is not merged key by key; what is not given stays."""
    made = ask("POST", "/v1/threads", {"metadata": {"a": "1", "b": "2"}}).json()
    path = f"/v1/threads/{made['id']}"
    assert ask("POST", path, {"metadata": {"c": "3"}}).json()["metadata"] == {"c": "3"}
    files = {"code_interpreter": {"file_ids": ["file-1"]}}
    changed = ask("POST", path, {"tool_resources": files}).json()
    assert (changed["metadata"], changed["tool_resources"]) == ({"c": "3"}, files)
    assert ask("GET", path).json() == changed


def test_a_thread_with_stores_creates_them(fake: FakeAssistants, ask: Ask) -> None:
    """The answer names the store; the world keeps it."""
    wanted = {"file_search": {"vector_stores": [{"file_ids": ["file-1", "file-2"]}]}}
    made = ask("POST", "/v1/threads", {"tool_resources": wanted}).json()
    (store,) = fake.state["vector_stores"]
    assert made["tool_resources"] == {"file_search": {"vector_store_ids": [store["id"]]}}
    files: dict[str, Any] = {"code_interpreter": {"file_ids": []}}
    shown = made | {"tool_resources": made["tool_resources"] | files}
    assert ask("GET", f"/v1/threads/{made['id']}").json() == shown
    assert store["file_counts"]["total"] == 2
    assert (store["id"][:3], len(store["id"])) == ("vs_", 35)


def test_a_thread_begins_with_its_messages(ask: Ask) -> None:
    """In their order, in the same second."""
    first = {"role": "user", "content": "Hello"}
    second = {"role": "assistant", "content": [{"type": "text", "text": "Hi"}], "metadata": {"n": "2"}}
    thread = ask("POST", "/v1/threads", {"messages": [first, second]}).json()["id"]
    rows = ask("GET", f"/v1/threads/{thread}/messages?order=asc").json()["data"]
    assert [row["content"][0]["text"]["value"] for row in rows] == ["Hello", "Hi"]
    assert rows[1]["metadata"] == {"n": "2"}


@pytest.fixture
def thread(ask: Ask) -> str:
    """The path of a new thread."""
    return f"/v1/threads/{ask('POST', '/v1/threads').json()['id']}"


def test_a_message_over_rest(fake: FakeAssistants, ask: Ask, thread: str) -> None:
    """Exactly these keys, in this order: no status, nulls for a message by hand."""
    fake.clock.advance(5)
    made = ask("POST", f"{thread}/messages", {"role": "assistant", "content": "x"}).json()
    assert list(made.items())[1:] == [
        ("object", "thread.message"),
        ("created_at", NOW + 5),
        ("assistant_id", None),
        ("thread_id", thread.rpartition("/")[2]),
        ("run_id", None),
        ("role", "assistant"),
        ("content", [{"type": "text", "text": {"value": "x", "annotations": []}}]),
        ("attachments", []),
        ("metadata", {}),
    ]
    assert ask("GET", f"{thread}/messages/{made['id']}").json() == made


def test_parts_keep_their_order_and_images_get_a_detail(ask: Ask, thread: str) -> None:
    """`auto`, when nobody says otherwise."""
    content = [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "text", "text": "and"},
        {"type": "image_file", "image_file": {"detail": "low", "file_id": "file-1"}},
        {"type": "image_file", "image_file": {"file_id": "file-2"}},
    ]
    made = ask("POST", f"{thread}/messages", {"role": "user", "content": content}).json()
    assert made["content"] == [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "auto"}},
        {"type": "text", "text": {"value": "and", "annotations": []}},
        {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "low"}},
        {"type": "image_file", "image_file": {"file_id": "file-2", "detail": "auto"}},
    ]


def test_a_modified_message_answers_the_old_shape(ask: Ask, thread: str) -> None:
    """`file_ids` in place of `attachments`, in this answer only."""
    twice = [
        {"file_id": "file-1", "tools": [{"type": "file_search"}]},
        {"file_id": "file-1", "tools": [{"type": "code_interpreter"}]},
    ]
    body = {"role": "user", "content": "x", "attachments": twice}
    made = ask("POST", f"{thread}/messages", body).json()
    path = f"{thread}/messages/{made['id']}"
    changed = ask("POST", path, {"metadata": {"a": "1"}}).json()
    assert list(changed) == [*list(made)[:8], "file_ids", "metadata"]
    assert (changed["file_ids"], changed["metadata"]) == ([], {"a": "1"})
    assert ask("GET", path).json() == made | {"metadata": {"a": "1"}, "attachments": twice}


def test_what_is_deleted_is_gone(ask: Ask, thread: str) -> None:
    """A second delete answers 404; with a thread go its messages."""
    body = {"role": "user", "content": "x"}
    message = ask("POST", f"{thread}/messages", body).json()["id"]
    assistant = ask("POST", "/v1/assistants", {"model": "gpt-4o-mini"}).json()["id"]
    for path, kind in (
        (f"{thread}/messages/{message}", "thread.message.deleted"),
        (thread, "thread.deleted"),
        (f"/v1/assistants/{assistant}", "assistant.deleted"),
    ):
        gone = ask("DELETE", path).json()
        assert list(gone.items()) == [
            ("id", path.rpartition("/")[2]),
            ("object", kind),
            ("deleted", True),
        ]
        assert ask("DELETE", path).status == 404
    assert ask("GET", f"{thread}/messages").status == 404


def test_a_thread_put_back_has_no_old_messages(fake: FakeAssistants, ask: Ask, thread: str) -> None:
    """Deleting was for good."""
    ask("POST", f"{thread}/messages", {"role": "user", "content": "x"})
    saved = fake.snapshot()["threads"]
    ask("DELETE", thread)
    fake.load({"threads": saved})
    assert ask("GET", f"{thread}/messages").json()["data"] == []


def test_an_assistant_in_full(ask: Ask) -> None:
    """Recorded order, nulls for what is unset, decimals for numbers, the tool's empty file list."""
    body = {"model": "gpt-4o-mini", "name": "Math Tutor", "tools": [{"type": "code_interpreter"}]}
    made = ask("POST", "/v1/assistants", body).json()
    assert list(made.items())[1:] == [
        ("object", "assistant"),
        ("created_at", NOW),
        ("name", "Math Tutor"),
        ("description", None),
        ("model", "gpt-4o-mini"),
        ("instructions", None),
        ("tools", [{"type": "code_interpreter"}]),
        ("top_p", 1.0),
        ("temperature", 1.0),
        ("reasoning_effort", None),
        ("tool_resources", {"code_interpreter": {"file_ids": []}}),
        ("metadata", {}),
        ("response_format", "auto"),
    ]
    assert ask("GET", f"/v1/assistants/{made['id']}").json() == made


def test_an_assistant_is_modified_field_by_field(ask: Ask) -> None:
    """What is not given stays; null unsets."""
    full = {
        "model": "gpt-4o-mini",
        "name": "A",
        "temperature": 0,
        "response_format": {"type": "json_object"},
        "tool_resources": {"file_search": {"vector_store_ids": ["vs_1"]}},
        "tools": [{"type": "file_search"}],
    }
    made = ask("POST", "/v1/assistants", full).json()
    assert repr(made["temperature"]) == "0.0"
    changed = ask("POST", f"/v1/assistants/{made['id']}", {"name": None, "description": "B"}).json()
    assert changed == made | {"name": None, "description": "B"}


def test_tools_are_echoed_with_their_defaults(ask: Ask) -> None:
    """Functions get `parameters` and `strict`, searches their ranking options."""
    none: dict[str, Any] = {"type": "object", "properties": {}}
    function = {"parameters": {"type": "object", "properties": {"city": {}}}, "name": "weather"}
    tools = [
        {"type": "function", "function": function},
        {"type": "function", "function": {"strict": True, "description": "d", "name": "exact"}},
        {"type": "file_search"},
        {
            "type": "file_search",
            "file_search": {"max_num_results": 5, "ranking_options": {"score_threshold": 0.5}},
        },
    ]
    made = ask("POST", "/v1/assistants", {"model": "m", "tools": tools}).json()
    ranking: dict[str, Any] = {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}
    assert list(made["tools"][0]["function"].items()) == [
        ("name", "weather"),
        ("parameters", function["parameters"]),
        ("strict", False),
    ]
    assert made["tools"][2]["file_search"] == {"ranking_options": ranking}
    assert list(made["tools"][1]["function"].items()) == [
        ("name", "exact"),
        ("description", "d"),
        ("parameters", none),
        ("strict", True),
    ]
    assert made["tools"][3]["file_search"] == {
        "max_num_results": 5,
        "ranking_options": ranking | {"score_threshold": 0.5},
    }


def test_a_function_is_echoed_alike_by_every_route(ask: Ask) -> None:
    """By assistants, created and changed, and by runs, with a thread or without, streamed or not."""
    given = {"tools": [{"type": "function", "function": {"name": "f"}}]}
    wanted = {"name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
    made = ask("POST", "/v1/assistants", {"model": "m", "instructions": "x"}).json()
    thread = ask("POST", "/v1/threads").json()["id"]
    run = {"assistant_id": made["id"], **given}
    stream = ask("POST", "/v1/threads/runs", {**run, "stream": True}).chunks
    events = [chunk for chunk in stream or () if isinstance(chunk, bytes)]
    told = [json.loads(event.split(b"data: ")[1]) for event in events if event.startswith(b"event: thread.run.c")]
    answers = [
        ask("POST", "/v1/assistants", {"model": "m", **given}).json(),
        ask("POST", f"/v1/assistants/{made['id']}", given).json(),
        ask("POST", f"/v1/threads/{thread}/runs", run).json(),
        ask("POST", "/v1/threads/runs", run).json(),
        told[0],
        told[-1],
    ]
    assert [answer["tools"][0]["function"] for answer in answers] == [wanted] * 6


@pytest.mark.parametrize("search", [{}, {"vector_store_ids": ["vs_1"]}], ids=repr)
def test_a_thread_is_retrieved_with_its_code_files(fake: FakeAssistants, ask: Ask, search: Any) -> None:
    """An empty list of them stands after other resources; create and modify leave it out."""
    wanted = {"file_search": {"vector_store_ids": [], **search}}
    made = ask("POST", "/v1/threads", {"tool_resources": {"file_search": search}}).json()
    path = f"/v1/threads/{made['id']}"
    shown = ask("GET", path).json()["tool_resources"]
    assert list(shown.items()) == [*wanted.items(), ("code_interpreter", {"file_ids": []})]
    assert made["tool_resources"] == ask("POST", path, {}).json()["tool_resources"] == wanted
    own = {"code_interpreter": {"file_ids": ["file-1"]}}
    ask("POST", path, {"tool_resources": own})
    assert ask("GET", path).json()["tool_resources"] == own
    fake.load({"threads": [{"id": "thread_odd", "tool_resources": None}]})
    assert ask("GET", "/v1/threads/thread_odd").json()["tool_resources"] is None


@pytest.mark.parametrize("path", ["/v1/threads", "/v1/assistants"])
def test_a_store_may_be_named_and_another_made(ask: Ask, path: str) -> None:
    """Both at once, as the SDKs' own tests send it."""
    search = {"vector_store_ids": ["vs_1"], "vector_stores": [{"chunking_strategy": {"type": "auto"}}]}
    body = {"tool_resources": {"file_search": search}} | ({"model": "m"} if path.endswith("assistants") else {})
    first, second = ask("POST", path, body).json()["tool_resources"]["file_search"]["vector_store_ids"]
    assert (first, ask("GET", f"/v1/vector_stores/{second}").status) == ("vs_1", 200)


def test_a_page_of_no_rows(ask: Ask) -> None:
    """`limit=0`, as the SDKs' own tests send it, gives none, and says that there are more."""
    ask("POST", "/v1/assistants", {"model": "m"})
    page = ask("GET", "/v1/assistants?limit=0").json()
    assert (page["data"], page["first_id"], page["last_id"], page["has_more"]) == ([], None, None, True)


@pytest.mark.parametrize("resources", [None, {}, {"file_search": {}}, {"code_interpreter": {"file_ids": ["file-1"]}}])
def test_resources_have_one_shape(ask: Ask, resources: Any) -> None:
    """Modify keeps what create would have kept."""
    for path, body in (("/v1/threads", {}), ("/v1/assistants", {"model": "m"})):
        created = ask("POST", path, {**body, "tool_resources": resources}).json()
        other = ask("POST", path, body).json()
        modified = ask("POST", f"{path}/{other['id']}", {"tool_resources": resources}).json()
        assert modified["tool_resources"] == created["tool_resources"]
        assert created["tool_resources"] == (
            {"file_search": {"vector_store_ids": []}} if resources == {"file_search": {}} else resources or {}
        )


@pytest.mark.parametrize("tools", [None, 5, {}, [5, None, {"type": "code_interpreter"}]], ids=repr)
@pytest.mark.parametrize("resources", [None, 5, [], "x"], ids=repr)
def test_an_odd_assistant_is_modified_like_any(fake: FakeAssistants, ask: Ask, tools: Any, resources: Any) -> None:
    """What a state brought in stays as it is; only null makes room for the tool's empty list of files."""
    odd = {"id": "asst_1", "tools": tools, "tool_resources": resources}
    fake.load({"assistants": [odd]})
    kept = {"code_interpreter": {"file_ids": []}} if resources is None and isinstance(tools, list) else resources
    assert ask("POST", "/v1/assistants/asst_1", {"name": "x"}).json() == odd | {"name": "x", "tool_resources": kept}


def test_assistants_are_listed_newest_first(fake: FakeAssistants, ask: Ask) -> None:
    """Ties in created_at by insertion; beyond the last one an empty page."""
    assert ask("GET", "/v1/assistants").json() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    made = [ask("POST", "/v1/assistants", {"model": str(n)}).json()["id"] for n in range(21)]
    page = ask("GET", "/v1/assistants").json()
    assert [row["id"] for row in page["data"]] == made[:0:-1]
    assert page["has_more"] is True
    beyond = ask("GET", f"/v1/assistants?after={made[0]}").json()
    assert (beyond["data"], beyond["has_more"]) == ([], False)
    assert len(fake.requests) == 24


def test_headers_are_the_recorded_ones(ask: Ask) -> None:
    """In the recorded order; no rate limit, no deprecation header, a fresh request id each time."""
    one, two = ask("POST", "/v1/threads"), ask("GET", "/v1/threads/thread_no")
    for reply in (one, two):
        assert [name for name, _ in reply.headers] == [
            "content-type",
            "x-content-type-options",
            "openai-version",
            "openai-organization",
            "openai-project",
            "openai-processing-ms",
            "x-request-id",
            "x-openai-proxy-wasm",
        ]
        assert reply.header("content-type") == "application/json"
        assert re.fullmatch("req_[0-9a-f]{32}", str(reply.header("x-request-id")))
    assert one.header("x-request-id") != two.header("x-request-id")


def test_ids_have_the_recorded_shapes() -> None:
    """A prefix and 24 letters and digits, or 32 hexadecimal digits; the same on every run with the same seed."""
    ask = Request("POST", "/v1/threads", (), {"Authorization": "Bearer k", "OpenAI-Beta": "assistants=v2"})
    first, same, other = (FakeAssistants(seed=seed).handle(ask).json()["id"] for seed in (0, 0, 1))
    assert first == same != other
    assert first.removeprefix("thread_").isalnum()
    assert len(first) == len("thread_") + 24
    for prefix in ("vs_", "req_"):
        assert re.fullmatch(f"{prefix}[0-9a-f]{{32}}", IdSource().draw(prefix))
