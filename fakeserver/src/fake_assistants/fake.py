"""The front door: one fake, in process."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fake_assistants.control as control
import fake_assistants.gate as gate
import fake_assistants.loading as loading
from fake_assistants.badinput import BadInput
from fake_assistants.bulk import uncollected
from fake_assistants.clock import Clock
from fake_assistants.core import Core
from fake_assistants.exchange import Reply, Request
from fake_assistants.ids import IdSource
from fake_assistants.jsontext import dumps, loads
from fake_assistants.ledger import Ledger
from fake_assistants.plans import By, Progress
from fake_assistants.script import Script
from fake_assistants.skins.lock import new_lock
from fake_assistants.state import Staged, State, checked, copied
from fake_assistants.sunset import Sunset, SunsetPlan

if TYPE_CHECKING:
    from fake_assistants.skins.asgi import AsgiApp
    from fake_assistants.skins.server import Server

# The skins are imported inside the methods that need them, so that `import fake_assistants` loads neither
# an HTTP library nor a server, and respx is only asked for by those who mount.


class FakeAssistants:
    """A fake of OpenAI's Assistants API with a world of its own.

    `clock` and `ids` replace the time and the id source; by default time stands still at a fixed second
    and ids come from `seed`, so every run is the same. With `api_keys` every other key is refused;
    without, any key will do but an empty one. `sunset` is the plan that `reset()` goes back to. Raises
    ValueError for an empty string in `api_keys`.
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
        runs: By = "read",
    ) -> None:
        time, keys = clock or Clock(), frozenset(api_keys)
        if "" in keys:
            raise ValueError("an empty string in api_keys is no key: leave it out")
        self._core = Core(
            clock=time,
            ids=ids or IdSource(seed),
            sunset=Sunset(time, sunset),
            api_keys=keys,
            messages_per_thread=messages_per_thread,
            runs=Progress(progress=runs),
        )
        self._lock = new_lock()

    @property
    def clock(self) -> Clock:
        """The fake's clock: `set`, `advance`, `now`."""
        return self._core.clock

    @property
    def sunset(self) -> Sunset:
        """The sunset: `now`, `at`, `after_requests`, `lift`."""
        return self._core.sunset

    @property
    def script(self) -> Script:
        """What the model answers: `set`, `when`, `clear`; a script may also be assigned."""
        return self._core.script

    @script.setter
    def script(self, given: Mapping[str, Any]) -> None:
        script = _plain(given)
        with self._lock:
            self._core.script.set(script)

    @property
    def runs(self) -> Progress:
        """How runs move on: `progress`, `reads`, `seconds`; any of them may be assigned as an object too."""
        return self._core.runs

    @runs.setter
    def runs(self, given: Mapping[str, Any]) -> None:
        with self._lock:
            self._core.runs.set(given)

    @property
    def requests(self) -> Ledger:
        """The ledger of API requests, oldest first."""
        return self._core.ledger

    def handle(self, request: Request) -> Reply:
        """Answer one request, API or control. Nothing is raised; threads may call at the same time."""
        answer = control.answer if request.path.startswith(control.PREFIX) else gate.answer
        with self._lock:
            return answer(self._core, request)

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
            self._core.replace(state)

    def snapshot(self) -> State:
        """The world as plain JSON: a list of objects for each kind, in the order of insertion. A copy."""
        with self._lock:
            return self._core.world.snapshot()

    def load(self, source: Mapping[str, list[dict[str, Any]]] | bytes | str | Path) -> None:
        """Merge a state, or a file or its bytes, into the world; `reset()` comes back to what is loaded.

        A file is a state (JSON) or a full export (NDJSON). Raises BadInput, and OSError for a file that
        cannot be read; then nothing has changed.
        """
        with uncollected():
            state = checked(source, copied) if isinstance(source, Mapping) else _from_file(source)
            with self._lock:
                self._core.load(state)

    def reset(self) -> None:
        """Back to the loaded state, an empty ledger, and the clock, sunset and ids of the beginning."""
        with self._lock:
            self._core.reset()

    def mount(self) -> AbstractContextManager["FakeAssistants"]:
        """Serve every HTTP client of this process that stands on httpx or httpx2, `OpenAI()` included.

        Nothing that they send leaves the machine, also below an outer `respx.mock`. Inside, a `respx.mock` of
        your own answers clients of httpx first, and what it passes through comes to the fake. Such contexts must
        end in the reverse order. Raises ImportError without `fake-assistants[respx]`.
        """
        from fake_assistants.skins.mount import mounted

        return mounted(self)

    def transport(self) -> Any:
        """A transport for `httpx.Client` or `httpx2.Client`."""
        from fake_assistants.skins.transport import Transport

        return Transport(self)

    def async_transport(self) -> Any:
        """A transport for `httpx.AsyncClient` or `httpx2.AsyncClient`."""
        from fake_assistants.skins.transport import AsyncTransport

        return AsyncTransport(self)

    def asgi(self, *, latency_ms: int = 0, max_body: int | None = None) -> "AsgiApp":
        """An ASGI app. `latency_ms` delays every answer; `max_body` limits request bodies, in bytes."""
        from fake_assistants.skins.asgi import app

        return app(self, latency_ms=latency_ms, max_body=max_body)

    def serve(self, *, host: str = "127.0.0.1", port: int = 0, latency_ms: int = 0) -> AbstractContextManager["Server"]:
        """A real HTTP server on a thread; port 0 picks a free one. Raises OSError when it cannot bind."""
        from fake_assistants.skins.server import serving

        return serving(self.asgi(latency_ms=latency_ms), host=host, port=port)


def _from_file(source: bytes | str | Path) -> Staged:
    with BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
        return loading.read(file)


def _plain(given: Mapping[str, Any]) -> Any:
    """A copy that the caller's later changes cannot reach. Raises BadInput for what is not JSON."""
    try:
        copy = loads(dumps(dict(given)))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"not plain JSON: {error}") from None
    if copy != given:
        raise BadInput("not plain JSON: NaN, tuples and the like do not survive")
    return copy
