"""Build runs, steps and their messages, as REST and as streams show them. Key orders are recorded."""

from typing import Any

from fake_assistants.http.lossless_json import Obj

_CODE_FILES: Obj = {"code_interpreter": {"file_ids": []}}


def usage(prompt: int, completion: int) -> Obj:
    """Return a usage object. Recorded, including the singular `prompt_token_details`."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_token_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def step(head: Obj, run: Obj, kind: str, details: Obj) -> Obj:
    """Return a new step, in progress. `head` has its id and created_at."""
    return {
        "id": head["id"],
        "object": "thread.run.step",
        "created_at": head["created_at"],
        "run_id": run["id"],
        "assistant_id": run.get("assistant_id"),
        "thread_id": run["thread_id"],
        "type": kind,
        "status": "in_progress",
        "cancelled_at": None,
        "completed_at": None,
        "expires_at": run.get("expires_at"),
        "failed_at": None,
        "last_error": None,
        "step_details": {"type": kind, **details},
        "usage": None,
    }


def written(message: Obj) -> Obj:
    """Return a message as REST shows it: without its status, which only streams show (recorded)."""
    return {key: value for key, value in message.items() if key not in _ONLY_STREAMED}


_ONLY_STREAMED = {"status", "incomplete_details", "incomplete_at", "completed_at"}


def message(head: Obj, run: Obj) -> Obj:
    """Return a new message of the assistant, in progress, as streams show it."""
    return {
        "id": head["id"],
        "object": "thread.message",
        "created_at": head["created_at"],
        "assistant_id": run.get("assistant_id"),
        "thread_id": run["thread_id"],
        "run_id": run["id"],
        "status": "in_progress",
        "incomplete_details": None,
        "incomplete_at": None,
        "completed_at": None,
        "role": "assistant",
        "content": [],
        "attachments": [],
        "metadata": {},
    }


def in_long_form(value: Obj) -> Obj:
    """Return a run or a thread with the list of code files in its tool resources, empty where it has none.

    Recorded for retrieved threads, also next to other resources, and for streams without resources; inferred for
    streams with some. A loaded state may have any JSON there; what is not an object is left unchanged.
    """
    resources = value.get("tool_resources")
    if not isinstance(resources, dict) or "code_interpreter" in resources:
        return value
    return {**value, "tool_resources": {**resources, **_CODE_FILES}}


def message_delta(message_id: str, part: Obj) -> Obj:
    """Return the delta of one message part."""
    return {"id": message_id, "object": "thread.message.delta", "delta": {"content": [part]}}


def step_delta(step_id: str, call: Obj) -> Obj:
    """Return the delta of one tool call."""
    details = {"type": "tool_calls", "tool_calls": [call]}
    return {"id": step_id, "object": "thread.run.step.delta", "delta": {"step_details": details}}


def without_contents(step: Obj) -> Obj:
    """Return a step without the texts that a file search found, which are sent only if `include` names them (recorded).

    A loaded state may have any JSON there; what does not look like search results is left unchanged.
    """
    details = step.get("step_details")
    calls = details.get("tool_calls") if isinstance(details, dict) else None
    if not isinstance(details, dict) or not isinstance(calls, list):
        return step
    return {**step, "step_details": {**details, "tool_calls": [_bare_call(call) for call in calls]}}


def _bare_call(call: Any) -> Any:
    search = call.get("file_search") if isinstance(call, dict) else None
    results = search.get("results") if isinstance(search, dict) else None
    if not isinstance(search, dict) or not isinstance(results, list):
        return call
    return {**call, "file_search": {**search, "results": [_bare_result(result) for result in results]}}


def _bare_result(result: Any) -> Any:
    return {key: value for key, value in result.items() if key != "content"} if isinstance(result, dict) else result
