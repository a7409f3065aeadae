"""Execute a run step by step, and yield its events.

Each function here is a generator: a step of it changes the database and yields an event. A stream sends the events on,
a poll ignores them, so that both see the same run. The order of events is recorded. A generator is not resumed after
its run has ended, nor before the outputs that the run waits for were submitted.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256

import fake_assistants.engine.deltas as allowance
import fake_assistants.engine.deltas as deltas
import fake_assistants.engine.run_shapes as shapes
import fake_assistants.engine.run_status as lifecycle
import fake_assistants.simulation.tokens as tokens
from fake_assistants.engine.backend import Backend
from fake_assistants.engine.run_plan import Event, RunEvent, RunPlan
from fake_assistants.errors.server import server_error
from fake_assistants.http.lossless_json import Obj
from fake_assistants.http.message import Cut, Pause
from fake_assistants.simulation.script_parser import Step, Steps
from fake_assistants.store.kinds import MESSAGES, RUN_STEPS, RUNS

# --- complete runs ------------------------------------------------------------------------------------


def of_new(backend: Backend, plan: RunPlan, steps: Steps) -> Iterator[RunEvent]:
    """A run from its creation to its end."""
    yield Event("thread.run.created", shapes.in_long_form(plan.run))
    yield Event("thread.run.queued", shapes.in_long_form(plan.run))
    yield _moved(backend, plan, "start")
    yield from _work(backend, plan, steps)


def of_resumed(backend: Backend, plan: RunPlan, steps: Steps) -> Iterator[RunEvent]:
    """A run that a state brought in, from its outputs to its end."""
    yield from _answered(backend, plan)
    yield from _work(backend, plan, steps)


def of_cancelled(backend: Backend, plan: RunPlan) -> Iterator[RunEvent]:
    """Cancel a run. Recorded: its usage is zero, and one that was queued has started when it was created."""
    yield _moved(backend, plan, "cancel")
    yield from _abandoned(backend, plan, "cancelled")
    started = plan.run.get("started_at") or plan.run.get("created_at")
    yield _moved(backend, plan, "stop", {"started_at": started, "usage": shapes.usage(0, 0)})


def of_expired(backend: Backend, plan: RunPlan) -> Iterator[RunEvent]:
    """The end of a run that took too long."""
    yield from _abandoned(backend, plan, "expired")
    yield _moved(backend, plan, "expire", _usage(plan))


def _work(backend: Backend, plan: RunPlan, steps: Steps) -> Iterator[RunEvent]:
    """What the model does, from in_progress to the end."""
    for index, step in enumerate(steps):
        yield from _TELLERS[step.kind](backend, plan, step, steps[index + 1 : index + 2])
    yield _moved(backend, plan, "finish", _usage(plan))


def _moved(backend: Backend, plan: RunPlan, move: lifecycle.Move, about: object = None) -> Event:
    plan.run = lifecycle.moved(plan.run, move, plan.moment, about)
    plan.since, plan.shown = plan.moment, 0
    backend.database.put(RUNS, plan.run)
    return Event(f"thread.run.{plan.status}", shapes.in_long_form(plan.run))


def _usage(plan: RunPlan) -> Obj:
    return shapes.usage(plan.prompt, plan.completion)


# --- steps --------------------------------------------------------------------------------------------


def _opened(backend: Backend, plan: RunPlan, kind: str, details: Obj) -> Obj:
    """A new step, put into the database."""
    head = {"id": backend.new_id("step_"), "created_at": plan.moment}
    step = shapes.step(head, plan.run, kind, details)
    backend.database.put(RUN_STEPS, step)
    return step


def _begun(step: Obj) -> Iterator[RunEvent]:
    yield Event("thread.run.step.created", step)
    yield Event("thread.run.step.in_progress", step)


def _completed(backend: Backend, plan: RunPlan, step: Obj, completion: int) -> Event:
    """Recorded: REST shows no expiry any more, the stream still does."""
    prompt = plan.asked + plan.completion
    plan.prompt += prompt
    plan.completion += completion
    done = {**step, "status": "completed", "completed_at": plan.moment, "usage": shapes.usage(prompt, completion)}
    backend.database.put(RUN_STEPS, {**done, "expires_at": None})
    return Event("thread.run.step.completed", done if plan.with_contents else shapes.without_contents(done))


def _paced(step: Step, events: Iterable[Event]) -> Iterator[RunEvent]:
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


def _write(backend: Backend, plan: RunPlan, step: Step, follower: Steps) -> Iterator[RunEvent]:
    """A message. It is cut off at the run's limit of tokens, or when the run is to end incomplete just after it."""
    parts, is_short = allowance.affordable(plan, step.value)
    reason = _shortened(follower) or ("max_tokens" if is_short else None)
    plan.message = shapes.message({"id": backend.new_id("msg_"), "created_at": plan.moment}, plan.run)
    opened = _opened(backend, plan, "message_creation", {"message_creation": {"message_id": plan.message["id"]}})
    backend.database.put(MESSAGES, shapes.written(plan.message))
    yield from _begun(opened)
    yield Event("thread.message.created", plan.message)
    yield Event("thread.message.in_progress", plan.message)
    if plan.is_heard:
        yield from _paced(step, _spoken(plan, parts, step.chunk))
    yield _closed(backend, plan, parts, reason)
    yield _completed(backend, plan, opened, allowance.size(parts))
    if is_short:
        yield _cut_off(backend, plan, "max_completion_tokens")


def _spoken(plan: RunPlan, parts: tuple[Obj, ...], chunk: int | None) -> Iterator[Event]:
    """Yield the deltas of a message. The plan records how far they got, in case the run ends before the message."""
    message = plan.message or {}
    for index, part in enumerate(parts):
        plan.message = {**message, "content": list(parts[:index])}
        plan.told = 0
        for delta in deltas.of_part(index, part, chunk):
            plan.part, plan.told = part, plan.told + deltas.length(delta)
            yield Event("thread.message.delta", shapes.message_delta(message["id"], delta))


def _told_so_far(plan: RunPlan, message: Obj) -> list[Obj]:
    """Return the parts of an unfinished message, the last as far as it was sent."""
    return [*message["content"], *([] if plan.part is None else [deltas.head(plan.part, plan.told)])]


def _closed(backend: Backend, plan: RunPlan, parts: Iterable[Obj], reason: str | None) -> Event:
    """The message is over: completed, or incomplete for a reason."""
    ending: Obj = {"status": "completed", "completed_at": plan.moment}
    if reason is not None:
        ending = {"status": "incomplete", "incomplete_details": {"reason": reason}, "incomplete_at": plan.moment}
    message = {**(plan.message or {}), **ending, "content": list(parts)}
    plan.message = plan.part = None
    backend.database.put(MESSAGES, shapes.written(message))
    return Event(f"thread.message.{message['status']}", message)


def _shortened(follower: Steps) -> str | None:
    """Why a message is incomplete when the run is to end incomplete just after it."""
    if not follower or follower[0].kind != "incomplete":
        return None
    return "content_filter" if follower[0].value == "content_filter" else "max_tokens"


# --- tools --------------------------------------------------------------------------------------------


def _tool(backend: Backend, plan: RunPlan, step: Step, call: Obj, told: Iterator[Obj]) -> Iterator[RunEvent]:
    """A built-in tool: its step, from beginning to end."""
    opened = _opened(backend, plan, "tool_calls", {"tool_calls": []})
    yield from _begun(opened)
    yield from _paced(step, _told(plan, opened, told))
    done = {**opened, "step_details": {"type": "tool_calls", "tool_calls": [call]}}
    yield _completed(backend, plan, done, tokens.count(str(call)))


def _told(plan: RunPlan, step: Obj, told: Iterator[Obj]) -> Iterator[Event]:
    if plan.is_heard:
        for call in told:
            yield Event("thread.run.step.delta", shapes.step_delta(step["id"], call))


def _code(backend: Backend, plan: RunPlan, step: Step, _: Steps) -> Iterator[RunEvent]:
    call = {"id": backend.new_id("call_"), "type": "code_interpreter", "code_interpreter": step.value}
    return _tool(backend, plan, step, call, deltas.of_code(call, step.chunk))


# What a search is ranked by where the script does not say (recorded keys).
_RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0}


def _search(backend: Backend, plan: RunPlan, step: Step, _: Steps) -> Iterator[RunEvent]:
    search = {"ranking_options": _RANKING, **step.value}
    call = {"id": backend.new_id("call_"), "type": "file_search", "file_search": search}
    return _tool(backend, plan, step, call, deltas.of_search(call))


def _call(backend: Backend, plan: RunPlan, step: Step, _: Steps) -> Iterator[RunEvent]:
    """Call functions: the run waits here until their outputs are submitted."""
    opened = _opened(backend, plan, "tool_calls", {"tool_calls": []})
    calls = [_function(call.get("id") or backend.new_id("call_"), call) for call in step.value]
    yield from _begun(opened)
    told = (delta for index, call in enumerate(calls) for delta in deltas.of_function(index, call, step.chunk))
    yield from _paced(step, _told(plan, opened, told))
    backend.database.put(RUN_STEPS, {**opened, "step_details": {"type": "tool_calls", "tool_calls": calls}})
    wanted = [{**call, "function": _without_output(call["function"])} for call in calls]
    yield _moved(backend, plan, "call", {"tool_calls": wanted})
    yield from _answered(backend, plan)


def _function(call_id: str, call: Obj) -> Obj:
    function = {"name": call["name"], "arguments": call["arguments"], "output": None}
    return {"id": call_id, "type": "function", "function": function}


def _without_output(function: Obj) -> Obj:
    return {"name": function["name"], "arguments": function["arguments"]}


def _answered(backend: Backend, plan: RunPlan) -> Iterator[RunEvent]:
    """Resume after the outputs: the run is queued, and works again. Recorded: `started_at` is new."""
    for step in _open_steps(backend, plan):
        yield _completed(backend, plan, _filled(step, plan.outputs), tokens.count(str(step.get("step_details"))))
    yield _moved(backend, plan, "submit")
    yield _moved(backend, plan, "start")


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


def _fail(backend: Backend, plan: RunPlan, step: Step, _: Steps) -> Iterator[RunEvent]:
    yield _moved(backend, plan, "fail", {"last_error": step.value, "usage": _usage(plan)})


def _error(backend: Backend, plan: RunPlan, step: Step, _: Steps) -> Iterator[RunEvent]:
    """Recorded: an `error` event, wrapped, and the stream is done. That the run then has failed is inferred."""
    error = {**server_error(_request_id(plan.run["id"])).error(), **step.value}
    last = {"code": "server_error", "message": error["message"]}
    _moved(backend, plan, "fail", {"last_error": last, "usage": _usage(plan)})
    yield Event("error", {"error": error})


def _request_id(run_id: str) -> str:
    """The run's own, in the recorded shape: the same however many requests there were."""
    return f"req_{sha256(run_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _incomplete(backend: Backend, plan: RunPlan, step: Step, _: Steps) -> Iterator[RunEvent]:
    yield _cut_off(backend, plan, step.value)


def _cut_off(backend: Backend, plan: RunPlan, reason: str) -> Event:
    return _moved(backend, plan, "cut", {"incomplete_details": {"reason": reason}, "usage": _usage(plan)})


def _abandoned(backend: Backend, plan: RunPlan, status: str) -> Iterator[RunEvent]:
    """What was under way when the run ended: the message is incomplete, its step has the run's status (inferred)."""
    if plan.message is not None:
        yield _closed(backend, plan, _told_so_far(plan, plan.message), f"run_{status}")
    for step in _open_steps(backend, plan):
        traces = {"cancelled_at": plan.moment} if status == "cancelled" else {}
        ended = {**step, "status": status, **traces}
        backend.database.put(RUN_STEPS, ended)
        yield Event(f"thread.run.step.{status}", ended)


def _open_steps(backend: Backend, plan: RunPlan) -> list[Obj]:
    rows = backend.database.collection(RUN_STEPS, plan.run["id"]).rows()
    return [step for _, step in rows if step.get("status") == "in_progress"]


_TELLERS: Mapping[str, Callable[[Backend, RunPlan, Step, Steps], Iterator[RunEvent]]] = {
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
