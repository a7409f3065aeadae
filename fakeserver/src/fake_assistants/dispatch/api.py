"""The pipeline of API requests.

Checks, in this order: injected faults, route, key, rate limit, `api-version`, sunset, beta header, ids in the path.
Then the handler of the route answers. After the sunset only the key of requests to the Assistants API is checked, and
all routes of it are unknown. The profile defines the base paths, how a key is sent, and if a beta header is needed.
"""

import math
from collections.abc import Mapping

import attrs

import fake_assistants.dispatch.azure as azure
import fake_assistants.dispatch.fault_effects as fault_effects
import fake_assistants.engine.run_scheduler as scheduler
import fake_assistants.errors.requests as errors
from fake_assistants.dispatch.routes import PATH_IDS, Answer, Match, is_assistants, match
from fake_assistants.engine.backend import Backend, Call
from fake_assistants.errors.azure import access_denied, call_rate_exceeded, resource_not_found
from fake_assistants.errors.ids import malformed_id
from fake_assistants.errors.server import rate_limited
from fake_assistants.http.error_envelope import ApiProblem, AzureErrorBody, ErrorBody, Unrouted
from fake_assistants.http.lossless_json import dumps
from fake_assistants.http.message import Reply, Request
from fake_assistants.http.redaction import Mask
from fake_assistants.simulation.profiles import Base, Place

# Recorded: a 401 came from another layer, with a charset and without the openai-* headers.
_UNAUTHORIZED_HEADERS = (("content-type", "application/json; charset=utf-8"), ("vary", "Origin"))


def answer(backend: Backend, request: Request) -> Reply:
    """Answer an API request and add it to the request log. Raises nothing."""
    place = backend.place(request)
    outcome = fault_effects.apply(backend, request, lambda: _answer(backend, request, place))
    reply = outcome.reply
    backend.request_log.note(request, reply.status, outcome.fault, executed=outcome.executed, unrouted=reply.unrouted)
    return azure.with_headers(reply) if place.base.is_azure else reply


def _answer(backend: Backend, request: Request, place: Place) -> Reply:
    try:
        reply = _carry_out(backend, request, place)
    except ApiProblem as error:
        reply = _error_reply(backend, azure.in_envelope(Mask(request).shown(error.problem), place))
        return attrs.evolve(reply, unrouted=isinstance(error, Unrouted))
    return azure.without_effort(reply) if place.base.is_azure else reply


def _carry_out(backend: Backend, request: Request, place: Place) -> Reply:
    base = place.base
    if backend.sunset.fallen and is_assistants(place.route):
        _check_key(backend, request, base)
        return _reply_after_sunset(backend)
    route = _match(request, place)
    _check_key(backend, request, base)
    if base.is_azure:
        azure.check_version(request, place)
        request = azure.with_model(request, place)
    if route.is_assistants:
        backend.sunset.count()
        _check_beta(request, base)
    ids = {**route.ids, "user_identity": request.user_identity} if base.is_new_foundry else route.ids
    _check_ids(backend, ids)
    scheduler.settle(backend)
    return _reply(backend, route.handler(backend, Call(request, ids, base)))


def _match(request: Request, place: Place) -> Match:
    """Find the route of a request. Raises ApiProblem, with Microsoft's text below one of its base paths."""
    is_new_foundry = place.base.is_new_foundry
    try:
        return match(request.method, place.route, asked=request.path, is_new_foundry=is_new_foundry)
    except Unrouted:
        if place.base.is_azure:
            raise resource_not_found() from None
        raise


def _reply(backend: Backend, answer: Answer) -> Reply:
    if isinstance(answer, Reply):
        return answer
    return Reply(200, backend.headers(), answer if isinstance(answer, bytes) else dumps(answer))


def _error_reply(backend: Backend, problem: ErrorBody) -> Reply:
    if problem.status == 401 and not isinstance(problem, AzureErrorBody):
        request_id = ("x-request-id", backend.ids.draw("req_"))
        return Reply(401, (*_UNAUTHORIZED_HEADERS, request_id), problem.body())
    return Reply(problem.status, backend.headers(), problem.body())


def _reply_after_sunset(backend: Backend) -> Reply:
    plan = backend.sunset.plan
    if plan is not None and plan.style == "not-found":
        return Reply(404)
    raise errors.gone()


def _check_key(backend: Backend, request: Request, base: Base) -> None:
    """Raise ApiProblem unless the key is accepted and below its rate limit."""
    key = base.key(request)
    if key is None:
        raise access_denied() if base.is_azure else errors.no_key()
    if not backend.accepts_key(key):
        raise access_denied() if base.is_azure else errors.wrong_key(key)
    wait = backend.limit.wait(key) if backend.limit else 0
    if backend.limit and wait:
        raise _rate_limited(backend.limit.rpm, wait, base)


def _rate_limited(rpm: int, wait: float, base: Base) -> ApiProblem:
    return ApiProblem(call_rate_exceeded(math.ceil(wait))) if base.is_azure else rate_limited(rpm, wait)


def _check_beta(request: Request, base: Base) -> None:
    if not base.wants_beta:
        return
    betas = {beta.strip() for beta in request.headers.get("openai-beta", "").split(",")}
    if "assistants=v2" in betas:
        return
    raise errors.old_beta() if "assistants=v1" in betas else errors.no_beta()


def _check_ids(backend: Backend, ids: Mapping[str, str]) -> None:
    """Refuse ids without their prefix (recorded), unless a loaded state has them."""
    for param, value in ids.items():
        kind = PATH_IDS.get(param)
        if kind is None:
            continue
        parent = ids.get(kind.parent or "", "")
        if not value.startswith(kind.prefix) and backend.database.find(kind, value, parent) is None:
            raise malformed_id(param, value, kind)
