"""Injected faults: which rule of a plan strikes a request. What a strike does is told in inflict.py.

A plan is data, and its dice are a hash of the seed, so the same plan and the same calls have the same faults.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import attrs

import fake_assistants.simulation.fault_plan as faultplan
from fake_assistants.http.lossless_json import Obj
from fake_assistants.http.message import Reply, Request
from fake_assistants.simulation.fault_plan import FaultAction, Match, Rule
from fake_assistants.simulation.page_rewrites import REMEMBERING, Place, page_in, page_of, place_of
from fake_assistants.user_input import plain

# A page is remembered of so many lists, those that were asked last.
_LISTS = 1_000


@attrs.frozen
class FaultHit:
    """A fault that befalls one request. A rewrite that finds nothing to change takes it back."""

    do: FaultAction
    take_back: Callable[[], None]


@attrs.define(kw_only=True)
class _Count:
    """How many calls fitted a rule, and how many of them it struck."""

    rule: Rule
    position: int
    calls: int = 0
    struck: int = 0

    def take_back(self) -> None:
        self.struck -= 1


@attrs.frozen
class _Course:
    """A plan on its way: the count of each rule, the last page of each list, and for which calls pages are kept."""

    counts: tuple[_Count, ...]
    remembering: tuple[Match, ...]
    pages: OrderedDict[Place, bytes] = attrs.field(factory=OrderedDict)


class Faults:
    """The faults of one fake. `plan` is the plan that a restart goes back to. Raises BadInput for a bad one."""

    def __init__(self, seed: int = 0, plan: object = ()) -> None:
        self._seed = seed
        self._first: list[Obj] = _copied(plan)
        self._follow(self._first)

    def restart(self) -> None:
        """Back to the plan that the fake was made with, and count from the beginning."""
        self._follow(self._first)

    def set(self, plan: object) -> None:
        """Follow a plan, given as JSON, from its beginning. Raises BadInput, and then nothing has changed."""
        self._follow(_copied(plan))

    def clear(self) -> None:
        """No more faults."""
        self._follow([])

    def json(self) -> list[Obj]:
        """The plan in force as it was given, a copy."""
        copy: list[Obj] = _copied(self._given)
        return copy

    def copy(self) -> "Faults":
        """Faults of their own that begin with the plan in force here."""
        return Faults(self._seed, self._given)

    def strike(self, request: Request) -> FaultHit | None:
        """The fault that befalls this request, if any. Every rule counts the calls that fit it, struck or not."""
        fitting = [count for count in self._course.counts if count.rule.match.fits(request)]
        for count in fitting:
            count.calls += 1
        found = next((count for count in fitting if self._strikes(count)), None)
        if found is None:
            return None
        found.struck += 1
        return FaultHit(found.rule.do, found.take_back)

    def remember(self, request: Request, reply: Reply) -> None:
        """Keep a page that was answered, where a rule may want it again."""
        wanted = any(match.fits(request) for match in self._course.remembering)
        if not wanted or page_of(request, reply) is None:
            return
        pages, place = self._course.pages, place_of(request)
        pages[place] = reply.body
        pages.move_to_end(place)
        if len(pages) > _LISTS:
            pages.popitem(last=False)

    def remembered(self, request: Request) -> Obj | None:
        """The page of this list that was answered before."""
        body = self._course.pages.get(place_of(request))
        return None if body is None else page_in(body)

    def _follow(self, plan: list[Obj]) -> None:
        rules = faultplan.rules(plan)
        counts = tuple(_Count(rule=rule, position=position) for position, rule in enumerate(rules))
        remembering = tuple(rule.match for rule in rules if rule.do.rewrite in REMEMBERING)
        self._course, self._given = _Course(counts, remembering), plan

    def _strikes(self, count: _Count) -> bool:
        match = count.rule.match
        return match.due(count.calls, count.struck) and self._drawn(count.position, count.calls) < match.probability

    def _drawn(self, position: int, call: int) -> float:
        """A number from 0 to below 1, the same for the same seed, rule and call."""
        digest = hashlib.sha256(f"{self._seed}:fault:{position}:{call}".encode()).digest()
        return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def _copied(plan: object) -> Any:
    return plain(list(plan) if isinstance(plan, tuple) else plan)
