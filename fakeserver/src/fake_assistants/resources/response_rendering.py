"""Build the response object at its start and at its end, and the events of its stream.

Recorded in 2026: after id, object, created_at and status the keys are in alphabetical order, except usage,
user and metadata, which come last. Parameters of the request are echoed; all others have their recorded defaults.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any

import attrs

import fake_assistants.http.sse as sse
import fake_assistants.resources.items as items
import fake_assistants.simulation.tokens as tokens
from fake_assistants.engine.backend import Backend
from fake_assistants.http.lossless_json import Obj
from fake_assistants.http.message import Chunk, Cut, Pause
from fake_assistants.resources.response_output import Output, OutputItem
from fake_assistants.simulation.script_parser import Step

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

# The parameters of a request that the response echoes.
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


def opened(backend: Backend, body: Obj, conversation_id: str | None) -> Obj:
    """Return a response in progress, from the checked body of its request."""
    asked = {key: _echo(key, body[key]) for key in _ECHOED if body.get(key) is not None}
    parent = {} if conversation_id is None else {"conversation": {"id": conversation_id}}
    head = {
        "id": backend.new_id("resp_0"),
        "object": "response",
        "created_at": backend.clock.now(),
        "status": "in_progress",
    }
    tail = {"usage": None, "user": body.get("user"), "metadata": body.get("metadata") or {}}
    return {**head, **dict(sorted({**_DEFAULTS, **parent, **asked}.items())), **tail}


def closed(backend: Backend, response: Obj, context: Iterable[Obj], output: Output) -> Obj:
    """Return the response with the answer of the model. `context` has all items that the model has read."""
    ending = output.ending
    tier = response["service_tier"]
    return response | {
        "status": ending.status,
        "completed_at": backend.clock.now() if ending.status == "completed" else None,
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
    """Return a tool as it is echoed. Recorded for functions and searches: missing keys have their defaults."""
    return {"function": _FUNCTION, "file_search": _SEARCH}.get(tool["type"], {}) | tool


@attrs.frozen
class Event:
    """An event without its sequence number."""

    name: str
    fields: Mapping[str, Any]

    @property
    def is_delta(self) -> bool:
        """Whether the event carries a piece of text, code or arguments."""
        return self.name.endswith(".delta")


RunEvent = Event | Pause | Cut


def chunks(opened: Obj, output: Output, closed: Obj, *, pads: bool) -> Iterator[Chunk]:
    """Yield the complete stream: bytes and pauses, ended early by a cut if the script has one.

    With `pads` every delta has a random string that hides its length. Recorded for texts, documented for all.
    """
    numbers = count()
    for event in _events(opened, output, closed):
        if not isinstance(event, Event):
            yield event
        elif pads and event.is_delta:
            number = next(numbers)
            secret = tokens.padding(event.fields["delta"], f"{event.fields['item_id']} {number}")
            yield _framed(Event(event.name, {**event.fields, "obfuscation": secret}), number)
        else:
            yield _framed(event, next(numbers))
        if isinstance(event, Cut):
            return


def _framed(event: Event, number: int) -> bytes:
    """Encode an event. Recorded in 2026: the type comes first, all other keys are in alphabetical order."""
    fields = {**event.fields, "sequence_number": number}
    return sse.event(event.name, {"type": event.name, **dict(sorted(fields.items()))})


def _events(opened: Obj, output: Output, closed: Obj) -> Iterator[RunEvent]:
    for name in ("created", "in_progress"):
        yield Event(f"response.{name}", {"response": _streamed(opened)})
    for index, entry in enumerate(output.entries):
        yield from _paced(_item(entry, index), entry.step)
    if output.ending.stream_error is not None:
        # Quoted: the error is nested in an object, though the documentation has it flat.
        yield Event("error", {"error": output.ending.stream_error})
    yield Event(f"response.{closed['status']}", {"response": _streamed(closed)})


def _streamed(response: Obj) -> Obj:
    """Return a response as streams send it. Recorded: without `billing`."""
    return {key: value for key, value in response.items() if key != "billing"}


def _paced(events: Iterator[Event], step: Step) -> Iterator[RunEvent]:
    """Yield events with the step's pauses between deltas, and its cut after the given number of deltas."""
    deltas = 0
    for event in events:
        if event.is_delta and deltas and step.pause:
            yield Pause(step.pause)
        if step.cut == 0:
            yield Cut()
        yield event
        deltas += event.is_delta
        if event.is_delta and deltas == step.cut:
            yield Cut()
    if step.cut is not None:
        yield Cut()


# --- one item -----------------------------------------------------------------------------------------


def _item(entry: OutputItem, index: int) -> Iterator[Event]:
    item = entry.item
    place = {"item_id": item["id"], "output_index": index}
    initial, inner = _KINDS[item["type"]]
    yield Event(
        "response.output_item.added", {"item": {**item, "status": "in_progress", **initial}, "output_index": index}
    )
    yield from inner(item, place, entry.step.chunk)
    yield Event("response.output_item.done", {"item": item, "output_index": index})


def _message(item: Obj, place: Obj, chunk: int | None) -> Iterator[Event]:
    for index, part in enumerate(item["content"]):
        here = {**place, "content_index": index}
        inner = _PARTS.get(part["type"])
        if inner is None:
            yield Event("response.content_part.added", {**here, "part": part})
        else:
            yield from inner(part, here, chunk)
        yield Event("response.content_part.done", {**here, "part": part})


def _text(part: Obj, here: Obj, chunk: int | None) -> Iterator[Event]:
    yield Event("response.content_part.added", {**here, "part": {**part, "annotations": [], "text": ""}})
    for piece in tokens.pieces(part["text"], chunk):
        yield Event("response.output_text.delta", {**here, "delta": piece, "logprobs": []})
    for number, note in enumerate(part["annotations"]):
        fields = {**here, "annotation": note, "annotation_index": number}
        yield Event("response.output_text.annotation.added", fields)
    yield Event("response.output_text.done", {**here, "logprobs": [], "text": part["text"]})


def _refusal(part: Obj, here: Obj, chunk: int | None) -> Iterator[Event]:
    yield Event("response.content_part.added", {**here, "part": {**part, "refusal": ""}})
    for piece in tokens.pieces(part["refusal"], chunk):
        yield Event("response.refusal.delta", {**here, "delta": piece})
    yield Event("response.refusal.done", {**here, "refusal": part["refusal"]})


def _call(item: Obj, place: Obj, chunk: int | None) -> Iterator[Event]:
    for piece in tokens.pieces(item["arguments"], chunk):
        yield Event("response.function_call_arguments.delta", {**place, "delta": piece})
    yield Event("response.function_call_arguments.done", {**place, "arguments": item["arguments"]})


def _code(item: Obj, place: Obj, chunk: int | None) -> Iterator[Event]:
    yield Event("response.code_interpreter_call.in_progress", place)
    for piece in tokens.pieces(item["code"], chunk):
        yield Event("response.code_interpreter_call_code.delta", {**place, "delta": piece})
    yield Event("response.code_interpreter_call_code.done", {**place, "code": item["code"]})
    yield Event("response.code_interpreter_call.interpreting", place)
    yield Event("response.code_interpreter_call.completed", place)


def _search(_: Obj, place: Obj, __: int | None) -> Iterator[Event]:
    for name in ("in_progress", "searching", "completed"):
        yield Event(f"response.file_search_call.{name}", place)


Inner = Callable[[Obj, Obj, int | None], Iterator[Event]]

_PARTS: Mapping[str, Inner] = {"output_text": _text, "refusal": _refusal}

# By type of item: its fields that are still empty at its start, and the events between its start and its end.
_KINDS: Mapping[str, tuple[Obj, Inner]] = {
    "message": ({"content": []}, _message),
    "function_call": ({"arguments": ""}, _call),
    "code_interpreter_call": ({"code": "", "outputs": None}, _code),
    "file_search_call": ({"queries": [], "results": None}, _search),
}
