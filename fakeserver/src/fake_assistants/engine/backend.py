"""The state of one fake, and the calls that its handlers get."""

from collections.abc import Mapping
from typing import Any

import attrs

import fake_assistants.schemas.assistants as bodies
from fake_assistants.engine.fakes_by_key import FakesByKey
from fake_assistants.engine.run_plan import By, Progress, RunPlan
from fake_assistants.errors.ids import not_found
from fake_assistants.http.lossless_json import Obj, loads
from fake_assistants.http.message import Pairs, Request
from fake_assistants.schemas.checks import Shape
from fake_assistants.simulation.clock import Clock
from fake_assistants.simulation.fault_injector import Faults
from fake_assistants.simulation.profiles import OPENAI, Base, Place, Profile, profile_of
from fake_assistants.simulation.rate_limit import RateLimit
from fake_assistants.simulation.request_log import RequestLog
from fake_assistants.simulation.script import Script
from fake_assistants.simulation.sunset import Sunset
from fake_assistants.store.database import Database
from fake_assistants.store.ids import IdSource
from fake_assistants.store.kinds import RUNS, Kind
from fake_assistants.store.snapshot import checked


@attrs.define(kw_only=True)
class Backend:
    """The parts of a fake. A reset goes back to the database `loaded`, which shares its collections with `database`."""

    clock: Clock
    ids: IdSource
    sunset: Sunset
    api_keys: frozenset[str] = frozenset()
    messages_per_thread: int = 100_000
    models: frozenset[str] = frozenset()  # those of the Assistants API; none: every model
    check_files: bool = False
    request_log: RequestLog = attrs.field(factory=RequestLog)
    script: Script = attrs.field(factory=Script)
    runs: Progress = attrs.field(factory=Progress)
    plans: dict[tuple[str, str], RunPlan] = attrs.field(factory=dict)  # runs on their way, by thread and run
    settled_at: tuple[int, By, int] | None = None  # second and progress up to which the plans have followed them
    loaded: Database = attrs.field(factory=Database)
    database: Database = attrs.field()
    profile: Profile = OPENAI
    list_threads: bool = False
    faults: Faults = attrs.field(factory=Faults)
    limit: RateLimit | None = None
    fakes_by_key: FakesByKey[Any] | None = None

    @database.default
    def _begun(self) -> Database:
        return self.loaded.fork()

    def new_id(self, prefix: str, shape: str = "") -> str:
        """A new id with this prefix; `shape` is the prefix whose shape it has, where that is another."""
        return self.database.new_id(self.ids, prefix, shape)

    def place(self, request: Request) -> Place:
        """Where a request goes: its host selects the profile if it is a service's own, else it is the fake's."""
        return (profile_of(request.headers.get("host")) or self.profile).place(request.path)

    def replace(self, given: object) -> None:
        """Make the database what a state says. Raises BadInput, and then nothing has changed."""
        state = checked(given)
        state.refuse_strays()
        self.database = Database()
        self.database.put_all(state)
        self._forget_void_plans()

    def _forget_void_plans(self) -> None:
        """A run that a state changed is in somebody else's hand, also when it comes back as it was."""
        self.plans = {key: plan for key, plan in self.plans.items() if self._follows(plan)}

    def _follows(self, plan: RunPlan) -> bool:
        """Whether the database has the run as its plan has put it there, and its thread."""
        thread_id, run_id = plan.key
        text = self.database.collection(RUNS, thread_id).text(run_id)
        return thread_id in self.database.thread_ids() and text is not None and loads(text) == plan.run

    def merge(self, given: object) -> None:
        """Merge a state into the database by id. Raises BadInput, and then nothing has changed."""
        state = checked(given)
        state.refuse_strays(self.database.thread_ids())
        self.database.put_all(state)
        self._forget_void_plans()

    def load(self, given: object) -> None:
        """Merge a state into the database and into what a reset goes back to. Raises BadInput."""
        state = checked(given)
        state.refuse_strays(self.loaded.thread_ids())
        is_fresh = self.database.is_still(self.loaded)
        if not is_fresh:
            self.merge(state)
        self.loaded.put_all(state)
        if is_fresh:
            self.database = self.loaded.fork()

    def reset(self) -> None:
        """Return to the loaded state and to what the fake was made with; clear script, request log and fakes by key."""
        self.database = self.loaded.fork()
        self.request_log.clear()
        self.script.clear()
        self.plans.clear()
        self.runs.restart()
        self.clock.restart()
        self.sunset.restart()
        self.ids.restart()
        self.faults.restart()
        if self.limit:
            self.limit.restart()
        if self.fakes_by_key:
            self.fakes_by_key.forget()

    def accepts_key(self, key: str) -> bool:
        """Whether this key is not refused."""
        return bool(key) and (not self.api_keys or key in self.api_keys)

    def copy(self) -> "Backend":
        """A backend of its own that begins where this one stands; its reset goes back to that state and those plans.

        Nothing that can change is shared, so every part is named here; worlds part when either changes. Plans of runs
        on their way are this backend's.
        """
        clock = self.clock.copy()
        return Backend(
            clock=clock,
            ids=self.ids.copy(),
            sunset=self.sunset.copy(clock),
            api_keys=self.api_keys,
            messages_per_thread=self.messages_per_thread,
            models=self.models,
            check_files=self.check_files,
            script=self.script.copy(),
            runs=self.runs.copy(),
            loaded=self.database.fork(),
            profile=self.profile,
            list_threads=self.list_threads,
            faults=self.faults.copy(),
            limit=self.limit and self.limit.copy(clock),
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
    """A request that is to be carried out. `ids` are the path's ids, decoded, by parameter name."""

    request: Request
    ids: Mapping[str, str]
    base: Base = OPENAI.bases[0]

    def body(self, shape: Shape) -> Obj:
        """The body, checked. Raises ApiProblem."""
        return bodies.read(self.request.body, shape)


def found(backend: Backend, kind: Kind, object_id: str, parent: str = "") -> Obj:
    """The object with this id, the caller's own. Raises ApiProblem: 404 "No thread found with id '...'."."""
    value: Obj = loads(found_text(backend, kind, object_id, parent))
    return value


def found_text(backend: Backend, kind: Kind, object_id: str, parent: str = "") -> bytes:
    """The JSON text of the object with this id, as it goes over the wire. Raises ApiProblem as `found` does."""
    text = backend.database.text(kind, object_id, parent)
    if text is None:
        raise not_found(kind, object_id)
    return text
