"""Hold the state of one fake, and define the calls that its handlers receive."""

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
    """The state of a fake. A reset restores the database `loaded`, which shares collections with `database`."""

    clock: Clock
    ids: IdSource
    sunset: Sunset
    api_keys: frozenset[str] = frozenset()
    messages_per_thread: int = 100_000
    models: frozenset[str] = frozenset()  # accepted by the Assistants API; empty: every model is
    check_files: bool = False
    request_log: RequestLog = attrs.field(factory=RequestLog)
    script: Script = attrs.field(factory=Script)
    runs: Progress = attrs.field(factory=Progress)
    plans: dict[tuple[str, str], RunPlan] = attrs.field(factory=dict)  # active runs, by thread id and run id
    settled_at: tuple[int, By, int] | None = None  # the clock and the settings at the last `settle`
    loaded: Database = attrs.field(factory=Database)
    database: Database = attrs.field()
    profile: Profile = OPENAI
    list_threads: bool = False
    faults: Faults = attrs.field(factory=Faults)
    limit: RateLimit | None = None
    fakes_by_key: FakesByKey[Any] | None = None

    @database.default
    def _initial_database(self) -> Database:
        return self.loaded.fork()

    def new_id(self, prefix: str, shape: str = "") -> str:
        """Return a new id with this prefix. `shape` names the prefix whose format the id has, if it is another one."""
        return self.database.new_id(self.ids, prefix, shape)

    def place(self, request: Request) -> Place:
        """Locate a request in a profile: that of its host if the host belongs to a known service, else the fake's."""
        return (profile_of(request.headers.get("host")) or self.profile).place(request.path)

    def replace(self, given: object) -> None:
        """Replace the database by a state. Raises BadInput and then changes nothing."""
        state = checked(given)
        state.refuse_strays()
        self.database = Database()
        self.database.put_all(state)
        self._drop_stale_plans()

    def _drop_stale_plans(self) -> None:
        """Drop the plans of runs that a state has changed, for good: restoring the old run restores no plan."""
        self.plans = {key: plan for key, plan in self.plans.items() if self._is_current(plan)}

    def _is_current(self, plan: RunPlan) -> bool:
        """Return whether the thread exists, and the run in the database is the one that its plan has stored."""
        thread_id, run_id = plan.key
        text = self.database.collection(RUNS, thread_id).text(run_id)
        return thread_id in self.database.thread_ids() and text is not None and loads(text) == plan.run

    def merge(self, given: object) -> None:
        """Merge a state into the database by id. Raises BadInput and then changes nothing."""
        state = checked(given)
        state.refuse_strays(self.database.thread_ids())
        self.database.put_all(state)
        self._drop_stale_plans()

    def load(self, given: object) -> None:
        """Merge a state into the database and into the one that a reset restores. Raises BadInput."""
        state = checked(given)
        state.refuse_strays(self.loaded.thread_ids())
        is_fresh = self.database.is_still(self.loaded)
        if not is_fresh:
            self.merge(state)
        self.loaded.put_all(state)
        if is_fresh:
            self.database = self.loaded.fork()

    def reset(self) -> None:
        """Restore the loaded state and the initial settings; clear the script, the request log and the fakes by key."""
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
            self.fakes_by_key.clear()

    def accepts_key(self, key: str) -> bool:
        """Return whether requests with this key are accepted."""
        return bool(key) and (not self.api_keys or key in self.api_keys)

    def copy(self) -> "Backend":
        """Return an independent backend with the current state, to which its own reset returns.

        Nothing mutable is shared, so every part is named here; collections are copied when either side changes them.
        The plans of active runs are not copied.
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
        """Return the headers of an API response, as recorded. The organization and the project are the fake's own.

        Recorded but not sent: `server`, `cf-*` and `alt-svc`, which came from the CDN, and
        `strict-transport-security`, which would redirect a browser's later visits to this host to https.
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
    """A routed request.

    `ids` maps the parameters of the path to their decoded values; in the new Foundry, `user_identity` to the user.
    """

    request: Request
    ids: Mapping[str, str]
    base: Base = OPENAI.bases[0]

    @property
    def user(self) -> str:
        """The user whose conversations the request can see: "" for those that belong to none."""
        return self.ids.get("user_identity", "")

    def body(self, shape: Shape) -> Obj:
        """Parse and check the body. Raises ApiProblem."""
        return bodies.read(self.request.body, shape)


def found(backend: Backend, kind: Kind, object_id: str, parent: str = "") -> Obj:
    """Return a new copy of the object with this id. Raises ApiProblem: 404 "No thread found with id '...'."."""
    value: Obj = loads(found_text(backend, kind, object_id, parent))
    return value


def found_text(backend: Backend, kind: Kind, object_id: str, parent: str = "") -> bytes:
    """Return the JSON text of the object with this id, as it is sent. Raises ApiProblem as `found` does."""
    text = backend.database.text(kind, object_id, parent)
    if text is None:
        raise not_found(kind, object_id)
    return text
