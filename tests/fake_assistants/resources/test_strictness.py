"""What the API refused beyond wrong types: names, long lists, pairs of items, and on request models and files."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fake_assistants import FakeAssistants, Reply, Request
from fake_assistants.http.lossless_json import dumps_compact

Ask = Callable[..., Reply]
Body = dict[str, Any]

HEADERS = {"Authorization": "Bearer sk-test", "OpenAI-Beta": "assistants=v2"}
USER = {"role": "user", "content": "x"}


def sent(fake: FakeAssistants, path: str, body: Body) -> Reply:
    return fake.handle(Request.of("POST", f"/v1{path}", HEADERS, dumps_compact(body)))


def refused(reply: Reply) -> tuple[int, str | None, str | None]:
    """Status, param and code."""
    error = reply.json()["error"]
    return reply.status, error["param"], error["code"]


def world(**options: Any) -> FakeAssistants:
    fake = FakeAssistants(**options)
    fake.load(
        {"assistants": [{"id": "asst_1", "model": "gpt-4o", "instructions": "x"}], "threads": [{"id": "thread_1"}]}
    )
    return fake


# --- names --------------------------------------------------------------------------------------------


def function(name: str) -> Body:
    return {"type": "function", "function": {"name": name}}


def schema(name: str) -> Body:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": {}}}


def called(name: str) -> list[Body]:
    calls = [{"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}}]
    return [{"role": "assistant", "tool_calls": calls}, {"role": "tool", "tool_call_id": "c", "content": "x"}]


def run_items(name: str) -> list[Body]:
    call = {"type": "function_call", "call_id": "c", "name": name, "arguments": "{}"}
    return [call, {"type": "function_call_output", "call_id": "c", "output": "x"}]


NAMED: list[tuple[str, str, Callable[[str], Body]]] = [
    # route, param, body
    ("/assistants", "tools[0].function.name", lambda name: {"model": "m", "tools": [function(name)]}),
    ("/assistants/asst_1", "tools[0].function.name", lambda name: {"tools": [function(name)]}),
    ("/assistants", "response_format.json_schema.name", lambda name: {"model": "m", "response_format": schema(name)}),
    (
        "/threads/thread_1/runs",
        "tools[0].function.name",
        lambda name: {"assistant_id": "asst_1", "tools": [function(name)]},
    ),
    (
        "/threads/runs",
        "tool_choice.function.name",
        lambda name: {"assistant_id": "asst_1", "tool_choice": function(name)},
    ),
    (
        "/threads/runs",
        "response_format.json_schema.name",
        lambda name: {"assistant_id": "asst_1", "response_format": schema(name)},
    ),
    (
        "/chat/completions",
        "tools[0].function.name",
        lambda name: {"model": "m", "messages": [USER], "tools": [function(name)]},
    ),
    (
        "/chat/completions",
        "tool_choice.function.name",
        lambda name: {"model": "m", "messages": [USER], "tool_choice": function(name)},
    ),
    (
        "/chat/completions",
        "response_format.json_schema.name",
        lambda name: {"model": "m", "messages": [USER], "response_format": schema(name)},
    ),
    (
        "/chat/completions",
        "messages[0].tool_calls[0].function.name",
        lambda name: {"model": "m", "messages": called(name)},
    ),
    (
        "/responses",
        "tools[0].name",
        lambda name: {"model": "m", "input": "x", "tools": [{"type": "function", "name": name}]},
    ),
    (
        "/chat/completions",
        "functions[0].name",
        lambda name: {"model": "m", "messages": [USER], "functions": [{"name": name}]},
    ),
    (
        "/chat/completions",
        "function_call.name",
        lambda name: {"model": "m", "messages": [USER], "function_call": {"name": name}},
    ),
    (
        "/responses",
        "tool_choice.name",
        lambda name: {"model": "m", "input": "x", "tool_choice": {"type": "function", "name": name}},
    ),
    (
        "/responses",
        "text.format.name",
        lambda name: {"model": "m", "input": "x", "text": {"format": {"type": "json_schema", "name": name}}},
    ),
    ("/responses", "input[0].name", lambda name: {"model": "m", "input": run_items(name)}),
    ("/conversations", "items[0].name", lambda name: {"items": run_items(name)}),
]
NAMES = st.one_of(st.from_regex(r"\A[a-zA-Z0-9_-]{1,64}\Z"), st.text(min_size=1, max_size=64))


@pytest.mark.parametrize(("route", "param", "body"), NAMED, ids=[f"{route} {param}" for route, param, _ in NAMED])
@given(name=NAMES)
@example(name="Google Search")
@example(name="weather\n")
@example(name="\u0660")
def test_a_name_is_letters_digits_underscores_and_hyphens(
    route: str, param: str, body: Callable[[str], Body], name: str
) -> None:
    """Wherever a function or a JSON schema is named."""
    reply = sent(world(), route, body(name))
    if re.fullmatch("[a-zA-Z0-9_-]+", name):
        assert reply.status == 200, reply.body
        return
    assert refused(reply) == (400, param, "invalid_value")
    assert reply.json()["error"]["message"] == (
        f"Invalid '{param}': string does not match pattern. "
        "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
    )


# --- long lists ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "param", "body"),
    [
        ("/threads", "messages", lambda messages: {"messages": messages}),
        (
            "/threads/runs",
            "thread.messages",
            lambda messages: {"assistant_id": "asst_1", "thread": {"messages": messages}},
        ),
    ],
)
def test_a_thread_begins_with_at_most_32_messages(route: str, param: str, body: Callable[[list[Body]], Body]) -> None:
    """One more, and there is no thread at all."""
    fake = world()
    assert sent(fake, route, body([USER] * 32)).status == 200
    reply = sent(fake, route, body([USER] * 33))
    assert refused(reply) == (400, param, "array_above_max_length")
    assert reply.json()["error"]["message"] == (
        f"Invalid '{param}': array too long. Expected an array with maximum length 32, "
        "but got an array with length 33 instead."
    )
    assert len(fake.state["threads"]) == 2


def test_a_run_adds_as_many_messages_as_it_likes() -> None:
    """No limit of theirs was ever seen."""
    body = {"assistant_id": "asst_1", "additional_messages": [USER] * 33}
    assert sent(world(), "/threads/thread_1/runs", body).status == 200


# --- images -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://example.com/a.png", True),
        ("https://example.com/a.JPEG?size=2#top", True),
        ("https://example.com/image", False),
        ("https://example.com/a.svg", False),
        ("https://example.com/?name=a.png", False),
    ],
)
def test_the_address_of_an_image_ends_as_images_do(url: str, fits: bool) -> None:
    """Before its query; whether it can be reached is not asked."""
    content = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": url}}]
    reply = sent(world(), "/threads/thread_1/messages", {"role": "user", "content": content})
    assert reply.status == (200 if fits else 400)
    if not fits:
        assert reply.json()["error"]["message"] == (
            "Invalid 'content[1].image_url.url'. Expected url to end in a supported format."
        )


# --- items that belong together -----------------------------------------------------------------------

REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}
SAID = {"role": "assistant", "content": "x"}
SEARCH = {"type": "file_search_call", "id": "fs_1", "queries": [], "status": "completed"}


@pytest.mark.parametrize(
    ("given_items", "fits"),
    [
        ([USER, REASONING, SAID], True),
        ([REASONING, SEARCH, SAID, USER], True),
        ([REASONING, *run_items("f")], True),
        ([REASONING, {**REASONING, "id": "rs_2"}, SAID], True),
        ([REASONING, USER], False),
        ([USER, REASONING], False),
        ([run_items("f")[0], REASONING, run_items("f")[1]], False),
    ],
)
def test_reasoning_comes_with_the_item_that_followed_it(given_items: list[Body], fits: bool) -> None:
    """In responses; a conversation takes it alone."""
    fake = world()
    reply = sent(fake, "/responses", {"model": "m", "input": given_items})
    assert reply.status == (200 if fits else 400)
    if not fits:
        assert reply.json()["error"]["message"] == (
            "Item 'rs_1' of type 'reasoning' was provided without its required following item."
        )
        assert refused(reply) == (400, "input", None)
    assert sent(fake, "/conversations", {"items": given_items}).status == 200


@pytest.mark.parametrize("kind", ["function_call", "custom_tool_call", "computer_call", "shell_call"])
def test_calls_and_outputs_of_a_kind_belong_together(kind: str) -> None:
    """Each of them alone is refused, in the words of its kind; an output of another kind does not help."""
    words = kind.replace("_", " ")
    call = {"type": kind, "id": "x_1", "call_id": "c", "name": "f", "arguments": "{}"}
    if kind != "function_call":
        call |= {"input": "x"}
    output = {"type": f"{kind}_output", "call_id": "c", "output": "x"}
    other = {"type": "apply_patch_call_output", "call_id": "c"}
    fake = world()

    def said(*given_items: Body) -> Any:
        reply = sent(fake, "/responses", {"model": "m", "input": [USER, *given_items]})
        return reply.json()["error"]["message"] if reply.status == 400 else None

    assert said(call, output) is None
    assert said(call) == f"No tool output found for {words} c."
    assert said(output) == f"No tool call found for {words} output with call_id c."
    assert said(call, other) == "No tool call found for apply patch call output with call_id c."


# --- models and files, on request ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("/assistants", {}),
        ("/assistants/asst_1", {}),
        ("/threads/runs", {"assistant_id": "asst_1"}),
        ("/threads/thread_1/runs", {"assistant_id": "asst_1"}),
    ],
)
def test_only_the_named_models_are_taken(route: str, body: Body) -> None:
    """Where there are any; by default every model will do."""
    models = ["gpt-4o", "gpt-4o-mini"]
    assert sent(world(), route, {**body, "model": "string"}).status == 200
    assert sent(world(models=models), route, {**body, "model": "gpt-4o-mini"}).status == 200
    reply = sent(world(models=models), route, {**body, "model": "string"})
    assert refused(reply) == (400, "model", "unsupported_model")
    text = "The requested model 'string' cannot be used with the Assistants API."
    assert reply.json()["error"]["message"] == text


def test_a_fake_by_key_refuses_the_same() -> None:
    """Models and files are settings that all keys share."""
    born = FakeAssistants(worlds_by_key=True, models=["gpt-4o"], check_files=True).world("sk-a")
    assert refused(sent(born, "/assistants", {"model": "x"})) == (400, "model", "unsupported_model")


@pytest.mark.parametrize("models", ["gpt-4o", ["gpt-4o", ""]])
def test_models_are_a_list_of_names(models: Any) -> None:
    """One string is a mistake, and an empty one too."""
    with pytest.raises(ValueError, match="models"):
        FakeAssistants(models=models)


def attached(file_id: str, tool: str = "file_search") -> Body:
    return {**USER, "attachments": [{"file_id": file_id, "tools": [{"type": tool}]}]}


def stored(file_id: str) -> Body:
    return {"tool_resources": {"file_search": {"vector_stores": [{"file_ids": [file_id]}]}}}


SEARCHED: list[tuple[str, Callable[[str], Body]]] = [
    ("/vector_stores", lambda file: {"file_ids": [file]}),
    ("/vector_stores/vs_1/files", lambda file: {"file_id": file}),
    ("/vector_stores/vs_1/file_batches", lambda file: {"file_ids": [file]}),
    ("/vector_stores/vs_1/file_batches", lambda file: {"files": [{"file_id": file}]}),
    ("/assistants", lambda file: {"model": "m", **stored(file)}),
    ("/threads", stored),
    ("/threads", lambda file: {"messages": [attached(file)]}),
    ("/threads/thread_1/messages", attached),
    ("/threads/thread_1/runs", lambda file: {"assistant_id": "asst_1", "additional_messages": [attached(file)]}),
    ("/threads/runs", lambda file: {"assistant_id": "asst_1", "thread": {"messages": [attached(file)]}}),
    ("/threads/runs", lambda file: {"assistant_id": "asst_1", "thread": stored(file)}),
    ("/threads/runs", lambda file: {"assistant_id": "asst_1", **stored(file)}),
]


def library(**options: Any) -> FakeAssistants:
    fake = world(**options)
    names = {"file-txt": "a.TXT", "file-csv": "b.csv", "file-png": "c.png", "file-odd": None}
    fake.load(
        {"files": [{"id": key, "filename": name} for key, name in names.items()], "vector_stores": [{"id": "vs_1"}]}
    )
    return fake


@pytest.mark.parametrize(("route", "body"), SEARCHED, ids=[f"{at} {route}" for at, (route, _) in enumerate(SEARCHED)])
def test_a_search_reads_only_some_kinds_of_files(route: str, body: Callable[[str], Body]) -> None:
    """Where the fake was made to check that, whatever route names the file; and nothing is made."""
    fake = library(check_files=True)
    before = fake.state
    reply = sent(fake, route, body("file-csv"))
    assert refused(reply) == (400, "file_ids", "unsupported_file")
    assert reply.json()["error"]["message"] == (
        "Files with extensions [.csv] are not supported for retrieval. "
        "See https://platform.openai.com/docs/assistants/tools/file-search/supported-files"
    )
    assert fake.state == before
    for file_id in ("file-txt", "file-nobody"):
        assert sent(library(check_files=True), route, body(file_id)).status == 200
    assert sent(library(), route, body("file-csv")).status == 200


def test_several_kinds_are_named_at_once() -> None:
    """Each once; a file without any ending has an empty one."""
    body = {"file_ids": ["file-png", "file-csv", "file-csv", "file-odd"]}
    text = sent(library(check_files=True), "/vector_stores", body).json()["error"]["message"]
    assert text.startswith("Files with extensions [.png, .csv, ] are not")


def test_the_code_interpreter_takes_any_file() -> None:
    """It does not search."""
    body = attached("file-csv", "code_interpreter")
    assert sent(library(check_files=True), "/threads/thread_1/messages", body).status == 200


@pytest.mark.parametrize(
    ("file_id", "text"),
    [
        ("file-csv", "Invalid message content: Expected file type to be a supported format."),
        ("file-nobody", "Invalid message content: Files ['file-nobody'] were not found."),
    ],
)
def test_an_image_file_is_an_image(file_id: str, text: str) -> None:
    """Where the fake was made to check that; by default every id will do."""

    def post(fake: FakeAssistants, image: str) -> Reply:
        content = [{"type": "image_file", "image_file": {"file_id": image}}]
        return sent(fake, "/threads/thread_1/messages", {"role": "user", "content": content})

    reply = post(library(check_files=True), file_id)
    assert (reply.status, reply.json()["error"]["message"]) == (400, text)
    assert post(library(check_files=True), "file-png").status == 200
    assert post(library(), file_id).status == 200
