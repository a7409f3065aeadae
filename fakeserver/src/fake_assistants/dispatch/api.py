"""The gate: every API request passes here, in this order.

No fault injected, route known, key good, rate limit not reached, sunset not fallen, beta header there, ids in the
path well formed; then the room. Once the sunset has fallen, no route of the Assistants API is known any more: key
good, and then silence. The profile says where the routes stand, where the key is, and whether a beta header is wanted.
"""

from collections.abc import Mapping

import attrs

import fake_assistants.dispatch.fault_effects as inflict
import fake_assistants.engine.run_scheduler as progress
import fake_assistants.errors.requests as refusals
from fake_assistants.dispatch.routes import PATH_IDS, Answer, is_assistants, match
from fake_assistants.engine.backend import Backend, Call
from fake_assistants.errors.ids import malformed_id
from fake_assistants.errors.server import rate_limited
from fake_assistants.http.error_envelope import ApiProblem, ErrorBody, Unrouted
from fake_assistants.http.lossless_json import dumps
from fake_assistants.http.message import Reply, Request
from fake_assistants.http.redaction import Mask

# Recorded: a 401 came from another layer, with a charset and without the openai-* headers.
_UNAUTHORIZED_HEADERS = (("content-type", "application/json; charset=utf-8"), ("vary", "Origin"))


def answer(backend: Backend, request: Request) -> Reply:
    """Answer an API request and note it in the request log. Nothing is raised."""
    reply, fault = inflict.answered(backend, request, lambda: _answer(backend, request))
    backend.request_log.note(request, reply.status, fault, unrouted=reply.unrouted)
    return reply


def _answer(backend: Backend, request: Request) -> Reply:
    path = backend.profile.route(request.path)
    try:
        if backend.sunset.fallen and is_assistants(path):
            _admit(backend, request)
            return _silence(backend)
        route = match(request, path)
        _admit(backend, request)
        if route.is_assistants:
            backend.sunset.count()
            _check_beta(backend, request)
        _check_ids(backend, route.ids)
        progress.settle(backend)
        return _reply(backend, route.handler(backend, Call(request, route.ids)))
    except ApiProblem as refusal:
        reply = _refusal(backend, Mask(request).shown(refusal.problem))
        return attrs.evolve(reply, unrouted=isinstance(refusal, Unrouted))


def _reply(backend: Backend, answer: Answer) -> Reply:
    if isinstance(answer, Reply):
        return answer
    return Reply(200, backend.headers(), answer if isinstance(answer, bytes) else dumps(answer))


def _refusal(backend: Backend, problem: ErrorBody) -> Reply:
    if problem.status == 401:
        request_id = ("x-request-id", backend.ids.draw("req_"))
        return Reply(401, (*_UNAUTHORIZED_HEADERS, request_id), problem.body())
    return Reply(problem.status, backend.headers(), problem.body())


def _silence(backend: Backend) -> Reply:
    plan = backend.sunset.plan
    if plan is not None and plan.style == "not-found":
        return Reply(404)
    raise refusals.gone()


def _admit(backend: Backend, request: Request) -> None:
    """The key is good, and its requests are not too many."""
    key = backend.profile.key(request)
    if key is None:
        raise refusals.no_key()
    if not backend.accepts_key(key):
        raise refusals.wrong_key(key)
    wait = backend.limit.wait(key) if backend.limit else 0
    if backend.limit and wait:
        raise rate_limited(backend.limit.rpm, wait)


def _check_beta(backend: Backend, request: Request) -> None:
    if not backend.profile.wants_beta:
        return
    betas = {beta.strip() for beta in request.headers.get("openai-beta", "").split(",")}
    if "assistants=v2" in betas:
        return
    raise refusals.old_beta() if "assistants=v1" in betas else refusals.no_beta()


def _check_ids(backend: Backend, ids: Mapping[str, str]) -> None:
    """Refuse ids without their prefix (recorded), except those that a loaded state brought in."""
    for param, value in ids.items():
        kind = PATH_IDS.get(param)
        if kind is None:
            continue
        parent = ids.get(kind.parent or "", "")
        if not value.startswith(kind.prefix) and backend.database.find(kind, value, parent) is None:
            raise malformed_id(param, value, kind)
