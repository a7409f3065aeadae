"""The control API under `/_fake/`: set up state, clock, sunset and faults over HTTP.

It needs no key; with worlds by key, a key selects the world. Its requests are not in the request log. A malformed
request is answered 400 with what is wrong and where, and changes nothing. Whether an HTTP client may call it is decided
in `adapters.control_access`.
"""

import math
from collections.abc import Callable, Mapping

import attrs

import fake_assistants.engine.run_scheduler as scheduler
from fake_assistants.engine.backend import Backend
from fake_assistants.http.error_envelope import ApiProblem, ErrorBody
from fake_assistants.http.lossless_json import MalformedJson, Obj, dumps, loads
from fake_assistants.http.message import Reply, Request
from fake_assistants.http.redaction import Mask
from fake_assistants.simulation.clock import LIMIT
from fake_assistants.simulation.profiles import anyones_key
from fake_assistants.simulation.sunset import STYLES, SunsetPlan
from fake_assistants.user_input import BadInput


@attrs.frozen
class _ControlCall:
    """The parts of a control request that its handler gets."""

    backend: Backend
    body: bytes


def answer(backend: Backend, request: Request) -> Reply:
    """Answer a control request. Raises nothing."""
    try:
        return _reply(200, _answer(backend, request))
    except ApiProblem as error:
        problem = Mask(request).shown(error.problem)
        return _reply(problem.status, problem.body())


def _answer(backend: Backend, request: Request) -> object:
    if backend.fakes_by_key is not None and anyones_key(request):
        raise _error(
            401, "This key is refused: it has no fake of its own. A call without a key acts on the common one."
        )
    routes = CONTROLS.get(request.path)
    if routes is None:
        raise _error(404, f"There is no {request.path} here. There are: {', '.join(CONTROLS)}")
    if request.method not in routes:
        allowed = ", ".join(routes)
        raise _error(405, f"{request.path} takes {allowed}, not {request.method}")
    try:
        return routes[request.method](_ControlCall(backend, request.body))
    except BadInput as error:
        raise _error(400, str(error), error.where) from None


def _error(status: int, message: str, param: str | None = None) -> ApiProblem:
    return ApiProblem(ErrorBody(status, message, param))


def _reply(status: int, value: object) -> Reply:
    body = value if isinstance(value, bytes) else dumps(value)
    return Reply(status, (("content-type", "application/json"),), body)


# --- handlers ----------------------------------------------------------------------------


def _health(_: _ControlCall) -> object:
    return {"status": "ok"}


def _reset(call: _ControlCall) -> object:
    call.backend.reset()
    return {"status": "ok"}


def _snapshot(call: _ControlCall) -> object:
    scheduler.settle(call.backend)
    return call.backend.database.json()


def _replace(call: _ControlCall) -> object:
    """Replace the state. It has no positions of deleted ids, so cursors to these become unknown."""
    call.backend.replace(_json(call.body))
    return {"status": "ok"}


def _merge(call: _ControlCall) -> object:
    call.backend.merge(_json(call.body))
    return {"status": "ok"}


def _clock(call: _ControlCall) -> object:
    return {"now": call.backend.clock.now(), "frozen": call.backend.clock.frozen}


def _set_clock(call: _ControlCall) -> object:
    given = _object(call.body, {"now", "frozen", "advance"})
    if set(given) == {"advance"}:
        call.backend.clock.advance(_seconds(given, "advance", since=call.backend.clock.now()))
    elif given and "advance" not in given:
        now = _seconds(given, "now") if "now" in given else None
        call.backend.clock.set(now=now, frozen=_frozen(given))
    else:
        raise BadInput('expected {"now": seconds, "frozen": true or false} or {"advance": seconds}')
    return _clock(call)


def _sunset(call: _ControlCall) -> object:
    """Return the sunset in the form that PUT takes, counted from now: sending it back changes nothing."""
    plan = call.backend.sunset.left
    if plan is None:
        return None
    trigger: Obj = {"after_requests": plan.after_requests} if plan.at is None else {"at": plan.at}
    return {**trigger, "style": plan.style}


def _set_sunset(call: _ControlCall) -> object:
    call.backend.sunset.follow(None if _json(call.body) is None else _plan(call.body))
    return _sunset(call)


def _lift_sunset(call: _ControlCall) -> object:
    call.backend.sunset.lift()
    return None


def _script(call: _ControlCall) -> object:
    """Return the script in the form that PUT takes, without the steps already used."""
    return call.backend.script.json()


def _set_script(call: _ControlCall) -> object:
    call.backend.script.set(_json(call.body))
    return _script(call)


def _clear_script(call: _ControlCall) -> object:
    call.backend.script.clear()
    return _script(call)


def _faults(call: _ControlCall) -> object:
    """Return the fault plan as it was given."""
    return call.backend.faults.json()


def _set_faults(call: _ControlCall) -> object:
    call.backend.faults.set(_json(call.body))
    return _faults(call)


def _clear_faults(call: _ControlCall) -> object:
    call.backend.faults.clear()
    return _faults(call)


def _runs(call: _ControlCall) -> object:
    """Return the settings of runs in the form that PUT takes."""
    return call.backend.runs.json()


def _set_runs(call: _ControlCall) -> object:
    scheduler.settle(call.backend)
    call.backend.runs.set(_json(call.body))
    return _runs(call)


def _requests(call: _ControlCall) -> object:
    return [entry.as_dict() for entry in call.backend.request_log]


CONTROLS: Mapping[str, Mapping[str, Callable[[_ControlCall], object]]] = {
    "/_fake/health": {"GET": _health},
    "/_fake/reset": {"POST": _reset},
    "/_fake/state": {"GET": _snapshot, "PUT": _replace, "PATCH": _merge},
    "/_fake/clock": {"GET": _clock, "PUT": _set_clock},
    "/_fake/sunset": {"GET": _sunset, "PUT": _set_sunset, "DELETE": _lift_sunset},
    "/_fake/faults": {"GET": _faults, "PUT": _set_faults, "DELETE": _clear_faults},
    "/_fake/script": {"GET": _script, "PUT": _set_script, "DELETE": _clear_script},
    "/_fake/runs": {"GET": _runs, "PUT": _set_runs},
    "/_fake/requests": {"GET": _requests},
}

# --- reading bodies -----------------------------------------------------------------------------------


def _json(body: bytes) -> object:
    try:
        value: object = loads(body)
    except MalformedJson as error:
        raise BadInput(f"not JSON: {error}") from None
    return value


def _object(body: bytes, known: set[str]) -> Obj:
    value = _json(body)
    if not isinstance(value, dict):
        raise BadInput("expected an object")
    for key in value:
        if key not in known:
            raise BadInput(f"unknown key; known are {', '.join(sorted(known))}", f"$.{key}")
    return value


def _plan(body: bytes) -> SunsetPlan:
    given = _object(body, {"at", "after_requests", "now", "style"})
    style = given.pop("style", "gone")
    if style not in STYLES:
        raise BadInput(f"expected one of {', '.join(STYLES)}", "$.style")
    if len(given) != 1:
        raise BadInput('expected one of "at", "after_requests" and "now"')
    if "at" in given:
        return SunsetPlan(at=_seconds(given, "at"), style=style)
    if "now" in given and given["now"] is not True:
        raise BadInput("expected true; to lift the sunset, send null as the body", "$.now")
    return SunsetPlan(after_requests=_count(given, "after_requests"), style=style)


def _seconds(given: Obj, key: str, *, since: int = 0) -> int:
    """Read seconds, rounded down. Raise BadInput if `since` plus these is outside the clock's limits."""
    value = given[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput("expected a number of seconds", f"$.{key}")
    seconds = math.floor(value)
    if abs(since + seconds) > LIMIT:
        raise BadInput(f"expected a number of seconds that ends between {-LIMIT} and {LIMIT}", f"$.{key}")
    return seconds


def _frozen(given: Obj) -> bool | None:
    value = given.get("frozen")
    if "frozen" in given and not isinstance(value, bool):
        raise BadInput("expected true or false", "$.frozen")
    return value


def _count(given: Obj, key: str) -> int:
    value = given.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadInput("expected a whole number, 0 or more", f"$.{key}")
    return value
