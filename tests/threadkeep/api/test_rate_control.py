"""The rate controller against servers that divide their quotas in different ways, in simulated time."""

import heapq
import math
import random
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from threadkeep.api.rate_control import RateController, RequestSlot

HINTS: Mapping[str, Callable[[float], float | None]] = {
    "exact": lambda seconds: seconds,
    "whole seconds": math.ceil,
    "none": lambda _seconds: None,
}
"""The hint that a server gives, by the seconds until it grants a request again."""


# Each grants or refuses requests in the order in which they arrive.


class Bucket:
    """A bucket that is full at first and fills evenly, as the fake's."""

    def __init__(self, rpm: float) -> None:
        self._rate, self.burst = rpm / 60, min(rpm, max(60, rpm / 60))
        self._tokens, self._at = self.burst, 0.0

    def wait(self, now: float) -> float:
        """Take a token, or return the seconds until there is one."""
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1 - 1e-6:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0


class Window:
    """A number of requests in each minute of a clock."""

    def __init__(self, rpm: float, phase: float = 0.0) -> None:
        self.burst, self._phase = rpm, phase
        self._minute, self._left = -1, 0.0

    def wait(self, now: float) -> float:
        """Count a request, or return the seconds until the minute ends."""
        minute = int((now + self._phase) // 60)
        if minute != self._minute:
            self._minute, self._left = minute, self.burst
        if self._left < 1:
            return (minute + 1) * 60 - (now + self._phase)
        self._left -= 1
        return 0.0


class Stray:
    """No quota, but some requests are refused, by their number."""

    burst = 0.0

    def __init__(self, refused: Collection[int], seconds: float) -> None:
        self._refused, self._seconds, self._asked = refused, seconds, 0

    def wait(self, now: float) -> float:
        """Refuse the chosen ones."""
        del now
        self._asked += 1
        return self._seconds if self._asked in self._refused else 0.0


Quota = Bucket | Window | Stray


@attrs.frozen(kw_only=True)
class Run:
    """The result of a simulated run.

    Attributes:
        seconds: from the first request to the last answer.
        sent: when each request went, in order.
        refusals: when the answer of each came, and its hint in seconds.
        controller: at its end.
    """

    seconds: float
    sent: list[float]
    refusals: list[tuple[float, float | None]]
    controller: RateController

    @property
    def refused(self) -> float:
        """The share of the requests that were answered 429."""
        return len(self.refusals) / len(self.sent)


def simulate(
    quota: Quota,
    requests: int,
    *,
    hint: Callable[[float], float | None],
    latency: float = 0.05,
    concurrency: int = 64,
    limit: float | None = None,
    seed: int = 0,
) -> Run:
    """Send requests until so many are granted; a refused one is sent again."""
    jitter, controller, now = random.Random(seed), RateController(limit=limit), 0.0
    events: list[tuple[float, int, RequestSlot, Any]] = []
    sent, refusals, granted, in_flight = list[float](), list[tuple[float, float | None]](), 0, 0

    def later(slot: RequestSlot, answer: Any) -> None:
        heapq.heappush(events, (now + latency * jitter.uniform(0.5, 0.65), len(sent) + len(events), slot, answer))

    while granted < requests:
        wait = controller.wait(now) if in_flight < min(concurrency, requests - granted) else math.inf
        if wait == 0:
            sent.append(now)
            in_flight += 1
            later(controller.send(now), None)
        elif not events or now + wait < events[0][0]:
            assert wait < math.inf, "all requests wait for ever"
            now = max(now + wait, math.nextafter(now, math.inf))
        else:
            now, _, slot, answer = heapq.heappop(events)
            if answer is None:
                later(slot, quota.wait(now))
            elif answer == 0:
                controller.record_granted()
                granted, in_flight = granted + 1, in_flight - 1
            else:
                refusals.append((now, hint(answer)))
                in_flight -= 1
                controller.record_refused(slot, now, retry_after=hint(answer), jitter=jitter.random())
    return Run(seconds=now, sent=sent, refusals=refusals, controller=controller)


LATENCIES = st.sampled_from([0.002, 0.05, 0.2])
SEEDS = st.integers(0, 10_000)


@st.composite
def servers(draw: st.DrawFn) -> Quota:
    """Any kind, any quota."""
    rpm = draw(st.sampled_from([3, 60, 600, 6000, 25_000]))
    strays = st.builds(Stray, st.sets(st.integers(1, 300), max_size=9), st.floats(0.001, 30))
    return draw(st.one_of(st.just(Bucket(rpm)), st.builds(Window, st.just(rpm), st.floats(0, 60)), strays))


@given(quota=servers(), hint=st.sampled_from(sorted(HINTS)), latency=LATENCIES, seed=SEEDS)
@settings(max_examples=30)
def test_everything_is_granted_in_the_end_and_every_pause_is_obeyed(
    quota: Quota, hint: str, latency: float, seed: int
) -> None:
    """With any server all requests are granted, and after a refusal none is sent before the server allows it."""
    run = simulate(quota, 300, hint=HINTS[hint], latency=latency, seed=seed)
    for refused_at, seconds in run.refusals:
        after = bisect_left(run.sent, refused_at)
        assert seconds is None or after == len(run.sent) or run.sent[after] >= refused_at + seconds - 1e-9
    assert run.controller.sent == len(run.sent)
    assert run.controller.refused == len(run.refusals)


@given(
    rpm=st.sampled_from([60, 120, 600, 1500, 6000, 25_000]),
    hint=st.sampled_from(sorted(HINTS)),
    latency=st.sampled_from([0.005, 0.05, 0.1]),
    seed=SEEDS,
)
@settings(max_examples=20)
def test_a_quota_that_is_renewed_evenly_is_used(rpm: int, hint: str, latency: float, seed: int) -> None:
    """Nine tenths of it at least, not counting the first burst, and at most three of a hundred requests are refused.

    Four where the quota is high and the server does not say exactly how long to wait.
    """
    requests = max(4000, rpm // 3)
    quota = Bucket(rpm)
    run = simulate(quota, requests, hint=HINTS[hint], latency=latency, seed=seed)
    assert (requests - quota.burst) / (rpm / 60 * run.seconds) >= 0.9
    assert run.refused <= (0.03 if hint == "exact" or rpm < 600 else 0.04)


@given(rpm=st.sampled_from([60, 600, 3000]), phase=st.floats(0, 59), whole=st.booleans(), seed=SEEDS)
@settings(max_examples=8)
def test_a_quota_of_each_minute_is_used(rpm: int, phase: float, whole: bool, seed: int) -> None:
    """A server that counts from minute to minute and says when the next one begins."""
    hint = "whole seconds" if whole else "exact"
    run = simulate(Window(rpm, phase), 10 * rpm, hint=HINTS[hint], seed=seed)
    assert 10 * rpm / (rpm / 60 * run.seconds) >= 0.9
    assert run.refused <= (0.03 if rpm > 60 else 0.1)


@given(rpm=st.sampled_from([600, 3000]), phase=st.floats(0, 59), seed=SEEDS)
@settings(max_examples=10)
def test_a_quota_of_each_minute_is_used_without_a_hint(rpm: int, phase: float, seed: int) -> None:
    """The client must find the next minute by trying; four fifths are used all the same."""
    run = simulate(Window(rpm, phase), 10 * rpm, hint=HINTS["none"], seed=seed)
    assert 10 * rpm / (rpm / 60 * run.seconds) >= 0.8
    assert run.refused <= 0.12


@given(refused=st.sets(st.integers(1, 2000), min_size=1, max_size=2), latency=LATENCIES, seed=SEEDS)
@settings(max_examples=15)
def test_stray_refusals_do_not_throttle_for_long(refused: set[int], latency: float, seed: int) -> None:
    """One or two 429s with no quota behind them cost seconds, not minutes."""
    run = simulate(Stray(refused, 1.0), 5000, hint=HINTS["exact"], latency=latency, seed=seed)
    free = simulate(Stray(set(), 1.0), 5000, hint=HINTS["exact"], latency=latency, seed=seed)
    assert run.seconds <= free.seconds * 1.5 + 40


@pytest.mark.parametrize("rpm", [600, 6000])
def test_a_raised_quota_is_found(rpm: int) -> None:
    """The pace grows out of an estimate that has become too low."""

    class Raised(Bucket):
        def wait(self, now: float) -> float:
            if now > 60:
                self._rate = rpm * 3 / 60
            return super().wait(now)

    run = simulate(Raised(rpm), rpm * 10, hint=HINTS["exact"])
    assert run.seconds < 60 + 1.25 * (9 * rpm / (3 * rpm / 60))


def test_few_are_in_flight_at_first() -> None:
    """The first burst against an unknown quota is small."""
    controller = RateController()
    went = 0
    while controller.wait(0.0) == 0:
        controller.send(0.0)
        went += 1
    assert went == 8
    for _ in range(8):
        controller.record_granted()
    while controller.wait(0.0) == 0:
        controller.send(0.0)
        went += 1
    assert 8 < went - 8 < 16


def test_a_request_with_an_unknown_end_frees_its_slot_only() -> None:
    """It says nothing about the quota, so no more requests are allowed in flight."""
    controller = RateController()
    for _ in range(8):
        controller.send(0.0)
    assert controller.wait(0.0) == float("inf")
    controller.record_unknown()
    assert controller.wait(0.0) == 0
    controller.send(0.0)
    assert controller.wait(0.0) == float("inf")


def test_if_waiting_does_not_help_pauses_grow_and_one_request_is_in_flight() -> None:
    """A server that refuses everything gets one request at a time, ever more rarely, with a hint or without."""
    for hint in (None, 0.01):
        controller, now, pauses = RateController(), 0.0, []
        for _ in range(12):
            slot = controller.send(now)
            assert controller.pauses_in_a_row < 2 or controller.wait(now) == float("inf")
            controller.record_refused(slot, now, retry_after=hint, jitter=1.0)
            pauses.append(controller.paused_until - now)
            now = controller.paused_until
        assert pauses[1:8] == pytest.approx([1, 2, 4, 8, 15, 15, 15])
        assert controller.pauses_in_a_row == 12
        assert controller.first_pause_at == 0.0


def test_refusals_of_requests_in_flight_together_are_one_signal() -> None:
    """What was in flight together when the quota ran out counts once."""
    controller = RateController()
    slots = [controller.send(0.0) for _ in range(8)]
    for slot in slots:
        controller.record_refused(slot, 0.1, retry_after=None, jitter=0.0)
    assert controller.pauses_in_a_row == 1
    assert controller.paused_until == pytest.approx(0.1 + 0.25)


@given(rpm=st.integers(1, 30_000), latency=LATENCIES, seed=SEEDS)
@settings(max_examples=30)
def test_a_given_limit_is_obeyed_and_used(rpm: int, latency: float, seed: int) -> None:
    """In any time no more than the rate allows, with half a second's worth at once; and no less where all is
    granted."""
    limit = rpm / 60
    burst = max(1.0, limit / 2)
    run = simulate(Stray((), 0.0), 300, hint=HINTS["none"], latency=latency, limit=limit, concurrency=4000, seed=seed)
    for number, sent in enumerate(run.sent[int(burst) :]):
        assert sent - run.sent[number] >= (int(burst) + 1 - burst) / limit - 1e-6
    assert run.sent[-1] <= max(0, 300 - burst) / limit + 15 * 1.3 * latency  # few are in flight at first
