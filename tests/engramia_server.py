"""Engramia's REST API for tests: the routes that a push uses, as version 0.6.6 with JSON storage answers them.

Its answers are those of the real server (tests/together/test_engramia_server.py has them), and it is no kinder: a
repeated ``learn`` is stored again, two of one task in one millisecond leave one pattern, an error 500 may come after
the effect, and secrets in ``code`` are redacted. Left out: the headers about security, redirects of paths with a slash
at the end, redaction of phone numbers, cards and further kinds of keys. Overlapping requests do not fail by themselves,
as they do there: give `Fault.FAIL_AFTER`.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from hashlib import sha256
from random import Random
from typing import Any

import attrs
from pydantic import BaseModel, Field, ValidationError

from fake_assistants import Reply, Request
from fake_assistants.adapters.asgi import app
from fake_assistants.adapters.server import serving
from fake_assistants.http.message import Chunk, Cut

__all__ = ["KEY", "Engramia", "Fault", "Faults", "by_chance", "planned"]

KEY = "key-one"
"""The key of an owner, which the server knows unless it is given others."""


class Fault(Enum):
    """A fault of one request."""

    DROP_BEFORE = "the connection breaks before anything is done"
    DROP_AFTER = "everything is done, and the connection breaks before the answer"
    FAIL_BEFORE = "500, and nothing is done"
    FAIL_AFTER = "500 after the effect, as with overlapping requests or without a provider of embeddings"
    RATE_LIMITED = "429, nothing is done"
    MAINTENANCE = "503, nothing is done"
    CUT = "the connection breaks in the middle of the export; of other answers as DROP_AFTER"


Faults = Callable[[str, int], Fault | None]
"""Which fault the nth request of a path gets, counted from 1."""


def planned(plan: Mapping[tuple[str, int], Fault]) -> Faults:
    """Return faults of certain requests, such as ``{("/v1/learn", 2): Fault.DROP_AFTER}``."""
    return lambda path, nth: plan.get((path, nth))


def by_chance(rate: float, seed: int = 0, among: tuple[Fault, ...] = tuple(Fault)) -> Faults:
    """Return faults of a part of all requests, the same for the same seed and order."""
    random = Random(seed)
    return lambda _path, _nth: random.choice(among) if random.random() < rate else None


_NO_FAULTS = planned({})


class LearnRequest(BaseModel):
    """The body of ``learn``, with the limits that the API publishes."""

    task: str = Field(max_length=10_000)
    code: str = Field(max_length=500_000)
    eval_score: float = Field(ge=0.0, le=10.0)
    output: str | None = Field(default=None, max_length=500_000)
    run_id: str | None = Field(default=None, max_length=200)
    classification: str = Field(default="internal", max_length=50)
    source: str = Field(default="api", max_length=50)


# The permissions of each role, of those that count here.
_MAY = {
    "reader": {"health"},
    "editor": {"health", "learn"},
    "admin": {"health", "learn", "export"},
    "owner": {"health", "learn", "export"},
}

# What is redacted, in order. Each kind is replaced by its mark.
_REDACTED = [
    (re.compile(r"[\w.%+-]+@[\w.-]+\.[A-Za-z]{2,}", re.ASCII), "[REDACTED_EMAIL]"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"), "[REDACTED_IP]"),
    (re.compile(r"\bsk-[A-Za-z0-9]{20,}\b"), "[REDACTED_OPENAI_KEY]"),
    (re.compile(r"(?<![A-Za-z0-9])[0-9a-fA-F]{32,64}(?![A-Za-z0-9])"), "[REDACTED_SECRET]"),
    (re.compile(r"""(?i)((?:password|secret|token|bearer)\s*[=:]\s*["']?)[^"'\s,;>]{6,}"""), r"\1[REDACTED]"),
]


class _Answered(Exception):
    """The request ends with this reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


@attrs.define
class Clock:
    """Seconds since the epoch. Each request is a step later than the one before.

    With a step of 0 two requests are in one millisecond.
    """

    now: float = 1_795_992_000.0
    step: float = 0.006  # about what the real server takes

    def read(self) -> float:
        """Return the time of a new request."""
        self.now += self.step
        return self.now


@attrs.define(kw_only=True)
class Engramia:
    """A server with its patterns. The attributes are the settings that the real one takes from its environment.

    Attributes:
        keys: the role of each key.
        per_minute: requests of one path in a minute. None is no limit, as a large one is to the real server.
        per_key: requests of one key in a minute.
        max_patterns: the quota of the keys.
        full_at: how many patterns the storage takes.
        keeps_runs: the export has run_id, as with PostgreSQL and its accounts (read in the code, not seen).
        retry_after: what 429 says, always 60; less is for tests that do wait.
        patterns: the data of each pattern by its key.
        requests: how many requests each path got.
    """

    keys: Mapping[str, str] = attrs.field(factory=lambda: {KEY: "owner"})
    faults: Faults = _NO_FAULTS
    clock: Clock = attrs.field(factory=Clock)
    per_minute: int | None = 60
    per_key: int | None = 120
    max_body: int = 1024 * 1024
    max_patterns: int | None = None
    full_at: int = 100_000
    redacts: bool = True
    keeps_runs: bool = False
    in_maintenance: bool = False
    retry_after: int = 60
    patterns: dict[str, dict[str, Any]] = attrs.field(init=False, factory=dict)
    requests: Counter[str] = attrs.field(init=False, factory=Counter)
    _columns: dict[str, dict[str, Any]] = attrs.field(init=False, factory=dict)
    _used: Counter[tuple[str, str, int]] = attrs.field(init=False, factory=Counter)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve over HTTP while the context lasts, and give the URL, as users have it: without ``/v1``."""
        with serving(app(self), host="127.0.0.1", port=0) as server:
            yield server.url

    def stored(self) -> list[tuple[str, str]]:
        """Return task and code of each pattern, in the order of the export."""
        return [(self.patterns[key]["task"], self.patterns[key]["design"]["code"]) for key in sorted(self.patterns)]

    def handle(self, request: Request) -> Reply:
        """Answer a request."""
        self.requests[request.path] += 1
        fault = self.faults(request.path, self.requests[request.path])
        if fault is Fault.DROP_BEFORE:
            return Reply(0, hang_up=True)
        now = self.clock.read()
        try:
            self._limit(request, now, fault)
            self._check_size(request)
            self._check_maintenance(request, fault)
            reply = self._route(request, now, fails=fault is Fault.FAIL_BEFORE)
        except _Answered as answered:
            reply = answered.reply
        return _spoiled(reply, fault)

    def _limit(self, request: Request, now: float, fault: Fault | None) -> None:
        """Count a request, whatever becomes of it, in the minute of the clock."""
        minute, token = int(now / 60), _token(request)
        of_path = self._count("path", request.path, minute)
        of_key = self._count("key", token, minute) if token is not None else 0
        if fault is Fault.RATE_LIMITED or (self.per_minute is not None and of_path > self.per_minute):
            raise _Answered(self._rate_limited(f"Max {self.per_minute or 60} requests per minute."))
        if self.per_key is not None and of_key > self.per_key:
            raise _Answered(self._rate_limited(f"Max {self.per_key} requests per minute per API key."))

    def _count(self, of: str, name: str, minute: int) -> int:
        self._used[of, name, minute] += 1
        return self._used[of, name, minute]

    def _rate_limited(self, limit: str) -> Reply:
        context = {"retry_after": self.retry_after}
        body = {"error_code": "RATE_LIMITED", "detail": f"Rate limit exceeded. {limit}", "error_context": context}
        return _json(429, body, ("retry-after", str(self.retry_after)))

    def _check_size(self, request: Request) -> None:
        if len(request.body) > self.max_body:
            detail = f"Request body too large. Maximum allowed: {self.max_body} bytes."
            raise _Answered(_error(413, "PAYLOAD_TOO_LARGE", detail, max_bytes=self.max_body))

    def _check_maintenance(self, request: Request, fault: Fault | None) -> None:
        if (self.in_maintenance or fault is Fault.MAINTENANCE) and request.path != "/v1/health":
            detail = "Service is under scheduled maintenance. Please try again later."
            error = {"error_code": "SERVICE_UNAVAILABLE", "detail": detail, "error_context": {"retry_after": 3600}}
            raise _Answered(_json(503, error, ("retry-after", "3600")))

    def _route(self, request: Request, now: float, *, fails: bool) -> Reply:
        routes: dict[str, tuple[str, str, Callable[[], Reply]]] = {
            "/v1/learn": ("POST", "learn", lambda: self._learn(value, now)),
            "/v1/health": ("GET", "health", self._health),
            "/v1/export": ("GET", "export", self._export),
            "/v1/governance/export": ("GET", "export", self._governance_export),
        }
        if request.path not in routes:
            return _json(404, {"detail": "Not Found"})
        method, permission, answer = routes[request.path]
        if request.method != method:
            return _json(405, {"detail": "Method Not Allowed"}, ("allow", method))
        value = _body(request) if method == "POST" else None  # before the key is looked at
        self._authorize(request, permission)
        return _FAILED if fails else answer()

    def _authorize(self, request: Request, permission: str) -> None:
        token = _token(request)
        if token is None:
            detail = "Missing or malformed Authorization header. Expected: Bearer <key>"
            raise _Answered(_error(401, "UNAUTHORIZED", detail))
        if token not in self.keys:
            raise _Answered(_error(401, "UNAUTHORIZED", "Invalid API key."))
        role = self.keys[token]
        if permission not in _MAY[role]:
            detail = f"Role '{role}' does not have permission '{permission}'."
            raise _Answered(_error(403, "FORBIDDEN", detail))

    def _learn(self, value: Any, now: float) -> Reply:
        try:
            asked = LearnRequest.model_validate(value, from_attributes=True)
            asked.task.encode()
            asked.code.encode()
        except ValidationError as error:
            return _invalid(error.errors(include_url=False))
        except UnicodeEncodeError:
            return _INVALID_PARAMETERS
        if self.max_patterns is not None and len(self.patterns) >= self.max_patterns:
            detail = "Pattern quota reached. Delete old patterns or upgrade your plan."
            return _error(429, "QUOTA_EXCEEDED", detail, current=len(self.patterns), limit=self.max_patterns)
        if not asked.task.strip() or not asked.code.strip() or len(self.patterns) >= self.full_at:
            return _error(422, "VALIDATION_ERROR", "Validation error in request.")
        self._store(asked, now)
        return _json(200, {"stored": True, "pattern_count": len(self.patterns)})

    def _store(self, asked: LearnRequest, now: float) -> None:
        design = {"code": asked.code, "classification": asked.classification, "source": asked.source}
        if asked.output is not None:
            design["output"] = asked.output
        for name in ("code", "output") if self.redacts else ():  # not the task
            if name in design:
                design[name] = _redact(design[name])
        key = f"patterns/{sha256(asked.task.encode()).hexdigest()[:8]}_{int(now * 1000)}"
        columns = {"classification": asked.classification, "redacted": design["code"] != asked.code}
        optional = {"source": asked.source, "run_id": asked.run_id}
        self._columns[key] = {**columns, **{name: value for name, value in optional.items() if value}}
        self.patterns[key] = {
            "task": asked.task,
            "design": design,
            "success_score": asked.eval_score,
            "reuse_count": 0,
            "timestamp": now,
            "_author_key_id": "env-key",
        }

    def _health(self) -> Reply:
        return _json(200, {"status": "ok", "storage": "JSONStorage", "pattern_count": len(self.patterns)})

    def _export(self) -> Reply:
        return _json(200, {"records": [*self._records()], "count": len(self.patterns)})

    def _governance_export(self) -> Reply:
        columns = self._columns if self.keeps_runs else {}
        lines = [json.dumps({**record, **columns.get(record["key"], {})}) + "\n" for record in self._records()]
        name = "attachment; filename=engramia_export.ndjson"
        headers = [("content-disposition", name), ("content-type", "application/x-ndjson")]
        return Reply(200, headers, chunks=iter([line.encode() for line in lines]))

    def _records(self) -> Iterator[dict[str, Any]]:
        for key in sorted(self.patterns):
            yield {"version": 1, "key": key, "data": self.patterns[key]}


def _token(request: Request) -> str | None:
    header = request.headers.get("authorization", "")
    return header.removeprefix("Bearer ") if header.startswith("Bearer ") else None


def _body(request: Request) -> Any:
    if not request.body:
        raise _Answered(_invalid([{"type": "missing", "loc": [], "msg": "Field required", "input": None}]))
    if not request.headers.get("content-type", "").startswith("application/json"):
        return request.body.decode()
    try:
        return json.loads(request.body)
    except json.JSONDecodeError as error:
        context = {"error": error.msg}
        fault = {"type": "json_invalid", "loc": [error.pos], "msg": "JSON decode error", "input": {}, "ctx": context}
        raise _Answered(_invalid([fault])) from None
    except UnicodeDecodeError:
        raise _Answered(_json(400, {"detail": "There was an error parsing the body"})) from None


def _redact(text: str) -> str:
    for kind, mark in _REDACTED:
        text = kind.sub(mark, text)
    return text


def _json(status: int, value: Any, *headers: tuple[str, str]) -> Reply:
    """Return a reply of JSON. Raises ValueError for NaN and lone surrogates, as the real server's encoder does."""
    body = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    return Reply(status, [("content-type", "application/json"), *headers], body)


def _error(status: int, code: str, detail: str, **context: int) -> Reply:
    return _json(status, {"error_code": code, "detail": detail, **({"error_context": context} if context else {})})


def _invalid(errors: list[Any]) -> Reply:
    """Return the reply to a body that is not as its schema says."""
    try:
        return _json(422, {"detail": [{**error, "loc": ["body", *error["loc"]]} for error in errors]})
    except ValueError:
        return _INVALID_PARAMETERS


_INVALID_PARAMETERS = _error(422, "VALIDATION_ERROR", "Invalid request parameters.")
_FAILED = Reply(500, [("content-type", "text/plain; charset=utf-8")], b"Internal Server Error")


def _spoiled(reply: Reply, fault: Fault | None) -> Reply:
    """Return what arrives of a reply."""
    if fault is Fault.CUT and reply.chunks is not None:
        return attrs.evolve(reply, chunks=_cut(b"".join(chunk for chunk in reply.chunks if isinstance(chunk, bytes))))
    if fault in (Fault.DROP_AFTER, Fault.CUT):
        return Reply(0, hang_up=True)
    return _FAILED if fault is Fault.FAIL_AFTER else reply


def _cut(content: bytes) -> Iterator[Chunk]:
    yield content[: len(content) // 2]
    yield Cut()
