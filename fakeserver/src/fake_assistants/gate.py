"""The gate: every API request passes here, in this order.

No fault injected, route known, key good, rate limit not reached, sunset not fallen, beta header there, ids in the
path well formed; then the room. Once the sunset has fallen, no route of the Assistants API is known any more: key
good, and then silence. The profile says where the routes stand, where the key is, and whether a beta header is wanted.
"""

from collections.abc import Mapping

import attrs

import fake_assistants.inflict as inflict
import fake_assistants.progress as progress
import fake_assistants.refusals.door as refusals
from fake_assistants.core import Call, Core
from fake_assistants.envelope import Problem, Refused, Unrouted
from fake_assistants.exchange import Reply, Request
from fake_assistants.jsontext import dumps
from fake_assistants.masking import Mask
from fake_assistants.refusals.failures import rate_limited
from fake_assistants.refusals.ids import malformed_id
from fake_assistants.routes import PATH_IDS, Answer, is_assistants, match

# Recorded: a 401 came from another layer, with a charset and without the openai-* headers.
_UNAUTHORIZED_HEADERS = (("content-type", "application/json; charset=utf-8"), ("vary", "Origin"))


def answer(core: Core, request: Request) -> Reply:
    """Answer an API request and note it in the ledger. Nothing is raised."""
    reply, fault = inflict.answered(core, request, lambda: _answer(core, request))
    core.ledger.note(request, reply.status, fault, unrouted=reply.unrouted)
    return reply


def _answer(core: Core, request: Request) -> Reply:
    path = core.profile.route(request.path)
    try:
        if core.sunset.fallen and is_assistants(path):
            _admit(core, request)
            return _silence(core)
        route = match(request, path)
        _admit(core, request)
        if route.is_assistants:
            core.sunset.count()
            _check_beta(core, request)
        _check_ids(core, route.ids)
        progress.settle(core)
        return _reply(core, route.handler(core, Call(request, route.ids)))
    except Refused as refusal:
        reply = _refusal(core, Mask(request).shown(refusal.problem))
        return attrs.evolve(reply, unrouted=isinstance(refusal, Unrouted))


def _reply(core: Core, answer: Answer) -> Reply:
    if isinstance(answer, Reply):
        return answer
    return Reply(200, core.headers(), answer if isinstance(answer, bytes) else dumps(answer))


def _refusal(core: Core, problem: Problem) -> Reply:
    if problem.status == 401:
        request_id = ("x-request-id", core.ids.draw("req_"))
        return Reply(401, (*_UNAUTHORIZED_HEADERS, request_id), problem.body())
    return Reply(problem.status, core.headers(), problem.body())


def _silence(core: Core) -> Reply:
    plan = core.sunset.plan
    if plan is not None and plan.style == "not-found":
        return Reply(404)
    raise refusals.gone()


def _admit(core: Core, request: Request) -> None:
    """The key is good, and its requests are not too many."""
    key = core.profile.key(request)
    if key is None:
        raise refusals.no_key()
    if not core.admits(key):
        raise refusals.wrong_key(key)
    wait = core.limit.wait(key) if core.limit else 0
    if core.limit and wait:
        raise rate_limited(core.limit.rpm, wait)


def _check_beta(core: Core, request: Request) -> None:
    if not core.profile.wants_beta:
        return
    betas = {beta.strip() for beta in request.headers.get("openai-beta", "").split(",")}
    if "assistants=v2" in betas:
        return
    raise refusals.old_beta() if "assistants=v1" in betas else refusals.no_beta()


def _check_ids(core: Core, ids: Mapping[str, str]) -> None:
    """Refuse ids without their prefix (recorded), except those that a loaded state brought in."""
    for param, value in ids.items():
        kind = PATH_IDS[param]
        parent = ids.get(kind.parent or "", "")
        if not value.startswith(kind.prefix) and core.world.find(kind, value, parent) is None:
            raise malformed_id(param, value, kind)
