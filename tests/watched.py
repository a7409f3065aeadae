"""A fake that does something at a moment of its own world, so that no test waits for one or hopes for one."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import attrs

from fake_assistants import FakeAssistants, Reply, Request

__all__ = ["Watched", "anything", "what_is_behind"]

Fits = Callable[[Request], bool]


def anything(_request: Request) -> bool:
    """Every request."""
    return True


def what_is_behind(request: Request) -> bool:
    """A request for a page that is not the first: the pages before it have arrived, and its thread is not complete."""
    return request.asked("after") is not None


@attrs.define
class _Moment:
    """The last of so many requests that fit."""

    left: int
    fits: Fits
    act: Callable[[], object]

    def take(self, request: Request) -> None:
        """Count a request, and act if it is the one."""
        if self.left and self.fits(request):
            self.left -= 1
            if not self.left:
                self.act()


class Watched(FakeAssistants):
    """Keeps what it was asked, in order, and acts before it answers a certain request.

    It is asked on one thread, its server's, which does nothing else in the meantime: what is done at a moment is done
    before any later request is answered.

    Attributes:
        asked: every request.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.asked: list[Request] = []
        self._moments: list[_Moment] = []

    @classmethod
    def holding(cls, *worlds: Mapping[str, Any]) -> Self:
        """One that holds all of these but their runs: worlds of one seed share the ids of runs. See `add_runs`."""
        fake = cls()
        for world in worlds:
            fake.load({**world, "runs": [], "run_steps": []})
        return fake

    def add_runs(self) -> None:
        """Give each thread a run."""
        names = [thread["id"] for thread in self.snapshot()["threads"]]
        self.load({"runs": [{"id": f"run_{name}", "thread_id": name, "status": "completed"} for name in names]})

    def handle(self, request: Request) -> Reply:
        """Keep the request, act if this is the moment, and answer."""
        self.asked.append(request)
        for moment in self._moments:
            moment.take(request)
        return super().handle(request)

    def before(self, act: Callable[[], object], *, nth: int = 1, of: Fits = anything) -> None:
        """Do something when the nth request from now on that fits has come, before it is answered; once."""
        self._moments.append(_Moment(nth, of, act))

    def forget_moments(self) -> None:
        """Do nothing at any of the moments that have not come."""
        self._moments.clear()
