"""Servers that divide a quota in different ways, and a client of the rate controller, in simulated time."""

import heapq
import math
import random
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import attrs

from threadkeep.api.rate_control import RateController, RequestSlot

__all__ = ["HINTS", "Bucket", "Quota", "Run", "Stray", "Window", "simulate"]

HINTS: Mapping[str, Callable[[float], float | None]] = {
    "exact": lambda seconds: seconds,
    "whole seconds": math.ceil,
    "none": lambda _seconds: None,
}
"""The hint that a server gives, by the seconds until it grants a request again."""


class Quota(Protocol):
    """Grants or refuses requests in the order in which they arrive."""

    def wait(self, now: float) -> float:
        """Return 0 if a request is granted, else the seconds until one will be."""
        ...


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
