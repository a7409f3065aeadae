"""The limit of requests a minute, by the fake's clock, for each key."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import Clock, FakeAssistants, Reply, Request
from fake_assistants.simulation.rate_limit import RateLimit

MINUTE = 60


class Time:
    """A source of time that is moved by hand, by fractions of a second too."""

    def __init__(self) -> None:
        self.now = 1_774_963_200.0

    def __call__(self) -> float:
        return self.now


def limited(rpm: int, **options: Any) -> tuple[FakeAssistants, Time]:
    time = Time()
    return FakeAssistants(clock=Clock(time), rpm=rpm, **options), time


def ask(fake: FakeAssistants, key: str = "sk-test", target: str = "/v1/assistants") -> Reply:
    headers = {"Authorization": f"Bearer {key}", "OpenAI-Beta": "assistants=v2"}
    return fake.handle(Request.of("GET", target, headers))


def told_wait(reply: Reply) -> float:
    """The seconds in the text of a 429."""
    found = re.search(r"Please try again in (?:(\d+)m)?(?:([\d.]+)s|(\d+)ms)\.", reply.json()["error"]["message"])
    assert found
    return int(found[1] or 0) * 60 + float(found[2] or 0) + int(found[3] or 0) / 1000


@given(st.integers(1, 20_000), st.lists(st.floats(0, 90), max_size=60))
def test_no_stretch_of_time_serves_more_than_it_may(rpm: int, steps: list[float]) -> None:
    """At most a bucketful and what is filled in meanwhile; and nobody is refused while there is a token."""
    time = Time()
    limit = RateLimit(Clock(time), rpm)
    start, served = time.now, []
    for step in steps:
        time.now += step
        if not limit.wait("k"):
            served.append(time.now - start)
    assert limit.capacity == min(rpm, max(60, rpm / 60))
    for first, begin in enumerate(served):
        for last in range(first, len(served)):
            most = limit.capacity + (served[last] - begin) * rpm / MINUTE
            assert last - first + 1 <= most + 0.1
    assert len(served) >= min(len(steps), int(limit.capacity))


@given(st.integers(1, 20_000), st.floats(0, 1), st.data())
def test_whoever_waits_as_told_is_served(rpm: int, fraction: float, data: st.DataObject) -> None:
    """Not a millisecond more is needed, however often they asked in vain meanwhile."""
    fake, time = limited(rpm)
    time.now += fraction
    reply = ask(fake)
    for _ in range(400):
        reply = ask(fake)
        if reply.status == 429:
            break
    assert reply.status == 429
    wait = told_wait(reply)
    vain = data.draw(st.integers(1, 5)) if wait >= 0.004 else 0  # told waits are rounded up to milliseconds
    for _ in range(vain):
        time.now += wait / (vain + 1) / 2
        assert ask(fake).status == 429
    time.now += told_wait(ask(fake))
    assert ask(fake).status == 200


def test_a_refusal_has_the_real_words_and_headers() -> None:
    """The recorded text and wait for 3 a minute; none of the headers that these routes never had."""
    fake, time = limited(3)
    assert [ask(fake).status for _ in range(4)] == [200, 200, 200, 429]
    reply = ask(fake)
    error = reply.json()["error"]
    assert error["message"] == (
        "Rate limit reached in organization fake-assistants on requests per min (RPM): Limit 3, Used 3, Requested 1. "
        "Please try again in 20s. Visit https://platform.openai.com/account/rate-limits to learn more."
    )
    assert (error["type"], error["param"], error["code"]) == ("requests", None, "rate_limit_exceeded")
    assert not [name for name, _ in reply.headers if name.startswith(("x-ratelimit", "retry-after"))]
    assert [(entry.status, entry.fault) for entry in fake.requests][-1] == (429, None)
    time.now += 20
    assert [ask(fake).status for _ in range(2)] == [200, 429]


def test_no_route_tells_of_limits_beforehand() -> None:
    """Neither where the real one never did, nor on responses and chat, where it did."""
    fake, _ = limited(3)
    model = {"model": "m", "input": "x"}
    body: Any
    for path, body in (
        ("/v1/conversations", {}),
        ("/v1/responses", model),
        ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "x"}]}),
    ):
        reply = fake.handle(Request("POST", path, (), {"Authorization": "Bearer k"}, json.dumps(body).encode()))
        assert reply.status == 200
        assert not [name for name, _ in reply.headers if "ratelimit" in name]


def test_each_key_has_its_own_bucket_and_a_reset_fills_them() -> None:
    """A key that is refused, or none, has none; a route that does not exist is not counted."""
    fake, _ = limited(1, api_keys=["a", "b"])
    assert [ask(fake, key).status for key in ("a", "b", "c", "c", "a")] == [200, 200, 401, 401, 429]
    assert ask(fake, "a", "/v1/nowhere").status == 404
    fake.reset()
    assert ask(fake, "a").status == 200


def test_it_comes_before_all_but_the_key() -> None:
    """Before the sunset's silence, before the beta header; and a refused request does not count towards the sunset."""
    fake, _ = limited(1)
    fake.sunset.after_requests(1)
    assert [ask(fake).status for _ in range(2)] == [200, 429]
    fake.sunset.now()
    assert ask(fake).status == 429
    bare = Request.of("GET", "/v1/assistants", {"Authorization": "Bearer sk-test"})
    assert fake.handle(bare).status == 429


def test_a_clock_that_stands_fills_nothing() -> None:
    """Nor does one that goes back; advanced, it does."""
    fake = FakeAssistants(rpm=60)
    assert [ask(fake).status for _ in range(61)] == [200] * 60 + [429]
    fake.clock.advance(-30)
    assert ask(fake).status == 429
    fake.clock.advance(2)
    assert [ask(fake).status for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("rpm", [0, -1])
def test_a_limit_is_at_least_one(rpm: int) -> None:
    """Anything less is a mistake."""
    with pytest.raises(ValueError, match="1 request per minute or more"):
        FakeAssistants(rpm=rpm)


@pytest.mark.parametrize("move", [lambda clock: clock.set(frozen=True), lambda clock: clock.set(now=50)])
def test_the_exact_time_is_the_time_with_its_fraction(move: Callable[[Clock], None]) -> None:
    """Of a clock that runs; one that stands shows whole seconds."""
    time = Time()
    clock = Clock(time)
    time.now += 0.75
    assert clock.exact() == time.now
    move(clock)
    assert int(clock.exact()) == clock.now()
    assert clock.exact() % 1 == (0 if clock.frozen else 0.75)
