"""What one fake consists of, and the calls that rooms get to see."""

from collections.abc import Mapping
from typing import Any

import attrs

import fake_assistants.bodies as bodies
from fake_assistants.checks import Shape
from fake_assistants.clock import Clock
from fake_assistants.exchange import Pairs, Request
from fake_assistants.faults import Faults
from fake_assistants.ids import IdSource
from fake_assistants.jsontext import loads
from fake_assistants.kinds import RUNS
from fake_assistants.ledger import Ledger
from fake_assistants.plans import By, Plan, Progress
from fake_assistants.profiles import OPENAI, Profile
from fake_assistants.ratelimit import RateLimit
from fake_assistants.script import Script
from fake_assistants.shelf import Obj
from fake_assistants.state import checked
from fake_assistants.sunset import Sunset
from fake_assistants.world import World
from fake_assistants.worlds import Worlds


@attrs.define(kw_only=True)
class Core:
    """The parts of a fake. `loaded` is the world that a reset goes back to; it shares its shelves with `world`."""

    clock: Clock
    ids: IdSource
    sunset: Sunset
    api_keys: frozenset[str] = frozenset()
    messages_per_thread: int = 100_000
    ledger: Ledger = attrs.field(factory=Ledger)
    script: Script = attrs.field(factory=Script)
    runs: Progress = attrs.field(factory=Progress)
    plans: dict[tuple[str, str], Plan] = attrs.field(factory=dict)  # runs on their way, by thread and run
    settled_at: tuple[int, By, int] | None = None  # second and progress up to which the plans have followed them
    loaded: World = attrs.field(factory=World)
    world: World = attrs.field()
    profile: Profile = OPENAI
    faults: Faults = attrs.field(factory=Faults)
    limit: RateLimit | None = None
    worlds: Worlds[Any] | None = None

    @world.default
    def _begun(self) -> World:
        return self.loaded.fork()

    def mint(self, prefix: str) -> str:
        """A new id with this prefix."""
        return self.world.mint(self.ids, prefix)

    def replace(self, given: object) -> None:
        """Make the world what a state says. Raises BadInput, and then nothing has changed."""
        state = checked(given)
        state.refuse_strays()
        self.world = World()
        self.world.put_all(state)
        self._forget_void_plans()

    def _forget_void_plans(self) -> None:
        """A run that a state changed is in somebody else's hand, also when it comes back as it was."""
        self.plans = {key: plan for key, plan in self.plans.items() if self._follows(plan)}

    def _follows(self, plan: Plan) -> bool:
        """Whether the world has the run as its plan has put it there, and its thread."""
        thread_id, run_id = plan.key
        text = self.world.shelf(RUNS, thread_id).text(run_id)
        return thread_id in self.world.thread_ids() and text is not None and loads(text) == plan.run

    def merge(self, given: object) -> None:
        """Merge a state into the world by id. Raises BadInput, and then nothing has changed."""
        state = checked(given)
        state.refuse_strays(self.world.thread_ids())
        self.world.put_all(state)
        self._forget_void_plans()

    def load(self, given: object) -> None:
        """Merge a state into the world and into what a reset goes back to. Raises BadInput."""
        state = checked(given)
        state.refuse_strays(self.loaded.thread_ids())
        is_fresh = self.world.is_still(self.loaded)
        if not is_fresh:
            self.merge(state)
        self.loaded.put_all(state)
        if is_fresh:
            self.world = self.loaded.fork()

    def reset(self) -> None:
        """Back to the loaded state and to what the fake was made with; script, ledger and worlds by key are cleared."""
        self.world = self.loaded.fork()
        self.ledger.clear()
        self.script.clear()
        self.plans.clear()
        self.runs.restart()
        self.clock.restart()
        self.sunset.restart()
        self.ids.restart()
        self.faults.restart()
        if self.limit:
            self.limit.restart()
        if self.worlds:
            self.worlds.forget()

    def admits(self, key: str) -> bool:
        """Whether this key is not refused."""
        return bool(key) and (not self.api_keys or key in self.api_keys)

    def twin(self) -> "Core":
        """A core of its own that begins where this one stands; its reset goes back to that state and those plans.

        Nothing that can change is shared, so every part is named here; worlds part when either changes. Plans of runs
        on their way are this core's.
        """
        clock = self.clock.twin()
        return Core(
            clock=clock,
            ids=self.ids.twin(),
            sunset=self.sunset.twin(clock),
            api_keys=self.api_keys,
            messages_per_thread=self.messages_per_thread,
            script=self.script.twin(),
            runs=self.runs.twin(),
            loaded=self.world.fork(),
            profile=self.profile,
            faults=self.faults.twin(),
            limit=self.limit and self.limit.twin(clock),
        )

    def headers(self, content_type: str = "application/json") -> Pairs:
        """The headers of an API answer, as recorded. Organization and project are the fake's own.

        Left out, though recorded: `server`, `cf-*` and `alt-svc`, which were the edge's, and
        `strict-transport-security`, which would turn a browser's later visits to this host to https.
        """
        return (
            ("content-type", content_type),
            ("x-content-type-options", "nosniff"),
            ("openai-version", "2020-10-01"),
            ("openai-organization", "fake-assistants"),
            ("openai-project", "proj_fakeassistants"),
            ("openai-processing-ms", "12"),
            ("x-request-id", self.ids.draw("req_")),
            ("x-openai-proxy-wasm", "v0.1"),
        )


@attrs.frozen
class Call:
    """A request that has passed the gate. `ids` are the path's ids, decoded, by parameter name."""

    request: Request
    ids: Mapping[str, str]

    def body(self, shape: Shape) -> Obj:
        """The body, checked. Raises Refused."""
        return bodies.read(self.request.body, shape)
