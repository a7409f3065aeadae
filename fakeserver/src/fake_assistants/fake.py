"""The front door: one fake, in process."""

import copy
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

import fake_assistants.dispatch.api as gate
import fake_assistants.dispatch.control as control
import fake_assistants.engine.run_scheduler as progress
import fake_assistants.store.import_file as loading
from fake_assistants.adapters.streams import LockedChunks, new_lock
from fake_assistants.engine.backend import Backend
from fake_assistants.engine.fakes_by_key import FakesByKey
from fake_assistants.engine.run_plan import WAYS, By, Progress
from fake_assistants.http.message import CONTROL_PREFIX, Reply, Request
from fake_assistants.simulation.clock import Clock
from fake_assistants.simulation.fault_injector import Faults
from fake_assistants.simulation.profiles import PROFILES, Profile, anyones_key
from fake_assistants.simulation.rate_limit import RateLimit
from fake_assistants.simulation.request_log import RequestLog
from fake_assistants.simulation.script import Script
from fake_assistants.simulation.sunset import Sunset, SunsetPlan
from fake_assistants.store.ids import IdSource
from fake_assistants.store.import_file import uncollected
from fake_assistants.store.snapshot import Staged, State, checked, copied

if TYPE_CHECKING:
    from fake_assistants.adapters.asgi import AsgiApp
    from fake_assistants.adapters.server import Server

# The skins are imported inside the methods that need them, so that `import fake_assistants` loads neither
# an HTTP library nor a server, and respx is only asked for by those who mount.


class FakeAssistants:
    """A fake of OpenAI's Assistants API with a world of its own.

    `clock` and `ids` replace the time and the id source; by default time stands still at a fixed second
    and ids come from `seed`, so every run is the same. With `api_keys` every other key is refused;
    without, any key will do but an empty one. `sunset` and `faults` are the plans that `reset()` goes back to.
    `rpm` limits the requests of each key a minute. `profile` is the service that is imitated: "openai", "azure" or
    "foundry"; a request to one of a service's own hosts, as under `mount()`, is answered as that service does. With
    `list_threads` clients can list the threads of every service. With
    `worlds_by_key` every key has a world of its own, see `world()`. `runs` is what carries runs on: "read",
    "immediate" or "clock". With `models` assistants and runs refuse every other model; with `check_files` messages
    and vector stores refuse files of a kind that they cannot read. Raises ValueError for what is none of these, such
    as an empty string in `api_keys` or an `rpm` below 1, and BadInput (a ValueError) for a bad plan of faults.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        ids: IdSource | None = None,
        seed: int = 0,
        api_keys: Iterable[str] = (),
        sunset: SunsetPlan | None = None,
        messages_per_thread: int = 100_000,
        faults: Iterable[Mapping[str, Any]] = (),
        rpm: int | None = None,
        profile: str = "openai",
        list_threads: bool = False,
        worlds_by_key: bool = False,
        runs: By = "read",
        models: Iterable[str] = (),
        check_files: bool = False,
    ) -> None:
        time = clock or Clock()
        self._backend = Backend(
            clock=time,
            ids=ids or IdSource(seed),
            sunset=Sunset(time, sunset),
            api_keys=_strings("api_keys", api_keys),
            models=_strings("models", models),
            check_files=check_files,
            messages_per_thread=messages_per_thread,
            faults=Faults(seed, list(faults)),
            limit=None if rpm is None else RateLimit(time, rpm),
            profile=_profile(profile),
            list_threads=list_threads,
            fakes_by_key=FakesByKey(self._born) if worlds_by_key else None,
            runs=_progress(runs),
        )
        self._lock = new_lock()

    @property
    def clock(self) -> Clock:
        """The fake's clock: `set`, `advance`, `now`."""
        return self._backend.clock

    @property
    def sunset(self) -> Sunset:
        """The sunset: `now`, `at`, `after_requests`, `lift`."""
        return self._backend.sunset

    @property
    def script(self) -> Script:
        """What the model answers: `set`, `when`, `clear`; a script may also be assigned."""
        return self._backend.script

    @script.setter
    def script(self, given: Mapping[str, Any]) -> None:
        with self._lock:
            self._backend.script.set(given)

    @property
    def faults(self) -> Faults:
        """Injected faults: `set`, `clear`, `json`; a plan may also be assigned (raises BadInput)."""
        return self._backend.faults

    @faults.setter
    def faults(self, plan: Iterable[Mapping[str, Any]]) -> None:
        given = list(plan)
        with self._lock:
            self._backend.faults.set(given)

    @property
    def lists_threads(self) -> bool:
        """Whether clients can list the threads at the fake's own address."""
        place = self.profile.place(f"{self.profile.base_path}/threads")
        return self._backend.list_threads or place.base.lists_threads

    @property
    def profile(self) -> Profile:
        """Whose API the fake speaks; `profile.base_path` is where clients find it."""
        return self._backend.profile

    @property
    def runs(self) -> Progress:
        """How runs move on: `progress`, `reads`, `seconds`; any of them may be assigned as an object too."""
        return self._backend.runs

    @runs.setter
    def runs(self, given: Mapping[str, Any]) -> None:
        with self._lock:
            progress.settle(self._backend)
            self._backend.runs.set(given)

    @property
    def requests(self) -> RequestLog:
        """The API requests so far, oldest first: a sequence, with `to(method, path)` and `only()`."""
        return self._backend.request_log

    def handle(self, request: Request) -> Reply:
        """Answer one request, API or control. Nothing is raised; threads may call at the same time.

        The world moves on with every chunk that is taken from a stream; whoever leaves one early closes it.
        """
        own = self._world_of(request)
        if own is not self:
            return own.handle(request)
        answer = control.answer if request.path.startswith(CONTROL_PREFIX) else gate.answer
        with self._lock:
            reply = answer(self._backend, request)
        return reply if reply.chunks is None else attrs.evolve(reply, chunks=LockedChunks(reply.chunks, self._lock))

    @property
    def state(self) -> State:
        """The world as plain JSON, a copy; assigning a state replaces the world (raises BadInput).

        A state has only what stands there: with its assignment the places of deleted ids are forgotten, and a
        cursor that points at one is refused, where before it went on from there.
        """
        return self.snapshot()

    @state.setter
    def state(self, given: Mapping[str, list[dict[str, Any]]]) -> None:
        state = checked(given, copied)
        with self._lock:
            self._backend.replace(state)

    def snapshot(self) -> State:
        """The world as plain JSON: a list of objects for each kind, in the order of insertion. A copy."""
        with self._lock:
            progress.settle(self._backend)
            return self._backend.database.snapshot()

    def load(self, source: Mapping[str, list[dict[str, Any]]] | bytes | str | Path) -> None:
        """Merge a state, or a file or its bytes, into the world; `reset()` comes back to what is loaded.

        A file is a state (JSON) or a full export (NDJSON). Raises BadInput, and OSError for a file that
        cannot be read; then nothing has changed.
        """
        with uncollected():
            state = checked(source, copied) if isinstance(source, Mapping) else _from_file(source)
            with self._lock:
                self._backend.load(state)

    def reset(self) -> None:
        """Back to the loaded state, an empty ledger, and the clock, sunset and ids of the beginning."""
        with self._lock:
            self._backend.reset()

    def world(self, key: str) -> "FakeAssistants":
        """The world of an API key, with `worlds_by_key`: a fake with the same settings and with its own state, clock,
        sunset, faults, script, ledger, ids and rate limit. It is born when it is first asked for, from what this one
        holds then; later changes here do not reach it, and `reset()` here makes all keys begin anew. Raises ValueError
        without `worlds_by_key`, and for a key that is refused.
        """
        worlds = self._backend.fakes_by_key
        if worlds is None:
            raise ValueError("all keys share one world: make the fake with worlds_by_key=True")
        if not self._backend.accepts_key(key):
            raise ValueError("a key that is refused has no world")
        with self._lock:
            world: FakeAssistants = worlds.of(key)
        return world

    def worlds(self) -> "list[FakeAssistants]":
        """This fake, and with `worlds_by_key` the worlds of all keys that were born so far."""
        born = self._backend.fakes_by_key
        with self._lock:
            return [self, *(born or ())]

    def _world_of(self, request: Request) -> "FakeAssistants":
        """Who answers: with worlds by key the world of a good key, else this fake."""
        if self._backend.fakes_by_key is None:
            return self
        is_control = request.path.startswith(CONTROL_PREFIX)
        key = (anyones_key if is_control else self._backend.place(request).base.key)(request)
        return self.world(key) if key and self._backend.accepts_key(key) else self

    def _born(self) -> "FakeAssistants":
        """A fake like this one, around a backend of its own. The lock is held."""
        born = copy.copy(self)
        born._backend, born._lock = self._backend.copy(), new_lock()  # noqa: SLF001 - its own kind
        return born

    def mount(self) -> AbstractContextManager["FakeAssistants"]:
        """Serve every HTTP client of this process that stands on httpx or httpx2, `OpenAI()` included.

        Nothing that they send leaves the machine, also below an outer `respx.mock`. Inside, a `respx.mock` of
        your own answers clients of httpx first, and what it passes through comes to the fake. Such contexts must
        end in the reverse order. Raises ImportError without `fake-assistants[respx]`.
        """
        from fake_assistants.adapters.respx_mount import mounted

        return mounted(self)

    def transport(self) -> Any:
        """A transport for `httpx.Client` or `httpx2.Client`.

        Where a reply makes the client wait, it waits; beyond its read timeout that timeout is raised at once.
        """
        from fake_assistants.adapters.httpx_transport import Transport

        return Transport(self)

    def async_transport(self) -> Any:
        """A transport for `httpx.AsyncClient` or `httpx2.AsyncClient`."""
        from fake_assistants.adapters.httpx_transport import AsyncTransport

        return AsyncTransport(self)

    def asgi(self, *, latency_ms: int = 0, max_body: int | None = None) -> "AsgiApp":
        """An ASGI app. `latency_ms` delays every answer; `max_body` limits request bodies, in bytes.

        The control API answers no web page, nor under a Host that is neither loopback nor the address of the server.

        Only below `serve()` can a connection really be broken. Under another server a cut and a hang-up are raised
        as ConnectionAbortedError: the first it treats as a broken connection, the second most answer with 500.
        """
        from fake_assistants.adapters.asgi import app

        return app(self, latency_ms=latency_ms, max_body=max_body)

    def serve(self, *, host: str = "127.0.0.1", port: int = 0, latency_ms: int = 0) -> AbstractContextManager["Server"]:
        """A real HTTP server on a thread; port 0 picks a free one. Raises OSError when it cannot bind."""
        from fake_assistants.adapters.server import serving

        return serving(self.asgi(latency_ms=latency_ms), host=host, port=port, base_path=self.profile.base_path)


def _strings(name: str, given: Iterable[str]) -> frozenset[str]:
    if isinstance(given, str):
        raise ValueError(f"{name} is a list of strings, not one string")
    strings = frozenset(given)
    if "" in strings:
        raise ValueError(f"{name} has an empty string: leave it out")
    return strings


def _progress(way: By) -> Progress:
    if way not in WAYS:
        raise ValueError(f"unknown runs {way!r}; known are {', '.join(WAYS)}")
    return Progress(progress=way)


def _profile(name: str) -> Profile:
    if name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}; known are {', '.join(PROFILES)}")
    return PROFILES[name]


def _from_file(source: bytes | str | Path) -> Staged:
    with BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
        return loading.read(file)
