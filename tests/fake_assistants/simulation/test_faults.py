"""Injected faults: which request is struck, what comes instead, and that it is the same on every run."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import APIConnectionError, OpenAI, RateLimitError

import fake_assistants.dispatch.fault_effects as fault_effects
from fake_assistants import BadInput, FakeAssistants, Reply, Request, demo_world
from fake_assistants.adapters.server_address import Server
from fake_assistants.errors.server import _go_duration
from fake_assistants.http.message import Chunk, Cut, Pause
from strategies import json_values

Ask = Callable[..., Reply]
Plan = list[dict[str, Any]]

HEADERS = {"Authorization": "Bearer sk-test", "OpenAI-Beta": "assistants=v2"}
BETA: Any = {"headers": {"OpenAI-Beta": "assistants=v2"}}
WORLD = demo_world(1, 60)
THREAD = WORLD["threads"][0]["id"]
IDS = [message["id"] for message in WORLD["messages"]]
MESSAGES = f"/v1/threads/{THREAD}/messages"

# --- plans, drawn ---------------------------------------------------------------------------------------

matches = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["GET", "post"]),
        "path": st.sampled_from(["/messages$", "threads", "^/v1/assistants", "nowhere"]),
        "thread": st.sampled_from([THREAD, "thread_x"]),
        "nth": st.integers(1, 6) | st.lists(st.integers(1, 8), min_size=1, max_size=3),
        "times": st.integers(0, 3),
        "probability": st.sampled_from([0, 0.3, 0.5, 1]),
    },
)
pauses = st.fixed_dictionaries({}, optional={"delay": st.sampled_from([0, 0.5, 3])})
doings = st.sampled_from(
    [
        {"status": 429},
        {"status": 500, "executed": True},
        {"status": 502},
        {"status": 418, "headers": {"X-Odd": "1"}, "body": {"a": 1}},
        {"drop": "before"},
        {"drop": "answer"},
        {"drop": "mid-body", "after": 1},
        {"truncate": 10},
        {"rewrite": "repeat-page"},
        {"rewrite": "shift-page"},
        {"rewrite": "lie-has-more"},
    ]
)
rules = st.builds(lambda match, do, pause: {"match": match, "do": {**do, **pause}}, matches, doings, pauses)
plans = st.lists(rules, max_size=4)
CALLS = [
    ("GET", f"{MESSAGES}?limit=20&order=asc"),
    ("GET", f"{MESSAGES}?limit=20&order=asc&after={IDS[19]}"),
    ("GET", f"{MESSAGES}?limit=20&order=asc&after={IDS[39]}"),
    ("POST", "/v1/threads"),
    ("GET", "/v1/assistants"),
    ("GET", "/v1/threads/thread_x"),
]
anything: st.SearchStrategy[Any] = (
    st.none() | st.integers() | st.text(max_size=3) | st.lists(json_values, max_size=2) | st.just([{"do": {}}])
)
calls = st.lists(st.sampled_from(CALLS), max_size=15)


def ran(reply: Reply) -> tuple[object, ...]:
    """A reply as data, its stream taken."""
    return reply.status, reply.headers, reply.body, reply.delay, reply.hang_up, tuple(reply.chunks or ())


def told(fake: FakeAssistants, asked: Iterable[tuple[str, str]]) -> list[Reply]:
    return [fake.handle(Request.of(method, target, HEADERS)) for method, target in asked]


def faulty(plan: Plan, *, seed: int = 0) -> FakeAssistants:
    fake = FakeAssistants(seed=seed, faults=plan)
    fake.load(WORLD)
    return fake


def noted(fake: FakeAssistants) -> list[str | None]:
    return [entry.fault for entry in fake.requests]


@given(plans, calls, st.integers(0, 3))
def test_the_same_plan_seed_and_calls_have_the_same_faults(plan: Plan, asked: Any, seed: int) -> None:
    """From a new fake, and from the same one after a reset."""
    first, second = faulty(plan, seed=seed), faulty(plan, seed=seed)
    answers = [ran(reply) for reply in told(first, asked)]
    assert [ran(reply) for reply in told(second, asked)] == answers
    notes = noted(first)
    assert noted(second) == notes
    first.reset()
    assert [ran(reply) for reply in told(first, asked)] == answers
    assert noted(first) == notes


@given(plans, calls)
def test_hits_are_the_faults_of_the_log(plan: Plan, asked: Any) -> None:
    """Every request with a fault is one hit; the rules without any are the unused ones. A reset begins anew.

    A rewrite that changes nothing is no hit, even if its delay is in the log.
    """
    plan = [{**rule, "do": {**rule["do"], "delay": 0}} if "rewrite" in rule["do"] else rule for rule in plan]
    fake = faulty(plan)
    told(fake, asked)
    hits = fake.faults.hits
    assert sum(hits) == sum(fault is not None for fault in noted(fake))
    assert fake.faults.unused == [rule for rule, count in zip(fake.faults.json(), hits, strict=True) if not count]
    fake.reset()
    assert fake.faults.hits == (0,) * len(plan)


def test_a_rule_that_never_applied_is_shown() -> None:
    """As it was given, so that a failed assertion shows the mistake in it."""
    fake = faulty([])
    used: Any = {"match": {"path": "/messages$"}, "do": {"status": 500}}
    misspelt: Any = {"match": {"path": "/mesages$"}, "do": {"status": 429}}
    fake.faults = [used, misspelt]
    told(fake, CALLS)
    assert fake.faults.hits == (3, 0)
    assert fake.faults.unused == [misspelt]


@given(plans, plans, anything)
def test_a_plan_is_told_as_it_was_given(plan: Plan, other: Plan, anything: Any) -> None:
    """With nothing added; what is refused changes nothing, and names a path."""
    fake = FakeAssistants(faults=plan)
    assert fake.faults.json() == plan
    reply = fake.handle(Request("PUT", "/_fake/faults", body=json.dumps(other).encode()))
    assert (reply.status, reply.json()) == (200, other)
    reply = fake.handle(Request("PUT", "/_fake/faults", body=json.dumps(anything).encode()))
    assert reply.status in (200, 400)
    assert reply.status == 200 or reply.json()["error"]["param"].startswith("$")
    kept = other if reply.status == 400 else anything
    assert fake.handle(Request("GET", "/_fake/faults")).json() == kept
    fake.faults.clear()
    assert fake.faults.json() == []
    fake.reset()
    assert fake.faults.json() == plan


@given(st.lists(st.fixed_dictionaries({"match": matches, "do": st.just({"status": 429})}), max_size=4), calls)
def test_the_first_rule_that_strikes_answers(plan: Plan, asked: list[tuple[str, str]]) -> None:
    """Each counts every call that fits it; held against a plain account of the same."""
    plan = [{**rule, "do": {"status": 430 + place}} for place, rule in enumerate(plan)]
    counted, struck = [0] * len(plan), [0] * len(plan)
    fake = faulty(plan)
    for method, target in asked:
        found: list[int] = []
        for place, rule in enumerate(plan):
            match = rule["match"]
            if fits(match, method, target.partition("?")[0]):
                counted[place] += 1
                if due(match, counted[place], struck[place]):
                    found.append(place)
        (reply,) = told(fake, [(method, target)])
        certain = [place for place in found if plan[place]["match"].get("probability", 1) == 1]
        possible = [place for place in found if plan[place]["match"].get("probability", 1) > 0]
        if reply.status >= 430:
            place = reply.status - 430
            struck[place] += 1
            assert place in possible
            assert not certain or place <= certain[0]
        else:
            assert not certain


def fits(match: dict[str, Any], method: str, path: str) -> bool:
    return (
        bool(match.get("method", method).upper() == method)
        and bool(re.search(match.get("path", ""), path))
        and match.get("thread", THREAD) in [*path.split("/"), *([] if "thread" in match else [THREAD])]
    )


def due(match: dict[str, Any], call: int, struck: int) -> bool:
    if "nth" not in match:
        return bool(struck < match.get("times", 100))
    firsts = match["nth"] if isinstance(match["nth"], list) else [match["nth"]]
    return any(call in range(first, first + match.get("times", 1)) for first in firsts)


def test_a_probability_is_heeded_roughly_and_the_dice_differ() -> None:
    """By rule and by seed."""
    plan: Plan = [{"match": {"probability": 0.25}, "do": {"status": 418}} for _ in range(2)]
    asked = [("GET", "/v1/assistants")] * 400

    def dice(seed: int, rules: Plan) -> list[int]:
        return [reply.status for reply in told(faulty(rules, seed=seed), asked)]

    one = dice(0, plan[:1])
    assert 60 < one.count(418) < 140
    assert dice(1, plan[:1]) != one
    assert one.count(418) < dice(0, plan).count(418) < 240


# --- bad plans ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "where", "reason"),
    [
        (3, "", "expected an object"),
        ({}, "", 'expected a "do"'),
        ({"do": {"status": 429}, "when": 1}, ".when", "known are do, match"),
        ({"match": {"verb": "GET"}, "do": {"delay": 1}}, ".match.verb", "known are method, nth, path, probability"),
        ({"match": {"method": 3}, "do": {"delay": 1}}, ".match.method", "a string"),
        ({"match": {"path": "("}, "do": {"delay": 1}}, ".match.path", "not a regular expression"),
        ({"match": {"path": "[[a]"}, "do": {"delay": 1}}, ".match.path", "not a regular expression"),
        ({"match": {"path": "a{9999999999999}"}, "do": {"delay": 1}}, ".match.path", "not a regular expression"),
        ({"match": {"path": 3}, "do": {"delay": 1}}, ".match.path", "a string"),
        ({"match": {"thread": None}, "do": {"delay": 1}}, ".match.thread", "a string"),
        ({"match": {"nth": 0}, "do": {"delay": 1}}, ".match.nth", "1 or more"),
        ({"match": {"nth": []}, "do": {"delay": 1}}, ".match.nth", "1 or more"),
        ({"match": {"nth": [1, True]}, "do": {"delay": 1}}, ".match.nth", "1 or more"),
        ({"match": {"times": -1}, "do": {"delay": 1}}, ".match.times", "0 or more"),
        ({"match": {"times": None}, "do": {"delay": 1}}, ".match.times", "0 or more"),
        ({"match": {"probability": 1.1}, "do": {"delay": 1}}, ".match.probability", "from 0 to 1"),
        ({"match": {"probability": True}, "do": {"delay": 1}}, ".match.probability", "from 0 to 1"),
        ({"do": {}}, ".do", "expected exactly one of status, drop, truncate, rewrite, or a delay alone"),
        ({"do": {"body": "x"}}, ".do", "expected exactly one of"),
        ({"do": {"status": 429, "drop": "before"}}, ".do", "expected exactly one of"),
        ({"do": {"status": 99}}, ".do.status", "from 200 to 599"),
        ({"do": {"status": "429"}}, ".do.status", "from 200 to 599"),
        ({"do": {"stat": 429}}, ".do.stat", "known are after, body, delay"),
        ({"do": {"status": 204, "body": "x"}}, ".do.body", "has no body"),
        ({"do": {"truncate": 3, "body": "x"}}, ".do.body", "cannot be combined with truncate"),
        ({"do": {"delay": 3, "headers": {}}}, ".do.headers", "cannot be combined with delay"),
        ({"do": {"status": 200, "headers": []}}, ".do.headers", "an object"),
        ({"do": {"status": 200, "headers": {"a b": "1"}}}, ".do.headers.a b", "the name of a header"),
        ({"do": {"status": 200, "headers": {"a": 1}}}, ".do.headers.a", "the name of a header"),
        ({"do": {"status": 200, "headers": {"a": "1\r\nb: 2"}}}, ".do.headers.a", "the name of a header"),
        ({"do": {"status": 200, "headers": {"Content-Length": "1"}}}, ".do.headers.Content-Length", "sets this header"),
        ({"do": {"drop": "after"}}, ".do.drop", "one of before, answer, mid-body"),
        ({"do": {"drop": "before", "after": 1}}, ".do.after", "mid-body"),
        ({"do": {"drop": "answer", "after": 1}}, ".do.after", "mid-body"),
        ({"do": {"drop": "answer", "executed": True}}, ".do.executed", "cannot be combined with drop"),
        ({"do": {"status": 500, "executed": 1}}, ".do.executed", "true or false"),
        ({"do": {"drop": "mid-body", "after": 1.5}}, ".do.after", "0 or more"),
        ({"do": {"truncate": -1}}, ".do.truncate", "0 or more"),
        ({"do": {"rewrite": "lie"}}, ".do.rewrite", "repeat-page, shift-page, lie-has-more"),
        ({"do": {"rewrite": ["lie"]}}, ".do.rewrite", "repeat-page, shift-page, lie-has-more"),
        ({"do": {"delay": "1"}}, ".do.delay", "seconds from 0 to 3600"),
        ({"do": {"delay": 3601}}, ".do.delay", "seconds from 0 to 3600"),
    ],
)
def test_a_bad_rule_is_refused_with_its_path(fake: FakeAssistants, rule: Any, where: str, reason: str) -> None:
    """Over HTTP and in Python; nothing changes."""
    good: Plan = [{"do": {"status": 429}}]
    fake.faults = good
    bad = [{"do": {"delay": 1}}, rule]
    reply = fake.handle(Request("PUT", "/_fake/faults", body=json.dumps(bad).encode()))
    error = reply.json()["error"]
    assert (reply.status, error["param"]) == (400, f"$[1]{where}")
    assert reason in error["message"]
    with pytest.raises(BadInput, match=re.escape(f"@ $[1]{where}")):
        fake.faults.set(bad)
    with pytest.raises(BadInput, match=re.escape(reason)):
        FakeAssistants(faults=bad)
    assert fake.faults.json() == good


@pytest.mark.parametrize("bad", [{"do": {"status": 429}}, None, "x"])
def test_a_plan_is_a_list(fake: FakeAssistants, bad: Any) -> None:
    """Nothing else."""
    with pytest.raises(BadInput, match=r"expected a list @ \$"):
        fake.faults.set(bad)
    assert fake.handle(Request("PUT", "/_fake/faults", body=b"[")).status == 400


@pytest.mark.filterwarnings("ignore")
def test_a_doubtful_path_is_refused_where_warnings_are_no_errors(fake: FakeAssistants) -> None:
    """The same plan is good or bad everywhere, and a server prints nothing about it."""
    with pytest.raises(BadInput, match=r"nested set at position 1 @ \$\[0\]\.match\.path"):
        fake.faults = [{"match": {"path": "[[a]"}, "do": {"delay": 1}}]


def test_what_is_not_json_is_no_plan(fake: FakeAssistants) -> None:
    """And the caller's later changes to a plan do not reach the fake."""
    with pytest.raises(BadInput, match="not plain JSON"):
        fake.faults.set([{"do": {"delay": float("nan")}}])
    with pytest.raises(BadInput, match="not plain JSON"):
        fake.faults.set([{"do": {"delay": object()}}])
    plan: Plan = [{"do": {"status": 429}}]
    fake.faults = plan
    plan[0]["do"]["status"] = 1
    fake.faults.json()[0]["do"]["status"] = 2
    assert fake.faults.json() == [{"do": {"status": 429}}]


# --- what is done: instead of an answer -----------------------------------------------------------------


def one(ask: Ask, fake: FakeAssistants, do: dict[str, Any], target: str = "/v1/assistants") -> Reply:
    fake.faults = [{"do": do}]
    return ask("GET", target)


def test_a_status_is_answered_with_the_real_words(ask: Ask, fake: FakeAssistants) -> None:
    """429 and 500 in the envelope with a request id, as recorded; 503 beside them."""
    limited = one(ask, fake, {"status": 429}).json()["error"]
    assert (limited["type"], limited["code"]) == ("requests", "rate_limit_exceeded")
    assert "(RPM): Limit 3, Used 3, Requested 1. Please try again in 20s. Visit" in limited["message"]
    failed = one(ask, fake, {"status": 500})
    assert f"the request ID {failed.header('x-request-id')} in your email" in failed.json()["error"]["message"]
    assert failed.json()["error"]["type"] == "server_error"
    assert "overloaded" in one(ask, fake, {"status": 503}).json()["error"]["message"]


@pytest.mark.parametrize(("status", "title"), [(502, b"502 Bad Gateway"), (504, b"504 Gateway Time-out")])
def test_the_edge_answers_with_a_page(ask: Ask, fake: FakeAssistants, status: int, title: bytes) -> None:
    """Without any header of the API."""
    reply = one(ask, fake, {"status": status})
    assert (reply.status, reply.headers) == (status, (("content-type", "text/html"),))
    assert reply.body.startswith(b"<html>\r\n<head><title>%b</title></head>\r\n<body>" % title)


@pytest.mark.parametrize(
    ("status", "words"), [(418, "418 I'm a Teapot"), (599, "599 Unknown"), (404, "404 Not Found"), (200, "200 OK")]
)
def test_any_other_status_is_in_the_envelope(ask: Ask, fake: FakeAssistants, status: int, words: str) -> None:
    """It says that a plan asked for it."""
    reply = one(ask, fake, {"status": status})
    assert (reply.status, reply.json()["error"]["message"]) == (
        status,
        f"A fault plan asked the fake to answer {words}.",
    )


@pytest.mark.parametrize(
    ("body", "sent", "kind"),
    [
        ({"b": [1], "a": "é"}, '{\n  "b": [\n    1\n  ],\n  "a": "é"\n}'.encode(), "application/json"),
        (None, b"null", "application/json"),
        ('{"cut": ', b'{"cut": ', "application/json"),
        (" [1]", b" [1]", "application/json"),
        ("\n<html>", b"\n<html>", "text/html"),
        ("busy \ud800", b"busy \\ud800", "text/plain; charset=utf-8"),
        ("", b"", None),
    ],
)
def test_a_body_goes_out_as_it_was_given(
    ask: Ask, fake: FakeAssistants, body: Any, sent: bytes, kind: str | None
) -> None:
    """With a content type that fits it, unless one was given. Pages and nothing at all are not the API's own."""
    reply = one(ask, fake, {"status": 503, "body": body})
    assert (reply.body, reply.header("content-type")) == (sent, kind)
    assert (reply.header("openai-version") is None) == (kind in ("text/html", None))
    odd = one(ask, fake, {"status": 503, "body": body, "headers": {"Content-Type": "a/b", "Retry-After": "1"}})
    assert (odd.body, odd.header("content-type"), odd.header("retry-after")) == (sent, "a/b", "1")
    assert [name for name, _ in odd.headers].count("content-type") == 1


@pytest.mark.parametrize("body", [{}, {"body": ""}])
def test_an_answer_without_a_body_has_none(ask: Ask, fake: FakeAssistants, body: dict[str, Any]) -> None:
    """204 and its like."""
    assert ran(one(ask, fake, {"status": 204, **body})) == (204, (), b"", 0.0, False, ())


@pytest.mark.parametrize("do", [{"status": 500}, {"status": 500, "executed": False}, {"drop": "before"}])
def test_what_is_answered_instead_changes_nothing(ask: Ask, fake: FakeAssistants, do: dict[str, Any]) -> None:
    """No thread is made, no id is drawn, no request is counted towards the sunset, and no key is asked for."""
    fake.sunset.after_requests(1)
    fake.faults = [{"match": {"times": 1}, "do": do}]
    ask("POST", "/v1/threads", b"", {})
    assert fake.state["threads"] == []
    fresh = FakeAssistants()
    assert ask("POST", "/v1/threads").json() == fresh.handle(Request.of("POST", "/v1/threads", HEADERS)).json()


@pytest.mark.parametrize("do", [{"status": 500, "executed": True}, {"drop": "answer"}, {"drop": "mid-body"}])
def test_an_answer_is_lost_though_the_request_was_carried_out(
    ask: Ask, fake: FakeAssistants, do: dict[str, Any]
) -> None:
    """The state is that of a fake without the fault; a client cannot know it."""
    fake.faults = [{"match": {"times": 1}, "do": do}]
    lost = ask("POST", "/v1/threads", {"metadata": {"a": "b"}})
    assert lost.status == 500 or lost.hang_up or Cut() in (lost.chunks or ())
    fresh = FakeAssistants()
    made = fresh.handle(Request.of("POST", "/v1/threads", HEADERS, b'{"metadata": {"a": "b"}}')).json()
    assert fake.state["threads"] == fresh.state["threads"] == [made]


@pytest.mark.parametrize("do", [{"status": 500, "executed": True}, {"drop": "answer"}])
def test_a_stream_that_is_lost_ends_in_the_fake(ask: Ask, fake: FakeAssistants, do: dict[str, Any]) -> None:
    """Its run is complete."""
    assistant = ask("POST", "/v1/assistants", {"model": "gpt-4o", "instructions": "Answer."}).json()["id"]
    thread = ask("POST", "/v1/threads", {"messages": [{"role": "user", "content": "hello"}]}).json()["id"]
    fake.faults = [{"match": {"path": "/runs$"}, "do": do}]
    reply = ask("POST", f"/v1/threads/{thread}/runs", {"assistant_id": assistant, "stream": True})
    assert reply.chunks is None
    assert [run["status"] for run in fake.state["runs"]] == ["completed"]


CONVERSATIONS = "/v1/conversations"
SAID = {"items": [{"type": "message", "role": "user", "content": "hello"}]}
LOSSES: Plan = [
    {"match": {"method": "POST", "path": "/items$", "probability": 0.05}, "do": {"drop": "answer"}},
    {"match": {"method": "POST", "path": "/items$", "probability": 0.05}, "do": {"drop": "mid-body"}},
    {"match": {"method": "POST", "path": "/items$", "probability": 0.05}, "do": {"drop": "before"}},
    {"match": {"method": "POST", "path": "/items$", "probability": 0.05}, "do": {"status": 500}},
    {"match": {"method": "POST", "path": "/items$", "probability": 0.05}, "do": {"status": 500, "executed": True}},
    {
        "match": {"method": "POST", "path": "/items$", "probability": 0.05},
        "do": {"status": 429, "headers": {"retry-after": "1"}},
    },
]


@pytest.mark.parametrize("host", ["api.openai.com", "unit.services.ai.azure.com"])
def test_losses_at_conversations_are_the_same_on_every_run(host: str) -> None:
    """Of each kind about as many as were asked for; the items are those of the requests that were carried out."""
    base = CONVERSATIONS if host == "api.openai.com" else "/api/projects/p/openai/v1/conversations"
    headers = HEADERS | {"Host": host}
    runs = []
    for _ in range(2):
        fake = FakeAssistants(seed=11, faults=LOSSES)
        path = f"{base}/{fake.handle(Request.of('POST', base, headers, b'{}')).json()['id']}/items"
        waits = set()
        for _ in range(400):
            reply = fake.handle(Request.of("POST", path, headers, json.dumps(SAID).encode()))
            if reply.status == 429:
                waits.add(reply.header("retry-after"))
        entries = fake.requests.to("POST", "/**/items")
        assert len(fake.state["conversation_items"]) == sum(entry.executed for entry in entries)
        assert waits == {"1"}
        runs.append([(entry.status, entry.fault, entry.executed) for entry in entries])
    assert runs[0] == runs[1]
    counts = Counter(runs[0])
    assert set(counts) == {
        (200, None, True),
        (0, "drop answer", True),
        (200, "drop mid-body", True),
        (0, "drop before", False),
        (500, "status 500", False),
        (500, "status 500", True),
        (429, "status 429", False),
    }
    assert all(8 <= count <= 40 for found, count in counts.items() if found[1])


def test_a_lost_creation_leaves_a_conversation(ask: Ask, fake: FakeAssistants) -> None:
    """Unless the request was dropped before it was carried out."""
    body = {"metadata": {"thread_id": "thread_1"}}
    for do, left in (({"drop": "before"}, 0), ({"drop": "answer"}, 1), ({"drop": "mid-body"}, 2)):
        fake.faults = [{"match": {"method": "POST", "path": "/conversations$"}, "do": do}]
        ask("POST", CONVERSATIONS, body)
        assert [row["metadata"] for row in fake.state["conversations"]] == [body["metadata"]] * left
    assert [entry.executed for entry in fake.requests] == [False, True, True]


def test_a_drop_is_no_answer(ask: Ask, fake: FakeAssistants) -> None:
    """The adapter closes the connection; the request log shows status 0. A delay comes before."""
    assert one(ask, fake, {"drop": "before"}).hang_up
    reply = one(ask, fake, {"drop": "before", "delay": 2})
    assert (reply.hang_up, reply.delay) == (True, 2.0)
    assert [(entry.status, entry.fault) for entry in fake.requests] == [(0, "drop before"), (0, "drop before, delay")]


def test_the_request_log_names_the_fault(ask: Ask, fake: FakeAssistants) -> None:
    """Over HTTP too; null where there was none."""
    fake.load(WORLD)
    for do in (
        {"status": 429, "delay": 1},
        {"status": 500, "executed": True},
        {"delay": 0.5},
        {"truncate": 3},
        {"rewrite": "lie-has-more"},
        {"drop": "mid-body"},
        {"drop": "answer"},
        {"drop": "before"},
    ):
        one(ask, fake, do)
    fake.faults.clear()
    ask("GET", "/v1/assistants")
    told = [(entry["status"], entry["fault"], entry["executed"]) for entry in ask("GET", "/_fake/requests").json()]
    assert told == [
        (429, "status 429, delay", False),
        (500, "status 500", True),
        (200, "delay", True),
        (200, "truncate", True),
        (200, "rewrite lie-has-more", True),
        (200, "drop mid-body", True),
        (0, "drop answer", True),
        (0, "drop before", False),
        (200, None, True),
    ]


def test_control_calls_are_never_struck(ask: Ask, fake: FakeAssistants) -> None:
    """Nor counted; and DELETE ends the plan."""
    fake.faults = [{"match": {"nth": 2}, "do": {"status": 418}}]
    assert ask("GET", "/_fake/health").status == 200
    assert [ask("GET", "/v1/assistants").status for _ in range(3)] == [200, 418, 200]
    assert ask("DELETE", "/_fake/faults").json() == []
    assert [ask("GET", "/v1/assistants").status for _ in range(3)] == [200] * 3


def test_a_thread_is_known_by_its_whole_id(ask: Ask, fake: FakeAssistants) -> None:
    """In whichever spelling."""
    fake.faults = [{"match": {"thread": "thread_ä"}, "do": {"status": 418}}]
    paths = ["/v1/threads/thread_%C3%A4/messages", "/v1/threads/thread_%c3%a4", "/v1/threads/thread_%C3%A4b"]
    assert [ask("GET", path).status for path in paths] == [418, 418, 404]


# --- what is done: to an answer -------------------------------------------------------------------------


def test_a_body_breaks_in_the_middle(ask: Ask, fake: FakeAssistants) -> None:
    """Its true length is told, half of it comes; the request was carried out."""
    whole = ask("POST", "/v1/threads")
    fake.reset()
    fake.faults = [{"do": {"drop": "mid-body"}}]
    reply = ask("POST", "/v1/threads")
    assert reply.header("content-length") == str(len(whole.body))
    assert list(reply.chunks or ()) == [whole.body[: len(whole.body) // 2], Cut()]
    assert fake.state["threads"] == [whole.json()]


def test_a_body_is_cut_short_but_ends_properly(ask: Ask, fake: FakeAssistants) -> None:
    """A 200 with fewer bytes; more bytes than there are cut nothing."""
    whole = ask("GET", "/v1/assistants").body
    for size in (0, 10, len(whole), len(whole) + 1):
        reply = one(ask, fake, {"truncate": size, "delay": 1})
        assert (reply.status, reply.body, reply.delay, reply.chunks) == (200, whole[:size], 1.0, None)


CHUNKS: tuple[Chunk, ...] = (b"one", Pause(1), b"two", b"three", Pause(2), b"four")


def streamed(do: dict[str, Any], chunks: tuple[Chunk, ...] = CHUNKS) -> tuple[list[Chunk], bool]:
    """What comes of a stream, and whether the fake went on to its end."""
    ends: list[bool] = []

    def stream() -> Iterator[Chunk]:
        yield from chunks
        ends.append(True)

    core = FakeAssistants(faults=[{"do": do}])._backend
    outcome = fault_effects.apply(core, Request("POST", "/v1/threads/runs"), lambda: Reply(200, chunks=stream()))
    taken = list(outcome.reply.chunks or ())
    return taken, bool(ends)


@pytest.mark.parametrize(
    ("do", "taken"),
    [
        ({"drop": "mid-body"}, [*CHUNKS[:4], Cut()]),
        ({"drop": "mid-body", "after": 0}, [Cut()]),
        ({"drop": "mid-body", "after": 1}, [b"one", Cut()]),
        ({"drop": "mid-body", "after": 9}, [*CHUNKS, Cut()]),
        ({"truncate": 0}, []),
        ({"truncate": 3}, [b"one"]),
        ({"truncate": 5}, [b"one", Pause(1), b"tw"]),
        ({"truncate": 99}, list(CHUNKS)),
        ({"delay": 1}, list(CHUNKS)),
        ({"rewrite": "lie-has-more"}, list(CHUNKS)),
    ],
)
def test_a_stream_breaks_or_ends_early(do: dict[str, Any], taken: list[Chunk]) -> None:
    """And the server does not notice: what it had to do is done."""
    assert streamed(do) == (taken, True)


# --- pages that contradict their cursors ------------------------------------------------------------------


def walked(fake: FakeAssistants, limit: int = 20, target: str = MESSAGES) -> list[dict[str, Any]]:
    """The pages of a client that follows the real cursors, whatever is answered."""
    pages = []
    for after in ("", f"&after={IDS[limit - 1]}", f"&after={IDS[2 * limit - 1]}"):
        (reply,) = told(fake, [("GET", f"{target}?order=asc&limit={limit}{after}")])
        pages.append(reply.json())
    return pages


@given(st.integers(1, 20))
def test_every_rewrite_is_what_it_says(limit: int) -> None:
    """Held against the true pages; the shape and the order of keys are those of a page."""
    true = walked(faulty([]), limit)
    lying = walked(faulty([{"match": {"nth": 2}, "do": {"rewrite": "lie-has-more"}}]), limit)
    assert lying == [true[0], true[1] | {"has_more": not true[1]["has_more"]}, true[2]]
    repeating = walked(faulty([{"match": {"nth": [2, 3]}, "do": {"rewrite": "repeat-page"}}]), limit)
    assert repeating == [true[0]] * 3
    shifting = walked(faulty([{"match": {"nth": 2}, "do": {"rewrite": "shift-page"}}]), limit)
    assert [shifting[0], shifting[2]] == [true[0], true[2]]
    assert [row["id"] for row in shifting[1]["data"]] == IDS[limit - 1 : 2 * limit - 1]
    for page in [*lying, *repeating, *shifting]:
        assert list(page) == list(true[0])
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], page["data"][-1]["id"])


def followed(fake: FakeAssistants, most: int) -> list[str]:
    """The ids that a trusting client gathers, within so many pages."""
    ids: list[str] = []
    for _ in range(most):
        after = f"&after={ids[-1]}" if ids else ""
        page = told(fake, [("GET", f"{MESSAGES}?order=asc&limit=20{after}")])[0].json()
        ids += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            break
    return ids


def test_a_trusting_client_is_led_astray() -> None:
    """Into repeats, into a loop, and to an early end."""
    assert followed(faulty([]), 9) == IDS
    shifting = followed(faulty([{"match": {"nth": 2}, "do": {"rewrite": "shift-page"}}]), 9)
    assert shifting == [*IDS[:20], IDS[19], *IDS[20:39], *IDS[39:59], IDS[59]]
    assert followed(faulty([{"do": {"rewrite": "repeat-page"}}]), 4) == IDS[:20] * 4
    assert followed(faulty([{"match": {"nth": 1}, "do": {"rewrite": "lie-has-more"}}]), 9) == IDS[:20]


def test_a_rewrite_that_finds_nothing_to_change_does_nothing() -> None:
    """No page, no page before, a page after the last row: no fault is noted, and no time is used up."""
    for rewrite, asked in (
        ("lie-has-more", ["/v1/threads/thread_x", f"{MESSAGES}/{IDS[0]}"]),
        ("repeat-page", [MESSAGES, "/v1/assistants"]),
        ("shift-page", [MESSAGES, MESSAGES, f"{MESSAGES}?after={IDS[0]}"]),
    ):
        fake = faulty([{"match": {"times": 1}, "do": {"rewrite": rewrite}}])
        told(fake, [("GET", path) for path in asked])
        told(fake, [("DELETE", f"{MESSAGES}/{IDS[0]}")])
        assert noted(fake) == [None] * (len(asked) + 1)
        told(fake, [("GET", f"{MESSAGES}?limit=2"), ("GET", f"{MESSAGES}?limit=2&after={IDS[58]}")])
        assert noted(fake).count(f"rewrite {rewrite}") == 1, rewrite


def test_what_is_no_page_is_not_remembered() -> None:
    """A text, or JSON of another shape, in a 200."""
    for body in ("oops", [1], {"object": "list"}, {"object": "list", "data": [], "has_more": 0}):
        told_once = {"match": {"times": 1}, "do": {"status": 200, "body": body}}
        fake = faulty([told_once, {"do": {"rewrite": "repeat-page"}}])
        told(fake, [("GET", MESSAGES)] * 3)
        assert noted(fake) == ["status 200", None, "rewrite repeat-page"]


def test_lists_are_not_mixed_up() -> None:
    """A page that is repeated is one of the same list: path and query but for the cursors."""
    fake = faulty([{"do": {"rewrite": "repeat-page"}}])
    told(fake, [("GET", f"{MESSAGES}?limit=3")])
    assert noted(fake) == [None]
    told(fake, [("GET", f"{MESSAGES}?limit=4"), ("GET", f"{MESSAGES}?limit=3&order=asc"), ("GET", "/v1/assistants")])
    assert noted(fake) == [None] * 4
    told(fake, [("GET", f"{MESSAGES}?limit=3&after={IDS[5]}")])
    assert noted(fake)[-1] == "rewrite repeat-page"


def test_pages_are_remembered_only_where_they_may_be_wanted() -> None:
    """Of the lists that a rule is for, and of the newest thousand."""
    fake = faulty([{"match": {"path": "/messages$", "nth": 1002}, "do": {"rewrite": "repeat-page"}}])
    told(fake, [("GET", "/v1/assistants")])
    told(fake, [("GET", f"{MESSAGES}?limit=1&n={number}") for number in range(1001)])
    pages = fake.faults._active.pages
    assert len(pages) == 1000
    assert not any("/v1/assistants" in place or ("n", "0") in place for place in pages)
    told(fake, [("GET", f"{MESSAGES}?limit=1&n=1")])
    assert noted(fake)[-1] == "rewrite repeat-page"


@pytest.mark.filterwarnings("ignore:The Assistants API is deprecated:DeprecationWarning")
def test_the_sdk_gets_over_what_passes_and_tells_what_does_not() -> None:
    """Its own retries see the faults as the real API's."""
    soon = {"headers": {"retry-after-ms": "1"}}
    fake = faulty([{"match": {"nth": 2}, "do": {"status": status, **soon}} for status in (429, 502)])
    with fake.mount(), OpenAI(api_key="sk-test", max_retries=1) as client:
        walked = client.beta.threads.messages.list(THREAD, limit=30, order="asc")
        assert [message.id for message in walked] == IDS
        fake.faults = [{"do": {"status": 429, **soon}}]
        with pytest.raises(RateLimitError, match="Please try again in 20s") as limited:
            client.beta.threads.retrieve(THREAD)
    assert limited.value.code == "rate_limit_exceeded"
    assert [note for note in noted(fake) if note] == ["status 429", "status 429", "status 429"]


@pytest.mark.parametrize("is_served", [True, False])
def test_the_sdk_cannot_tell_a_lost_answer_from_a_lost_request(is_served: bool) -> None:
    """Over a real connection and in process: both are a broken connection, and a retry makes a second object."""
    fake = FakeAssistants()
    with fake.serve() if is_served else fake.mount() as server:
        base_url = server.base_url if isinstance(server, Server) else None
        for drop, retries, made in (("before", 0, 0), ("answer", 0, 1), ("mid-body", 0, 1), ("answer", 1, 2)):
            fake.reset()
            fake.faults = [{"match": {"path": "/threads$", "times": 1}, "do": {"drop": drop}}]
            fails = nullcontext() if retries else pytest.raises(APIConnectionError)
            with OpenAI(api_key="sk-test", max_retries=retries, base_url=base_url) as client, fails:
                client.post("/threads", cast_to=object, body={}, options=BETA)
            assert len(fake.state["threads"]) == made
            assert fake.requests[0].executed is (drop != "before")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0019, "2ms"),
        (0.12, "120ms"),
        (1.182, "1.182s"),
        (6, "6s"),
        (60, "1m0s"),
        (1252.666, "20m52.666s"),
        (3600.5, "1h0m0.5s"),
        (59.9999, "1m0s"),
    ],
)
def test_durations_are_written_as_go_does(seconds: float, text: str) -> None:
    """As in the recorded headers; milliseconds are rounded up, so whoever waits that long waits long enough."""
    assert _go_duration(seconds) == text
