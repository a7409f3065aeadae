"""The sunset of the Assistants routes: when they end, and how they answer then."""

from typing import Literal

import attrs

from fake_assistants.simulation.clock import Clock

Style = Literal["gone", "not-found"]

# gone: 410 with the error envelope, as migration guides promised.
# not-found: 404 with an empty body, as the real API answered after 2026-08-26 (recorded).
STYLES: tuple[Style, ...] = ("gone", "not-found")


@attrs.frozen(kw_only=True)
class SunsetPlan:
    """A plan for the sunset: at an epoch second, or after a number of further requests to Assistants routes.

    Raises ValueError for any other plan.
    """

    at: int | None = None
    after_requests: int | None = None
    style: Style = "gone"

    def __attrs_post_init__(self) -> None:
        trigger = self.after_requests if self.at is None else self.at
        if type(trigger) is not int or None not in (self.at, self.after_requests):
            raise ValueError("a sunset needs either an epoch second or a number of requests, as a whole number")
        if self.style not in STYLES:
            raise ValueError(f"unknown style {self.style!r}; known are {', '.join(STYLES)}")

    def fallen(self, *, now: int, served: int) -> bool:
        """Return whether the routes have ended at `now`, `served` requests after the plan was set."""
        is_past = self.at is not None and now >= self.at
        return is_past or (self.after_requests is not None and served >= self.after_requests)


class Sunset:
    """The sunset of one fake. Raises ValueError for an argument that is not a plan."""

    def __init__(self, clock: Clock, plan: SunsetPlan | None = None) -> None:
        if plan is not None and not isinstance(plan, SunsetPlan):
            raise ValueError(f"expected a SunsetPlan, such as SunsetPlan(after_requests=40), not {plan!r}")
        self._clock = clock
        self._initial = plan
        self.restart()

    def restart(self) -> None:
        """Return to the plan that the fake was created with."""
        self.follow(self._initial)

    def copy(self, clock: Clock) -> "Sunset":
        """Return an independent sunset on another clock, with the rest of this plan."""
        return Sunset(clock, self.left)

    @property
    def plan(self) -> SunsetPlan | None:
        """The current plan."""
        return self._plan

    @property
    def left(self) -> SunsetPlan | None:
        """The current plan with the remaining number of requests."""
        if self._plan is None or self._plan.after_requests is None:
            return self._plan
        return attrs.evolve(self._plan, after_requests=max(0, self._plan.after_requests - self._served))

    def follow(self, plan: SunsetPlan | None) -> None:
        """Set a plan; None lifts the sunset. Requests are counted from now on."""
        self._plan = plan
        self._served = 0

    def now(self, *, style: Style = "gone") -> None:
        """End the routes now, whatever the clock shows later."""
        self.follow(SunsetPlan(after_requests=0, style=style))

    def at(self, epoch: int, *, style: Style = "gone") -> None:
        """End the routes when the fake's clock shows this epoch second or a later one."""
        self.follow(SunsetPlan(at=epoch, style=style))

    def after_requests(self, count: int, *, style: Style = "gone") -> None:
        """End the routes after `count` more requests to them."""
        self.follow(SunsetPlan(after_requests=count, style=style))

    def lift(self) -> None:
        """Serve the routes again."""
        self.follow(None)

    @property
    def fallen(self) -> bool:
        """Whether the Assistants routes have ended."""
        plan = self._plan
        return plan is not None and plan.fallen(now=self._clock.now(), served=self._served)

    def count(self) -> None:
        """Count a request that an Assistants route served."""
        self._served += 1
