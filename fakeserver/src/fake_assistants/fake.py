"""FakeAssistants: one fake, in process."""

import copy
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

import fake_assistants.dispatch.api as api
import fake_assistants.dispatch.control as control
import fake_assistants.engine.run_scheduler as run_scheduler
import fake_assistants.store.import_file as import_file
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

# Adapters are imported in the methods that need them: `import fake_assistants` loads neither an HTTP library nor a
# server, and only `mount()` requires respx.


class FakeAssistants:
    """A fake of OpenAI's Assistants API with its own objects.

    Args:
        clock: the time; by default it is frozen at a fixed second.
        ids: the id source; by default ids are generated from `seed`, so they are the same on every run.
        seed: the seed of ids and of random faults.
        api_keys: the accepted keys; by default every key but an empty one.
        sunset: the sunset plan that `reset()` returns to.
        messages_per_thread: the limit of messages in a thread.
        faults: the fault plan that `reset()` returns to.
        rpm: the limit of requests per minute and key.
        profile: the service to imitate: "openai", "azure" or "foundry". A request to a host of one of the services, as
            under `mount()`, is answered as by that service.
        list_threads: let clients list the threads, in every profile.
        worlds_by_key: give every key its own state, see `world()`.
        runs: what advances runs: "read", "immediate" or "clock".
        models: the models that assistants and runs may have; by default any.
        check_files: refuse files of a kind that messages or vector stores cannot read.

    Raises ValueError for an invalid argument, such as an empty string in `api_keys` or an `rpm` below 1, and BadInput
    (a ValueError) for an invalid fault plan.
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
            fakes_by_key=FakesByKey(self._new_fake) if worlds_by_key else None,
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
        """The model's scripted answers: `set`, `when`, `clear`. Can be assigned a script."""
        return self._backend.script

    @script.setter
    def script(self, given: Mapping[str, Any]) -> None:
        with self._lock:
            self._backend.script.set(given)

    @property
    def faults(self) -> Faults:
        """The injected faults: `set`, `clear`, `json`. Can be assigned a plan (raises BadInput)."""
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
        """The service that is imitated; `profile.base_path` is the path of its base URL."""
        return self._backend.profile

    @property
    def runs(self) -> Progress:
        """How runs advance: `progress`, `reads`, `seconds`. Can be assigned an object with any of them."""
        return self._backend.runs

    @runs.setter
    def runs(self, given: Mapping[str, Any]) -> None:
        with self._lock:
            run_scheduler.settle(self._backend)
            self._backend.runs.set(given)

    @property
    def requests(self) -> RequestLog:
        """The API requests so far, oldest first: a sequence, with `to(method, path)` and `only()`."""
        return self._backend.request_log

    def handle(self, request: Request) -> Reply:
        """Answer one request, to the API or the control API. Raises nothing, and may be called by several threads.

        Each chunk that is taken from a stream may change the state. A caller that leaves a stream early must close it.
        """
        answering = self._world_of(request)
        if answering is not self:
            return answering.handle(request)
        answer = control.answer if request.path.startswith(CONTROL_PREFIX) else api.answer
        with self._lock:
            reply = answer(self._backend, request)
        return reply if reply.chunks is None else attrs.evolve(reply, chunks=LockedChunks(reply.chunks, self._lock))

    @property
    def state(self) -> State:
        """The state as plain JSON, a copy. Assigning a state replaces all objects (raises BadInput).

        A state has no deleted objects. After an assignment a cursor that points at a deleted id is refused, though it
        was accepted before.
        """
        return self.snapshot()

    @state.setter
    def state(self, given: Mapping[str, list[dict[str, Any]]]) -> None:
        state = checked(given, copied)
        with self._lock:
            self._backend.replace(state)

    def snapshot(self) -> State:
        """Return a copy of the state as plain JSON: a list of objects for each kind, in order of insertion."""
        with self._lock:
            run_scheduler.settle(self._backend)
            return self._backend.database.snapshot()

    def load(self, source: Mapping[str, list[dict[str, Any]]] | bytes | str | Path) -> None:
        """Merge a state, or a file or its bytes, into the present one; `reset()` returns to what was loaded.

        A file is a state (JSON) or a full export (NDJSON). Raises BadInput, and OSError for a file that cannot be read;
        then nothing is changed.
        """
        with uncollected():
            state = checked(source, copied) if isinstance(source, Mapping) else _from_file(source)
            with self._lock:
                self._backend.load(state)

    def reset(self) -> None:
        """Return to the loaded state, an empty request log, and the initial clock, sunset and ids."""
        with self._lock:
            self._backend.reset()

    def world(self, key: str) -> "FakeAssistants":
        """Return the fake of an API key, with `worlds_by_key`.

        It has the same settings, and its own state, clock, sunset, faults, script, request log, ids and rate limit. It
        is created at the first call or request, as a copy of this fake at that time. Later changes here do not reach
        it; `reset()` here discards the fakes of all keys.

        Raises ValueError without `worlds_by_key`, and for a key that is refused.
        """
        fakes = self._backend.fakes_by_key
        if fakes is None:
            raise ValueError("all keys share one world: make the fake with worlds_by_key=True")
        if not self._backend.accepts_key(key):
            raise ValueError("a key that is refused has no world")
        with self._lock:
            fake: FakeAssistants = fakes.of(key)
        return fake

    def worlds(self) -> "list[FakeAssistants]":
        """Return this fake, and with `worlds_by_key` those of all keys that were used so far."""
        fakes = self._backend.fakes_by_key
        with self._lock:
            return [self, *(fakes or ())]

    def _world_of(self, request: Request) -> "FakeAssistants":
        """Return the fake that answers: with `worlds_by_key` that of an accepted key, else this one."""
        if self._backend.fakes_by_key is None:
            return self
        is_control = request.path.startswith(CONTROL_PREFIX)
        key = (anyones_key if is_control else self._backend.place(request).base.key)(request)
        return self.world(key) if key and self._backend.accepts_key(key) else self

    def _new_fake(self) -> "FakeAssistants":
        """Return a fake with the same settings and a copy of the backend. The lock must be held."""
        fake = copy.copy(self)
        fake._backend, fake._lock = self._backend.copy(), new_lock()  # noqa: SLF001 - the same class
        return fake

    def mount(self) -> AbstractContextManager["FakeAssistants"]:
        """Answer all requests of this process's httpx and httpx2 clients, `OpenAI()` included.

        None of their requests leaves the machine, also under an outer `respx.mock`. An inner `respx.mock` takes
        precedence for httpx clients, and the requests that it passes through reach the fake. Such contexts must end in
        the reverse order. Raises ImportError without `fake-assistants[respx]`.
        """
        from fake_assistants.adapters.respx_mount import mounted

        return mounted(self)

    def transport(self) -> Any:
        """Return a transport for `httpx.Client` or `httpx2.Client`.

        Delays of replies are real; one beyond the client's read timeout raises that timeout at once.
        """
        from fake_assistants.adapters.httpx_transport import Transport

        return Transport(self)

    def async_transport(self) -> Any:
        """Return a transport for `httpx.AsyncClient` or `httpx2.AsyncClient`."""
        from fake_assistants.adapters.httpx_transport import AsyncTransport

        return AsyncTransport(self)

    def asgi(self, *, latency_ms: int = 0, max_body: int | None = None) -> "AsgiApp":
        """Return an ASGI app. `latency_ms` delays every answer; `max_body` limits request bodies, in bytes.

        The control API refuses requests of web pages, and those whose Host is neither loopback nor the server's
        address.

        Only `serve()` can really break a connection. Under another server a cut and a hang-up raise
        ConnectionAbortedError: servers treat the first as a broken connection, and answer the second mostly with 500.
        """
        from fake_assistants.adapters.asgi import app

        return app(self, latency_ms=latency_ms, max_body=max_body)

    def serve(self, *, host: str = "127.0.0.1", port: int = 0, latency_ms: int = 0) -> AbstractContextManager["Server"]:
        """Run a real HTTP server on a thread; port 0 picks a free one. Raises OSError if it cannot bind."""
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
        return import_file.read(file)
