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


def ask(fake: FakeAssistants, method: str, target: str, body: Any = None, host: str = HOST) -> Reply:
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"authorization": "Bearer token", "host": host}
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


def test_more_than_twenty_items_are_refused() -> None:
    """As by OpenAI, in OpenAI's envelope: client errors of these routes have it."""
    items = [{"type": "message", "role": "user", "content": "x"}] * 21
    reply = ask(FakeAssistants(), "POST", "/openai/v1/conversations", {"items": items})
    assert reply.status == 400
    assert set(reply.json()["error"]) == {"code", "message", "param", "type"}
