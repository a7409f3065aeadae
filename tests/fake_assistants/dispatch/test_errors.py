"""Every text with which the API refuses, word for word, in its envelope."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from fake_assistants import FakeAssistants, Reply, Request

Ask = Callable[..., Reply]

AUTH = {"Authorization": "Bearer sk-test"}
BETA = {"OpenAI-Beta": "assistants=v2"}
THREAD = "/v1/threads/thread_abc123"
MESSAGES = f"{THREAD}/messages"


@pytest.fixture(autouse=True)
def _world(fake: FakeAssistants) -> None:
    fake.load(
        {
            "threads": [{"id": "thread_abc123", "tool_resources": {}}],
            "messages": [{"id": "msg_abc123", "thread_id": "thread_abc123"}],
            "assistants": [{"id": "asst_abc123"}],
        }
    )


def said(reply: Reply) -> tuple[int, str, str | None, str | None]:
    """Status, message, param, code; the envelope's own shape is checked on the way."""
    body = reply.json()
    assert list(body) == ["error"]
    error = body["error"]
    assert list(error) == ["message", "type", "param", "code"]
    return reply.status, error["message"], error["param"], error["code"]


def too_long(what: str, limit: int, length: int) -> str:
    return (
        f"Invalid '{what}': string too long. Expected a string with maximum length {limit}, "
        f"but got a string with length {length} instead."
    )


EMPTY_ARRAY = "Invalid 'content': empty array. Expected an array with minimum length 1, but got an empty array instead."
EMPTY_STRING = (
    "Invalid 'content': empty string. Expected a string with minimum length 1, but got an empty string instead."
)
USER_ASSISTANT = "Supported values are: 'user' and 'assistant'."


def message(**fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": "x"} | fields


def part(**fields: Any) -> dict[str, Any]:
    return message(content=[{"type": "text", "text": "x"}, fields])


BODIES: list[tuple[str, Any, str, str | None, str]] = [
    # target, body, message, param, code
    (MESSAGES, message(role="human"), f"Invalid value: 'human'. {USER_ASSISTANT}", "role", "invalid_value"),
    (
        MESSAGES,
        message(role=3),
        "Invalid type for 'role': expected one of 'user' or 'assistant', but got an integer instead.",
        "role",
        "invalid_type",
    ),
    (
        "/v1/threads",
        {"messages": [message(), message(role="system")]},
        f"Invalid value: 'system'. {USER_ASSISTANT}",
        "messages[1].role",
        "invalid_value",
    ),
    (MESSAGES, {"role": "user"}, "Missing required parameter: 'content'.", "content", "missing_required_parameter"),
    (MESSAGES, b"", "Missing required parameter: 'role'.", "role", "missing_required_parameter"),
    ("/v1/assistants", {}, "Missing required parameter: 'model'.", "model", "missing_required_parameter"),
    (MESSAGES, message(quality=1), "Unknown parameter: 'quality'.", "quality", "unknown_parameter"),
    (
        MESSAGES,
        part(type="text", text="x", mood="good"),
        "Unknown parameter: 'content[1].mood'.",
        "content[1].mood",
        "unknown_parameter",
    ),
    (MESSAGES, message(content=""), EMPTY_STRING, "content", "empty_string"),
    (MESSAGES, message(content=[]), EMPTY_ARRAY, "content", "empty_array"),
    (
        MESSAGES,
        message(content="x" * 256_001),
        too_long("content", 256_000, 256_001),
        "content",
        "string_above_max_length",
    ),
    (
        MESSAGES,
        part(type="text", text="x" * 256_001),
        too_long("content[1].text", 256_000, 256_001),
        "content[1].text",
        "string_above_max_length",
    ),
    (
        MESSAGES,
        message(content=7.5),
        "Invalid type for 'content': expected one of a string or array of objects, but got a decimal instead.",
        "content",
        "invalid_type",
    ),
    (
        MESSAGES,
        part(type="audio"),
        "Invalid value: 'audio'. Supported values are: 'image_file', 'image_url', and 'text'.",
        "content[1].type",
        "invalid_value",
    ),
    (
        MESSAGES,
        part(text="x"),
        "Missing required parameter: 'content[1].type'.",
        "content[1].type",
        "missing_required_parameter",
    ),
    (
        MESSAGES,
        message(content=["x"]),
        "Invalid type for 'content[0]': expected an object, but got a string instead.",
        "content[0]",
        "invalid_type",
    ),
    (
        MESSAGES,
        part(type="text", text={"value": "x"}),
        "Invalid type for 'content[1].text': expected a string, but got an object instead.",
        "content[1].text",
        "invalid_type",
    ),
    (
        MESSAGES,
        message(attachments={}),
        "Invalid type for 'attachments': expected an array, but got an object instead.",
        "attachments",
        "invalid_type",
    ),
    (
        MESSAGES,
        message(metadata={"modified": True}),
        "Invalid type for 'metadata.modified': expected a string, but got a boolean instead.",
        "metadata.modified",
        "invalid_type",
    ),
    (
        THREAD,
        {"metadata": {"modified": None}},
        "Invalid type for 'metadata.modified': expected a string, but got null instead.",
        "metadata.modified",
        "invalid_type",
    ),
    (
        THREAD,
        {"metadata": "x"},
        "Invalid type for 'metadata': expected a metadata object, but got a string instead.",
        "metadata",
        "invalid_type",
    ),
    (
        THREAD,
        {"metadata": {str(n): "" for n in range(17)}},
        "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, "
        "but got an object with 17 properties instead.",
        "metadata",
        "object_above_max_properties",
    ),
    (
        THREAD,
        {"metadata": {"k": "v" * 513}},
        too_long("metadata.k", 512, 513),
        "metadata.k",
        "string_above_max_length",
    ),
    (
        THREAD,
        {"metadata": {"k" * 65: "v"}},
        "Invalid 'metadata': property name too long. Expected a property name with maximum length 64, "
        "but got a property name with length 65 instead.",
        "metadata",
        "property_name_above_max_length",
    ),
    (
        "/v1/assistants",
        {"model": "m", "name": "n" * 257},
        too_long("name", 256, 257),
        "name",
        "string_above_max_length",
    ),
    (
        "/v1/assistants",
        {"model": "m", "description": "d" * 513},
        too_long("description", 512, 513),
        "description",
        "string_above_max_length",
    ),
    (
        "/v1/assistants",
        {"model": "m", "instructions": "i" * 256_001},
        too_long("instructions", 256_000, 256_001),
        "instructions",
        "string_above_max_length",
    ),
    (
        "/v1/assistants",
        {"model": "m", "tools": [{"type": "code_interpreter"}] * 129},
        "Invalid 'tools': array too long. Expected an array with maximum length 128, "
        "but got an array with length 129 instead.",
        "tools",
        "array_above_max_length",
    ),
    (
        "/v1/assistants",
        {"model": "m", "temperature": 3},
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 3 instead.",
        "temperature",
        "decimal_above_max_value",
    ),
    (
        "/v1/assistants",
        {"model": "m", "top_p": -0.5},
        "Invalid 'top_p': decimal below minimum value. Expected a value >= 0, but got -0.5 instead.",
        "top_p",
        "decimal_below_min_value",
    ),
    (
        "/v1/assistants",
        {"model": "m", "top_p": True},
        "Invalid type for 'top_p': expected a decimal, but got a boolean instead.",
        "top_p",
        "invalid_type",
    ),
    (
        "/v1/assistants",
        {"model": "m", "tools": [{"type": "file_search", "file_search": {"max_num_results": 1.5}}]},
        "Invalid type for 'tools[0].file_search.max_num_results': expected an integer, but got a decimal instead.",
        "tools[0].file_search.max_num_results",
        "invalid_type",
    ),
    (
        "/v1/assistants",
        {"model": "m", "tools": [{"type": "function", "function": {"name": "f", "strict": 1}}]},
        "Invalid type for 'tools[0].function.strict': expected a boolean, but got an integer instead.",
        "tools[0].function.strict",
        "invalid_type",
    ),
    (
        "/v1/threads",
        {"tool_resources": {"file_search": {"vector_store_ids": ["vs_1"], "vector_stores": [{}, {}]}}},
        "Invalid 'tool_resources.file_search.vector_stores': array too long. Expected an array with maximum length 1, "
        "but got an array with length 2 instead.",
        "tool_resources.file_search.vector_stores",
        "array_above_max_length",
    ),
    (
        "/v1/threads",
        {"tool_resources": {"file_search": 3}},
        "Invalid type for 'tool_resources.file_search': expected an object, but got an integer instead.",
        "tool_resources.file_search",
        "invalid_type",
    ),
    (
        "/v1/assistants",
        [],
        "Invalid type: expected an object, but got an array instead.",
        None,
        "invalid_type",
    ),
]


@pytest.mark.parametrize(("target", "body", "text", "param", "code"), BODIES)
def test_a_bad_body(ask: Ask, target: str, body: Any, text: str, param: str | None, code: str) -> None:
    """The validator's vocabulary, 400, and nothing is created."""
    assert said(ask("POST", target, body)) == (400, text, param, code)


HINT = "(HINT: Perhaps you meant to use a different HTTP method?)"

PATHS = [
    ("GET", "/v1/nothing", 404, "Invalid URL (GET /v1/nothing)", None, None),
    ("POST", "/threads", 404, "Invalid URL (POST /threads)", None, None),
    ("GET", "/v1/threads/", 404, "Invalid URL (GET /v1/threads/)", None, None),
    ("PUT", "/v1/threads", 405, f"Not allowed to PUT on /v1/threads. {HINT}", None, None),
    ("GET", "/v1/threads/thread_x", 404, "No thread found with id 'thread_x'.", None, None),
    ("POST", "/v1/threads/thread_x", 404, "No thread found with id 'thread_x'.", None, None),
    ("DELETE", "/v1/threads/thread_x", 404, "No thread found with id 'thread_x'.", None, None),
    ("GET", "/v1/threads/thread_x/messages", 404, "No thread found with id 'thread_x'.", None, None),
    ("POST", "/v1/threads/thread_x/messages", 404, "No thread found with id 'thread_x'.", None, None),
    ("GET", "/v1/assistants/asst_x", 404, "No assistant found with id 'asst_x'.", None, None),
    ("GET", f"{MESSAGES}/msg_x", 404, "No message found with id 'msg_x'.", None, None),
    (
        "GET",
        "/v1/threads/undefined",
        400,
        "Invalid 'thread_id': 'undefined'. Expected an ID that begins with 'thread'.",
        "thread_id",
        "invalid_value",
    ),
    (
        "DELETE",
        "/v1/assistants/wf_69",
        400,
        "Invalid 'assistant_id': 'wf_69'. Expected an ID that begins with 'asst'.",
        "assistant_id",
        "invalid_value",
    ),
    (
        "GET",
        f"{MESSAGES}/1234",
        400,
        "Invalid 'message_id': '1234'. Expected an ID that begins with 'msg'.",
        "message_id",
        "invalid_value",
    ),
    (
        "GET",
        f"{MESSAGES}?limit=101",
        400,
        "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead.",
        "limit",
        "integer_above_max_value",
    ),
    (
        "GET",
        f"{MESSAGES}?limit=-1",
        400,
        "Invalid 'limit': integer below minimum value. Expected a value >= 0, but got -1 instead.",
        "limit",
        "integer_below_min_value",
    ),
    (
        "GET",
        "/v1/assistants?limit=abc",
        400,
        "Invalid type for 'limit': expected an integer, but got a string instead.",
        "limit",
        "invalid_type",
    ),
    (
        "GET",
        f"{MESSAGES}?order=foo",
        400,
        "Invalid value: 'foo'. Supported values are: 'asc' and 'desc'.",
        "order",
        "invalid_value",
    ),
    ("GET", f"{MESSAGES}?after=msg_x", 404, "No message found with id 'msg_x'.", None, None),
    ("GET", "/v1/assistants?before=asst_x", 404, "No assistant found with id 'asst_x'.", None, None),
    (
        "GET",
        f"{MESSAGES}?before=x",
        400,
        "Invalid 'before': 'x'. Expected an ID that begins with 'msg'.",
        "before",
        "invalid_value",
    ),
    (
        "GET",
        f"{MESSAGES}?run_id=x",
        400,
        "Invalid 'run_id': 'x'. Expected an ID that begins with 'run'.",
        "run_id",
        "invalid_value",
    ),
]


@pytest.mark.parametrize(("method", "target", "status", "text", "param", "code"), PATHS)
def test_a_bad_path_or_query(
    ask: Ask, method: str, target: str, status: int, text: str, param: str | None, code: str | None
) -> None:
    """Ids are checked by prefix only; `thread_x` is well formed."""
    assert said(ask(method, target)) == (status, text, param, code)


def test_threads_cannot_be_listed(ask: Ask) -> None:
    """Not with a key: type server_error, as on the other routes of the dashboard."""
    reply = ask("GET", "/v1/threads")
    assert said(reply)[:2] == (
        403,
        "Your request to GET /v1/threads must be made with a session key (that is, it can only be made from "
        "the browser). You made it with the following key type: secret.",
    )
    assert reply.json()["error"]["type"] == "server_error"


def test_a_body_that_is_not_json(ask: Ask) -> None:
    """Also one that is nested too deep."""
    for body in (b"{", b"\xff", b"[" * 401 + b"]" * 401):
        status, text, param, code = said(ask("POST", "/v1/threads", body))
        assert (status, param, code) == (400, None, None)
        assert text.startswith("We could not parse the JSON body of your request. (HINT: This likely means")
        assert text.endswith("please contact us through our help center at help.openai.com.)")


def test_the_beta_header_is_wanted(ask: Ask) -> None:
    """Missing, or of the first version; among others it is found."""
    missing = said(ask("POST", "/v1/threads", {}, AUTH))
    assert missing == (
        400,
        "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by setting "
        "the header 'OpenAI-Beta: assistants=v2'.",
        None,
        "invalid_beta",
    )
    old = said(ask("POST", "/v1/threads", {}, AUTH | {"OpenAI-Beta": "assistants=v1"}))
    assert old == (
        400,
        "The v1 Assistants API has been deprecated. Please try again by setting the header 'OpenAI-Beta: "
        "assistants=v2'. See the migration guide for more information: "
        "https://platform.openai.com/docs/assistants/migration.",
        None,
        "invalid_beta",
    )
    assert ask("POST", "/v1/threads", {}, AUTH | {"OpenAI-Beta": "x=1, assistants=v2"}).status == 200


def test_a_key_is_wanted(ask: Ask) -> None:
    """From another layer: a charset, and none of the openai headers. Without configured keys any will do."""
    reply = ask("POST", "/v1/threads", {}, BETA)
    status, text, param, code = said(reply)
    assert (status, param, code) == (401, None, None)
    assert text.startswith("You didn't provide an API key. You need to provide your API key in an Authorization")
    assert reply.header("content-type") == "application/json; charset=utf-8"
    assert reply.header("vary") == "Origin"
    assert reply.header("openai-version") is None
    assert str(reply.header("x-request-id")).startswith("req_")


def test_what_is_wrong_is_told_in_this_order(ask: Ask) -> None:
    """Path, key, beta header, ids, what they name, body: of two mistakes the first is told."""
    asked = [
        ("/v1/nothing", {}),
        ("/v1/threads/undefined", {}),
        ("/v1/threads/undefined", AUTH),
        ("/v1/threads/undefined", AUTH | BETA),
        ("/v1/threads/thread_x", AUTH | BETA),
        (THREAD, AUTH | BETA),
    ]
    texts = [said(ask("POST", path, b"{", headers))[1] for path, headers in asked]
    firsts = [text.split("'")[0] for text in texts]
    assert firsts[:5] == [
        "Invalid URL (POST /v1/nothing)",
        "You didn",
        "You must provide the ",
        "Invalid ",
        "No thread found with id ",
    ]
    assert firsts[5].startswith("We could not parse the JSON body")


@pytest.mark.parametrize("fake", [FakeAssistants(), FakeAssistants(api_keys=["sk-right"])], ids=["any", "configured"])
def test_an_empty_key_is_no_key(fake: FakeAssistants) -> None:
    """Also where any key will do; where there is no bearer at all, that is said."""
    for header, words in (
        ("Bearer", "Incorrect API key provided: ''. You can find"),
        ("Bearer ", "Incorrect API key provided: ''. You can find"),
        ("bearer   ", "Incorrect API key provided: ''. You can find"),
        ("", "You didn't provide an API key."),
        ("  ", "You didn't provide an API key."),
        ("Basic abc", "You didn't provide an API key."),
    ):
        reply = fake.handle(Request("POST", "/v1/threads", (), {"Authorization": header, **BETA}))
        status, text, param, code = said(reply)
        assert (status, param, code) == (401, None, "invalid_api_key" if "''" in words else None)
        assert text.startswith(words)


def test_an_empty_key_cannot_be_configured() -> None:
    """It would let everybody in, or nobody."""
    with pytest.raises(ValueError, match="empty"):
        FakeAssistants(api_keys=["sk-right", ""])


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("fake_key", "fake_key"),
        ("not-a-real-key-0123456789-not-authorized"[:38], "not-a-re" + "*" * 26 + "oriz"),
        ("", "''"),
        ("no spaces here", "no space**here"),
    ],
)
def test_a_wrong_key_is_shown_masked(key: str, shown: str) -> None:
    """As the real API masked it."""
    fake = FakeAssistants(api_keys=["sk-right"])
    headers = {"Authorization": f"Bearer {key}", **BETA}
    assert said(fake.handle(Request("POST", "/v1/threads", (), headers))) == (
        401,
        f"Incorrect API key provided: {shown}. "
        "You can find your API key at https://platform.openai.com/account/api-keys.",
        None,
        "invalid_api_key",
    )
    for right in ("Bearer sk-right", "bearer  sk-right"):
        sent = headers | {"Authorization": right}
        assert fake.handle(Request("POST", "/v1/threads", (), sent)).status == 200


def test_a_thread_is_full_at_its_limit() -> None:
    """100,000 messages by default; here two."""
    fake = FakeAssistants(messages_per_thread=2)
    headers = AUTH | BETA

    def post(path: str, body: Any) -> Reply:
        return fake.handle(Request("POST", path, (), headers, json.dumps(body).encode()))

    thread = post("/v1/threads", {"messages": [message(), message()]}).json()["id"]
    refused = said(post(f"/v1/threads/{thread}/messages", message()))
    assert refused[:2] == (400, f"Can't add messages to {thread}: a thread can hold at most 2 messages.")
    assert said(post("/v1/threads", {"messages": [message()] * 3}))[0] == 400
    assert len(fake.state["threads"]) == 1
