"""The request log: a sequence of what was asked, with helpers that read well in a test, and without any key."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fake_assistants.simulation.request_log as request_log
from fake_assistants import Entry, FakeAssistants, Request, Requests
from fake_assistants.simulation.request_log import RequestLog

KEY = "sk-very-secret-0123456789"
HEADERS = {"Authorization": f"Bearer {KEY}", "OpenAI-Beta": "assistants=v2"}

PATHS = st.lists(st.sampled_from(["threads", "thread_1", "messages", "a%2Fb", "é"]), min_size=1, max_size=5)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.just(f"my key is {KEY}, ok?")),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.one_of(st.text(), st.just(KEY)), inner)),
)


def logged(*paths: str, method: str = "GET") -> RequestLog:
    log = RequestLog()
    for path in paths:
        log.note(Request.of(method, path, HEADERS), 200)
    return log


def entry(method: str, path: str, status: int = 200) -> Entry:
    return Entry(method=method, path=path, status=status)


# --- a sequence ---------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(["/v1/threads", "/v1/files", "/x"])), st.integers(-9, 9), st.integers(-9, 9))
def test_it_is_a_sequence(paths: list[str], one: int, other: int) -> None:
    """It does whatever a list of the same entries does."""
    log = logged(*paths)
    entries = list(log)
    assert [found.path for found in entries] == paths
    assert len(log) == len(entries)
    assert bool(log) is bool(entries)
    assert log == entries == log
    assert log != [*entries, entry("GET", "/more")]
    assert log != "requests"
    assert log[one:other] == entries[one:other]
    assert log[::-1] == list(reversed(log)) == entries[::-1]
    if -len(entries) <= one < len(entries):
        assert log[one] == entries[one]
        assert log.index(entries[one]) == entries.index(entries[one])
        assert entries[one] in log


def test_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many, and so many bytes of bodies; a single large body is left out instead."""
    monkeypatch.setattr(request_log, "MOST_ENTRIES", 3)
    monkeypatch.setattr(request_log, "MOST_BODY_BYTES", 20)
    monkeypatch.setattr(request_log, "LARGEST_BODY", 12)
    log = logged("/1", "/2", "/3", "/4")
    assert [one.path for one in log] == ["/2", "/3", "/4"]
    for body in (b'"12345678"', b'"1234567890"', b'"12345678901"'):
        log.note(Request.of("POST", f"/{len(body)}", HEADERS, body), 200)
    assert [(one.path, one.body) for one in log] == [("/12", "1234567890"), ("/13", None)]
    assert log.total == 7
    log.clear()
    assert log == []
    assert log.total == 7


# --- what an entry has ----------------------------------------------------------------------------------


def test_an_entry_tells_what_was_sent(fake: FakeAssistants) -> None:
    """Over real HTTP too; and the control API answers the same."""
    with fake.serve() as served, httpx.Client(base_url=served.base_url, headers=HEADERS) as client:
        client.post("/threads?a=1&a=2&b=3", json={"metadata": {"k": "v"}})
        client.post("/files", files={"file": ("a.txt", b"{}")}, data={"purpose": "assistants"})
        answered = httpx.get(f"{served.url}/_fake/requests").json()
    first, second = fake.requests
    assert (first.method, first.path, first.status, first.fault) == ("POST", "/v1/threads", 200, None)
    assert first.host == f"127.0.0.1:{served.port}"
    assert first.query == {"a": ["1", "2"], "b": "3"}
    assert first.body == {"metadata": {"k": "v"}}
    assert (first.headers["authorization"], first.headers["content-type"]) == ("Bearer ***", "application/json")
    assert second.body is None
    assert answered == [one.as_dict() for one in fake.requests]


def test_an_entry_stays_the_same(fake: FakeAssistants) -> None:
    """However often it is looked at."""
    fake.handle(Request.of("POST", "/v1/threads", HEADERS, b"{}"))
    assert fake.requests[0] is fake.requests[-1]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff"])
def test_what_is_not_json_has_no_body(fake: FakeAssistants, body: bytes) -> None:
    """Nothing is raised when somebody looks."""
    fake.handle(Request.of("POST", "/v1/threads", HEADERS, body))
    assert fake.requests[0].body is None


@given(VALUES)
def test_no_key_is_in_any_body(value: Any) -> None:
    """However deep, as a name or as a part of a value; all else stays, in its order."""
    log = RequestLog()
    log.note(Request.of("POST", "/x", HEADERS, json.dumps({"value": value}, ensure_ascii=True).encode()), 200)
    assert KEY not in json.dumps(log[0].body)
    assert "sk-" in json.dumps(value) or log[0].body == {"value": value}


def test_a_deep_body_is_masked_too() -> None:
    """Deeper than Python calls."""
    log = RequestLog()
    text = b"[" * 490 + json.dumps(KEY).encode() + b"]" * 490
    log.note(Request.of("POST", "/x", HEADERS, text), 200)
    value = log[0].body
    for _ in range(490):
        (value,) = value
    assert value == "***"


def test_what_is_no_key_can_be_asserted() -> None:
    """A short key of a test is also a word, metadata may have a key; names that promise a secret are masked."""
    log = RequestLog()
    body = {"content": "this is a test", "metadata": {"key": "1", "token": "2"}, "api_key": "hush", "n": 7}
    headers = {"authorization": "Bearer test", "idempotency-key": "a-1", "x-api-key": "hush", "cookie": "a=b", "x": "y"}
    log.note(Request.of("POST", "/x", headers, json.dumps(body).encode()), 200)
    assert log[0].body == {**body, "api_key": "***"}
    assert log[0].headers == {
        "authorization": "Bearer ***",
        "idempotency-key": "a-1",
        "x-api-key": "***",
        "cookie": "***",
        "x": "y",
    }


# --- to -------------------------------------------------------------------------------------------------


@given(PATHS, st.sampled_from(["/v1", "", "/api/projects/any"]), st.sampled_from(["/v1", "", "/api/projects/other"]))
def test_a_path_is_found_with_and_without_its_prefix(parts: list[str], sent: str, wanted: str) -> None:
    """Whichever profile's it is; a star stands for each of its segments."""
    path = "".join(f"/{part}" for part in parts)
    log = logged(f"{sent}{path}")
    assert log.to("GET", f"{wanted}{path}") == log
    assert log.to("GET", wanted + "/*" * len(parts)) == log
    assert log.to("get", "/**") == log.to("*", "/**") == log
    assert log.to("POST", f"{wanted}{path}") == []


def test_a_star_is_one_segment() -> None:
    """Or a part of one; nothing in a pattern is special otherwise."""
    log = logged("/v1/threads", "/v1/threads/thread_1", "/v1/threads/thread_1/messages", "/v1/threads//messages")
    assert [one.path for one in log.to("GET", "/threads/*/messages")] == ["/v1/threads/thread_1/messages"]
    assert [one.path for one in log.to("GET", "threads/thread_*")] == ["/v1/threads/thread_1"]
    assert len(log.to("GET", "/threads/**")) == 3
    assert log.to("GET", "/thread.") == []
    assert log.to("GET", "/threads/**").to("GET", "/threads/*") == [log[1]]


def test_an_encoded_path_is_found_as_it_is_read() -> None:
    """And as it was sent."""
    log = logged("/v1/files/%C3%A9%20a")
    assert log.to("GET", "/files/é a") == log.to("GET", "/files/%C3%A9%20a") == log


def test_a_query_in_a_pattern_is_refused() -> None:
    """It would find nothing for ever."""
    with pytest.raises(ValueError, match="choose by the path alone"):
        logged("/v1/threads?limit=1").to("GET", "/threads?limit=1")


# --- what a failure shows -------------------------------------------------------------------------------


def test_a_failure_shows_what_there_was() -> None:
    """An index that is not there, a choice that is empty, a request that is not alone."""
    log = logged("/v1/threads", "/v1/files")
    with pytest.raises(IndexError) as index:
        log[2]
    assert str(index.value) == "no request at [2]: 2 requests:\n  GET /v1/threads -> 200\n  GET /v1/files -> 200"
    with pytest.raises(IndexError) as chosen:
        log.to("post", "/runs")[-1]
    assert str(chosen.value).startswith("no request at [-1]: no requests to POST /runs, but 2 others:\n  GET /v1/thr")
    with pytest.raises(AssertionError, match=r"expected exactly one request: 2 requests to \* /\*:\n  GET"):
        log.to("*", "/*").only()
    with pytest.raises(AssertionError, match="expected exactly one request: no requests"):
        RequestLog().only()
    assert log.to("GET", "/files").only().path == "/v1/files"


def test_it_is_shown_in_one_line() -> None:
    """As pytest shows it beside an assertion; the newest, where there are many."""
    odd = Entry(method="GET", path="/v2", status=404, fault="delay", unrouted=True)
    assert repr(Requests([odd])) == "<1 request: GET /v2 -> 404 (delay), no route>"
    text = repr(logged(*(f"/{number}" for number in range(12))))
    assert text.startswith("<12 requests: ... 2 more GET /2 -> 200 GET /3")
    assert "\n" not in text
