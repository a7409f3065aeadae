"""What happens in a run, told while it happens.

A story is a generator: each step of it changes the world and gives a beat. Whoever streams sends the beats on;
whoever polls takes them without looking. So both see the same run. The order of events is recorded. Nobody asks
a story to go on when its run has ended, or before the outputs that it waits for are there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256

import fake_assistants.allowance as allowance
import fake_assistants.deltas as deltas
import fake_assistants.lifecycle as lifecycle
import fake_assistants.runshapes as shapes
import fake_assistants.tokens as tokens
from fake_assistants.core import Core
from fake_assistants.exchange import Cut, Pause
from fake_assistants.kinds import MESSAGES, RUN_STEPS, RUNS
from fake_assistants.plans import Beat, Event, Plan
from fake_assistants.refusals.failures import server_error
from fake_assistants.scriptfile import Step, Steps
from fake_assistants.shelf import Obj

# --- whole stories ------------------------------------------------------------------------------------


def of_new(core: Core, plan: Plan, steps: Steps) -> Iterator[Beat]:
    """A run from its creation to its end."""
    yield Event("thread.run.created", shapes.streamed(plan.run))
    yield Event("thread.run.queued", shapes.streamed(plan.run))
    yield _moved(core, plan, "start")
    yield from _work(core, plan, steps)


def of_resumed(core: Core, plan: Plan, steps: Steps) -> Iterator[Beat]:
    """A run that a state brought in, from its outputs to its end."""
    yield from _answered(core, plan)
    yield from _work(core, plan, steps)


def of_cancelled(core: Core, plan: Plan) -> Iterator[Beat]:
    """The end of a run that somebody cancels."""
    yield _moved(core, plan, "cancel")
    yield from _abandoned(core, plan, "cancelled")
    yield _moved(core, plan, "stop", _usage(plan))


def of_expired(core: Core, plan: Plan) -> Iterator[Beat]:
    """The end of a run that took too long."""
    yield from _abandoned(core, plan, "expired")
    yield _moved(core, plan, "expire", _usage(plan))


def _work(core: Core, plan: Plan, steps: Steps) -> Iterator[Beat]:
    """What the model does, from in_progress to the end."""
    for index, step in enumerate(steps):
        yield from _TELLERS[step.kind](core, plan, step, steps[index + 1 : index + 2])
    yield _moved(core, plan, "finish", _usage(plan))


def _moved(core: Core, plan: Plan, move: lifecycle.Move, about: object = None) -> Event:
    plan.run = lifecycle.moved(plan.run, move, plan.moment, about)
    plan.since, plan.shown = plan.moment, 0
    core.world.put(RUNS, plan.run)
    return Event(f"thread.run.{plan.status}", shapes.streamed(plan.run))


def _usage(plan: Plan) -> Obj:
    return shapes.usage(plan.prompt, plan.completion)


# --- steps --------------------------------------------------------------------------------------------


def _opened(core: Core, plan: Plan, kind: str, details: Obj) -> Obj:
    """A new step, put into the world."""
    head = {"id": core.mint("step_"), "created_at": plan.moment}
    step = shapes.step(head, plan.run, kind, details)
    core.world.put(RUN_STEPS, step)
    return step


def _begun(step: Obj) -> Iterator[Beat]:
    yield Event("thread.run.step.created", step)
    yield Event("thread.run.step.in_progress", step)


def _completed(core: Core, plan: Plan, step: Obj, completion: int) -> Event:
    """Recorded: REST shows no expiry any more, the stream still does."""
    prompt = plan.asked + plan.completion
    plan.prompt += prompt
    plan.completion += completion
    done = {**step, "status": "completed", "completed_at": plan.moment, "usage": shapes.usage(prompt, completion)}
    core.world.put(RUN_STEPS, {**done, "expires_at": None})
    return Event("thread.run.step.completed", done if plan.with_contents else shapes.without_contents(done))


def _paced(step: Step, events: Iterable[Event]) -> Iterator[Beat]:
    """Deltas with the script's pauses between them, and its cut."""
    number = 0
    for number, event in enumerate(events, start=1):
        if number - 1 == step.cut:
            yield Cut()
        if number > 1 and step.pause:
            yield Pause(step.pause)
        yield event
    if step.cut is not None and step.cut >= number:
        yield Cut()


# --- messages -----------------------------------------------------------------------------------------


def _write(core: Core, plan: Plan, step: Step, follower: Steps) -> Iterator[Beat]:
    """A message. It is cut off at the run's limit of tokens, or when the run is to end incomplete just after it."""
    parts, is_short = allowance.affordable(plan, step.value)
    reason = _shortened(follower) or ("max_tokens" if is_short else None)
    plan.message = shapes.message({"id": core.mint("msg_"), "created_at": plan.moment}, plan.run)
    opened = _opened(core, plan, "message_creation", {"message_creation": {"message_id": plan.message["id"]}})
    core.world.put(MESSAGES, shapes.written(plan.message))
    yield from _begun(opened)
    yield Event("thread.message.created", plan.message)
    yield Event("thread.message.in_progress", plan.message)
    if plan.is_heard:
        yield from _paced(step, _spoken(plan, parts, step.chunk))
    yield _closed(core, plan, parts, reason)
    yield _completed(core, plan, opened, allowance.size(parts))
    if is_short:
        yield _cut_off(core, plan, "max_completion_tokens")


def _spoken(plan: Plan, parts: tuple[Obj, ...], chunk: int | None) -> Iterator[Event]:
    """The deltas of a message. The plan knows what was told, should the run end before the message does."""
    message = plan.message or {}
    for index, part in enumerate(parts):
        plan.message = {**message, "content": list(parts[:index])}
        plan.told = 0
        for delta in deltas.of_part(index, part, chunk):
            plan.part, plan.told = part, plan.told + deltas.length(delta)
            yield Event("thread.message.delta", shapes.message_delta(message["id"], delta))


def _told_so_far(plan: Plan, message: Obj) -> list[Obj]:
    """The parts of a message that is not over, the last as far as it was told."""
    return [*message["content"], *([] if plan.part is None else [deltas.head(plan.part, plan.told)])]


def _closed(core: Core, plan: Plan, parts: Iterable[Obj], reason: str | None) -> Event:
    """The message is over: completed, or incomplete for a reason."""
    ending: Obj = {"status": "completed", "completed_at": plan.moment}
    if reason is not None:
        ending = {"status": "incomplete", "incomplete_details": {"reason": reason}, "incomplete_at": plan.moment}
    message = {**(plan.message or {}), **ending, "content": list(parts)}
    plan.message = plan.part = None
    core.world.put(MESSAGES, shapes.written(message))
    return Event(f"thread.message.{message['status']}", message)


def _shortened(follower: Steps) -> str | None:
    """Why a message is incomplete when the run is to end incomplete just after it."""
    if not follower or follower[0].kind != "incomplete":
        return None
    return "content_filter" if follower[0].value == "content_filter" else "max_tokens"


# --- tools --------------------------------------------------------------------------------------------


def _tool(core: Core, plan: Plan, step: Step, call: Obj, told: Iterator[Obj]) -> Iterator[Beat]:
    """A built-in tool: its step, from beginning to end."""
    opened = _opened(core, plan, "tool_calls", {"tool_calls": []})
    yield from _begun(opened)
    yield from _paced(step, _told(plan, opened, told))
    done = {**opened, "step_details": {"type": "tool_calls", "tool_calls": [call]}}
    yield _completed(core, plan, done, tokens.count(str(call)))


def _told(plan: Plan, step: Obj, told: Iterator[Obj]) -> Iterator[Event]:
    if plan.is_heard:
        for call in told:
            yield Event("thread.run.step.delta", shapes.step_delta(step["id"], call))


def _code(core: Core, plan: Plan, step: Step, _: Steps) -> Iterator[Beat]:
    call = {"id": core.mint("call_"), "type": "code_interpreter", "code_interpreter": step.value}
    return _tool(core, plan, step, call, deltas.of_code(call, step.chunk))


# What a search is ranked by where the script does not say (recorded keys).
_RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0}


def _search(core: Core, plan: Plan, step: Step, _: Steps) -> Iterator[Beat]:
    search = {"ranking_options": _RANKING, **step.value}
    call = {"id": core.mint("call_"), "type": "file_search", "file_search": search}
    return _tool(core, plan, step, call, deltas.of_search(call))


def _call(core: Core, plan: Plan, step: Step, _: Steps) -> Iterator[Beat]:
    """Functions: the run stops here until somebody submits their outputs."""
    opened = _opened(core, plan, "tool_calls", {"tool_calls": []})
    calls = [_function(call.get("id") or core.mint("call_"), call) for call in step.value]
    yield from _begun(opened)
    told = (delta for index, call in enumerate(calls) for delta in deltas.of_function(index, call, step.chunk))
    yield from _paced(step, _told(plan, opened, told))
    core.world.put(RUN_STEPS, {**opened, "step_details": {"type": "tool_calls", "tool_calls": calls}})
    wanted = [{**call, "function": _without_output(call["function"])} for call in calls]
    yield _moved(core, plan, "call", {"tool_calls": wanted})
    yield from _answered(core, plan)


def _function(call_id: str, call: Obj) -> Obj:
    function = {"name": call["name"], "arguments": call["arguments"], "output": None}
    return {"id": call_id, "type": "function", "function": function}


def _without_output(function: Obj) -> Obj:
    return {"name": function["name"], "arguments": function["arguments"]}


def _answered(core: Core, plan: Plan) -> Iterator[Beat]:
    """The outputs are there: the run waits and works again. Recorded: `started_at` is new."""
    for step in _open_steps(core, plan):
        yield _completed(core, plan, _filled(step, plan.outputs), tokens.count(str(step.get("step_details"))))
    yield _moved(core, plan, "submit")
    yield _moved(core, plan, "start")


def _filled(step: Obj, outputs: Mapping[str, str]) -> Obj:
    """The step with its outputs. A state may have brought in any JSON as a step."""
    details = step.get("step_details")
    calls = details.get("tool_calls") if isinstance(details, dict) else None
    if not isinstance(details, dict) or not isinstance(calls, list):
        return step
    return {**step, "step_details": {**details, "tool_calls": [_with_output(call, outputs) for call in calls]}}


def _with_output(call: Obj, outputs: Mapping[str, str]) -> Obj:
    if not isinstance(call, dict) or not isinstance(call.get("function"), dict):
        return call
    call_id = call.get("id")
    output = outputs.get(call_id) if isinstance(call_id, str) else None
    return call if output is None else {**call, "function": {**call["function"], "output": output}}


# --- ends ---------------------------------------------------------------------------------------------


def _fail(core: Core, plan: Plan, step: Step, _: Steps) -> Iterator[Beat]:
    yield _moved(core, plan, "fail", {"last_error": step.value, "usage": _usage(plan)})


def _error(core: Core, plan: Plan, step: Step, _: Steps) -> Iterator[Beat]:
    """Recorded: an `error` event, wrapped, and the stream is done. That the run then has failed is inferred."""
    error = {**server_error(_request_id(plan.run["id"])).error(), **step.value}
    last = {"code": "server_error", "message": error["message"]}
    _moved(core, plan, "fail", {"last_error": last, "usage": _usage(plan)})
    yield Event("error", {"error": error})


def _request_id(run_id: str) -> str:
    """The run's own, in the recorded shape: the same however many requests there were."""
    return f"req_{sha256(run_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _incomplete(core: Core, plan: Plan, step: Step, _: Steps) -> Iterator[Beat]:
    yield _cut_off(core, plan, step.value)


def _cut_off(core: Core, plan: Plan, reason: str) -> Event:
    return _moved(core, plan, "cut", {"incomplete_details": {"reason": reason}, "usage": _usage(plan)})


def _abandoned(core: Core, plan: Plan, status: str) -> Iterator[Beat]:
    """What was under way when the run ended: the message is incomplete, its step has the run's status (inferred)."""
    if plan.message is not None:
        yield _closed(core, plan, _told_so_far(plan, plan.message), f"run_{status}")
    for step in _open_steps(core, plan):
        traces = {"cancelled_at": plan.moment} if status == "cancelled" else {}
        ended = {**step, "status": status, **traces}
        core.world.put(RUN_STEPS, ended)
        yield Event(f"thread.run.step.{status}", ended)


def _open_steps(core: Core, plan: Plan) -> list[Obj]:
    rows = core.world.shelf(RUN_STEPS, plan.run["id"]).rows()
    return [step for _, step in rows if step.get("status") == "in_progress"]


_TELLERS: Mapping[str, Callable[[Core, Plan, Step, Steps], Iterator[Beat]]] = {
    "reply": _write,
    "image": _write,
    "refuse": _write,
    "call": _call,
    "code": _code,
    "search": _search,
    "fail": _fail,
    "incomplete": _incomplete,
    "error": _error,
}
