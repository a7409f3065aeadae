"""The server under test: requests, polling, control, and the removal of what was created."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal

import attrs

from fake_assistants.conformance.expectations import Deviation, Found, Unreachable
from fake_assistants.conformance.response import Answer, Event, events
from fake_assistants.http.lossless_json import MalformedJson, loads
from fake_assistants.http.message import Reply, Request

Port = Callable[[Request], Reply]

# The service of the API: "foundry" is Azure's with the conversations of the new Foundry.
Service = Literal["openai", "azure", "foundry"]

KEY = "sk-conformance"


def _nothing() -> None:
    """Do not wait: for a server in the same process."""


@attrs.frozen(kw_only=True)
class Setting:
    """The settings for requests to a server.

    Attributes:
        base: the path before `/threads`.
        polls: the maximum number of reads of one object.
        pause: waits between two polls.
        control: whether the fake's control API may be used.
        service: the service whose API the server has.
    """

    base: str = "/v1"
    key: str = KEY
    model: str = "gpt-4o-mini"
    control: bool = False
    service: Service = "openai"
    polls: int = 60
    pause: Callable[[], None] = _nothing


# Routes that create objects, with the field of the id and the path to delete it. Longer ones first.
_CREATED = {
    "/threads/runs": ("thread_id", "/threads"),
    "/threads": ("id", "/threads"),
    "/assistants": ("id", "/assistants"),
    "/files": ("id", "/files"),
    "/vector_stores": ("id", "/vector_stores"),
    "/conversations": ("id", "/conversations"),
    "/responses": ("id", "/responses"),
}


class Api:
    """Sends requests through a port. Paths are below the setting's base; created objects are recorded for `tidy`."""

    def __init__(self, send: Port, setting: Setting) -> None:
        self.setting = setting
        self._send = send
        self._created_paths: list[str] = []

    @property
    def model(self) -> str:
        """The model of assistants."""
        return self.setting.model

    def wire_path(self, path: str) -> str:
        """Return the path as the server sees it."""
        return self.setting.base + path

    # --- requests

    def get(self, path: str) -> Answer:
        """Send GET, with a key and the beta header."""
        return self.ask("GET", path)

    def delete(self, path: str) -> Answer:
        """Send DELETE, with a key and the beta header."""
        return self.ask("DELETE", path)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Send POST, with a key and the beta header; with no body if none is given."""
        answer = self.ask("POST", path, b"" if body is None else json.dumps(body).encode())
        self._remember(path, answer.reply)
        return answer

    def stream(self, path: str, body: Mapping[str, Any]) -> list[Event]:
        """Send POST, and return the events of the answer. Raises Deviation if it is not a stream with an end."""
        answer = self.post(path, {**body, "stream": True})
        read = events(answer)
        for event in read:
            if event.name == "thread.created":
                self.owns(f"/threads/{event.data['id'].text()}")
        return read

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str | None] | None = None) -> Answer:
        """Send any request; a header that is given as None is left out."""
        usual: dict[str, str | None] = {**self._key(), "openai-beta": "assistants=v2"}
        if body:
            usual["content-type"] = "application/json"
        given = usual | dict(headers or {})
        sent = [(name, value) for name, value in given.items() if value is not None]
        target = self.wire_path(path)
        return Answer(f"{method} {target}", self._send(Request.of(method, target, sent, body)))

    # --- waiting

    def until(self, path: str, statuses: Sequence[str]) -> Found:
        """Read an object until it has one of these statuses, at most `polls` times. Raises Deviation."""
        found = self.get(path).ok()
        for _ in range(self.setting.polls):
            if found["status"].text() in statuses:
                return found
            self.setting.pause()
            found = self.get(path).ok()
        raise found["status"].deviates(f"one of {', '.join(statuses)} after {self.setting.polls} reads")

    # --- the fake's control API

    def control(self, method: str, name: str, body: object = None) -> Answer:
        """Call `/_fake/NAME`; with the key, for a fake with a state for each key."""
        target = f"/_fake/{name}"
        content = b"" if method in {"GET", "DELETE"} else json.dumps(body).encode()
        return Answer(f"{method} {target}", self._send(Request.of(method, target, self._key(), content)))

    @contextmanager
    def staged(self, name: str, value: object) -> Iterator[None]:
        """PUT a script, a sunset, faults or a clock, and restore the earlier value at the end. Raises Deviation."""
        before = self.control("GET", name).ok().value
        self.control("PUT", name, value).ok()
        try:
            yield
        finally:
            self.control("DELETE" if before is None else "PUT", name, before).ok()

    def _key(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.setting.key}"}

    # --- the end

    def owns(self, path: str) -> None:
        """Record a path to delete at the end."""
        self._created_paths.append(path)

    def tidy(self) -> None:
        """Delete what was created. Failures are ignored."""
        while self._created_paths:
            with suppress(Unreachable):
                self.delete(self._created_paths.pop())

    def _remember(self, path: str, reply: Reply) -> None:
        key, parent = _CREATED.get(path, ("", ""))
        with suppress(MalformedJson):
            made = loads(reply.body) if key and reply.chunks is None else None
            if isinstance(made, dict) and isinstance(made.get(key), str):
                self.owns(f"{parent}/{made[key]}")


def service_of(send: Port, setting: Setting, answer: Answer) -> Service:
    """Return the service of a server, by the headers of an answer and its list of conversations. Raises Unreachable."""
    if answer.header("apim-request-id") is None:
        return "openai"
    return "foundry" if Api(send, setting).get("/conversations?limit=1").status == 200 else "azure"


def has_control(send: Port) -> bool:
    """Return whether the server has the fake's control API. Raises Unreachable."""
    answer = Answer("GET /_fake/health", send(Request("GET", "/_fake/health")))
    try:
        return bool(answer.ok().value == {"status": "ok"})
    except Deviation:
        return False
