"""The control API, and the same powers in Python: clock, sunset, request log."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

import pytest

from fake_assistants import BadInput, Clock, Entry, FakeAssistants, Reply, Request, SunsetPlan
from fake_assistants.dispatch.routes import OTHER_ROUTES
from fake_assistants.http.redaction import masked
from fake_assistants.simulation.request_log import MOST_ENTRIES

Ask = Callable[..., Reply]
NOW = 1774963200


def test_health_needs_no_key_and_is_not_counted(fake: FakeAssistants) -> None:
    """Control calls are not API traffic."""
    reply = fake.handle(Request("GET", "/_fake/health"))
    assert (reply.status, reply.json()) == (200, {"status": "ok"})
    assert len(fake.requests) == 0


def test_an_unknown_control_path_names_what_exists(ask: Ask) -> None:
    """In the envelope, like every error."""
    reply = ask("GET", "/_fake/nothing")
    message = reply.json()["error"]["message"]
    assert reply.status == 404
    assert "/_fake/nothing" in message
    assert "/_fake/state" in message
    wrong = ask("DELETE", "/_fake/state")
    assert wrong.status == 405
    assert "takes GET, PUT, PATCH, not DELETE" in wrong.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "where", "reason"),
    [
        ("clock", "{", "$", "not JSON"),
        ("clock", "[]", "$", "expected an object"),
        ("clock", "{}", "$", "expected {"),
        ("clock", '{"advance": 1, "now": 2}', "$", "expected {"),
        ("clock", '{"advance": "1"}', "$.advance", "number of seconds"),
        ("clock", '{"now": true}', "$.now", "number of seconds"),
        ("clock", '{"frozen": 1}', "$.frozen", "true or false"),
        ("clock", '{"then": 1}', "$.then", "unknown key"),
        ("sunset", "3", "$", "expected an object"),
        ("sunset", "{}", "$", "expected one of"),
        ("sunset", '{"at": 1, "now": true}', "$", "expected one of"),
        ("sunset", '{"now": false}', "$.now", "expected true"),
        ("sunset", '{"at": "soon"}', "$.at", "number of seconds"),
        ("sunset", '{"at": 1000000000001}', "$.at", "seconds"),
        ("sunset", '{"after_requests": -1}', "$.after_requests", "whole number"),
        ("sunset", '{"after_requests": 1.0}', "$.after_requests", "whole number"),
        ("sunset", '{"now": true, "style": "loud"}', "$.style", "gone, not-found"),
        ("sunset", '{"now": true, "style": []}', "$.style", "gone, not-found"),
    ],
)
def test_what_is_not_well_formed_changes_nothing(
    fake: FakeAssistants, ask: Ask, path: str, body: str, where: str, reason: str
) -> None:
    """400, with what is wrong and where."""
    fake.sunset.at(NOW + 10)
    reply = ask("PUT", f"/_fake/{path}", body.encode())
    error = reply.json()["error"]
    assert (reply.status, error["param"]) == (400, where)
    assert reason in error["message"]
    assert (fake.clock.now(), fake.clock.frozen) == (NOW, True)
    assert fake.sunset.plan == SunsetPlan(at=NOW + 10)


# --- the clock


def test_the_clock_is_moved_over_http(fake: FakeAssistants, ask: Ask) -> None:
    """Set, advanced by fractions and backwards, and read."""
    put = "/_fake/clock"
    assert ask("GET", put).json() == {"now": NOW, "frozen": True}
    assert ask("PUT", put, {"now": 5}).json() == {"now": 5, "frozen": True}
    assert ask("PUT", put, {"advance": -2.5}).json() == {"now": 2, "frozen": True}
    assert ask("PUT", put, {"now": 10**12, "frozen": False}).json() == {"now": 10**12, "frozen": False}
    assert ask("POST", "/v1/threads").json()["created_at"] == fake.clock.now() == 10**12


@pytest.mark.parametrize(
    ("first", "body", "where"),
    [
        (NOW, {"now": 10**12 + 1}, "$.now"),
        (NOW, {"now": -(10**12) - 1}, "$.now"),
        (NOW, {"now": 1e308}, "$.now"),
        (NOW, {"now": 10**4000}, "$.now"),
        (10**12, {"advance": 1}, "$.advance"),
        (-(10**12), {"advance": -0.5}, "$.advance"),
        (NOW, {"advance": 10**30}, "$.advance"),
    ],
)
def test_the_clock_cannot_be_moved_out_of_bounds(
    fake: FakeAssistants, ask: Ask, first: int, body: dict[str, Any], where: str
) -> None:
    """400, and it shows what it showed; in Python it is a ValueError."""
    fake.clock.set(now=first)
    reply = ask("PUT", "/_fake/clock", body)
    assert (reply.status, reply.json()["error"]["param"]) == (400, where)
    assert fake.clock.now() == first
    for move in (fake.clock.advance, lambda now: fake.clock.set(now=now)):
        with pytest.raises(ValueError, match="seconds"):
            move(3 * 10**12)
    assert fake.clock.now() == first


def test_a_clock_with_a_source_follows_it() -> None:
    """Set and frozen, it keeps its distance or stands still; a restart goes back to the source."""
    reading = [1000.9]
    clock = Clock(lambda: reading[0])
    assert (clock.now(), clock.frozen) == (1000, False)
    clock.set(now=50)
    reading[0] = 1010.2
    assert clock.now() == 60
    clock.set(frozen=True)
    reading[0] = 1020.0
    assert clock.now() == 60
    clock.advance(5)
    clock.set(frozen=False)
    reading[0] = 1021.0
    assert clock.now() == 66
    clock.restart()
    assert (clock.now(), clock.frozen) == (1021, False)
    assert Clock(now=7).now() == 7


# --- the sunset


def silent(reply: Reply, style: str) -> bool:
    if style == "not-found":
        return (reply.status, reply.headers, reply.body) == (404, (), b"")
    return reply.status == 410 and reply.json()["error"]["message"].startswith("The Assistants API was")


@pytest.mark.parametrize("style", ["gone", "not-found"])
def test_the_sunset_falls_by_the_clock(ask: Ask, style: str) -> None:
    """Not a second earlier; reads and writes alike; put back, the clock brings the API back."""
    put = ask("PUT", "/_fake/sunset", {"at": NOW + 10, "style": style})
    assert put.json() == {"at": NOW + 10, "style": style}
    ask("PUT", "/_fake/clock", {"advance": 9})
    thread = ask("POST", "/v1/threads").json()["id"]
    ask("PUT", "/_fake/clock", {"advance": 1})
    assert silent(ask("GET", f"/v1/threads/{thread}"), style)
    assert silent(ask("POST", "/v1/assistants", b"{"), style)
    ask("PUT", "/_fake/clock", {"advance": -1})
    assert ask("GET", f"/v1/threads/{thread}").status == 200


@pytest.mark.parametrize("style", ["gone", "not-found"])
def test_the_sunset_falls_after_so_many_requests(ask: Ask, style: str) -> None:
    """Counted from when it was set, by requests to Assistants routes alone."""
    ask("POST", "/v1/threads")
    body = {"after_requests": 2, "style": style}
    assert ask("PUT", "/_fake/sunset", body).json() == body
    assert ask("GET", "/v1/elsewhere").status == 404
    assert ask("POST", "/v1/threads", b"", {}).status == 401
    assert [ask("POST", "/v1/threads").status for _ in range(2)] == [200, 200]
    assert silent(ask("POST", "/v1/threads"), style)


def test_the_sunset_falls_now_and_is_lifted(fake: FakeAssistants, ask: Ask) -> None:
    """Over HTTP and in Python; a null or a DELETE lifts it. The default style is `gone`."""
    assert ask("PUT", "/_fake/sunset", {"now": True}).json() == {"after_requests": 0, "style": "gone"}
    assert silent(ask("POST", "/v1/threads"), "gone")
    assert ask("PUT", "/_fake/sunset", b"null").json() is None
    assert ask("GET", "/_fake/sunset").json() is None
    assert ask("POST", "/v1/threads").status == 200
    fake.sunset.now(style="not-found")
    assert silent(ask("POST", "/v1/threads"), "not-found")
    assert ask("DELETE", "/_fake/sunset").json() is None
    fake.sunset.after_requests(0)
    assert fake.sunset.fallen
    fake.sunset.lift()
    assert ask("POST", "/v1/threads").status == 200
    assert ask("GET", "/v1/elsewhere").status == 404


@pytest.mark.parametrize(
    "plan", [{"at": NOW + 10}, {"at": NOW}, {"after_requests": 2}, {"now": True}, None], ids=json.dumps
)
@pytest.mark.parametrize("served", range(4))
def test_the_sunset_can_be_put_back(ask: Ask, plan: dict[str, Any] | None, served: int) -> None:
    """What GET gave, at whatever moment, changes nothing: not what is told, and not when it falls."""
    ask("PUT", "/_fake/sunset", plan and {**plan, "style": "not-found"})
    for _ in range(served):
        ask("POST", "/v1/threads")
    told = ask("GET", "/_fake/sunset").body
    assert ask("PUT", "/_fake/sunset", told).body == told
    put_back = [ask("POST", "/v1/threads").status for _ in range(4 - served)]
    ask("PUT", "/_fake/sunset", plan and {**plan, "style": "not-found"})
    assert [ask("POST", "/v1/threads").status for _ in range(4)][served:] == put_back


@pytest.mark.parametrize("style", ["gone", "not-found"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/threads"),
        ("PUT", "/v1/threads"),
        ("GET", "/v1/threads/"),
        ("GET", "/v1/threads/undefined"),
        ("POST", "/v1/threads/thread_1/runs"),
        ("GET", "/v1/threads/thread_1/runs/run_1/steps?limit=1000"),
        ("PATCH", "/v1/assistants/asst_1"),
        ("GET", "/v1/assistants/a/b/c/d/e"),
    ],
)
def test_after_the_sunset_all_below_is_silent(
    fake: FakeAssistants, ask: Ask, style: Any, method: str, path: str
) -> None:
    """Known route or not, right method or not; the key is asked for first, and what stands beside speaks on."""
    fake.sunset.now(style=style)
    assert silent(ask(method, path), style)
    assert ask(method, path, b"", {}).status == 401
    for beside in ("/v1/threadsy", "/v1", "/threads", "/v1/assistant"):
        assert b"Invalid URL" in ask(method, beside).body


@pytest.mark.parametrize("style", ["gone", "not-found"])
@pytest.mark.parametrize(
    ("method", "path"), [(method, path) for path, methods in OTHER_ROUTES.items() for method in methods]
)
def test_the_sunset_spares_every_other_route(style: Any, method: str, path: str) -> None:
    """Each answers after it, without a beta header, what it would have answered before."""
    before, after = FakeAssistants(), FakeAssistants()
    after.sunset.now(style=style)
    asked = Request(method, path, headers={"Authorization": "Bearer sk-test"})
    expected, told = before.handle(asked), after.handle(asked)
    assert (told.status, told.headers, told.body) == (expected.status, expected.headers, expected.body)
    assert told.body
    assert b"OpenAI-Beta" not in told.body


def test_a_reset_goes_back_to_the_first_sunset() -> None:
    """The plan that the fake was made with."""
    plan = SunsetPlan(at=5, style="not-found")
    fake = FakeAssistants(sunset=plan)
    fake.sunset.lift()
    fake.reset()
    assert fake.sunset.plan == plan
    styles: Any = "loud"
    with pytest.raises(ValueError, match="style"):
        fake.sunset.now(style=styles)


# --- the script


def test_a_script_is_kept_as_it_was_put(fake: FakeAssistants, ask: Ask) -> None:
    """Until it is deleted, or used up; one that is not well formed leaves it as it is."""
    empty = ask("GET", "/_fake/script").json()
    put = ask("PUT", "/_fake/script", {"default": [{"reply": "Hello"}], "runs": [[{"refuse": "No"}]]})
    assert put.json()["default"] == [{"reply": "Hello"}]
    assert ask("GET", "/_fake/script").json() == put.json()
    assert ask("PUT", "/_fake/script", {"default": [{"reply": 3}]}).status == 400
    assert ask("GET", "/_fake/script").json() == put.json() == fake.script.json()
    assert ask("DELETE", "/_fake/script").json() == empty


# --- the request log


def test_the_request_log_lists_the_requests(fake: FakeAssistants, ask: Ask) -> None:
    """In order, errors too; a query name given twice has both values."""
    ask("GET", "/v1/threads/thread_x/messages?limit=2&include%5B%5D=a&include%5B%5D=b&include%5B%5D=c")
    ask("POST", "/v2/unknown", {"a": [1]})
    assert ask("GET", "/_fake/requests").json() == [
        {
            "method": "GET",
            "host": "",
            "path": "/v1/threads/thread_x/messages",
            "query": {"limit": "2", "include[]": ["a", "b", "c"]},
            "headers": {"authorization": "Bearer ***", "openai-beta": "assistants=v2"},
            "body": None,
            "status": 404,
            "fault": None,
            "executed": True,
            "unrouted": False,
        },
        {
            "method": "POST",
            "host": "",
            "path": "/v2/unknown",
            "query": {},
            "headers": {"authorization": "Bearer ***", "openai-beta": "assistants=v2"},
            "body": {"a": [1]},
            "status": 404,
            "fault": None,
            "executed": True,
            "unrouted": True,
        },
    ]
    assert [entry.status for entry in fake.requests] == [404, 404]


def test_no_key_is_ever_in_the_request_log(fake: FakeAssistants, ask: Ask) -> None:
    """Neither by its name, nor by its look, nor when it is the one in the header."""
    headers = {"Authorization": "Bearer hush"}
    ask("GET", "/v1/threads/thread_x?api-key=one&q=sk-two&r=hush&s=&limit=3", b"", headers)
    (entry,) = fake.requests
    assert entry == Entry(
        method="GET",
        path="/v1/threads/thread_x",
        query={"api-key": "***", "q": "***", "r": "***", "s": "", "limit": "3"},
        headers={"authorization": "Bearer ***"},
        status=400,
    )
    assert "hush" not in json.dumps(entry.as_dict())
    assert MOST_ENTRIES >= 100_000


SECRET = "not-so-Öbvious/key 1"


@pytest.mark.parametrize("key", ["sk-proj-Ab_1-c", SECRET, "a?b=c&d#e%20f"])
@pytest.mark.parametrize(
    "target", ["/v1/threads/{}/messages", "/{}?x=1", "/v1?{}=1", "/v1?x=a{}b&y={}", "/v1?q=Bearer%20{}"]
)
@pytest.mark.parametrize("spell", [str, quote, lambda key: "".join(f"%{byte:02x}" for byte in key.encode())])
def test_the_key_is_masked_wherever_it_stands(
    ask: Ask, fake: FakeAssistants, key: str, target: str, spell: Any
) -> None:
    """In the path, in names and in values, in whichever spelling."""
    ask("GET", target.replace("{}", spell(key)), b"", {"Authorization": f"Bearer {key}"})
    (entry,) = fake.requests
    told = json.dumps(entry.as_dict(), ensure_ascii=False)
    assert key not in told
    assert key not in unquote(told)
    assert spell(key) not in told
    assert "***" in told or spell is str  # as it stands it may be cut by the target's own ? & =


def test_what_looks_like_a_key_is_masked_without_a_header(ask: Ask, fake: FakeAssistants) -> None:
    """And nothing else is: short keys only where they stand alone."""
    ask("GET", "/v1/threads/sk-abc/messages?q=use%20sk-abc%20now&sk-abc=1&n=task-list", b"", {})
    ask("GET", "/v1/threads/xsk-0123456789abcdef", b"", {"Authorization": "Basic a"})
    ask("GET", "/v1/assistants/asst_1?after=a", b"", {"Authorization": "Bearer a"})
    ask("GET", "/v1/threads?x=hushhush-1", b"", {"Authorization": "Basic hushhush-1"})
    assert [(entry.path, entry.query) for entry in fake.requests] == [
        ("/v1/threads/***/messages", {"q": "use *** now", "***": "1", "n": "task-list"}),
        ("/v1/threads/x***", {}),
        ("/v1/assistants/asst_1", {"after": "***"}),
        ("/v1/threads", {"x": "***"}),
    ]


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"at": "2026-08-26"}, "an epoch second"),
        ({"at": True}, "an epoch second"),
        ({}, "an epoch second"),
        ({"at": 1, "after_requests": 1}, "an epoch second"),
        ({"after_requests": 1.5}, "a whole number"),
        ({"at": 1, "style": "loud"}, "unknown style 'loud'; known are gone, not-found"),
    ],
)
def test_a_sunset_that_cannot_fall_is_refused(plan: Any, words: str) -> None:
    """When it is planned, not by the first request."""
    with pytest.raises(ValueError, match=words) as caught:
        SunsetPlan(**plan)
    assert len(caught.value.args) == 1


@pytest.mark.parametrize("header", ["authorization", "api-key"])
@pytest.mark.parametrize("key", ["sk-proj-Ab_1-c-0123", "not-so-obvious-1"])
@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/v1/threads/{}", ""),
        ("GET", "/{}", ""),
        ("GET", "/v1/assistants?order={}", ""),
        ("POST", "/v1/threads", '{"{}": 1}'),
        ("GET", "/_fake/{}", ""),
        ("PUT", "/_fake/state", '{"{}": 1}'),
    ],
)
def test_an_error_shows_keys_as_the_real_api_did(
    fake: FakeAssistants, method: str, target: str, body: str, key: str, header: str
) -> None:
    """Whoever puts one where something else belongs finds no more than its ends in the answer."""
    own = {"authorization": "Bearer sk-x", header: f"Bearer {key}" if header == "authorization" else key}
    told = fake.handle(
        Request.of(
            method, target.replace("{}", key), {**own, "openai-beta": "assistants=v2"}, body.replace("{}", key).encode()
        )
    ).body.decode()
    assert key not in told
    assert masked(key) in told


def test_an_error_tells_what_only_looks_like_a_key(ask: Ask) -> None:
    """As the real API did."""
    told = ask("GET", "/v1/threads/risk-assessment-document").json()["error"]["message"]
    assert told == "Invalid 'thread_id': 'risk-assessment-document'. Expected an ID that begins with 'thread'."


def test_bad_input_says_what_and_where() -> None:
    """As attributes and in words."""
    error = BadInput("expected a list", "$.threads")
    assert (error.reason, error.where, str(error)) == (
        "expected a list",
        "$.threads",
        "expected a list @ $.threads",
    )
