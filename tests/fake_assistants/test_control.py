"""The control API, and the same powers in Python: clock, sunset, ledger."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from fake_assistants import BadInput, Clock, Entry, FakeAssistants, Reply, Request, SunsetPlan
from fake_assistants.ledger import KEPT

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
    assert ask("PUT", put, {"now": 10**30, "frozen": False}).json() == {"now": 10**30, "frozen": False}
    assert ask("POST", "/v1/threads").json()["created_at"] == fake.clock.now() == 10**30


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
    assert put.json() == {"at": NOW + 10, "style": style, "fallen": False}
    ask("PUT", "/_fake/clock", {"advance": 9})
    thread = ask("POST", "/v1/threads").json()["id"]
    ask("PUT", "/_fake/clock", {"advance": 1})
    assert silent(ask("GET", f"/v1/threads/{thread}"), style)
    assert silent(ask("POST", "/v1/assistants", b"{"), style)
    assert ask("GET", "/_fake/sunset").json()["fallen"] is True
    ask("PUT", "/_fake/clock", {"advance": -1})
    assert ask("GET", f"/v1/threads/{thread}").status == 200


@pytest.mark.parametrize("style", ["gone", "not-found"])
def test_the_sunset_falls_after_so_many_requests(ask: Ask, style: str) -> None:
    """Counted from when it was set, by requests to Assistants routes alone."""
    ask("POST", "/v1/threads")
    body = {"after_requests": 2, "style": style}
    assert ask("PUT", "/_fake/sunset", body).json() == {**body, "fallen": False}
    assert ask("GET", "/v1/elsewhere").status == 404
    assert ask("POST", "/v1/threads", b"", {}).status == 401
    assert [ask("POST", "/v1/threads").status for _ in range(2)] == [200, 200]
    assert silent(ask("POST", "/v1/threads"), style)


def test_the_sunset_falls_now_and_is_lifted(fake: FakeAssistants, ask: Ask) -> None:
    """Over HTTP and in Python; a null or a DELETE lifts it. The default style is `gone`."""
    assert ask("PUT", "/_fake/sunset", {"now": True}).json()["fallen"] is True
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


# --- the ledger


def test_the_ledger_tells_what_was_asked(fake: FakeAssistants, ask: Ask) -> None:
    """In order, errors too; a query name given twice has both values."""
    ask("GET", "/v1/threads/thread_x/messages?limit=2&include%5B%5D=a&include%5B%5D=b&include%5B%5D=c")
    ask("POST", "/v2/unknown")
    assert ask("GET", "/_fake/requests").json() == [
        {
            "method": "GET",
            "path": "/v1/threads/thread_x/messages",
            "query": {"limit": "2", "include[]": ["a", "b", "c"]},
            "status": 404,
            "fault": None,
        },
        {"method": "POST", "path": "/v2/unknown", "query": {}, "status": 404, "fault": None},
    ]
    assert [entry.status for entry in fake.requests] == [404, 404]


def test_no_key_is_ever_in_the_ledger(fake: FakeAssistants, ask: Ask) -> None:
    """Neither by its name, nor by its look, nor when it is the one in the header."""
    headers = {"Authorization": "Bearer hush"}
    ask("GET", "/v1/threads/thread_x?api-key=one&q=sk-two&r=hush&s=&limit=3", b"", headers)
    (entry,) = fake.requests
    assert entry == Entry(
        "GET",
        "/v1/threads/thread_x",
        (("api-key", "***"), ("q", "***"), ("r", "***"), ("s", ""), ("limit", "3")),
        400,
    )
    assert "hush" not in json.dumps(entry.json())
    assert KEPT >= 100_000


def test_bad_input_says_what_and_where() -> None:
    """As attributes and in words."""
    error = BadInput("expected a list", "$.threads")
    assert (error.reason, error.where, str(error)) == (
        "expected a list",
        "$.threads",
        "expected a list @ $.threads",
    )
