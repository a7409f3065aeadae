"""Profiles: one state, served as OpenAI, Azure OpenAI and Microsoft Foundry serve it."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI

from fake_assistants import FakeAssistants, Reply, Request, demo_world
from fake_assistants.dispatch.routes import FOUNDRY_ROUTES, ROUTES
from fake_assistants.simulation.profiles import AZURE, FOUNDRY, PROFILES, Profile, profile_of
from fake_assistants.simulation.profiles import OPENAI as OPENAI_PROFILE

pytestmark = [
    pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:deprecated$:DeprecationWarning"),
]

WORLD = demo_world(3, 30)
THREAD = WORLD["threads"][0]["id"]
IDS = [message["id"] for message in WORLD["messages"][:30]]
LIBRARY: Any = httpx2 if int(openai.__version__.partition(".")[0]) >= 3 else httpx


@pytest.fixture
def foundry() -> FakeAssistants:
    fake = FakeAssistants(profile="foundry")
    fake.load(WORLD)
    return fake


def ask(fake: FakeAssistants, method: str, target: str, body: Any = None, **headers: str) -> Reply:
    content = b"" if body is None else json.dumps(body).encode()
    return fake.handle(Request.of(method, target, headers or {"authorization": "Bearer token"}, content))


steps = st.tuples(
    st.sampled_from(["GET", "POST", "DELETE", "PATCH"]),
    st.sampled_from(
        [
            "/assistants",
            f"/threads/{THREAD}",
            f"/threads/{THREAD}/messages",
            f"/threads/{THREAD}/messages?limit=3&order=asc&after={IDS[4]}",
            f"/threads/{THREAD}/messages/{IDS[7]}",
            f"/threads/{THREAD}/runs",
            "/threads/undefined",
            "/threads/thread_x",
            "/nowhere",
            "",
            "/",
        ]
    ),
    st.sampled_from([None, {}, {"role": "user", "content": "x"}, {"model": "m"}]),
)


def without_effort(body: bytes) -> Any:
    """JSON without the field that Azure's assistants and runs do not have."""
    return json.loads(re.sub(rb'\n *"reasoning_effort": null,', b"", body))


BASES = [
    ("azure", "/openai/v1", ""),
    ("azure", "/openai", "api-version=2024-05-01-preview"),
    ("foundry", "/api/projects/{name}", "api-version=v1"),
    ("foundry", "/api/projects/{name}", ""),
    ("foundry", "/openai/v1", ""),
    ("foundry", "/openai", "api-version=2025-03-01-preview"),
]


@given(st.lists(steps, max_size=6), st.sampled_from(BASES), st.text("abc-._~%20", min_size=1, max_size=8))
def test_it_answers_as_openai_does_but_for_the_path(asked: list[Any], at: tuple[str, str, str], name: str) -> None:
    """Below every base, without a beta header; headers, fields and the words for unknown routes are Microsoft's."""
    profile, base, query = at
    one, other = FakeAssistants(), FakeAssistants(profile=profile)
    for fake in (one, other):
        fake.load(WORLD)
    for method, target, body in asked:
        beta = {"authorization": "Bearer token", "openai-beta": "assistants=v2"}
        mark = "&" if "?" in target else "?"
        wanted = ask(one, method, f"/v1{target}", body, **beta)
        reply = ask(other, method, f"{base.format(name=name)}{target}{mark}{query}", body)
        if wanted.unrouted:
            assert (reply.status, reply.json(), reply.unrouted) == (404, NOT_FOUND, True)
        else:
            assert (reply.status, reply.json()) == (wanted.status, without_effort(wanted.body))
    assert one.state == other.state


NOT_FOUND = {"error": {"code": "404", "message": "Resource not found"}}


@pytest.mark.parametrize(
    ("profile", "path"),
    [
        ("foundry", "/v1/threads"),
        ("foundry", "/threads"),
        ("foundry", "/api/projects"),
        ("foundry", "/api/projects/"),
        ("foundry", "/api/projects//threads"),
        ("foundry", "/api/projects/p/v1/threads"),
        ("foundry", "/api/projects/p/chat/completions"),
        ("foundry", "/api/projects/p/conversations"),
        ("foundry", "/api/projects/p/openai/v1/threads"),
        ("foundry", "/api/projects/p/openai/assistants"),
        ("azure", "/v1/threads"),
        ("azure", "/api/projects/p/threads"),
        ("azure", "/openai"),
        ("azure", "/openai/chat/completions"),
        ("azure", "/openai/deployments/gpt/threads"),
        ("azure", "/openai/deployments/gpt"),
        ("azure", "/openai/v1/conversations"),
    ],
)
def test_other_paths_are_unknown(profile: str, path: str) -> None:
    """Also a route of the service at another of its bases: threads on one side, conversations on the other."""
    reply = ask(FakeAssistants(profile=profile), "GET", f"{path}?api-version=2024-05-01-preview")
    assert (reply.status, reply.json(), reply.unrouted) == (404, NOT_FOUND, True)


DENIED = "Access denied due to invalid subscription key or wrong API endpoint. "
RIGHT_KEYS = [
    ({"authorization": "Bearer right"}, True, True),
    ({"api-key": "right"}, True, False),
    ({"api-key": "wrong", "authorization": "Bearer right"}, True, True),
    ({"api-key": "right", "authorization": "Bearer wrong"}, False, False),
    ({"api-key": "wrong"}, False, False),
    ({"api-key": ""}, False, False),
    ({"x": "y"}, False, False),
]


@pytest.mark.parametrize(("headers", "resource", "project"), RIGHT_KEYS)
def test_a_key_comes_as_a_bearer_token_or_in_its_own_header(
    headers: dict[str, str], resource: bool, project: bool
) -> None:
    """A resource takes both; a project of Foundry takes tokens alone; OpenAI does not look at the header."""
    for profile, path, is_right in (
        ("azure", "/openai/v1/assistants", resource),
        ("azure", "/openai/assistants?api-version=2024-05-01-preview", resource),
        ("foundry", "/openai/v1/conversations", resource),
        ("foundry", "/api/projects/p/assistants", project),
        ("foundry", "/api/projects/p/openai/v1/conversations", project),
    ):
        reply = ask(FakeAssistants(profile=profile, api_keys=["right"]), "GET", path, **headers)
        assert reply.status == (200 if is_right else 401)
        if not is_right:
            assert list(reply.json()["error"]) == ["code", "message"]
            assert reply.json()["error"]["code"] == "401"
            assert reply.json()["error"]["message"].startswith(DENIED)
    beta = {"openai-beta": "assistants=v2"}
    assert ask(FakeAssistants(api_keys=["right"]), "GET", "/v1/assistants", **beta, **headers).status == (
        200 if headers.get("authorization") == "Bearer right" else 401
    )


@pytest.mark.parametrize(
    ("path", "version", "status", "words"),
    [
        ("/openai/threads", "2024-05-01-preview", 200, None),
        ("/openai/threads", "2025-03-01-preview", 200, None),
        ("/openai/threads", None, 404, "Resource not found"),
        ("/openai/threads", "", 404, "Resource not found"),
        ("/openai/threads", "2023-01-01", 400, "API version not supported"),
        ("/openai/threads", "2024-02-15-preview", 400, "API version not supported"),
        ("/openai/threads", "v1", 400, "API version not supported"),
        ("/openai/threads", "2024-05-01-beta", 400, "API version not supported"),
        ("/openai/deployments/gpt/chat/completions", "2024-02-01", 200, None),
        ("/openai/deployments/gpt/chat/completions", "2022-01-01", 400, "API version not supported"),
        ("/openai/deployments/gpt/chat/completions", None, 404, "Resource not found"),
        ("/openai/v1/threads", None, 200, None),
        ("/openai/v1/threads", "v1", 200, None),
        ("/openai/v1/threads", "preview", 200, None),
        ("/openai/v1/threads", "2024-05-01", 400, "api-version query parameter is not allowed when using /v1 path"),
    ],
)
def test_azure_looks_at_the_version(path: str, version: str | None, status: int, words: str | None) -> None:
    """A date is required, but below /openai/v1, where it is refused; the Assistants API began later than the rest."""
    target = path if version is None else f"{path}?api-version={version}"
    body = {"messages": [{"role": "user", "content": "x"}]} if "chat" in path else {}
    reply = ask(FakeAssistants(profile="azure"), "POST", target, body)
    assert reply.status == status
    if words is not None:
        assert reply.json()["error"]["message"] == words


def test_the_deployment_is_the_model() -> None:
    """Unless the body names one; a body that is no object is refused as ever."""
    fake = FakeAssistants(profile="azure")
    target = "/openai/deployments/my-gpt/chat/completions?api-version=2024-02-01"
    said = {"messages": [{"role": "user", "content": "x"}]}
    assert ask(fake, "POST", target, said).json()["model"] == "my-gpt"
    assert ask(fake, "POST", target, {"model": "other", **said}).json()["model"] == "other"
    assert ask(fake, "POST", target, []).status == 400
    assert ask(fake, "POST", target).status == 400


AZURES_HEADERS = {
    *("apim-request-id", "azureml-served-by-cluster", "openai-organization", "openai-processing-ms", "openai-version"),
    *("request-context", "x-ms-region", "x-ms-middleware-request-id", "x-ms-response-type", "x-request-id"),
    *("x-request-time", "content-type"),
}


@pytest.mark.parametrize(
    ("method", "tail", "body"),
    [
        ("GET", f"/threads/{THREAD}", None),
        ("GET", "/threads/thread_none", None),
        ("GET", "/nowhere", None),
        ("POST", "/threads/runs", {"assistant_id": "asst_a", "stream": True}),
    ],
)
@pytest.mark.parametrize(("profile", "base"), [("azure", "/openai/v1"), ("foundry", "/api/projects/p")])
def test_headers_are_microsofts(profile: str, base: str, method: str, tail: str, body: Any) -> None:
    """Whatever the answer: those of errors and streams too."""
    fake = FakeAssistants(profile=profile)
    fake.load({**WORLD, "assistants": [{"id": "asst_a", "object": "assistant", "model": "m", "tools": []}]})
    reply = ask(fake, method, base + tail, body)
    assert {name for name, _ in reply.headers} == AZURES_HEADERS
    assert re.fullmatch("[0-9a-f]{32}", reply.header("x-request-id") or "")
    assert re.fullmatch("[0-9a-f]{32}", reply.header("openai-organization") or "")
    assert reply.header("x-ms-response-type") == "standard"
    again = ask(fake, method, base + tail, body)
    assert again.header("x-request-id") != reply.header("x-request-id")


def keys_of(value: Any) -> set[str]:
    """Every key of a JSON value."""
    rows = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set().union(value if isinstance(value, dict) else (), *map(keys_of, rows))


def test_azure_has_no_reasoning_effort() -> None:
    """In no answer, list or event, though OpenAI shows it of the same objects; elsewhere the word is left alone."""
    fake = FakeAssistants(runs="immediate")
    at = {"host": "a.services.ai.azure.com", "authorization": "Bearer t"}
    named = {"model": "m", "instructions": "i", "metadata": {"reasoning_effort": "kept"}, "reasoning_effort": "low"}
    made = ask(fake, "POST", "/api/projects/p/assistants", named, **at)
    assert list(made.json())[-5:] == ["top_p", "temperature", "tool_resources", "metadata", "response_format"]
    assert made.json()["metadata"] == {"reasoning_effort": "kept"}
    assistant = made.json()["id"]
    run = ask(fake, "POST", "/api/projects/p/threads/runs", {"assistant_id": assistant}, **at).json()
    events = ask(fake, "POST", "/api/projects/p/threads/runs", {"assistant_id": assistant, "stream": True}, **at)
    stream = b"".join(chunk for chunk in events.chunks or () if isinstance(chunk, bytes))
    thread = f"/api/projects/p/threads/{run['thread_id']}"
    for path in ("/api/projects/p/assistants", f"{thread}/runs", f"{thread}/runs/{run['id']}"):
        body = ask(fake, "GET", path, **at).json()
        assert keys_of(body.get("data", body)) - {"data"}
        assert all("reasoning_effort" not in row for row in body.get("data", [body]))
    assert "reasoning_effort" not in run
    assert b"thread.run.completed" in stream
    assert b"reasoning_effort" not in stream
    beta = {"authorization": "Bearer t", "openai-beta": "assistants=v2"}
    assert ask(fake, "GET", f"/v1/assistants/{assistant}", **beta).json()["reasoning_effort"] == "low"


def test_the_content_of_a_file_is_left_alone() -> None:
    """Though it be an assistant, word for word."""
    content = b'{"object": "assistant", "reasoning_effort": "low"}'
    fake = FakeAssistants(profile="azure")
    file = {"id": "file-a", "object": "file", "purpose": "batch", "filename": "a.json", "bytes": len(content)}
    fake.load({"files": [file], "file_contents": [{"id": "file-a", "content": b64encode(content).decode()}]})
    assert ask(fake, "GET", "/openai/v1/files/file-a/content").body == content


def test_a_stream_that_is_left_is_closed() -> None:
    """Through every layer, with what it holds."""
    fake = FakeAssistants(profile="azure")
    thread = {"messages": [{"role": "user", "content": "x"}]}
    assistant = ask(fake, "POST", "/openai/v1/assistants", {"model": "m"}).json()["id"]
    body = {"assistant_id": assistant, "thread": thread, "stream": True}
    chunks: Any = ask(fake, "POST", "/openai/v1/threads/runs", body).chunks
    assert b"thread.created" in next(chunks)
    chunks.close()
    assert list(chunks) == []


@pytest.mark.parametrize(
    ("method", "path", "action", "operation"),
    [
        ("GET", "/api/projects/mine/threads", "read", "GET /api/projects/{projectName}/threads"),
        (
            "GET",
            "/api/projects/mine/assistants/asst_1",
            "read",
            "GET /api/projects/{projectName}/assistants/{assistantId}",
        ),
        ("POST", "/api/projects/mine/assistants", "write", "POST /api/projects/{projectName}/assistants"),
        (
            "DELETE",
            "/api/projects/p/threads/thread_1",
            "delete",
            "DELETE /api/projects/{projectName}/threads/{threadId}",
        ),
        (
            "GET",
            "/api/projects/p/vector_stores/vs_1",
            "read",
            "GET /api/projects/{projectName}/vector_stores/{vectorStoreId}",
        ),
        ("POST", "/api/projects/p/openai/v1/conversations", "write", "POST /api/projects/{projectName}/openai/*"),
    ],
)
def test_permission_is_denied_on_request(method: str, path: str, action: str, operation: str) -> None:
    """A fault of status 401 is the refusal of a token without the role; of a resource it is the one of a key."""
    fake = FakeAssistants(profile="foundry", faults=[{"match": {}, "do": {"status": 401}}])
    reply = ask(fake, method, path)
    assert reply.status == 401
    assert list(reply.json()["error"]) == ["code", "message"]
    assert reply.json()["error"]["code"] == "PermissionDenied"
    assert re.fullmatch(
        r"The principal `[0-9a-f-]{36}` lacks the required data action "
        rf"`Microsoft\.CognitiveServices/accounts/AIServices/agents/{action}` to perform `{re.escape(operation)}` "
        r"operation\. For instructions on granting the necessary permissions, see https://aka\.ms/FoundryPermissions\.",
        reply.json()["error"]["message"],
    )
    assert ask(fake, "GET", "/openai/v1/conversations").json()["error"]["message"].startswith(DENIED)


def test_too_many_requests_are_told_in_azures_words() -> None:
    """By the rate limit and by a fault; the wait is in whole seconds."""
    words = "You have exceeded the call rate limit of your pricing tier. Please retry after {} seconds."
    limited = FakeAssistants(profile="azure", rpm=1)
    refused = [ask(limited, "GET", "/openai/v1/assistants") for _ in range(2)][1]
    assert (refused.status, refused.json()) == (429, {"error": {"code": "429", "message": words.format(60)}})
    struck = FakeAssistants(profile="azure", faults=[{"match": {}, "do": {"status": 429}}])
    reply = ask(struck, "GET", "/openai/v1/assistants")
    assert reply.json()["error"]["message"] == words.format(20)


# --- by host ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "profile"),
    [
        ("api.openai.com", OPENAI_PROFILE),
        ("eu.api.openai.com", OPENAI_PROFILE),
        ("unit.openai.azure.com", AZURE),
        ("UNIT.OpenAI.Azure.Com.:443", AZURE),
        ("unit.cognitiveservices.azure.com", AZURE),
        ("unit.services.ai.azure.com", FOUNDRY),
        ("openai.azure.com", None),
        ("unit.openai.azure.com.evil.com", None),
        ("evilapi.openai.com", None),
        ("localhost:8000", None),
        ("", None),
        (None, None),
    ],
)
def test_a_host_of_a_service_selects_its_profile(host: str | None, profile: Profile | None) -> None:
    """Whatever its case, with a port or a dot at its end; no other host does."""
    assert profile_of(host) is profile


@given(st.sampled_from(sorted(PROFILES)), st.sampled_from(["unit.openai.azure.com", "unit.services.ai.azure.com"]))
def test_the_host_goes_before_the_profile(profile: str, host: str) -> None:
    """So one fake is OpenAI, Azure and Foundry at once, with one state."""
    fake = FakeAssistants(profile=profile)
    headers = {"authorization": "Bearer k", "host": host}
    made = ask(fake, "POST", "/openai/v1/threads", {}, **headers)
    assert made.status == 200
    beta = {"authorization": "Bearer k", "openai-beta": "assistants=v2", "host": "api.openai.com"}
    assert ask(fake, "GET", f"/v1/threads/{made.json()['id']}", **beta).status == 200


@pytest.mark.parametrize("profile", [OPENAI_PROFILE, AZURE, FOUNDRY], ids=lambda profile: profile.name)
@given(pattern=st.sampled_from(sorted({**ROUTES, **FOUNDRY_ROUTES})), project=st.text("abc-_.%20", min_size=1))
def test_every_base_leads_to_its_routes(profile: Profile, pattern: str, project: str) -> None:
    """The place of a path that a base serves is that base, and the path is not found at a base that does not."""
    for base in profile.bases:
        path = base.url_path(pattern).replace("/fake", f"/{project}")
        place = profile.place(path)
        assert (place.route == pattern) is base.serves(pattern)
        assert place.base is base or not base.serves(pattern)
        assert place.deployment == ("NAME" if base.serves(pattern) and "/NAME" in path else None)


# --- lists ------------------------------------------------------------------------------------------------


def test_threads_are_listed_with_cursors(foundry: FakeAssistants) -> None:
    """Newest first, as every list; the page behind the last one is empty and has a null last_id."""
    ids = [thread["id"] for thread in WORLD["threads"]]
    page = ask(foundry, "GET", "/api/projects/p/threads?limit=2&api-version=v1").json()
    assert [thread["id"] for thread in page["data"]] == ids[:0:-1]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (ids[2], ids[1], True)
    rest = ask(foundry, "GET", f"/api/projects/p/threads?limit=2&after={ids[1]}").json()
    assert ([thread["id"] for thread in rest["data"]], rest["has_more"]) == (ids[:1], False)
    end = ask(foundry, "GET", f"/api/projects/p/threads?after={ids[0]}").json()
    assert (end["data"], end["last_id"]) == ([], None)
    assert ask(foundry, "GET", "/api/projects/p/threads?limit=-1").status == 400


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_profile_lists_threads_where_it_is_asked_for(profile: str) -> None:
    """With its cursors, also in the worlds of keys, and after a reset."""
    headers = {"Authorization": "Bearer token", "api-key": "token", "OpenAI-Beta": "assistants=v2"}
    fake = FakeAssistants(profile=profile, list_threads=True, worlds_by_key=True)
    fake.load(WORLD)
    for _ in range(2):
        first, rest = ({"order": "asc", "limit": "2"}, {"order": "asc", "after": WORLD["threads"][1]["id"]})
        pages = [
            fake.handle(Request("GET", f"{fake.profile.base_path}/threads", one, headers)) for one in (first, rest)
        ]
        ids = [thread["id"] for page in pages for thread in page.json()["data"]]
        assert ids == [thread["id"] for thread in WORLD["threads"]]
        fake.reset()


def test_sunset_faults_and_request_log_work_the_same(foundry: FakeAssistants) -> None:
    """As under every profile."""
    path = f"/api/projects/p/threads/{THREAD}"
    foundry.faults = [
        {"match": {"path": "^/api/projects/p/threads", "thread": THREAD, "nth": 1}, "do": {"status": 500}}
    ]
    foundry.sunset.after_requests(1)
    assert [ask(foundry, "GET", path).status for _ in range(3)] == [500, 200, 410]
    assert ask(foundry, "GET", f"/v1/threads/{THREAD}").json() == NOT_FOUND
    first = next(iter(foundry.requests))
    assert (first.path, first.fault) == (path, "status 500")


def test_the_api_key_header_is_masked_wherever_it_appears(foundry: FakeAssistants) -> None:
    """Whatever the profile, beside a bearer token too."""
    for fake, base in (
        (foundry, "/api/projects/p"),
        (FakeAssistants(profile="azure"), "/openai/v1"),
        (FakeAssistants(), "/v1"),
    ):
        secret = {"api-key": " hush-hush/1 ", "authorization": "Bearer other-one"}
        ask(fake, "GET", f"{base}/threads/hush-hush%2F1?after=hush-hush/1&x=other-one", **secret)
        ask(fake, "GET", f"{base}/assistants/ab?x=ab", **{"api-key": "ab"})
        first, second = fake.requests
        assert (first.path, first.query) == (f"{base}/threads/***", {"after": "***", "x": "***"})
        assert (second.path, second.query) == (f"{base}/assistants/***", {"x": "***"})


def test_an_unknown_profile_is_refused() -> None:
    """With the known ones named."""
    with pytest.raises(ValueError, match="known are openai, azure, foundry"):
        FakeAssistants(profile="nobody")


@pytest.fixture
def client(foundry: FakeAssistants) -> Iterator[OpenAI]:
    """The SDK, told to look there, over HTTP."""
    version = {"api-version": "v1"}
    with foundry.serve() as server, OpenAI(base_url=server.base_url, api_key="token", default_query=version) as client:
        assert server.base_url == f"{server.url}/api/projects/fake"
        yield client


def test_the_sdk_lists_messages_and_threads(foundry: FakeAssistants, client: OpenAI) -> None:
    """With `base_url` and `default_query` alone."""
    walked = client.beta.threads.messages.list(THREAD, limit=20, order="asc")
    assert [message.id for message in walked] == IDS
    assert client.get("/threads", cast_to=LIBRARY.Response).json()["data"][0]["id"] == WORLD["threads"][-1]["id"]
    assert {dict(entry.query)["api-version"] for entry in foundry.requests} == {"v1"}
