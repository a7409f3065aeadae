"""Execute a run step by step, and yield its events.

Each function here is a generator: a step of it changes the database and yields an event. A stream sends the events,
polling ignores them, and both see the same run. The order of events is recorded. A generator is not resumed after
its run has ended, nor before the outputs that the run waits for were submitted.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256

import fake_assistants.engine.deltas as deltas
import fake_assistants.engine.run_shapes as shapes
import fake_assistants.engine.run_status as run_status
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
    """Execute a new run, from its creation to its end."""
    yield Event("thread.run.created", shapes.in_long_form(plan.run))
    yield Event("thread.run.queued", shapes.in_long_form(plan.run))
    yield _moved(backend, plan, "start")
    yield from _work(backend, plan, steps)


def of_resumed(backend: Backend, plan: RunPlan, steps: Steps) -> Iterator[RunEvent]:
    """Execute a run that was loaded with a state, from the submission of its outputs to its end."""
    yield from _resume(backend, plan)
    yield from _work(backend, plan, steps)


def of_cancelled(backend: Backend, plan: RunPlan) -> Iterator[RunEvent]:
    """Cancel a run. Recorded: its usage is zero, and one that was queued has started when it was created."""
    yield _moved(backend, plan, "cancel")
    yield from _abort(backend, plan, "cancelled")
    started = plan.run.get("started_at") or plan.run.get("created_at")
    yield _moved(backend, plan, "stop", {"started_at": started, "usage": shapes.usage(0, 0)})


def of_expired(backend: Backend, plan: RunPlan) -> Iterator[RunEvent]:
    """Expire a run."""
    yield from _abort(backend, plan, "expired")
    yield _moved(backend, plan, "expire", _usage(plan))


def _work(backend: Backend, plan: RunPlan, steps: Steps) -> Iterator[RunEvent]:
    """Execute the steps of the script, from in_progress to the end of the run."""
    for index, step in enumerate(steps):
        yield from _STEP_HANDLERS[step.kind](backend, plan, step, steps[index + 1 : index + 2])
    yield _moved(backend, plan, "finish", _usage(plan))


def _moved(backend: Backend, plan: RunPlan, move: run_status.Move, about: object = None) -> Event:
    plan.run = run_status.moved(plan.run, move, plan.now, about)
    plan.since, plan.shown = plan.now, 0
    backend.database.put(RUNS, plan.run)
    return Event(f"thread.run.{plan.status}", shapes.in_long_form(plan.run))


def _usage(plan: RunPlan) -> Obj:
    return shapes.usage(plan.prompt, plan.completion)


# --- steps --------------------------------------------------------------------------------------------


def _open_step(backend: Backend, plan: RunPlan, kind: str, details: Obj) -> Obj:
    """Create a step and store it."""
    head = {"id": backend.new_id("step_"), "created_at": plan.now}
    step = shapes.step(head, plan.run, kind, details)
    backend.database.put(RUN_STEPS, step)
    return step


def _step_events(step: Obj) -> Iterator[RunEvent]:
    yield Event("thread.run.step.created", step)
    yield Event("thread.run.step.in_progress", step)


def _completed(backend: Backend, plan: RunPlan, step: Obj, completion: int) -> Event:
    """Complete a step. Recorded: it has no expiry over REST any more, while the stream still shows it."""
    prompt = plan.asked + plan.completion
    plan.prompt += prompt
    plan.completion += completion
    done = {**step, "status": "completed", "completed_at": plan.now, "usage": shapes.usage(prompt, completion)}
    backend.database.put(RUN_STEPS, {**done, "expires_at": None})
    return Event("thread.run.step.completed", done if plan.with_contents else shapes.without_contents(done))


def _paced(step: Step, events: Iterable[Event]) -> Iterator[RunEvent]:
    """Yield deltas with the script's pauses between them, and its cut."""
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
    """Write a message. It is cut at the run's token limit, and incomplete if the next step makes the run incomplete."""
    parts, is_short = deltas.affordable(plan, step.value)
    reason = _reason_of_next(follower) or ("max_tokens" if is_short else None)
    plan.message = shapes.message({"id": backend.new_id("msg_"), "created_at": plan.now}, plan.run)
    opened = _open_step(backend, plan, "message_creation", {"message_creation": {"message_id": plan.message["id"]}})
    backend.database.put(MESSAGES, shapes.written(plan.message))
    yield from _step_events(opened)
    yield Event("thread.message.created", plan.message)
    yield Event("thread.message.in_progress", plan.message)
    if plan.is_streamed:
        yield from _paced(step, _message_deltas(plan, parts, step.chunk))
    yield _close_message(backend, plan, parts, reason)
    yield _completed(backend, plan, opened, deltas.size(parts))
    if is_short:
        yield _cut_off(backend, plan, "max_completion_tokens")


def _message_deltas(plan: RunPlan, parts: tuple[Obj, ...], chunk: int | None) -> Iterator[Event]:
    """Yield the deltas of a message. The plan records how far they got, in case the run ends before the message."""
    message = plan.message or {}
    for index, part in enumerate(parts):
        plan.message = {**message, "content": list(parts[:index])}
        plan.characters_sent = 0
        for delta in deltas.of_part(index, part, chunk):
            plan.part, plan.characters_sent = part, plan.characters_sent + deltas.length(delta)
            yield Event("thread.message.delta", shapes.message_delta(message["id"], delta))


def _sent_parts(plan: RunPlan, message: Obj) -> list[Obj]:
    """Return the parts of an unfinished message, the last one cut at what was sent."""
    return [*message["content"], *([] if plan.part is None else [deltas.head(plan.part, plan.characters_sent)])]


def _close_message(backend: Backend, plan: RunPlan, parts: Iterable[Obj], reason: str | None) -> Event:
    """Close the message: completed, or incomplete if there is a reason."""
    ending: Obj = {"status": "completed", "completed_at": plan.now}
    if reason is not None:
        ending = {"status": "incomplete", "incomplete_details": {"reason": reason}, "incomplete_at": plan.now}
    message = {**(plan.message or {}), **ending, "content": list(parts)}
    plan.message = plan.part = None
    backend.database.put(MESSAGES, shapes.written(message))
    return Event(f"thread.message.{message['status']}", message)


def _reason_of_next(follower: Steps) -> str | None:
    """Return why a message is incomplete, if the step after it ends the run as incomplete."""
    if not follower or follower[0].kind != "incomplete":
        return None
    return "content_filter" if follower[0].value == "content_filter" else "max_tokens"


# --- tools --------------------------------------------------------------------------------------------


def _tool(backend: Backend, plan: RunPlan, step: Step, call: Obj, pieces: Iterator[Obj]) -> Iterator[RunEvent]:
    """Run a built-in tool: the complete step."""
    opened = _open_step(backend, plan, "tool_calls", {"tool_calls": []})
    yield from _step_events(opened)
    yield from _paced(step, _step_deltas(plan, opened, pieces))
    done = {**opened, "step_details": {"type": "tool_calls", "tool_calls": [call]}}
    yield _completed(backend, plan, done, tokens.count(str(call)))


def _step_deltas(plan: RunPlan, step: Obj, pieces: Iterator[Obj]) -> Iterator[Event]:
    if plan.is_streamed:
        for call in pieces:
            yield Event("thread.run.step.delta", shapes.step_delta(step["id"], call))


def _code(backend: Backend, plan: RunPlan, step: Step, _: Steps) -> Iterator[RunEvent]:
    call = {"id": backend.new_id("call_"), "type": "code_interpreter", "code_interpreter": step.value}
    return _tool(backend, plan, step, call, deltas.of_code(call, step.chunk))


# The ranking options of a search if the script has none (recorded keys).
_RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0}


def _search(backend: Backend, plan: RunPlan, step: Step, _: Steps) -> Iterator[RunEvent]:
    search = {"ranking_options": _RANKING, **step.value}
    call = {"id": backend.new_id("call_"), "type": "file_search", "file_search": search}
    return _tool(backend, plan, step, call, deltas.of_search(call))


def _call(backend: Backend, plan: RunPlan, step: Step, _: Steps) -> Iterator[RunEvent]:
    """Call functions: the run waits here until their outputs are submitted."""
    opened = _open_step(backend, plan, "tool_calls", {"tool_calls": []})
    calls = [_function(call.get("id") or backend.new_id("call_"), call) for call in step.value]
    yield from _step_events(opened)
    pieces = (delta for index, call in enumerate(calls) for delta in deltas.of_function(index, call, step.chunk))
    yield from _paced(step, _step_deltas(plan, opened, pieces))
    backend.database.put(RUN_STEPS, {**opened, "step_details": {"type": "tool_calls", "tool_calls": calls}})
    required = [{**call, "function": _without_output(call["function"])} for call in calls]
    yield _moved(backend, plan, "call", {"tool_calls": required})
    yield from _resume(backend, plan)


def _function(call_id: str, call: Obj) -> Obj:
    function = {"name": call["name"], "arguments": call["arguments"], "output": None}
    return {"id": call_id, "type": "function", "function": function}


def _without_output(function: Obj) -> Obj:
    return {"name": function["name"], "arguments": function["arguments"]}


def _resume(backend: Backend, plan: RunPlan) -> Iterator[RunEvent]:
    """Resume a run with its outputs: it is queued, then in progress. Recorded: `started_at` is new."""
    for step in _open_steps(backend, plan):
        yield _completed(backend, plan, _filled(step, plan.outputs), tokens.count(str(step.get("step_details"))))
    yield _moved(backend, plan, "submit")
    yield _moved(backend, plan, "start")


def _filled(step: Obj, outputs: Mapping[str, str]) -> Obj:
    """Return the step with its outputs. A loaded state may have any JSON as a step."""
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
    """Send an `error` event, wrapped, and end the stream (recorded). That the run has then failed is inferred."""
    error = {**server_error(_request_id(plan.run["id"])).error(), **step.value}
    last = {"code": "server_error", "message": error["message"]}
    _moved(backend, plan, "fail", {"last_error": last, "usage": _usage(plan)})
    yield Event("error", {"error": error})


def _request_id(run_id: str) -> str:
    """Return a request id in the recorded shape, derived from the run's id, so that it is the same on every run."""
    return f"req_{sha256(run_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def _incomplete(backend: Backend, plan: RunPlan, step: Step, _: Steps) -> Iterator[RunEvent]:
    yield _cut_off(backend, plan, step.value)


def _cut_off(backend: Backend, plan: RunPlan, reason: str) -> Event:
    return _moved(backend, plan, "cut", {"incomplete_details": {"reason": reason}, "usage": _usage(plan)})


def _abort(backend: Backend, plan: RunPlan, status: str) -> Iterator[RunEvent]:
    """Close what is unfinished when the run ends: the message is incomplete, steps get the run's status (inferred)."""
    if plan.message is not None:
        yield _close_message(backend, plan, _sent_parts(plan, plan.message), f"run_{status}")
    for step in _open_steps(backend, plan):
        traces = {"cancelled_at": plan.now} if status == "cancelled" else {}
        ended = {**step, "status": status, **traces}
        backend.database.put(RUN_STEPS, ended)
        yield Event(f"thread.run.step.{status}", ended)


def _open_steps(backend: Backend, plan: RunPlan) -> list[Obj]:
    rows = backend.database.collection(RUN_STEPS, plan.run["id"]).rows()
    return [step for _, step in rows if step.get("status") == "in_progress"]


_STEP_HANDLERS: Mapping[str, Callable[[Backend, RunPlan, Step, Steps], Iterator[RunEvent]]] = {
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
