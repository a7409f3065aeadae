"""Decide which rule of a fault plan applies to a request. `dispatch/fault_effects` applies the fault.

A plan is data, and its random numbers are hashes of the seed: the same plan and the same calls have the same faults.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import attrs

import fake_assistants.simulation.fault_plan as fault_plan
from fake_assistants.http.lossless_json import Obj
from fake_assistants.http.message import Reply, Request
from fake_assistants.simulation.fault_plan import FaultAction, Match, Rule
from fake_assistants.simulation.page_rewrites import REMEMBERING, ListKey, list_key, page_in, page_of
from fake_assistants.user_input import plain

# The number of lists whose last page is remembered; the least recently requested are dropped.
_MAX_LISTS = 1_000


@attrs.frozen
class FaultHit:
    """A fault that applies to a request. `take_back` uncounts it, for a rewrite that finds nothing to change."""

    do: FaultAction
    take_back: Callable[[], None]


@attrs.define(kw_only=True)
class _Count:
    """The number of calls that matched a rule, and of those that got its fault."""

    rule: Rule
    position: int
    calls: int = 0
    hits: int = 0

    def take_back(self) -> None:
        self.hits -= 1


@attrs.frozen
class _ActivePlan:
    """A plan in use: the counts of its rules, the calls whose pages are remembered, and the last page of each list."""

    counts: tuple[_Count, ...]
    remembering: tuple[Match, ...]
    pages: OrderedDict[ListKey, bytes] = attrs.field(factory=OrderedDict)


class Faults:
    """The faults of one fake. `plan` is the plan that `restart` returns to. Raises BadInput for a bad one."""

    def __init__(self, seed: int = 0, plan: object = ()) -> None:
        self._seed = seed
        self._initial: list[Obj] = _copied(plan)
        self._follow(self._initial)

    def restart(self) -> None:
        """Return to the plan that the fake was created with, and restart all counts."""
        self._follow(self._initial)

    def set(self, plan: object) -> None:
        """Use a plan, given as JSON, from its beginning. Raises BadInput, and then changes nothing."""
        self._follow(_copied(plan))

    def clear(self) -> None:
        """Remove all faults."""
        self._follow([])

    def json(self) -> list[Obj]:
        """Return a copy of the current plan, as it was given."""
        copy: list[Obj] = _copied(self._given)
        return copy

    @property
    def hits(self) -> tuple[int, ...]:
        """How many requests got the fault of each rule of the current plan, in its order."""
        return tuple(count.hits for count in self._active.counts)

    @property
    def unused(self) -> list[Obj]:
        """A copy of those rules of the current plan that no request got the fault of, as they were given."""
        return [rule for rule, hits in zip(self.json(), self.hits, strict=True) if not hits]

    def copy(self) -> "Faults":
        """Return independent faults that begin with the current plan."""
        return Faults(self._seed, self._given)

    def strike(self, request: Request) -> FaultHit | None:
        """Return the fault for this request, or None. Each rule counts the calls that match it."""
        fitting = [count for count in self._active.counts if count.rule.match.fits(request)]
        for count in fitting:
            count.calls += 1
        found = next((count for count in fitting if self._applies(count)), None)
        if found is None:
            return None
        found.hits += 1
        return FaultHit(found.rule.do, found.take_back)

    def remember(self, request: Request, reply: Reply) -> None:
        """Store a page that was sent, if a rule may need it later."""
        is_needed = any(match.fits(request) for match in self._active.remembering)
        if not is_needed or page_of(request, reply) is None:
            return
        pages, key = self._active.pages, list_key(request)
        pages[key] = reply.body
        pages.move_to_end(key)
        if len(pages) > _MAX_LISTS:
            pages.popitem(last=False)

    def remembered(self, request: Request) -> Obj | None:
        """Return the previous page of this list, or None."""
        body = self._active.pages.get(list_key(request))
        return None if body is None else page_in(body)

    def _follow(self, plan: list[Obj]) -> None:
        rules = fault_plan.rules(plan)
        counts = tuple(_Count(rule=rule, position=position) for position, rule in enumerate(rules))
        remembering = tuple(rule.match for rule in rules if rule.do.rewrite in REMEMBERING)
        self._active, self._given = _ActivePlan(counts, remembering), plan

    def _applies(self, count: _Count) -> bool:
        match = count.rule.match
        return match.due(count.calls, count.hits) and self._random(count.position, count.calls) < match.probability

    def _random(self, position: int, call: int) -> float:
        """Return a number from 0 to below 1, the same for the same seed, rule and call."""
        digest = hashlib.sha256(f"{self._seed}:fault:{position}:{call}".encode()).digest()
        return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def _copied(plan: object) -> Any:
    return plain(list(plan) if isinstance(plan, tuple) else plan)
