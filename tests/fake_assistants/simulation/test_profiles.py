"""Profile foundry: the same world, at other paths."""

import json
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
from fake_assistants.simulation.profiles import PROFILES

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


@given(st.lists(steps, max_size=6), st.text("abc-._~%20", min_size=1, max_size=8))
def test_it_answers_as_openai_does_but_for_the_path(asked: list[Any], name: str) -> None:
    """Below any project, with and without api-version, and without a beta header."""
    one, other = FakeAssistants(), FakeAssistants(profile="foundry")
    for fake in (one, other):
        fake.load(WORLD)
    base = f"/api/projects/{name}"
    for method, target, body in asked:
        beta = {"authorization": "Bearer token", "openai-beta": "assistants=v2"}
        mark = "&" if "?" in target else "?"
        wanted = ask(one, method, f"/v1{target}", body, **beta)
        reply = ask(other, method, f"{base}{target}{mark}api-version=v1", body)
        text = wanted.body.replace(f"{method} /v1".encode(), f"{method} {base}".encode())
        assert (reply.status, reply.headers, reply.body) == (
            wanted.status,
            wanted.headers,
            text.replace(b"on /v1", f"on {base}".encode()),
        )
    assert one.state == other.state


@pytest.mark.parametrize(
    "path", ["/v1/threads", "/threads", "/api/projects", "/api/projects/", "/api/projects//threads"]
)
def test_other_paths_are_unknown(foundry: FakeAssistants, path: str) -> None:
    """The text names the path as it was asked."""
    reply = ask(foundry, "GET", path)
    assert (reply.status, reply.json()["error"]["message"]) == (404, f"Invalid URL (GET {path})")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": "Bearer right"}, 200),
        ({"api-key": "right"}, 200),
        ({"api-key": "wrong", "authorization": "Bearer right"}, 200),
        ({"api-key": "wrong"}, 401),
        ({"api-key": ""}, 401),
        ({"x": "y"}, 401),
    ],
)
def test_a_key_comes_as_a_bearer_token_or_in_its_own_header(headers: dict[str, str], status: int) -> None:
    """OpenAI's profile does not look at the header."""
    target = "/api/projects/p/assistants"
    assert ask(FakeAssistants(profile="foundry", api_keys=["right"]), "GET", target, **headers).status == status
    openais = ask(
        FakeAssistants(api_keys=["right"]), "GET", "/v1/assistants", **{"openai-beta": "assistants=v2"}, **headers
    )
    assert openais.status == (200 if "authorization" in headers else 401)


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
    assert ask(foundry, "GET", "/api/projects/p/threads?limit=0").status == 400


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


def test_sunset_faults_and_ledger_work_the_same(foundry: FakeAssistants) -> None:
    """Only the paths are others."""
    path = f"/api/projects/p/threads/{THREAD}"
    foundry.faults = [
        {"match": {"path": "^/api/projects/p/threads", "thread": THREAD, "nth": 1}, "do": {"status": 500}}
    ]
    foundry.sunset.after_requests(1)
    assert [ask(foundry, "GET", path).status for _ in range(3)] == [500, 200, 410]
    assert b"Invalid URL" in ask(foundry, "GET", f"/v1/threads/{THREAD}").body
    first = next(iter(foundry.requests))
    assert (first.path, first.fault) == (path, "status 500")


def test_the_api_key_header_is_masked_wherever_it_appears(foundry: FakeAssistants) -> None:
    """Whatever the profile, beside a bearer token too."""
    for fake, base in ((foundry, "/api/projects/p"), (FakeAssistants(), "/v1")):
        secret = {"api-key": " hush-hush/1 ", "authorization": "Bearer other-one"}
        ask(fake, "GET", f"{base}/threads/hush-hush%2F1?after=hush-hush/1&x=other-one", **secret)
        ask(fake, "GET", f"{base}/assistants/ab?x=ab", **{"api-key": "ab"})
        first, second = fake.requests
        assert (first.path, first.query) == (f"{base}/threads/***", (("after", "***"), ("x", "***")))
        assert (second.path, second.query) == (f"{base}/assistants/***", (("x", "***"),))


def test_an_unknown_profile_is_refused() -> None:
    """With the known ones named."""
    with pytest.raises(ValueError, match="known are openai, foundry"):
        FakeAssistants(profile="azure")


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
