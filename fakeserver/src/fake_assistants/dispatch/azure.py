"""The differences of Microsoft's services from OpenAI: the check of `api-version`, and the shape of replies."""

import re
from collections.abc import Iterator
from typing import Any, Self

import attrs

import fake_assistants.errors.azure as errors
import fake_assistants.http.sse as sse
from fake_assistants.adapters.streams import release
from fake_assistants.dispatch.routes import is_assistants, pattern_of
from fake_assistants.http.error_envelope import ErrorBody, FoundryErrorBody
from fake_assistants.http.lossless_json import MalformedJson, dumps, loads
from fake_assistants.http.message import Chunk, Pairs, Reply, Request
from fake_assistants.simulation.profiles import Place

_DATED = re.compile(r"(\d{4}-\d{2}-\d{2})(-preview)?")
_EVENT = re.compile(rb"event: ([^\n]+)\ndata: (.*)\n\n", re.DOTALL)

# The first versions: of the service, and of its Assistants API as it is faked here (documented).
_FIRST, _FIRST_OF_ASSISTANTS = "2022-12-01", "2024-05-01"
_UNDATED = (None, "v1", "preview")

# --- requests ---------------------------------------------------------------------------------------------


def check_version(request: Request, place: Place) -> None:
    """Raise ApiProblem unless the base path accepts the `api-version` of the request."""
    given = request.asked("api-version")
    if place.base.versions == "v1" and given not in _UNDATED:
        raise errors.version_not_allowed()
    if place.base.versions == "dated":
        _check_date(given, _FIRST_OF_ASSISTANTS if is_assistants(place.route) else _FIRST)


def _check_date(given: str | None, first: str) -> None:
    if not given:
        raise errors.resource_not_found()
    dated = _DATED.fullmatch(given)
    if dated is None or dated[1] < first:
        raise errors.unsupported_version()


def with_model(request: Request, place: Place) -> Request:
    """Return the request with the deployment of its path as the model, unless its body has a model."""
    if place.deployment is None:
        return request
    try:
        body = loads(request.body)
    except MalformedJson:
        return request
    if not isinstance(body, dict) or "model" in body:
        return request
    return attrs.evolve(request, body=dumps({"model": place.deployment, **body}))


def permission_denied(request: Request, place: Place) -> ErrorBody:
    """Return the error for a token without the role for a project. Parameters in its path are not filled in."""
    action = {"GET": "read", "DELETE": "delete"}.get(request.method, "write")
    pattern = "/openai/*" if place.base.is_new_foundry else _camel(pattern_of(place.route))
    return errors.permission_denied(action, f"{request.method} /api/projects/{{projectName}}{pattern}")


def _camel(pattern: str) -> str:
    """Return a pattern with parameters like `{assistantId}` (quoted) in place of `{assistant_id}`."""
    return re.sub(r"_(\w)(?=\w*})", lambda found: found[1].upper(), pattern.removeprefix("/v1"))


# --- replies ----------------------------------------------------------------------------------------------


def in_envelope(problem: ErrorBody, place: Place) -> ErrorBody:
    """Return an error in the envelope of the service that is addressed; one that has Microsoft's already stays."""
    is_foundrys = place.base.is_new_foundry and place.base.is_project and type(problem) is ErrorBody
    return FoundryErrorBody(*attrs.astuple(problem)) if is_foundrys else problem


def with_headers(reply: Reply) -> Reply:
    """Return the reply with Microsoft's headers. Their names are recorded, their values are the fake's own.

    A reply without a request id does not come from the API, and is returned unchanged.
    """
    request_id = reply.header("x-request-id")
    return reply if request_id is None else attrs.evolve(reply, headers=_headers(reply.headers, request_id))


# Sent by OpenAI only.
_NOT_SENT = frozenset({"openai-project", "x-openai-proxy-wasm", "x-content-type-options"})


def _headers(given: Pairs, request_id: str) -> Pairs:
    digits = request_id.removeprefix("req_")
    replaced = {"openai-organization": "fa4e" * 8, "x-request-id": digits}
    common = tuple((name, replaced.get(name, value)) for name, value in given if name not in _NOT_SENT)
    return (
        *common,
        ("apim-request-id", _uuid(digits)),
        ("azureml-served-by-cluster", "fake-assistants"),
        ("request-context", "appId="),
        ("x-ms-region", "Fake Region"),
        ("x-ms-middleware-request-id", _uuid(digits[::-1])),
        ("x-ms-response-type", "standard"),
        ("x-request-time", "0.012"),
    )


def _uuid(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


_EFFORT = b'"reasoning_effort"'
_WITH_EFFORT = ("assistant", "thread.run")


def without_effort(reply: Reply) -> Reply:
    """Return the reply without `reasoning_effort` (recorded for assistants, inferred for runs). Files are unchanged."""
    if reply.chunks is not None:
        return attrs.evolve(reply, chunks=_PlainChunks(reply.chunks))
    is_json = reply.header("content-type") == "application/json"
    return attrs.evolve(reply, body=_plain_body(reply.body)) if is_json and _EFFORT in reply.body else reply


def _plain_body(body: bytes) -> bytes:
    """Return an object or a page of objects without the field, and any other body unchanged."""
    value = loads(body)
    rows = value.get("data")
    changed = [_drop(row) for row in (value, *(rows if isinstance(rows, list) else ()))]
    return dumps(value) if any(changed) else body


def _drop(value: Any) -> bool:
    """Drop the field in place. Return whether it was there."""
    is_with = isinstance(value, dict) and value.get("object") in _WITH_EFFORT
    return is_with and value.pop("reasoning_effort", _EFFORT) is not _EFFORT


@attrs.define
class _PlainChunks:
    """The chunks of a stream, without the field in its runs."""

    _chunks: Iterator[Chunk]

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Chunk:
        chunk = next(self._chunks)
        return _plain_event(chunk) if isinstance(chunk, bytes) and _EFFORT in chunk else chunk

    def close(self) -> None:
        """Close the stream."""
        release(self._chunks)


def _plain_event(chunk: bytes) -> bytes:
    found = _EVENT.fullmatch(chunk)
    value = loads(found[2]) if found else None
    return sse.event(found[1].decode(), value) if found and _drop(value) else chunk
