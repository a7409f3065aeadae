"""Handlers for /threads/runs and /threads/{thread_id}/runs."""

from collections.abc import Mapping
from typing import Any

import fake_assistants.engine.pagination as paging
import fake_assistants.engine.run_scheduler as scheduler
import fake_assistants.errors.runs as errors
import fake_assistants.http.sse as sse
import fake_assistants.resources.threads as threads
import fake_assistants.schemas.runs as bodies
from fake_assistants.engine.backend import Backend, Call, found
from fake_assistants.engine.run_plan import Event, RunPlan
from fake_assistants.engine.run_scheduler import prompt_tokens, turn_of
from fake_assistants.engine.run_shapes import in_long_form
from fake_assistants.engine.run_status import LIFETIME, allows, is_active
from fake_assistants.errors.ids import malformed_id
from fake_assistants.http.lossless_json import Obj
from fake_assistants.http.message import Reply
from fake_assistants.resources.assistants import refuse_model
from fake_assistants.resources.file_checks import refuse_bodies
from fake_assistants.resources.messages import active_run, add_all, has_user_message, refuse_overflow
from fake_assistants.resources.run_steps import includes_contents
from fake_assistants.resources.vector_stores import stored_resources, tool
from fake_assistants.schemas.checks import Shape
from fake_assistants.store.kinds import ASSISTANTS, RUNS, THREADS

# The defaults of a run, in the recorded order of keys.
UNSET: Obj = {
    "status": "queued",
    "started_at": None,
    "expires_at": None,
    "cancelled_at": None,
    "failed_at": None,
    "completed_at": None,
    "required_action": None,
    "last_error": None,
    "model": None,
    "instructions": None,
    "tools": [],
    "tool_resources": {},
    "metadata": {},
    "temperature": 1.0,
    "top_p": 1.0,
    "reasoning_effort": None,
    "max_completion_tokens": None,
    "max_prompt_tokens": None,
    "truncation_strategy": {"type": "auto", "last_messages": None},
    "incomplete_details": None,
    "usage": None,
    "response_format": "auto",
    "tool_choice": "auto",
    "parallel_tool_calls": True,
}

# The keys that a run inherits from its assistant, and those of its own that are stored as they are given.
INHERITED = ("model", "instructions", "tools", "temperature", "top_p", "reasoning_effort", "response_format")
_OWN = ("metadata", "max_completion_tokens", "max_prompt_tokens", "tool_choice", "parallel_tool_calls")

# --- creating -----------------------------------------------------------------------------------------


def create(backend: Backend, call: Call) -> Obj | Reply:
    """POST /threads/{thread_id}/runs."""
    thread = found(backend, THREADS, call.ids["thread_id"])
    body, with_contents = _body(call, bodies.NEW_RUN)
    assistant = _assistant(backend, body["assistant_id"])
    active = active_run(backend, thread["id"])
    if active is not None:
        raise errors.run_active(thread["id"], active["id"])
    refuse_model(backend, body.get("model"))
    added = body.get("additional_messages") or []
    refuse_bodies(backend, messages=added)
    refuse_overflow(backend, thread["id"], len(added))
    fields = _fields(body, assistant)
    if not _has_prompt(fields, added) and not has_user_message(backend, thread["id"]):
        raise errors.nothing_to_say()
    add_all(backend, thread["id"], added)
    plan = _begin(backend, {"assistant_id": assistant["id"], "thread_id": thread["id"]}, fields)
    plan.with_contents = with_contents
    return _answer(backend, plan, body)


def create_with_thread(backend: Backend, call: Call) -> Obj | Reply:
    """POST /threads/runs: create a thread and run it. If the run is refused, no thread is created."""
    body, with_contents = _body(call, bodies.NEW_THREAD_AND_RUN)
    assistant = _assistant(backend, body["assistant_id"])
    refuse_model(backend, body.get("model"))
    thread_body = body.get("thread") or {}
    resources = [thread_body.get("tool_resources"), body.get("tool_resources")]
    refuse_bodies(backend, messages=thread_body.get("messages") or [], tool_resources=resources)
    fields = _fields(body, assistant)
    if not _has_prompt(fields, thread_body.get("messages") or []):
        raise errors.nothing_to_say()
    thread = threads.create_from(backend, thread_body)
    fields["tool_resources"] = stored_resources(backend, body.get("tool_resources"))
    plan = _begin(backend, {"assistant_id": assistant["id"], "thread_id": thread["id"]}, fields)
    plan.with_contents = with_contents
    return _answer(backend, plan, body, Event("thread.created", in_long_form(thread)))


def _body(call: Call, shape: Shape) -> tuple[Obj, bool]:
    body = call.body(shape)
    return body, includes_contents(call.request)


def _assistant(backend: Backend, assistant_id: str) -> Obj:
    """Return the assistant of a run. Recorded: an id without its prefix is malformed, unless a loaded state has it."""
    if not assistant_id.startswith(ASSISTANTS.prefix) and backend.database.text(ASSISTANTS, assistant_id) is None:
        raise malformed_id("assistant_id", assistant_id, ASSISTANTS)
    return found(backend, ASSISTANTS, assistant_id)


def _has_prompt(fields: Obj, messages: list[Obj]) -> bool:
    """Return whether a run has instructions or a new user message. It needs either, or an older one (recorded)."""
    return bool(fields["instructions"]) or any(message["role"] == "user" for message in messages)


def _fields(body: Obj, assistant: Obj) -> Obj:
    """Return the run's settings, in the recorded order of keys."""
    fields = {**UNSET, **{key: assistant[key] for key in INHERITED if assistant.get(key) is not None}}
    given = {key: value for key, value in body.items() if value is not None}
    fields |= {key: given[key] for key in (*INHERITED, *_OWN) if key in given}
    fields["instructions"] = _instructions(fields["instructions"], given.get("additional_instructions"))
    if "truncation_strategy" in given:
        fields["truncation_strategy"] = {**UNSET["truncation_strategy"], **given["truncation_strategy"]}
    for key in ("temperature", "top_p"):
        fields[key] = float(given[key]) if key in given else fields[key]
    if "tools" in given:
        fields["tools"] = [tool(one) for one in given["tools"]]
    return fields


def _instructions(own: Any, additional: str | None) -> Any:
    """Append additional instructions to the others (documented). The line break between them is inferred."""
    return own if not additional else f"{own}\n{additional}" if own else additional


def _begin(backend: Backend, owners: Obj, fields: Obj) -> RunPlan:
    now = backend.clock.now()
    head = {"id": backend.new_id("run_"), "object": "thread.run", "created_at": now}
    run = {**head, **owners, **fields, "expires_at": now + LIFETIME}
    turn = turn_of(backend, run)
    steps = backend.script.steps(turn)  # before the run is stored: a predicate of the script may raise
    backend.database.put(RUNS, run)
    return scheduler.begin(backend, run, steps, asked=prompt_tokens(turn))


def _answer(backend: Backend, plan: RunPlan, body: Obj, first: Event | None = None) -> Obj | Reply:
    """Return the run as it is now, or a stream of its events."""
    if body.get("stream"):
        return Reply(200, backend.headers(sse.CONTENT_TYPE), chunks=scheduler.stream(backend, plan, first))
    shown = plan.run
    scheduler.after_reply(backend, plan)
    return shown


# --- reading ------------------------------------------------------------------------------------------


def retrieve(backend: Backend, call: Call) -> Obj:
    """GET /threads/{thread_id}/runs/{run_id}."""
    run = _run(backend, call)
    plan = scheduler.planned(backend, run)
    if plan is None:
        return run
    scheduler.count_read(backend, plan)
    return plan.run


def listing(backend: Backend, call: Call) -> Obj | bytes:
    """GET /threads/{thread_id}/runs."""
    thread = found(backend, THREADS, call.ids["thread_id"])
    collection = backend.database.collection(RUNS, thread["id"])
    ask = paging.asked(call.request, collection, RUNS)
    active = active_run(backend, thread["id"])
    plan = scheduler.planned(backend, active) if active else None
    if plan is not None:
        scheduler.count_read(backend, plan)
    return paging.page(collection, ask)


def _run(backend: Backend, call: Call) -> Obj:
    thread = found(backend, THREADS, call.ids["thread_id"])
    return found(backend, RUNS, call.ids["run_id"], thread["id"])


# --- changing -----------------------------------------------------------------------------------------


def modify(backend: Backend, call: Call) -> Obj:
    """POST /threads/{thread_id}/runs/{run_id}. Recorded: an active run is refused."""
    old = _run(backend, call)
    body = call.body(bodies.CHANGED_RUN)
    if is_active(old):
        raise errors.cannot_update(old["status"])
    new = old | {key: value or {} for key, value in body.items()}
    backend.database.put(RUNS, new)
    return new


def cancel(backend: Backend, call: Call) -> Obj:
    """POST /threads/{thread_id}/runs/{run_id}/cancel. Recorded: the reply shows it cancelling."""
    run = _run(backend, call)  # a body is ignored (recorded)
    if not allows(run, "cancel"):
        raise errors.cannot_cancel(run.get("status"))
    plan = scheduler.cancel(backend, run)
    shown = plan.run
    scheduler.after_reply(backend, plan)
    return shown


def submit(backend: Backend, call: Call) -> Obj | Reply:
    """POST /threads/{thread_id}/runs/{run_id}/submit_tool_outputs: all outputs at once, or none (recorded)."""
    run = _run(backend, call)
    body = call.body(bodies.OUTPUTS)
    if not allows(run, "submit"):
        raise errors.no_outputs_wanted(run.get("status"))
    required = _required_calls(run)
    given = _named(body["tool_outputs"], required)
    if sorted(given) != sorted(required):
        raise errors.wrong_outputs(required, given)
    outputs = {call_id: one.get("output") or "" for call_id, one in zip(given, body["tool_outputs"], strict=True)}
    return _submitted(backend, run, outputs, body)


def _named(outputs: list[Obj], required: list[str]) -> list[str]:
    """The call id of each output. One without an id is for the next call that no other output names (inferred).

    The SDKs' types make the id optional, and their own tests leave it out.
    """
    named = [one.get("tool_call_id") for one in outputs]
    others = (call_id for call_id in required if call_id not in named)
    return [next(others, "") if call_id is None else call_id for call_id in named]


def _required_calls(run: Obj) -> list[str]:
    """The ids of the calls that a run waits for. A loaded state may have any JSON there."""
    value: Any = run.get("required_action")
    for key in ("submit_tool_outputs", "tool_calls"):
        value = value.get(key) if isinstance(value, Mapping) else None
    calls = value if isinstance(value, list) else []
    return [call["id"] for call in calls if isinstance(call, dict) and isinstance(call.get("id"), str)]


def _submitted(backend: Backend, run: Obj, outputs: Mapping[str, str], body: Obj) -> Obj | Reply:
    steps = () if scheduler.planned(backend, run) else backend.script.steps(turn_of(backend, run))
    plan = scheduler.submit(backend, run, outputs, steps)
    stream = _answer(backend, plan, body) if body.get("stream") else None
    scheduler.advance_for_reply(backend, plan)  # its events are the first of the stream
    return stream or _answer(backend, plan, body)
