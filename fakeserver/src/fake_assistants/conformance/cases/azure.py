"""Cases: differences of Azure OpenAI and Microsoft Foundry from OpenAI."""

import re
from typing import Any

import fake_assistants.conformance.fixtures as staging
from fake_assistants.conformance.api import Api, Service
from fake_assistants.conformance.case import Case
from fake_assistants.conformance.expectations import Found, NotApplicable
from fake_assistants.conformance.response import Answer

_PAGE = ("data", "last_id", "has_more", "object", "first_id")
_ITEM = ("type", "id", "status", "role", "content")

_HEADERS = (
    *("apim-request-id", "azureml-served-by-cluster", "openai-processing-ms", "request-context", "x-ms-region"),
    *("x-ms-middleware-request-id", "x-request-time"),
)


def _refused(answer: Answer, status: int, code: str, pattern: str, words: str) -> None:
    """Expect an error in Azure's envelope: code and message, in this order."""
    if answer.status != status:
        raise answer.deviates(f"status {status}")
    error = answer.json()["error"]
    error.keys(("code", "message"))
    error.has(code=code)
    error["message"].like(pattern, words)


def headers(api: Api) -> None:
    """Answers carry Azure's headers, and a request id of 32 hexadecimal digits."""
    for answer in (api.post("/threads", {}), api.get("/threads/thread_nobody")):
        for name in _HEADERS:
            if answer.header(name) is None:
                raise answer.deviates(f"a header {name}")
        answer.has_header("x-ms-response-type", "standard")
        answer.has_header("openai-version", "2020-10-01")
        if not re.fullmatch("[0-9a-f]{32}", answer.header("x-request-id") or ""):
            raise answer.deviates("an x-request-id of 32 hexadecimal digits")
        if answer.header("openai-project") is not None:
            raise answer.deviates("no header openai-project")


def no_effort(api: Api) -> None:
    """An assistant has no reasoning_effort when it is created, retrieved or listed."""
    made = api.post("/assistants", {"model": api.model}).ok()
    path = f"/assistants/{made['id'].text()}"
    for found in (made, api.get(path).ok(), *api.get("/assistants?limit=1").ok()["data"].rows(1)):
        if "reasoning_effort" in found.value:
            raise found.deviates("no reasoning_effort")


def no_beta(api: Api) -> None:
    """No beta header is needed."""
    made = api.ask("POST", "/threads", b"{}", headers={"openai-beta": None}).ok()
    api.owns(f"/threads/{made['id'].text()}")
    made["object"].same("thread")


def no_key(api: Api) -> None:
    """401 without a key, in Azure's envelope."""
    answer = api.ask("POST", "/threads", b"{}", headers={"authorization": None})
    _refused(answer, 401, "401", r"Access denied due to invalid subscription key .*", "Access denied due to ...")


def unknown_url(api: Api) -> None:
    """404, Resource not found, for a route that does not exist."""
    answer = api.post("/threads/thread_1/nothing/here")
    _refused(answer, 404, "404", "Resource not found", "Resource not found")


def rate_limit(api: Api) -> None:
    """A 429 has the wait in seconds, in Azure's envelope."""
    with api.staged("faults", [{"match": {"path": "/threads"}, "do": {"status": 429}}]):
        answer = api.post("/threads", {})
    _refused(answer, 429, "429", r".*Please retry after \d+ seconds\.", "... Please retry after N seconds.")


def permission(api: Api) -> None:
    """A token without the role is refused with PermissionDenied, and the message names the operation."""
    with api.staged("faults", [{"match": {"path": "/threads"}, "do": {"status": 401}}]):
        answer = api.get("/threads")
    if answer.json()["error"]["code"].value == "401":
        raise NotApplicable("this address takes keys: roles are a matter of Foundry's projects")
    operation = r"GET /api/projects/\{projectName\}/threads"
    pattern = rf"The principal `.+` lacks the required data action `\S+/agents/read` to perform `{operation}` .*"
    _refused(answer, 401, "PermissionDenied", pattern, "The principal `...` lacks the required data action ...")


def list_threads(api: Api) -> None:
    """Foundry lists threads, newest first, with cursors; after the last there is an empty page."""
    if api.get("/threads?limit=1").status != 200:
        raise NotApplicable("the server lists no threads")
    ids = [staging.thread(api).rpartition("/")[2] for _ in range(3)]
    api.get("/threads?limit=3").ok().ids(ids[::-1])
    second = api.get("/threads?limit=1&order=asc").ok()["first_id"].text()
    end = api.get(f"/threads?after={second}").ok()
    end["data"].same([])
    end.has(first_id=None, last_id=None, has_more=False)


# --- the new Foundry --------------------------------------------------------------------------------------


def _conversation(api: Api, **body: Any) -> Found:
    return api.post("/conversations", body).ok()


def _said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text}


def conversation_ids(api: Api) -> None:
    """The id of a conversation is conv_ and 48 letters and digits."""
    made = _conversation(api, metadata={"topic": "test"})
    made["id"].like("conv_[A-Za-z0-9]{48}", "conv_ and 48 letters and digits")
    made.has(object="conversation", metadata={"topic": "test"})


def list_conversations(api: Api) -> None:
    """Conversations are listed with their metadata, by default the oldest first."""
    ids = [_conversation(api, metadata={"number": str(number)})["id"].text() for number in range(3)]
    page = api.get("/conversations?order=desc&limit=2").ok()
    page.keys(_PAGE)
    page.ids(ids[:0:-1])
    page.has(object="list", has_more=True)
    page["data"].rows(2)[0]["metadata"].same({"number": "2"})
    api.get(f"/conversations?after={ids[0]}").ok().ids(ids[1:])


def conversation_items(api: Api) -> None:
    """Items are listed oldest first, with their keys in Foundry's order; so are added items."""
    made = _conversation(api, items=[_said("one"), _said("two")])
    path = f"/conversations/{made['id'].text()}/items"
    added = api.post(path, {"items": [_said("three")]}).ok()
    page = api.get(path).ok()
    for found in (added, page):
        found.keys(_PAGE)
        for item in found["data"].rows(1):
            item.keys(_ITEM)
    for row, text in zip(page["data"].rows(3), ("one", "two", "three"), strict=True):
        row["content"].same([{"type": "input_text", "text": text}])
    api.get(f"{path}/{added['first_id'].text()}").ok().keys(_ITEM)


def list_limits(api: Api) -> None:
    """A page of conversations or of items has 1 to 100 rows."""
    path = f"/conversations/{_conversation(api, items=[_said('x')])['id'].text()}/items"
    for target in ("/conversations", path):
        api.get(f"{target}?limit=1").ok()["data"].only()
        api.get(f"{target}?limit=100").ok()["data"].rows(1)
        api.get(f"{target}?limit=0").refused(400, param="limit", code="integer_below_min_value")
        api.get(f"{target}?limit=101").refused(400, param="limit", code="integer_above_max_value")


def list_between(api: Api) -> None:
    """Conversations before a cursor are listed; an unknown cursor is 404."""
    ids = [_conversation(api)["id"].text() for _ in range(3)]
    api.get(f"/conversations?after={ids[0]}&before={ids[2]}").ok().ids(ids[1:2])
    unknown = f"conv_{'0' * 48}"
    text = f"Conversation with id '{unknown}' not found."
    api.get(f"/conversations?after={unknown}").refused(404, text)


def users(api: Api) -> None:
    """What is created for a user is seen by requests for the same user, and by no others."""
    ada, bob = ({"x-ms-user-identity": name} for name in ("conformance-ada", "conformance-bob"))
    made = api.ask("POST", "/conversations", b"{}", headers=ada).ok()
    path = f"/conversations/{made['id'].text()}"
    api.ask("GET", path, headers=ada).ok().same(made.value)
    api.ask("GET", "/conversations?order=desc&limit=1", headers=ada).ok().ids([made["id"].text()])
    for other in (bob, {}):
        api.ask("GET", path, headers=other).refused(404)
        for row in api.ask("GET", "/conversations?order=desc&limit=100", headers=other).ok()["data"].rows():
            if row["id"].value == made["id"].value:
                raise row.deviates("no conversation of another user")
    api.ask("DELETE", path, headers=ada).ok().has(deleted=True)


_AZURE: tuple[Service, ...] = ("azure", "foundry")
_FOUNDRY: tuple[Service, ...] = ("foundry",)

CASES = (
    Case("azure", "headers", "recorded", headers, services=_AZURE),
    Case("azure", "no-reasoning-effort", "recorded", no_effort, services=_AZURE),
    Case("azure", "no-beta", "spec", no_beta, services=_AZURE),
    Case("azure", "no-key", "quoted", no_key, services=_AZURE),
    Case("azure", "unknown-url", "quoted", unknown_url, services=_AZURE),
    Case("azure", "rate-limit", "quoted", rate_limit, needs=("control",), services=_AZURE),
    Case("foundry", "permission-denied", "quoted", permission, needs=("control",), services=_AZURE),
    Case("foundry", "list-threads", "SDK", list_threads, services=_AZURE),
    Case("foundry", "conversation-ids", "recorded", conversation_ids, services=_FOUNDRY),
    Case("foundry", "list-conversations", "recorded", list_conversations, services=_FOUNDRY),
    Case("foundry", "conversation-items", "recorded", conversation_items, services=_FOUNDRY),
    Case("foundry", "list-limits", "spec", list_limits, services=_FOUNDRY),
    Case("foundry", "list-between", "spec", list_between, services=_FOUNDRY),
    Case("foundry", "users", "inferred", users, services=_FOUNDRY),
)
