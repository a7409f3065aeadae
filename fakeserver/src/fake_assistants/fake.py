"""The class FakeAssistants: one fake, and every way to use it."""

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
from fake_assistants.adapters.server_address import Server
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

# The adapters are imported inside the methods that need them, so that `import fake_assistants` loads neither
# an HTTP library nor a server, and only `mount()` needs respx.


class FakeAssistants:
    """A fake of OpenAI's Assistants API with a state of its own.

    Arguments, all optional:
        clock: a Clock. By default time does not move: it is 2026-03-31 13:20:00 UTC until `clock` is set or advanced.
        ids: an IdSource. By default ids come from `seed`, so they are the same on every run.
        seed: the seed of ids and of faults with a probability.
        api_keys: refuse every other key. By default every key is accepted but an empty one.
        sunset: a SunsetPlan, the one that `reset()` returns to.
        messages_per_thread: refuse more messages in a thread, as the API does.
        faults: a plan of faults, the one that `reset()` returns to.
        rpm: the requests that each key may send in a minute.
        profile: the service that is imitated: "openai", "azure" or "foundry". A request to a service's own host, as
            under `mount()`, is answered as that service does, whatever the profile.
        list_threads: let clients list the threads of every service.
        worlds_by_key: give every API key a fake of its own, see `world()`.
        runs: what advances runs: "read", "immediate" or "clock".
        models: refuse every other model for assistants and runs.
        check_files: refuse files that a search, a message or an item cannot read.

    Raises ValueError for a bad argument, such as an `rpm` below 1. For a bad plan of faults that is a BadInput.
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
        """The fake's clock: `now()`, `advance(seconds)`, `set(now=epoch)`."""
        return self._backend.clock

    @property
    def sunset(self) -> Sunset:
        """The sunset: `now()`, `at(epoch)`, `after_requests(count)`, `lift()`."""
        return self._backend.sunset

    @property
    def script(self) -> Script:
        """The script of the model's answers: `set`, `when`, `clear`, `json`, `unknown_functions`.

        A script can be assigned (raises BadInput).
        """
        return self._backend.script

    @script.setter
    def script(self, given: Mapping[str, Any]) -> None:
        with self._lock:
            self._backend.script.set(given)

    @property
    def faults(self) -> Faults:
        """The plan of faults: `set`, `clear`, `json`, `hits`, `unused`. A plan can be assigned (raises BadInput)."""
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
        """The service that is imitated at the fake's own address; `profile.base_path` is the path of its base URL."""
        return self._backend.profile

    @property
    def runs(self) -> Progress:
        """What advances runs: `progress`, `reads`, `seconds`.

        An object with any of these can be assigned, such as `{"progress": "immediate"}` (raises BadInput).
        """
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
        """Answer one request, of the API or the control API. Raises nothing; can be called from several threads.

        A stream advances its run with every chunk that is taken from it. Close a stream that you do not finish.
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
        """All objects as plain JSON, a copy. An assignment replaces all objects (raises BadInput).

        A state does not have the places of deleted objects: after an assignment, a cursor that is the id of one is
        refused. Before it, the page continues from there.
        """
        return self.snapshot()

    @state.setter
    def state(self, given: Mapping[str, list[dict[str, Any]]]) -> None:
        state = checked(given, copied)
        with self._lock:
            self._backend.replace(state)

    def snapshot(self) -> State:
        """Return a copy of all objects as plain JSON: a list for each kind, in the order of insertion."""
        with self._lock:
            run_scheduler.settle(self._backend)
            return self._backend.database.snapshot()

    def load(self, source: Mapping[str, list[dict[str, Any]]] | bytes | str | Path) -> dict[str, int]:
        """Add the objects of a state, of a file or of its bytes, and return how many there are of each kind in it.

        An object with a known id is replaced. `reset()` returns to what was loaded. A file is a state (JSON), or of a
        full export (NDJSON): its messages, its threads or its runs. Raises BadInput, and OSError for a file that cannot
        be read; then nothing has changed.
        """
        with uncollected():
            state = checked(source, copied) if isinstance(source, Mapping) else _from_file(source)
            with self._lock:
                self._backend.load(state)
        return {kind: len(rows) for kind, rows in state.rows.items() if rows}

    def reset(self) -> None:
        """Return to the loaded state, an empty request log, and the first clock, sunset, faults, limits and ids."""
        with self._lock:
            self._backend.reset()

    def world(self, key: str) -> "FakeAssistants":
        """Return the fake of an API key, with `worlds_by_key`.

        It has the same settings, and its own state, clock, sunset, faults, script, request log, ids and rate limit. It
        is created as a copy of this one when it is first needed; later changes here do not reach it. `reset()` here
        discards the fakes of all keys. Raises ValueError without `worlds_by_key`, and for a key that is refused.
        """
        fakes = self._backend.fakes_by_key
        if fakes is None:
            raise ValueError("all keys share one state: make the fake with worlds_by_key=True")
        if not self._backend.accepts_key(key):
            raise ValueError("this key is refused: it has no fake of its own")
        with self._lock:
            fake: FakeAssistants = fakes.of(key)
        return fake

    def worlds(self) -> "list[FakeAssistants]":
        """Return this fake and, with `worlds_by_key`, those of all keys so far."""
        by_key = self._backend.fakes_by_key
        with self._lock:
            return [self, *(by_key or ())]

    def _world_of(self, request: Request) -> "FakeAssistants":
        """Return the fake that answers: with worlds by key that of an accepted key, else this one."""
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
        """Answer every client of httpx, httpx2 and `openai.DefaultAioHttpClient` in this process, `OpenAI()` included.

        Nothing that they send leaves the machine, also under an outer `respx.mock`. An inner `respx.mock` answers
        clients of httpx first, and what it passes through reaches the fake. Such contexts must end in reverse order.
        Raises ImportError without `fake-assistants[respx]`.
        """
        from fake_assistants.adapters.respx_mount import mounted

        return mounted(self)

    def transport(self) -> Any:
        """Return a transport for `httpx.Client` or `httpx2.Client`.

        A delayed answer takes as long as it says. If that is longer than the client's read timeout, the timeout is
        raised at once.
        """
        from fake_assistants.adapters.httpx_transport import Transport

        return Transport(self)

    def async_transport(self) -> Any:
        """Return a transport for `httpx.AsyncClient` or `httpx2.AsyncClient`."""
        from fake_assistants.adapters.httpx_transport import AsyncTransport

        return AsyncTransport(self)

    def asgi(self, *, latency_ms: int = 0, max_body: int | None = None) -> "AsgiApp":
        """Return an ASGI app. `latency_ms` delays every answer; `max_body` limits request bodies, in bytes.

        The control API refuses web pages, and a Host that is neither loopback nor the address of the server.

        Only `serve()` can really break a connection. Another server gets a ConnectionAbortedError instead: within an
        answer it breaks the connection, before one most servers answer 500.
        """
        from fake_assistants.adapters.asgi import app

        return app(self, latency_ms=latency_ms, max_body=max_body)

    def serve(self, *, host: str = "127.0.0.1", port: int = 0, latency_ms: int = 0) -> AbstractContextManager[Server]:
        """Run a real HTTP server on a thread; port 0 picks a free one. Raises OSError if it cannot listen there."""
        from fake_assistants.adapters.server import serving

        return serving(self.asgi(latency_ms=latency_ms), host=host, port=port, base_path=self.profile.base_path)


@attrs.frozen(kw_only=True)
class FakeAssistantsServer:
    """The value of the pytest fixture `fake_assistants_server`: a fake behind a real HTTP server.

    `url` is scheme, host and port; `base_url` is what an OpenAI client takes.
    """

    fake: FakeAssistants
    url: str
    base_url: str


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
