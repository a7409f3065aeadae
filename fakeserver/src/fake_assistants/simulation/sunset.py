"""When the Assistants routes fall silent, and how."""

from typing import Literal

import attrs

from fake_assistants.simulation.clock import Clock

Style = Literal["gone", "not-found"]

# gone: 410 with the error envelope, as migration guides promised.
# not-found: 404 with an empty body, as the real API answered after 2026-08-26 (recorded).
STYLES: tuple[Style, ...] = ("gone", "not-found")


@attrs.frozen(kw_only=True)
class SunsetPlan:
    """The sunset falls at an epoch second, or after so many more requests to Assistants routes.

    Raises ValueError for any other plan: it would be found out by the first request.
    """

    at: int | None = None
    after_requests: int | None = None
    style: Style = "gone"

    def __attrs_post_init__(self) -> None:
        trigger = self.after_requests if self.at is None else self.at
        if type(trigger) is not int or None not in (self.at, self.after_requests):
            raise ValueError("a sunset falls at an epoch second or after so many requests, a whole number")
        if self.style not in STYLES:
            raise ValueError(f"unknown style {self.style!r}; known are {', '.join(STYLES)}")

    def fallen(self, *, now: int, served: int) -> bool:
        """Whether the routes are silent at `now`, `served` requests after the plan was made."""
        timely = self.at is not None and now >= self.at
        return timely or (self.after_requests is not None and served >= self.after_requests)


class Sunset:
    """The sunset of one fake: set it, lift it, ask whether it has fallen. Raises ValueError for what is no plan."""

    def __init__(self, clock: Clock, plan: SunsetPlan | None = None) -> None:
        if plan is not None and not isinstance(plan, SunsetPlan):
            raise ValueError(f"expected a SunsetPlan, such as SunsetPlan(after_requests=40), not {plan!r}")
        self._clock = clock
        self._first = plan
        self.restart()

    def restart(self) -> None:
        """Back to the plan that the fake was made with."""
        self.follow(self._first)

    def copy(self, clock: Clock) -> "Sunset":
        """A sunset of its own, by another clock, that begins with what is left of the plan here."""
        return Sunset(clock, self.left)

    @property
    def plan(self) -> SunsetPlan | None:
        """The plan in force."""
        return self._plan

    @property
    def left(self) -> SunsetPlan | None:
        """The plan in force with the requests that are left; to follow it changes nothing."""
        if self._plan is None or self._plan.after_requests is None:
            return self._plan
        return attrs.evolve(self._plan, after_requests=max(0, self._plan.after_requests - self._served))

    def follow(self, plan: SunsetPlan | None) -> None:
        """Put a plan in force; None lifts the sunset. Requests are counted from here."""
        self._plan = plan
        self._served = 0

    def now(self, *, style: Style = "gone") -> None:
        """Fall silent at once, whatever the clock says later."""
        self.follow(SunsetPlan(after_requests=0, style=style))

    def at(self, epoch: int, *, style: Style = "gone") -> None:
        """Fall silent when the fake's clock shows this epoch second or a later one."""
        self.follow(SunsetPlan(at=epoch, style=style))

    def after_requests(self, count: int, *, style: Style = "gone") -> None:
        """Serve `count` more requests to Assistants routes, then fall silent."""
        self.follow(SunsetPlan(after_requests=count, style=style))

    def lift(self) -> None:
        """Serve again."""
        self.follow(None)

    @property
    def fallen(self) -> bool:
        """Whether Assistants routes are silent now."""
        plan = self._plan
        return plan is not None and plan.fallen(now=self._clock.now(), served=self._served)

    def count(self) -> None:
        """One more request to an Assistants route was served."""
        self._served += 1
