"""The rate controller against servers that divide their quotas in different ways, in simulated time."""

import heapq
import math
import random
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping
from functools import partial

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
    """A bucket of so many seconds' worth, five requests at least, that is full at first and fills evenly."""

    def __init__(self, rpm: float, seconds: float = 1.0) -> None:
        self.rate, self.burst = rpm / 60, max(5.0, rpm / 60 * seconds)
        self._tokens, self._at = self.burst, 0.0

    def wait(self, now: float) -> float:
        """Take a token, or return the seconds until there is one."""
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1 - 1e-6:
            return (1 - self._tokens) / self.rate
        self._tokens -= 1
        return 0.0


class Window:
    """A number of requests in each so many seconds of a clock."""

    burst = 0.0

    def __init__(self, rpm: float, seconds: float = 60.0, phase: float = 0.0) -> None:
        self._most, self._seconds, self._phase = max(1, round(rpm / 60 * seconds)), seconds, phase
        self.rate = self._most / seconds
        self._number, self._left = -1, 0

    def wait(self, now: float) -> float:
        """Count a request, or return the seconds until the window ends."""
        number = int((now + self._phase) // self._seconds)
        if number != self._number:
            self._number, self._left = number, self._most
        if self._left < 1:
            return (number + 1) * self._seconds - (now + self._phase)
        self._left -= 1
        return 0.0


class Shared:
    """A quota of which another client takes half, evenly."""

    def __init__(self, quota: "Bucket | Window") -> None:
        self.rate, self.burst = quota.rate / 2, quota.burst / 2
        self._quota, self._next = quota, 0.0

    def wait(self, now: float) -> float:
        """Let the other one ask first."""
        while self._next <= now:
            self._quota.wait(self._next)
            self._next += 1 / self.rate
        return self._quota.wait(now)


class Stray:
    """No quota, but some requests are refused, by their number."""

    rate = math.inf
    burst = 0.0

    def __init__(self, refused: Collection[int], seconds: float) -> None:
        self._refused, self._seconds, self._asked = refused, seconds, 0

    def wait(self, now: float) -> float:
        """Refuse the chosen ones."""
        del now
        self._asked += 1
        return self._seconds if self._asked in self._refused else 0.0


Quota = Bucket | Window | Shared | Stray


@attrs.frozen(kw_only=True)
class Run:
    """The result of a simulated run.

    Attributes:
        sent: when each request went, in order.
        granted, refused: when the server granted or refused a request.
        refusals: when the answer of each refused request came, and its hint in seconds.
        controller: at its end.
    """

    sent: list[float]
    granted: list[float]
    refused: list[float]
    refusals: list[tuple[float, float | None]]
    controller: RateController

    def used(self, quota: Quota, latency: float, start: float, end: float, burst: float = 0.0) -> float:
        """The share of the quota that was used in a time, with what the server's bucket held at first."""
        most = min(quota.rate * (end - start) + burst, 0.95 * CONCURRENCY / latency * (end - start))
        return _between(self.granted, start, end) / most

    def share(self, start: float, end: float) -> float:
        """The share of the requests of a time that were answered 429."""
        refused = _between(self.refused, start, end)
        return refused / max(1, refused + _between(self.granted, start, end))


def _between(times: list[float], start: float, end: float) -> int:
    return sum(start <= one < end for one in times)


CONCURRENCY = 64


def simulate(
    quota: Quota,
    *,
    hint: Callable[[float], float | None],
    seconds: float = math.inf,
    requests: float = math.inf,
    latency: float = 0.05,
    concurrency: int = CONCURRENCY,
    limit: float | None = None,
    seed: int = 0,
) -> Run:
    """Send requests until so many are granted, or for so many seconds; a refused one is sent again.

    Latency has a jitter of 15 %, and timers are up to two milliseconds late.
    """
    jitter, controller, now = random.Random(seed), RateController(limit=limit), 0.0
    events: list[tuple[float, int, RequestSlot, tuple[float, float] | None]] = []
    run = Run(sent=[], granted=[], refused=[], refusals=[], controller=controller)
    in_flight, number = 0, 0

    def later(slot: RequestSlot, answer: tuple[float, float] | None) -> None:
        nonlocal number
        number += 1
        heapq.heappush(events, (now + latency * jitter.uniform(0.425, 0.575), number, slot, answer))

    while len(run.granted) < requests and now < seconds:
        wait = controller.wait(now) if in_flight < min(concurrency, requests - len(run.granted)) else math.inf
        if wait == 0:
            run.sent.append(now)
            in_flight += 1
            later(controller.send(now), None)
        elif not events or now + wait < events[0][0]:
            assert wait < math.inf, "all requests wait for ever"
            late = max(now + wait + jitter.uniform(0, 0.002), math.nextafter(now, math.inf))
            now = min(late, events[0][0]) if events else late
        else:
            now, _, slot, answer = heapq.heappop(events)
            if answer is None:
                later(slot, (quota.wait(now), now))
                continue
            in_flight -= 1
            if answer[0] == 0:
                controller.record_granted(slot, now)
                run.granted.append(answer[1])
            else:
                run.refused.append(answer[1])
                run.refusals.append((now, hint(answer[0])))
                controller.record_refused(slot, now, retry_after=hint(answer[0]), jitter=jitter.random())
    return run


LATENCIES = st.sampled_from([0.002, 0.05, 0.2])
SEEDS = st.integers(0, 10_000)


@st.composite
def servers(draw: st.DrawFn) -> Quota:
    """Any kind, any quota."""
    rpm = draw(st.sampled_from([3, 60, 600, 6000, 25_000]))
    strays = st.builds(Stray, st.sets(st.integers(1, 300), max_size=9), st.floats(0.001, 30))
    buckets = st.builds(Bucket, st.just(rpm), st.sampled_from([0.1, 1, 60]))
    windows = st.builds(Window, st.just(rpm), st.sampled_from([1, 10, 60]), st.floats(0, 60))
    return draw(st.one_of(buckets, windows, st.builds(Shared, buckets), strays))


@given(quota=servers(), hint=st.sampled_from(sorted(HINTS)), latency=LATENCIES, seed=SEEDS)
@settings(max_examples=30)
def test_everything_is_granted_in_the_end_and_every_pause_is_obeyed(
    quota: Quota, hint: str, latency: float, seed: int
) -> None:
    """With any server all requests are granted, and after a refusal none is sent before the server allows it."""
    run = simulate(quota, requests=300, hint=HINTS[hint], latency=latency, seed=seed)
    for refused_at, seconds in run.refusals:
        after = bisect_right(run.sent, refused_at)
        assert seconds is None or after == len(run.sent) or run.sent[after] >= refused_at + seconds - 1e-9
    assert run.controller.sent == len(run.sent)
    assert run.controller.refused == len(run.refusals)


SERVERS: dict[str, Callable[[float], Bucket | Window]] = {
    **{f"bucket of {seconds} s": partial(Bucket, seconds=seconds) for seconds in (0.1, 0.5, 1, 5, 60)},
    **{f"window of {seconds} s": partial(Window, seconds=seconds, phase=7.3) for seconds in (1, 10, 60)},
}
RPM = [60, 500, 3000, 10_000]
WAYS = [(0.02, "exact"), (0.05, "whole seconds"), (0.05, "none"), (0.5, "exact")]


@pytest.mark.parametrize("rpm", RPM)
@pytest.mark.parametrize("server", SERVERS)
def test_a_quota_that_is_given_is_used(server: str, rpm: int) -> None:
    """97 % of it at least, and at most one of two hundred requests is refused.

    In windows that are as short as the latency varies, evenly sent requests do not arrive evenly: it is 90 % there.
    """
    for latency, hint in WAYS:
        quota = SERVERS[server](rpm)
        run = simulate(quota, seconds=240, hint=HINTS[hint], latency=latency, limit=quota.rate)
        is_uneven = server == "window of 1 s" and (rpm == 60 or latency > 0.05)
        assert run.used(quota, latency, 0, 240) >= (0.9 if is_uneven else 0.97), (latency, hint)
        assert run.share(0, 240) <= (0.015 if is_uneven else 0.005), (latency, hint)


@pytest.mark.parametrize("rpm", RPM)
@pytest.mark.parametrize("server", SERVERS)
def test_a_quota_that_is_not_given_is_found(server: str, rpm: int) -> None:
    """In the first minute 80 % of it are used, later 90 %, and then at most three of a hundred requests are refused.

    Not where the server allows one request each second and refuses the others: that is a bucket that holds one.
    """
    if (server, rpm) == ("window of 1 s", 60):
        return
    for latency, hint in WAYS:
        quota = SERVERS[server](rpm)
        run = simulate(quota, seconds=240, hint=HINTS[hint], latency=latency)
        at_first = 0.7 if rpm == 60 or latency > 0.05 else 0.8
        assert run.used(quota, latency, 0, 60, quota.burst) >= at_first, (latency, hint)
        assert run.used(quota, latency, 60, 240) >= 0.9, (latency, hint)
        assert run.share(60, 240) <= 0.03, (latency, hint)


@pytest.mark.parametrize("given_limit", [False, True])
@pytest.mark.parametrize("server", SERVERS)
def test_a_quota_that_another_client_shares_is_used(server: str, given_limit: bool) -> None:
    """Nine tenths of our half, and few requests are refused, whatever limit was given."""
    for latency, hint in WAYS[:3]:
        quota = Shared(SERVERS[server](3000))
        limit = 2 * quota.rate if given_limit else None
        run = simulate(quota, seconds=240, hint=HINTS[hint], latency=latency, limit=limit)
        assert run.used(quota, latency, 60, 240) >= 0.9, (latency, hint)
        assert run.share(60, 240) <= 0.03, (latency, hint)


@given(refused=st.sets(st.integers(1, 2000), min_size=1, max_size=2), latency=LATENCIES, seed=SEEDS)
@settings(max_examples=15)
def test_stray_refusals_do_not_throttle_for_long(refused: set[int], latency: float, seed: int) -> None:
    """One or two 429s with no quota behind them cost seconds, not minutes."""
    run, free = (
        simulate(Stray(numbers, 1.0), requests=5000, hint=HINTS["exact"], latency=latency, seed=seed)
        for numbers in (refused, set[int]())
    )
    assert run.granted[-1] <= free.granted[-1] * 1.5 + 40


@pytest.mark.parametrize("rpm", [600, 6000])
def test_a_raised_quota_is_found(rpm: int) -> None:
    """The pace grows out of an estimate that has become too low."""

    class Raised(Bucket):
        def wait(self, now: float) -> float:
            if now > 60:
                self.rate = rpm * 3 / 60
            return super().wait(now)

    run = simulate(Raised(rpm), requests=rpm * 10, hint=HINTS["exact"])
    assert run.granted[-1] < 60 + 1.25 * (9 * rpm / (3 * rpm / 60))


@pytest.mark.parametrize("hint", HINTS)
def test_a_lowered_quota_is_found(hint: str) -> None:
    """The pace drops to a tenth within few refusals, although hundreds of requests were granted before."""

    class Lowered(Bucket):
        def wait(self, now: float) -> float:
            if now > 60:
                self.rate = 5.0
            return super().wait(now)

    run = simulate(Lowered(3000), seconds=240, hint=HINTS[hint])
    assert _between(run.granted, 62, 240) >= 0.95 * 5 * 178
    assert _between(run.refused, 60, 120) <= 150
    assert run.share(180, 240) <= 0.03


@pytest.mark.parametrize("seconds", [0.5, 1])
@pytest.mark.parametrize("latency", [0.005, 0.05])
def test_the_first_burst_costs_few_refusals(latency: float, seconds: float) -> None:
    """Of 300 requests to a bucket of 600 a minute one of fourteen is refused at most, and no time is lost."""
    run = simulate(Bucket(600, seconds), requests=300, hint=HINTS["exact"], latency=latency)
    assert run.share(0, math.inf) <= 0.07
    assert run.granted[-1] <= 31


def test_no_refusal_starves_a_window_of_one_request() -> None:
    """Where another client takes every second window, whoever is refused by chance does not wait ever longer."""
    for hint in HINTS:
        quota = Shared(Window(60, 1, phase=7.3))
        run = simulate(quota, seconds=240, hint=HINTS[hint], limit=quota.rate)
        assert run.used(quota, 0.05, 0, 240) >= 0.6, hint


def test_with_a_limit_one_refusal_costs_its_wait_only() -> None:
    """After it the pace is as before."""
    limit, hint, latency = 50.0, HINTS["exact"], 0.05
    run, free = (
        simulate(Stray(numbers, 1.0), seconds=20, hint=hint, latency=latency, limit=limit) for numbers in ({300}, set())
    )
    assert len(run.refused) == 1
    assert len(run.granted) >= len(free.granted) - limit * (1.0 + 3 * latency)


def test_few_are_in_flight_at_first() -> None:
    """The first burst against an unknown quota is small."""
    controller = RateController()
    slots = sent_at_once(controller)
    assert len(slots) == 5
    for slot in slots:
        controller.record_granted(slot, 0.1)
    assert 5 < len(sent_at_once(controller)) < 10


def sent_at_once(controller: RateController) -> list[RequestSlot]:
    """All requests that may be sent now."""
    slots = []
    while controller.wait(0.0) == 0:
        slots.append(controller.send(0.0))
    return slots


def test_a_request_with_an_unknown_end_frees_its_slot_only() -> None:
    """It says nothing about the quota, so no more requests are allowed in flight."""
    controller = RateController()
    for _ in range(5):
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
        assert pauses[1:8] == pytest.approx([0.5, 1, 2, 4, 8, 8, 8])
        assert controller.pauses_in_a_row == 12
        assert controller.first_pause_at == 0.0


def test_refusals_of_requests_in_flight_together_are_one_signal() -> None:
    """What was in flight together when the quota ran out counts once."""
    controller = RateController()
    slots = [controller.send(0.0) for _ in range(8)]
    for slot in slots:
        controller.record_refused(slot, 0.1, retry_after=None, jitter=0.0)
    assert controller.pauses_in_a_row == 1
    assert controller.paused_until == pytest.approx(0.1 + 0.125)


@given(rpm=st.integers(1, 30_000), latency=LATENCIES, seed=SEEDS)
@settings(max_examples=30)
def test_a_given_limit_is_obeyed(rpm: int, latency: float, seed: int) -> None:
    """In any minute no more requests are sent than the limit says, whatever the server would grant."""
    most = min(4 * rpm + 10, 2000)
    run = simulate(Stray((), 0.0), requests=most, hint=HINTS["none"], latency=latency, limit=rpm / 60, seed=seed)
    for number, sent in enumerate(run.sent[rpm:]):
        assert sent - run.sent[number] >= 60
