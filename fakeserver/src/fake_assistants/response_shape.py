"""The response object: as it is when it begins, and as it is when it has ended.

Recorded in 2026: after id, object, created_at and status the keys are in alphabetical order, but for usage,
user and metadata, which come last. What is asked for is echoed; everything else has its recorded default.
"""

from collections.abc import Iterable
from typing import Any

import fake_assistants.items as items
import fake_assistants.tokens as tokens
from fake_assistants.core import Core
from fake_assistants.outputs import Output
from fake_assistants.shelf import Obj

_NO_IMAGES: Obj = {
    "input_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "output_tokens": 0,
    "output_tokens_details": {"image_tokens": 0, "text_tokens": 0},
    "total_tokens": 0,
}
_DEFAULTS: Obj = {
    "background": False,
    "billing": {"payer": "developer"},
    "completed_at": None,
    "error": None,
    "frequency_penalty": 0.0,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "model": None,
    "moderation": None,
    "output": [],
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "prompt_cache_retention": None,
    "reasoning": {"context": None, "effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "auto",
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tool_usage": {"image_gen": _NO_IMAGES, "web_search": {"num_requests": 0}},
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
}

# What of a request is shown again.
_ECHOED = (
    *("background", "instructions", "max_output_tokens", "max_tool_calls", "model", "parallel_tool_calls"),
    *("previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_retention", "reasoning"),
    *("safety_identifier", "service_tier", "store", "temperature", "text", "tool_choice", "tools", "top_logprobs"),
    *("top_p", "truncation"),
)

_FUNCTION: Obj = {"type": "function", "description": None, "name": None, "parameters": None, "strict": True}
_SEARCH: Obj = {
    "type": "file_search",
    "filters": None,
    "max_num_results": 20,
    "ranking_options": {"ranker": "auto", "score_threshold": 0.0},
    "vector_store_ids": [],
}


def opened(core: Core, body: Obj, conversation_id: str | None) -> Obj:
    """A response that is in progress, from the checked body of its request."""
    asked = {key: _echo(key, body[key]) for key in _ECHOED if body.get(key) is not None}
    place = {} if conversation_id is None else {"conversation": {"id": conversation_id}}
    head = {
        "id": core.mint("resp_0"),
        "object": "response",
        "created_at": core.clock.now(),
        "status": "in_progress",
    }
    tail = {"usage": None, "user": body.get("user"), "metadata": body.get("metadata") or {}}
    return {**head, **dict(sorted({**_DEFAULTS, **place, **asked}.items())), **tail}


def closed(core: Core, response: Obj, context: Iterable[Obj], output: Output) -> Obj:
    """The response when the model has answered. `context` is what it was given to read."""
    ending = output.ending
    tier = response["service_tier"]
    return response | {
        "status": ending.status,
        "completed_at": core.clock.now() if ending.status == "completed" else None,
        "error": ending.error,
        "incomplete_details": {"reason": ending.reason} if ending.status == "incomplete" else None,
        "output": output.items,
        "service_tier": "default" if tier == "auto" else tier,
        "usage": None if ending.status == "failed" else _usage(response, context, output),
    }


def _usage(response: Obj, context: Iterable[Obj], output: Output) -> Obj:
    read = tokens.count(response["instructions"] or "")
    read += sum(tokens.count(text) for item in context for text in items.texts(item))
    return {
        "input_tokens": read,
        "input_tokens_details": {"cache_write_tokens": 0, "cached_tokens": 0},
        "output_tokens": output.cost,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": read + output.cost,
    }


def _echo(key: str, value: Any) -> Any:
    if key in ("reasoning", "text") and isinstance(value, dict):
        return _DEFAULTS[key] | value
    if key in ("temperature", "top_p"):
        return float(value)
    return [_tool(tool) for tool in value] if key == "tools" else value


def _tool(tool: Obj) -> Obj:
    """Recorded for functions and searches: what was not given is there with its default."""
    return {"function": _FUNCTION, "file_search": _SEARCH}.get(tool["type"], {}) | tool
