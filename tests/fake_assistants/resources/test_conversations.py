"""Conversations and their items, in the recorded shapes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import FakeAssistants, Reply, Request
from fake_assistants.simulation.clock import EPOCH

Ask = Callable[..., Reply]

AUTH = {"Authorization": "Bearer sk-test"}
CONVERSATIONS = "/v1/conversations"


def user(text: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text}


def conversation(ask: Ask, *items: Any, **fields: Any) -> str:
    reply = ask("POST", CONVERSATIONS, {"items": list(items), **fields}, AUTH)
    assert reply.status == 200, reply.body
    return f"{CONVERSATIONS}/{reply.json()['id']}"


@given(st.integers(0, 45), st.integers(1, 7), st.sampled_from(["asc", "desc"]))
def test_walking_the_pages_yields_the_items(count: int, limit: int, order: str) -> None:
    """Each once, in the order of insertion or against it; `before` is no parameter here."""
    fake = FakeAssistants()

    def ask(method: str, target: str, body: Any = None, headers: Any = AUTH) -> Reply:
        content = b"" if body is None else json.dumps(body).encode()
        return fake.handle(Request.of(method, target, headers, content))

    path = conversation(ask)
    made: list[str] = []
    while len(made) < count:
        batch = [user(str(number)) for number in range(len(made), min(count, len(made) + 20))]
        made += [item["id"] for item in ask("POST", f"{path}/items", {"items": batch}).json()["data"]]
    walked: list[str] = []
    cursor, has_more = "", True
    while has_more:
        page = ask("GET", f"{path}/items?limit={limit}&order={order}&before=nonsense{cursor}").json()
        walked += [item["id"] for item in page["data"]]
        cursor, has_more = f"&after={page['last_id']}", page["has_more"]
    assert walked == (made if order == "asc" else made[::-1])


def test_a_conversation_in_full(ask: Ask) -> None:
    """Recorded: its items are not shown; metadata is there when none was given."""
    made = ask("POST", CONVERSATIONS, {"items": [user("hello")], "metadata": {"topic": "test"}}, AUTH).json()
    assert list(made.items()) == [
        ("id", made["id"]),
        ("object", "conversation"),
        ("created_at", EPOCH),
        ("metadata", {"topic": "test"}),
    ]
    assert len(made["id"].removeprefix("conv_")) == 48
    path = f"{CONVERSATIONS}/{made['id']}"
    assert ask("GET", path).json() == made
    assert ask("POST", path, {"metadata": {"a": "b"}}).json() == made | {"metadata": {"a": "b"}}
    assert ask("POST", CONVERSATIONS, b"", AUTH).json()["metadata"] == {}


def test_items_are_answered_as_a_list_of_the_new_ones(ask: Ask) -> None:
    """Recorded key orders, of the page and of a message; no time, and no word of the conversation."""
    path = conversation(ask, user("first item"))
    reply = ask("POST", f"{path}/items?include[]=x", {"items": [user([{"type": "input_text", "text": "second item"}])]})
    [item] = reply.json()["data"]
    assert list(reply.json().items()) == [
        ("object", "list"),
        ("data", [item]),
        ("first_id", item["id"]),
        ("has_more", False),
        ("last_id", item["id"]),
    ]
    assert list(item.items()) == [
        ("id", item["id"]),
        ("type", "message"),
        ("status", "completed"),
        ("content", [{"type": "input_text", "text": "second item"}]),
        ("role", "user"),
    ]
    assert len(item["id"].removeprefix("msg_")) == 50
    assert ask("GET", f"{path}/items/{item['id']}").json() == item
    listed = ask("GET", f"{path}/items").json()
    assert list(listed) == ["object", "data", "first_id", "has_more", "last_id"]
    assert [row["content"][0]["text"] for row in listed["data"]] == ["second item", "first item"]
    assert ask("GET", f"{conversation(ask)}/items").json() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "has_more": False,
        "last_id": None,
    }


IMAGE = {"type": "input_image", "file_id": "file-1"}
KEPT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"role": "assistant", "content": "plain"},
        {"content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "plain"}]},
    ),
    ({"role": "system", "content": "plain"}, {"content": [{"type": "input_text", "text": "plain"}]}),
    ({"role": "developer", "content": []}, {"content": []}),
    (
        {"role": "assistant", "status": "incomplete", "content": [{"type": "refusal", "refusal": "no"}]},
        {"status": "incomplete", "content": [{"type": "refusal", "refusal": "no"}]},
    ),
    (
        {"role": "assistant", "content": [{"type": "output_text", "text": "t", "annotations": [1], "logprobs": None}]},
        {"content": [{"type": "output_text", "annotations": [1], "logprobs": [], "text": "t"}]},
    ),
    (user([IMAGE]), {"content": [{**IMAGE, "detail": "auto", "image_url": None}]}),
    (
        user([{"type": "input_image", "detail": "low", "image_url": "https://example.com/a.png"}]),
        {
            "content": [
                {"type": "input_image", "detail": "low", "file_id": None, "image_url": "https://example.com/a.png"}
            ]
        },
    ),
    (user([{"type": "input_file", "file_id": "file-f"}]), {"content": [{"type": "input_file", "file_id": "file-f"}]}),
    (
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call", "status": "completed", "arguments": "{}", "call_id": "c", "name": "f"},
    ),
    (
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x"}]},
        {"status": "completed", "call_id": "c", "output": [{"type": "input_text", "text": "x"}]},
    ),
    ({"type": "reasoning", "id": "rs_1", "summary": []}, {"id": "rs_1", "type": "reasoning", "summary": []}),
    (
        {"role": "assistant", "content": [], "phase": "final_answer", "id": None},
        {"type": "message", "status": "completed", "content": [], "role": "assistant", "phase": "final_answer"},
    ),
    (
        {"type": "function_call", "status": "incomplete", "call_id": "c", "name": "f", "arguments": "{", "async": True},
        {"status": "incomplete", "arguments": "{", "call_id": "c", "name": "f", "async": True},
    ),
    (
        {"type": "function_call_output", "status": "in_progress", "call_id": "c", "output": "", "caller": None},
        {"type": "function_call_output", "status": "in_progress", "call_id": "c", "output": ""},
    ),
]


@pytest.mark.parametrize(("given_item", "kept"), KEPT)
def test_an_item_is_kept_in_its_full_shape(ask: Ask, given_item: dict[str, Any], kept: dict[str, Any]) -> None:
    """A string becomes a part of the role's type; what was not given is filled in."""
    path = conversation(ask, given_item)
    [item] = ask("GET", f"{path}/items").json()["data"]
    assert {key: item[key] for key in kept} == kept
    assert not given_item.keys() - item.keys() - {"caller"}  # a null says nothing


@pytest.mark.parametrize(
    ("kind", "prefix"), [("reasoning", "rs_0"), ("shell_call", "msg_0"), ("function_call_output", "fc_0")]
)
def test_an_item_gets_an_id_of_its_type(ask: Ask, kind: str, prefix: str) -> None:
    """Where the prefix is known."""
    [item] = ask("GET", f"{conversation(ask, {'type': kind, 'call_id': 'c', 'output': ''})}/items").json()["data"]
    assert (item["id"][:4], len(item["id"].partition("_")[2])) == (prefix[:4], 50)


SPEAKERS = "Supported values are: 'assistant', 'system', 'developer', and 'user'."
BAD_ITEMS: list[tuple[Any, str, str]] = [
    ({"content": "x"}, "items[0]", f"Invalid value: ''. {SPEAKERS}"),
    ({"role": "tool", "content": "x"}, "items[0]", f"Invalid value: 'tool'. {SPEAKERS}"),
    ({"role": 5, "content": "x"}, "items[0].role", "Invalid type for 'items[0].role'"),
    ("hello", "items[0]", "Invalid type for 'items[0]': expected an object, but got a string instead."),
    ({"type": "message", "role": "user"}, "items[0].content", "Missing required parameter: 'items[0].content'."),
    ({"role": "user", "content": 5}, "items[0].content", "Invalid type for 'items[0].content'"),
    ({"role": "user", "content": [5]}, "items[0].content[0]", "Invalid type for 'items[0].content[0]'"),
    ({"role": "user", "content": [{}]}, "items[0].content[0].type", "Missing required parameter"),
    (
        {"role": "assistant", "content": [{"type": "input_text", "text": "x"}]},
        "items[0].content[0]",
        "Invalid value: 'input_text'. Supported values are: 'output_text' and 'refusal'.",
    ),
    (
        {"role": "user", "content": [{"type": "input_text", "value": "x"}]},
        "items[0].content[0].value",
        "Unknown parameter: 'items[0].content[0].value'.",
    ),
    ({"type": "hologram"}, "items[0].type", "Invalid value: 'hologram'. Supported values are: 'message', "),
    ({"type": 5}, "items[0].type", "Invalid type for 'items[0].type'"),
    ({"type": "message"}, "items[0]", f"Invalid value: ''. {SPEAKERS}"),
    ({"type": "function_call", "call_id": "c"}, "items[0].name", "Missing required parameter: 'items[0].name'."),
    ({"type": "file_search_call"}, "items[0].id", "Missing required parameter: 'items[0].id'."),
    ({"type": "mcp_call", "id": None}, "items[0].id", "Missing required parameter: 'items[0].id'."),
    (
        {"type": "function_call", "call_id": "c", "name": "Google Search", "arguments": "{}"},
        "items[0].name",
        "Invalid 'items[0].name': string does not match pattern.",
    ),
    ({"type": "reasoning", "id": 5}, "items[0].id", "Invalid type for 'items[0].id'"),
    (
        user([{"type": "input_image", "file_id": "/config/a.png"}]),
        "items[0].content[0].file_id",
        "Invalid 'items[0].content[0].file_id': '/config/a.png'. Expected an ID that contains letters, numbers, "
        "underscores, or dashes, but this value contained additional characters.",
    ),
    (
        user([{"type": "input_text", "text": "see"}, {"type": "input_file", "file_id": "file-" + "x" * 60}]),
        "items[0].content[1].file_id",
        "Invalid 'items[0].content[1].file_id': string too long. Expected a string with maximum length 64, "
        "but got a string with length 65 instead.",
    ),
    (
        user([{"type": "input_image", "file_id": "F0BGSHE3JGJ"}]),
        "items[0].content[0].file_id",
        "Invalid 'items[0].content[0].file_id': 'F0BGSHE3JGJ'. Expected an ID that begins with 'file'.",
    ),
]


@pytest.mark.parametrize(("item", "param", "text"), BAD_ITEMS)
def test_a_bad_item_is_refused(fake: FakeAssistants, ask: Ask, item: Any, param: str, text: str) -> None:
    """By the place at which it stands, and nothing is made."""
    reply = ask("POST", CONVERSATIONS, {"items": [item]})
    error = reply.json()["error"]
    assert (reply.status, error["param"]) == (400, param)
    assert error["message"].startswith(text)
    assert not any(fake.state.values())


@pytest.mark.parametrize("where", ["", ".content[0].text", ".content[0].image_url", ".output"])
def test_texts_have_limits(ask: Ask, where: str) -> None:
    """Of 10,485,760 characters, and addresses of images of 20,971,520, by which data URLs are meant."""
    most = 20_971_520 if "url" in where else 10_485_760

    def item(text: str) -> dict[str, Any]:
        return {
            "": user(text),
            ".content[0].text": user([{"type": "input_text", "text": text}]),
            ".content[0].image_url": user([{"type": "input_image", "image_url": text}]),
            ".output": {"type": "function_call_output", "call_id": "c", "output": text},
        }[where]

    path = f"{conversation(ask)}/items"
    error = ask("POST", path, {"items": [item("x" * (most + 1))]}).json()["error"]
    assert (error["param"], error["code"]) == (f"items[0]{where or '.content'}", "string_above_max_length")
    assert ask("POST", path, {"items": [item("x" * most)]}).status == 200


# --- files of items ---------------------------------------------------------------------------------------

FOUNDRY = {**AUTH, "Host": "unit.services.ai.azure.com"}
PROJECT = "/api/projects/mine/openai/v1"
SERVICES = [(AUTH, "/v1"), ({**AUTH, "Host": "unit.openai.azure.com"}, "/openai/v1"), (FOUNDRY, PROJECT)]
UPLOAD = {"Content-Type": "multipart/form-data; boundary=B"}


def sent(fake: FakeAssistants, headers: dict[str, str], base: str, file_id: str, kind: str = "input_image") -> Reply:
    """The answer to a new conversation that names the file."""
    body = {"items": [user("look"), user([{"type": kind, "file_id": file_id}])]}
    return fake.handle(Request.of("POST", f"{base}/conversations", headers, json.dumps(body).encode()))


def uploaded(fake: FakeAssistants, headers: dict[str, str], base: str, purpose: str) -> str:
    """The id of a new file."""
    form = (
        f'--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n'
        f'--B\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\nx\r\n--B--\r\n'
    )
    reply = fake.handle(Request.of("POST", f"{base}/files", headers | UPLOAD, form.encode()))
    assert reply.status == 200, reply.body
    name: str = reply.json()["id"]
    assert fake.handle(Request.of("GET", f"{base}/files/{name}", headers)).json() == reply.json()
    return name


@pytest.mark.parametrize("purpose", ["assistants", "user_data", "vision"])
@pytest.mark.parametrize(("headers", "base"), SERVICES)
@pytest.mark.parametrize("checks", [False, True])
def test_what_was_uploaded_can_be_in_an_item(purpose: str, headers: dict[str, str], base: str, checks: bool) -> None:
    """In OpenAI's whatever its purpose, in Microsoft's services only what was uploaded for assistants."""
    fake = FakeAssistants(check_files=checks)
    name = uploaded(fake, headers, base, purpose)
    assert name.partition("-")[0] == ("assistant" if "openai" in base and purpose == "assistants" else "file")
    for kind in ("input_image", "input_file"):
        reply = sent(fake, headers, base, name, kind)
        if base == "/v1" or purpose == "assistants":
            assert reply.status == 200
        else:
            error = reply.json()["error"]
            text = f"Invalid 'items[1].content[0].file_id': '{name}'. Expected an ID that begins with 'assistant'."
            assert (reply.status, error["message"], error["code"]) == (400, text, "invalid_value")


@pytest.mark.parametrize(("headers", "base"), SERVICES)
def test_a_file_that_is_unknown(headers: dict[str, str], base: str) -> None:
    """Is taken by default if its id begins as the service's do; in a response too. A loaded one may have any id."""
    prefix = "file" if base == "/v1" else "assistant"
    other = "assistant" if base == "/v1" else "file"
    for checks, status in ((False, 200), (True, 404)):
        fake = FakeAssistants(check_files=checks)
        fake.load({"files": [{"id": "odd", "purpose": "vision"}]})
        assert sent(fake, headers, base, "odd").status == 200
        before = fake.state
        assert sent(fake, headers, base, f"{other}-1").status == 400
        assert fake.state == before
        reply = sent(fake, headers, base, f"{prefix}-1")
        assert reply.status == status
        assert status == 200 or reply.json()["error"]["message"] == f"File with id '{prefix}-1' not found."
        parts = [{"type": "input_file", "file_id": f"{prefix}-1"}]
        calls = [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]
        given = [user("x"), *calls, {"type": "function_call_output", "call_id": "c", "output": parts}]
        body = json.dumps({"model": "gpt-4o", "input": given}).encode()
        reply = fake.handle(Request.of("POST", f"{base}/responses", headers, body))
        assert reply.status == status
        assert status == 200 or reply.json()["error"]["param"] == "input"


def test_twenty_items_at_most(ask: Ask) -> None:
    """For both calls that take items."""
    many = {"items": [user(str(number)) for number in range(21)]}
    for path in (CONVERSATIONS, f"{conversation(ask)}/items"):
        error = ask("POST", path, many).json()["error"]
        assert (error["message"], error["param"], error["code"]) == (
            "Invalid 'items': array too long. Expected an array with maximum length 20, "
            "but got an array with length 21 instead.",
            "items",
            "array_above_max_length",
        )


def test_an_id_stands_in_a_conversation_once(ask: Ask) -> None:
    """Given twice at once, or given again."""
    item = {**user("x"), "id": "msg_mine"}
    path = conversation(ask, item)
    for target, body in ((CONVERSATIONS, {"items": [item, item]}), (f"{path}/items", {"items": [item]})):
        error = ask("POST", target, body).json()["error"]
        assert (error["message"], error["param"]) == (
            "Duplicate item found with id msg_mine. Remove duplicate items from your input and try again.",
            "input",
        )


def test_a_deleted_item_leaves_the_conversation(ask: Ask) -> None:
    """The answer is the conversation; a second time nothing is found."""
    path = conversation(ask, user("x"))
    item = ask("GET", f"{path}/items").json()["first_id"]
    assert ask("DELETE", f"{path}/items/{item}").json() == ask("GET", path).json()
    gone = ask("DELETE", f"{path}/items/{item}")
    assert (gone.status, gone.json()["error"]["message"]) == (404, f"Item with id '{item}' not found.")


def test_a_deleted_conversation_is_gone_with_its_items(fake: FakeAssistants, ask: Ask) -> None:
    """404 in its own words, also for a second delete."""
    path = conversation(ask, user("x"))
    name = path.rpartition("/")[2]
    gone = ask("DELETE", path).json()
    assert list(gone.items()) == [("id", name), ("object", "conversation.deleted"), ("deleted", True)]
    assert not any(fake.state.values())
    for method, target in (("DELETE", path), ("GET", path), ("GET", f"{path}/items"), ("GET", f"{path}/items/m")):
        reply = ask(method, target)
        assert (reply.status, reply.json()["error"]["message"]) == (404, f"Conversation with id '{name}' not found.")
    assert ask("GET", f"{CONVERSATIONS}/nonsense").json()["error"]["message"] == (
        "Invalid 'conversation_id': 'nonsense'. Expected an ID that begins with 'conv'."
    )


def test_a_state_holds_the_items_too(fake: FakeAssistants, ask: Ask) -> None:
    """Each names its conversation there, and nowhere else."""
    path = conversation(ask, user("x"))
    [item] = fake.state["conversation_items"]
    assert item["conversation_id"] == path.rpartition("/")[2]
    other = FakeAssistants()
    other.state = fake.state
    assert other.state == fake.state
    listed = other.handle(Request.of("GET", f"{path}/items", AUTH))
    assert listed.json()["data"] == [{key: value for key, value in item.items() if key != "conversation_id"}]
