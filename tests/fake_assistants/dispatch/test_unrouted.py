"""Requests that no route takes: the request log marks them, and the advice leads to the right route."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import fake_assistants.dispatch.unrouted as unrouted
from fake_assistants import Entry, FakeAssistants, Reply, Request
from fake_assistants.dispatch.routes import ROUTES
from fake_assistants.simulation.profiles import OPENAI, PROFILES, Profile

Ask = Callable[..., Reply]


def entry(method: str, path: str, status: int = 404, *, host: str = "") -> Entry:
    return Entry(method=method, path=path, status=status, unrouted=True, host=host)


def filled(pattern: str) -> str:
    return pattern.replace("{", "a_").replace("}", "")


def without_a_letter(path: str) -> str:
    head, _, last = path.removeprefix("/v1/").partition("/")
    return f"/v1/{head[1:]}/{last}".rstrip("/")


SPOILT: dict[str, Callable[[str], str]] = {
    "no version": lambda path: path.removeprefix("/v1"),
    "twice the version": lambda path: f"/v1{path}",
    "an older host": lambda path: f"/openai/deployments/gpt{path.removeprefix('/v1')}",
    "a proxy": lambda path: f"/proxy{path}",
    "a letter less": without_a_letter,
    "a slash too many": lambda path: f"{path}/",
}


@given(pattern=st.sampled_from(sorted(ROUTES)), how=st.sampled_from(sorted(SPOILT)))
def test_a_spoilt_path_leads_back_to_its_route(pattern: str, how: str) -> None:
    """Whichever route it is, and whatever is wrong with the path."""
    right = filled(pattern)
    spoilt = SPOILT[how](right)
    assume(not unrouted._methods_of(OPENAI.place(spoilt)))
    text = unrouted.describe([entry("GET", spoilt)])
    assert f"GET {spoilt} (answered 404)" in text
    assert right in text or pattern in text


@given(pattern=st.sampled_from(sorted(ROUTES)), method=st.sampled_from(["PUT", "PATCH", "HEAD", "GET", "POST"]))
def test_a_wrong_method_is_told_the_right_ones(pattern: str, method: str) -> None:
    """Those of every route that the path fits, each once: `/v1/threads/runs` could be a thread named runs."""
    path = filled(pattern)
    fitting = [ROUTES[other] for other in ROUTES if re.fullmatch(re.sub("{.*?}", "[^/]+", other), path)]
    right = [one for one in ("GET", "POST", "DELETE") if any(one in methods for methods in fitting)]
    assume(method not in right)
    text = unrouted.describe([entry(method, path, 405)])
    assert text.endswith(f"this path takes {', '.join(right)}.")


def test_a_path_of_two_routes_is_told_the_methods_of_both(fake: FakeAssistants, ask: Ask) -> None:
    """And refused with 405 for any other."""
    reply = ask("PUT", "/v1/threads/runs")
    assert (reply.status, "Not allowed to PUT on /v1/threads/runs." in reply.json()["error"]["message"]) == (405, True)
    assert "this path takes GET, POST, DELETE." in unrouted.describe(fake.requests)


@given(path=st.text().map(lambda text: f"/{text}"), status=st.sampled_from([404, 405]))
def test_any_path_can_be_told(path: str, status: int) -> None:
    """However odd; and what had its route is not told."""
    assert f"GET {path} (answered {status})" in unrouted.describe([entry("GET", path, status)])
    assert unrouted.describe([Entry(method="GET", path=path, status=status)]) == ""


@pytest.mark.parametrize(
    ("method", "path", "is_unrouted"),
    [
        ("GET", "/v1/nothing", True),
        ("GET", "/", True),
        ("PUT", "/v1/threads", True),
        ("GET", "/v1/threads", False),
        ("GET", "/v1/threads/thread_x", False),
        ("GET", "/v1/threads/undefined", False),
        ("POST", "/v1/threads", False),
    ],
)
def test_the_request_log_marks_what_had_no_route(
    fake: FakeAssistants, ask: Ask, method: str, path: str, is_unrouted: bool
) -> None:
    """An unknown path and a wrong method; not what a route refused."""
    ask(method, path)
    assert [one.unrouted for one in fake.requests] == [is_unrouted]


@pytest.mark.parametrize("style", ["gone", "not-found"])
def test_silence_is_no_missing_route(fake: FakeAssistants, ask: Ask, style: Any) -> None:
    """After the sunset, a test that asks means to."""
    fake.sunset.now(style=style)
    ask("GET", "/v1/threads/thread_1/nothing")
    assert unrouted.describe(fake.requests) == ""


RIGHT = "It should be exactly the host and /v1."


def test_what_is_wrong_is_told_in_words() -> None:
    """The base URL, the method, the nearest routes, an empty id; what was asked often is told once."""
    asked = [
        entry("POST", "/threads"),
        entry("POST", "/threads"),
        entry("PUT", "/v1/threads/thread_1", 405),
        entry("GET", "/v1/thread/thread_1/message"),
        entry("GET", "/v1/threads//messages"),
    ]
    head, *blocks = unrouted.describe(asked).split("\n\n")
    assert head == "The fake has no route for 5 requests:"
    assert blocks[:2] == [
        f"  POST /threads (answered 404, 2 times)\n    The base URL is wrong: this route is /v1/threads. {RIGHT}",
        "  PUT /v1/threads/thread_1 (answered 405)\n    The method is wrong: this path takes GET, POST, DELETE.",
    ]
    assert blocks[2].startswith(
        "  GET /v1/thread/thread_1/message (answered 404)\n"
        "    The nearest routes are:\n"
        "      GET, POST /v1/threads/{thread_id}/messages\n"
    )
    assert blocks[3].startswith(
        "  GET /v1/threads//messages (answered 404)\n"
        "    An id in the path is empty, or there is a slash too many.\n"
        "    The nearest routes are:\n"
    )


def test_what_nothing_comes_near_is_told_what_there_is() -> None:
    """Where the routes are, and why another host's answer is no better."""
    text = unrouted.describe([entry("GET", "/weather")])
    assert text.startswith(
        "The fake has no route for 1 request:\n\n  GET /weather (answered 404)\n    No route is like it."
    )
    assert "/v1/assistants, /v1/threads" in text
    assert text.endswith("The fake answers whatever the host is.")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/threads", "The base URL is wrong: this route is /api/projects/fake/threads."),
        ("/api/projects/x/v1/threads", "The base URL is wrong: this route is /api/projects/fake/threads."),
        ("/api/projects/x/threds", "  GET, POST /api/projects/fake/threads"),
        ("/weather", "The routes are below /api/projects/fake/assistants, "),
    ],
)
def test_a_profile_has_its_own_paths(path: str, words: str) -> None:
    """What is told is what its clients would have to ask."""
    assert words in unrouted.describe([entry("POST", path)], PROFILES["foundry"])


def test_a_wrong_method_is_told_whatever_the_profile() -> None:
    """Below any project."""
    fake = FakeAssistants(profile="foundry")
    fake.handle(Request("PUT", "/api/projects/any/threads", (), {"Authorization": "Bearer k"}))
    assert "this path takes GET, POST." in unrouted.describe(fake.requests, fake.profile)


@pytest.mark.parametrize(
    ("host", "path", "words"),
    [
        ("unit.openai.azure.com", "/v1/threads", "this route is /openai/v1/threads"),
        ("unit.openai.azure.com", "/threads", "the fake answers as Azure OpenAI does (profile 'azure')."),
        ("unit.openai.azure.com", "/openai/openai/threads", "As azure_endpoint it is the host alone."),
        ("unit.services.ai.azure.com", "/threads", "Any name of a project will do."),
        ("unit.openai.azure.com", "/openai/deployments/gpt/threads", "this route is /openai/v1/threads"),
        ("unit.services.ai.azure.com", "/threads", "this route is /api/projects/fake/threads"),
        ("unit.services.ai.azure.com:443", "/api/projects/mine/chat/completions", "/openai/v1/chat/completions."),
        ("127.0.0.1:8000", "/openai/deployments/gpt/chat/completions", "make the fake with profile='azure'"),
        ("127.0.0.1:8000", "/openai/v1/threads", "make the fake with profile='azure' (`serve --profile azure`)"),
        ("127.0.0.1:8000", "/api/projects/mine/threads", "This is a path of Microsoft Foundry."),
    ],
)
def test_an_address_of_azure_is_recognised(host: str, path: str, words: str) -> None:
    """By its host, or by its path; the host is named, and the profile."""
    text = unrouted.describe([entry("POST", path, host=host)])
    assert f"POST {path} at {host} (answered 404)" in text
    assert words in text


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
@given(pattern=st.sampled_from(sorted(ROUTES)))
def test_every_profile_names_paths_that_it_serves(profile: Profile, pattern: str) -> None:
    """Below whichever of its bases; what it does not have, it does not name."""
    shown = profile.url_path(pattern)
    if shown is not None:
        assert profile.place(shown).route == pattern
    text = unrouted.describe([entry("POST", f"/wrong{filled(pattern)}")], profile)
    assert shown is None or (profile.url_path(filled(pattern)) or "") in text


def test_a_request_without_a_version_is_told_so() -> None:
    """It had a route, were there an api-version."""
    fake = FakeAssistants()
    headers = {"Host": "unit.openai.azure.com", "api-key": "k"}
    assert fake.handle(Request("GET", "/openai/assistants", headers=headers)).status == 404
    assert "The query has no api-version. Add one" in unrouted.describe(fake.requests)


def test_a_long_list_is_cut_short() -> None:
    """The first ten, and how many more."""
    text = unrouted.describe([entry("GET", f"/{number}") for number in range(12)])
    assert "GET /9 " in text
    assert "GET /10 " not in text
    assert text.endswith("… and 2 more, in the request log")
