"""Conversations of the new Foundry: listed, the oldest first, in shapes of their own."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import FakeAssistants, Reply, Request

HOST = "unit.services.ai.azure.com"
BASES = [
    ("/api/projects/mine/openai/v1", ""),
    ("/api/projects/mine/openai", "api-version=2025-11-15-preview"),
    ("/openai/v1", ""),
    ("/openai", ""),
]
PAGE = ["data", "last_id", "has_more", "object", "first_id"]
ITEM = ["type", "id", "status", "role", "content"]


def ask(fake: FakeAssistants, method: str, target: str, body: Any = None, host: str = HOST, **more: str) -> Reply:
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"authorization": "Bearer token", "host": host} | {key.replace("_", "-"): more[key] for key in more}
    return fake.handle(Request.of(method, target, headers, content))


def walk(fake: FakeAssistants, path: str, query: str) -> list[Any]:
    """Every row of a list, followed by its cursors."""
    rows, after = list[Any](), ""
    while True:
        page = ask(fake, "GET", f"{path}?{query}{after}").json()
        rows += page["data"]
        if not page["has_more"]:
            return rows
        after = f"&after={page['last_id']}"


@given(st.integers(0, 7), st.integers(1, 4), st.sampled_from(["", "&order=asc", "&order=desc"]), st.sampled_from(BASES))
def test_walking_the_pages_yields_the_conversations(count: int, limit: int, order: str, at: tuple[str, str]) -> None:
    """Each once, in the order in which they were made, or in its opposite, wherever they were made."""
    base, query = at
    fake = FakeAssistants()
    made = []
    for number in range(count):
        where, version = BASES[number % len(BASES)]
        body = {"metadata": {"number": str(number)}}
        made.append(ask(fake, "POST", f"{where}/conversations?{version}", body).json())
    wanted = made[::-1] if "desc" in order else made
    assert walk(fake, f"{base}/conversations", f"limit={limit}{order}&{query}") == wanted


def test_a_page_of_conversations_in_full() -> None:
    """Its order of keys, each conversation with its metadata; an empty one has null ids."""
    fake = FakeAssistants()
    path = "/api/projects/mine/openai/v1/conversations"
    empty = ask(fake, "GET", path).json()
    assert (list(empty), empty["data"], empty["last_id"], empty["first_id"]) == (PAGE, [], None, None)
    made = [ask(fake, "POST", path, {"metadata": {"n": str(n)}, "items": []}).json() for n in range(3)]
    page = ask(fake, "GET", f"{path}?limit=2&agent_name=any").json()
    assert list(page) == PAGE
    assert page == {
        "data": made[:2],
        "last_id": made[1]["id"],
        "has_more": True,
        "object": "list",
        "first_id": made[0]["id"],
    }
    before = ask(fake, "GET", f"{path}?before={made[2]['id']}").json()
    assert [one["id"] for one in before["data"]] == [one["id"] for one in made[:2]]
    assert ask(fake, "GET", f"{path}?limit=101").status == 400


def test_ids_have_letters_and_digits() -> None:
    """48 of them, where OpenAI's are hexadecimal; either service finds the other's."""
    fake = FakeAssistants()
    made = [ask(fake, "POST", "/openai/v1/conversations", {}).json()["id"] for _ in range(20)]
    openais = ask(fake, "POST", "/v1/conversations", {}, host="api.openai.com").json()["id"]
    assert all(re.fullmatch("conv_[A-Za-z0-9]{48}", one) for one in made)
    assert re.search("[G-Zg-z]", "".join(made).replace("conv_", ""))
    assert re.fullmatch("conv_[0-9a-f]{48}", openais)
    assert len({*made, openais}) == 21
    assert ask(fake, "GET", f"/openai/v1/conversations/{openais}").status == 200
    assert ask(fake, "GET", f"/v1/conversations/{made[0]}", host="api.openai.com").status == 200


def test_items_are_listed_with_the_oldest_first() -> None:
    """In their own order of keys: in a list, alone, and when they are added."""
    fake = FakeAssistants()
    base = "/api/projects/mine/openai/v1/conversations"
    items = [{"type": "message", "role": "user", "content": f"number {n}"} for n in range(5)]
    path = f"{base}/{ask(fake, 'POST', base, {'items': items[:3]}).json()['id']}/items"
    added = ask(fake, "POST", path, {"items": items[3:]}).json()
    listed = walk(fake, path, "limit=2")
    assert [item["content"][0]["text"] for item in listed] == [item["content"] for item in items]
    assert walk(fake, path, "limit=2&order=desc") == listed[::-1]
    assert added["data"] == listed[3:]
    assert list(added) == list(ask(fake, "GET", path).json()) == PAGE
    alone = ask(fake, "GET", f"{path}/{listed[0]['id']}").json()
    assert {tuple(item) for item in (*listed, *added["data"], alone)} == {tuple(ITEM)}


@pytest.mark.parametrize(("host", "path"), [("api.openai.com", "/v1"), ("unit.openai.azure.com", "/openai/v1")])
def test_nobody_else_lists_conversations(host: str, path: str) -> None:
    """OpenAI and Azure OpenAI have no such route, and items begin with the newest."""
    fake = FakeAssistants()
    assert ask(fake, "GET", f"{path}/conversations", host=host).status in (404, 405)
    assert [entry.unrouted for entry in fake.requests] == [True]
    body = {"items": [{"type": "message", "role": "user", "content": text} for text in ("one", "two")]}
    made = ask(fake, "POST", f"{path}/conversations", body, host=host).json()
    page = ask(fake, "GET", f"{path}/conversations/{made['id']}/items", host=host).json()
    assert [item["content"][0]["text"] for item in page["data"]] == ["two", "one"]


MANY = {"items": [{"type": "message", "role": "user", "content": "x"}] * 21}
REFUSED = [
    ("POST", "/conversations", MANY, 400),
    ("POST", "/conversations", {"metadata": {"a": 1}}, 400),
    ("GET", "/conversations?limit=0", None, 400),
    ("GET", "/conversations/conv_x", None, 404),
    ("POST", "/conversations/conv_x/items", MANY, 404),
    ("GET", "/files/file-x", None, 404),
    ("GET", "/responses/resp_x", None, 404),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), REFUSED)
@pytest.mark.parametrize(("base", "query"), BASES[:2])
def test_errors_of_a_project_have_a_code_first(
    method: str, path: str, body: Any, status: int, base: str, query: str
) -> None:
    """Their values are OpenAI's, and so is the order outside of projects."""
    target = f"{base}{path}{'&' if '?' in path else '?'}{query}"
    reply = ask(FakeAssistants(), method, target, body)
    error = reply.json()["error"]
    assert (reply.status, list(error)) == (status, ["code", "message", "param", "type"])
    openais = ask(FakeAssistants(), method, f"/v1{path}", body, host="api.openai.com").json()
    outside = ask(FakeAssistants(), method, f"/openai/v1{path}", body).json()
    assert "?limit" in path or error == openais["error"]
    assert "?limit" in path or list(outside["error"]) == list(openais["error"])


def test_faults_have_a_code_first_too() -> None:
    """Those whose words are OpenAI's; those that have Microsoft's own are in its envelope."""
    fake = FakeAssistants()
    seen = {}
    for status in (429, 500, 503, 418):
        fake.faults = [{"do": {"status": status}}]
        seen[status] = list(ask(fake, "POST", "/api/projects/mine/openai/v1/conversations", {}).json()["error"])
    own = ["code", "message", "param", "type"]
    assert seen == {429: ["code", "message"], 500: own, 503: own, 418: own}


@pytest.mark.parametrize(
    ("limit", "text"), [("0", ">= 1, but got 0 instead."), ("101", "<= 100, but got 101 instead.")]
)
def test_a_page_has_one_row_to_a_hundred(limit: str, text: str) -> None:
    """Of conversations and of items, where a page of OpenAI may have none."""
    fake = FakeAssistants()
    path = "/api/projects/mine/openai/v1/conversations"
    made = ask(fake, "POST", path, {}).json()["id"]
    for listed in (path, f"{path}/{made}/items"):
        reply = ask(fake, "GET", f"{listed}?limit={limit}")
        assert reply.status == 400
        assert reply.json()["error"]["message"].endswith(text)
        assert ask(fake, "GET", f"{listed}?limit=1").status == ask(fake, "GET", f"{listed}?limit=100").status == 200
    assert ask(fake, "GET", f"/v1/conversations/{made}/items?limit=0", host="api.openai.com").json()["data"] == []


LONG = "x" * 65
METADATA = [
    ({str(n): "" for n in range(17)}, "metadata", "object_above_max_properties"),
    ({LONG: ""}, "metadata", "property_name_above_max_length"),
    ({"a": "x" * 513}, "metadata.a", "string_above_max_length"),
    ({"a": None}, "metadata.a", "invalid_type"),
    ([], "metadata", "invalid_type"),
]


@pytest.mark.parametrize(("metadata", "param", "code"), METADATA)
@pytest.mark.parametrize(("host", "base"), [(HOST, "/api/projects/mine/openai/v1"), ("api.openai.com", "/v1")])
def test_metadata_has_limits(metadata: Any, param: str, code: str, host: str, base: str) -> None:
    """When a conversation is created and when it is changed; what is at the limits is stored as it is."""
    fake = FakeAssistants()
    most = {f"{n:064}": "y" * 512 for n in range(16)}
    made = ask(fake, "POST", f"{base}/conversations", {"metadata": most}, host).json()
    assert made["metadata"] == most
    before = fake.state
    for path in ("", f"/{made['id']}"):
        reply = ask(fake, "POST", f"{base}/conversations{path}", {"metadata": metadata}, host)
        error = reply.json()["error"]
        assert (reply.status, error["param"], error["code"]) == (400, param, code)
    assert fake.state == before


# --- users ------------------------------------------------------------------------------------------------

CONVERSATIONS = "/api/projects/mine/openai/v1/conversations"
USERS: list[dict[str, str]] = [
    {},
    {"x_ms_user_identity": "ada"},
    {"x_ms_user_isolation_key": "bob"},
    {"x_ms_user_identity": "eve", "x_ms_user_isolation_key": "bob"},
]
NONE: dict[str, Any] = {"items": []}
made_and_deleted = st.lists(st.tuples(st.integers(0, len(USERS) - 1), st.booleans()), max_size=12)


@given(made_and_deleted)
def test_each_user_sees_its_own_conversations(steps: list[tuple[int, bool]]) -> None:
    """In lists, alone and with their items; everything else is 404. So it is after the state was put elsewhere."""
    fake, other = FakeAssistants(), FakeAssistants()
    own: list[list[str]] = [[] for _ in USERS]
    for at, deletes in steps:
        if deletes and own[at]:
            gone = own[at].pop(0)
            assert ask(fake, "DELETE", f"{CONVERSATIONS}/{gone}", **USERS[at]).status == 200
        else:
            made = ask(fake, "POST", CONVERSATIONS, {"metadata": {"user": str(at)}}, **USERS[at]).json()
            assert list(made) == ["id", "object", "created_at", "metadata"]
            own[at].append(made["id"])
    other.state = fake.state
    for one in (fake, other):
        for number, user in enumerate(USERS):
            rows = ask(one, "GET", CONVERSATIONS, **user).json()["data"]
            assert [row["id"] for row in rows] == own[number]
            assert {tuple(row) for row in rows} <= {("id", "object", "created_at", "metadata")}
            assert {row["metadata"]["user"] for row in rows} <= {str(number)}
            for owner, ids in enumerate(own):
                for name in ids:
                    status = 200 if owner == number else 404
                    for method, target, body in (("GET", "", None), ("GET", "/items", None), ("POST", "/items", NONE)):
                        assert ask(one, method, f"{CONVERSATIONS}/{name}{target}", body, **user).status == status


def test_what_belongs_to_another_user_is_unknown() -> None:
    """In the words for an unknown conversation, to a change and a response too; only its user changes it."""
    fake = FakeAssistants()
    ada, bob = USERS[1:3]
    name = ask(fake, "POST", CONVERSATIONS, {}, **ada).json()["id"]
    path = f"{CONVERSATIONS}/{name}"
    item = {"type": "message", "role": "user", "content": "mine"}
    assert ask(fake, "POST", f"{path}/items", {"items": [item]}, **ada).status == 200
    before = fake.state
    text = f"Conversation with id '{name}' not found."
    responses = CONVERSATIONS.replace("conversations", "responses")
    answer = {"model": "gpt-4o", "input": "hello", "conversation": name}
    for user in (bob, {}):
        for method, target, body in (
            ("POST", path, {"metadata": {"a": "b"}}),
            ("DELETE", path, None),
            ("POST", f"{path}/items", {"items": [item]}),
            ("POST", responses, answer),
            ("GET", f"{CONVERSATIONS}?after={name}", None),
        ):
            reply = ask(fake, method, target, body, **user)
            assert (reply.status, reply.json()["error"]["message"]) == (404, text)
    assert fake.state == before
    assert ask(fake, "POST", path, {"metadata": {"a": "b"}}, **ada).json()["metadata"] == {"a": "b"}
    assert ask(fake, "POST", responses, answer, **ada).status == 200
    assert len(ask(fake, "GET", f"{path}/items", **ada).json()["data"]) == 3


def test_a_loaded_conversation_has_its_user() -> None:
    """Whatever its id; what a state has there in place of a name is not shown."""
    fake = FakeAssistants()
    rows: list[dict[str, Any]] = [
        {"id": "odd", "user_identity": "ada", "metadata": {}},
        {"id": "other", "user_identity": 5},
    ]
    fake.load({"conversations": rows, "conversation_items": [{"id": "i", "conversation_id": "odd", "type": "x"}]})
    assert ask(fake, "GET", f"{CONVERSATIONS}/odd", **USERS[1]).json() == {"id": "odd", "metadata": {}}
    assert ask(fake, "GET", f"{CONVERSATIONS}/odd/items/i", **USERS[1]).json() == {"type": "x", "id": "i"}
    assert ask(fake, "GET", f"{CONVERSATIONS}/odd").status == 400
    assert ask(fake, "GET", f"{CONVERSATIONS}/other").json() == {"id": "other"}


def test_openai_knows_no_users() -> None:
    """The headers mean nothing to it."""
    fake = FakeAssistants()
    at = {"host": "api.openai.com", **USERS[1]}
    made = ask(fake, "POST", "/v1/conversations", {}, **at).json()
    assert ask(fake, "GET", f"/v1/conversations/{made['id']}", host="api.openai.com").json() == made
    assert [row["id"] for row in ask(fake, "GET", CONVERSATIONS).json()["data"]] == [made["id"]]
