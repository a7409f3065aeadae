"""Handlers for /chat/completions. Nothing is stored: each request has all messages.

Code, searches and images of a script are left out of the answer.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, count
from typing import Any

import attrs

import fake_assistants.errors.responses as errors
import fake_assistants.http.sse as sse
import fake_assistants.resources.items as items
import fake_assistants.schemas.chat as bodies
import fake_assistants.simulation.tokens as tokens
from fake_assistants.engine.backend import Backend, Call
from fake_assistants.errors.server import server_error
from fake_assistants.http.error_envelope import ApiProblem, ErrorBody
from fake_assistants.http.lossless_json import Obj
from fake_assistants.http.message import Chunk, Cut, Pause, Reply
from fake_assistants.simulation.script import Turn
from fake_assistants.simulation.script_parser import Step

# The status and the type of an error, by the code of a scripted failure (inferred); any other code is 500.
_STATUSES: Mapping[str, tuple[int, str]] = {
    "rate_limit_exceeded": (429, "requests"),
    "invalid_prompt": (400, "invalid_request_error"),
}
_END: Obj = {"role": "end"}  # appended to the messages, so that the calls of the last one are checked too


@attrs.define(kw_only=True)
class _Completion:
    """The answer of the model: text, refusal and calls, each with the script step that sets its pace in a stream."""

    text: list[tuple[str, Step]] = attrs.field(factory=list)
    refusal: list[tuple[str, Step]] = attrs.field(factory=list)
    calls: list[tuple[Obj, Step]] = attrs.field(factory=list)
    finish: str = "stop"
    problem: ErrorBody | None = None

    @property
    def cost(self) -> int:
        """The number of completion tokens."""
        return sum(tokens.count(text) for text in self._texts())

    def _texts(self) -> Iterator[str]:
        yield from (text for text, _ in chain(self.text, self.refusal))
        yield from (call["function"]["arguments"] for call, _ in self.calls)


def create(backend: Backend, call: Call) -> Obj | Reply:
    """POST /chat/completions."""
    body = call.body(bodies.NEW_COMPLETION)
    _refuse_open_calls(body["messages"])
    words = items.last_words(body["messages"])
    steps = backend.script.steps(Turn(kind="chat", request=body, text=words, messages=tuple(body["messages"])))
    completion = _answer(backend, steps, body)
    head = {"id": backend.new_id("chatcmpl-"), "created": backend.clock.now(), "model": body["model"]}
    if body.get("stream"):
        return Reply(200, backend.headers(sse.CONTENT_TYPE), chunks=_stream(head, body, completion))
    if completion.problem is not None:
        raise ApiProblem(completion.problem)
    return _completion(head, body, completion)


def _refuse_open_calls(messages: list[Obj]) -> None:
    """Refuse tool messages without their call, and calls that the tool messages right after them do not all answer."""
    called: list[str] = []
    answered: set[str] = set()
    for index, message in enumerate([*messages, _END]):
        if message["role"] == "tool":
            if message["tool_call_id"] not in called:
                raise errors.tool_message_without_call(index)
            answered.add(message["tool_call_id"])
            continue
        missing = [call_id for call_id in called if call_id not in answered]
        if missing:
            raise errors.calls_without_tool_messages(min(index, len(messages) - 1), missing)
        called, answered = [call["id"] for call in message.get("tool_calls") or []], set()


def _completion(head: Obj, body: Obj, completion: _Completion) -> Obj:
    """Build the response object. Key order as recorded."""
    message = {
        "role": "assistant",
        "content": _joined(completion.text),
        **({"tool_calls": [call for call, _ in completion.calls]} if completion.calls else {}),
        "refusal": _joined(completion.refusal),
        "annotations": [],
    }
    choice = {"message": message, "logprobs": None, "finish_reason": completion.finish}
    return {
        "id": head["id"],
        "object": "chat.completion",
        "created": head["created"],
        "model": head["model"],
        "choices": [{"index": index, **choice} for index in range(body.get("n") or 1)],
        "usage": _usage(body, completion),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _joined(texts: list[tuple[str, Step]]) -> str | None:
    return "".join(text for text, _ in texts) if texts else None


def _usage(body: Obj, completion: _Completion) -> Obj:
    read = sum(tokens.count(text) for message in body["messages"] for text in items.texts(message))
    written = completion.cost * (body.get("n") or 1)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


# --- the answer -------------------------------------------------------------------------------------


def _answer(backend: Backend, steps: tuple[Step, ...], body: Obj) -> _Completion:
    """Build the answer from the steps, up to one that ends it. Text is cut at the token limit."""
    completion = _Completion()
    for step in steps:
        if step.kind == "incomplete":
            completion.finish = "content_filter" if step.value == "content_filter" else "length"
            break
        if step.kind in ("fail", "error"):
            completion.problem = _problem(backend, step)
            break
        if step.kind == "call":
            completion.calls += [(_call(backend, call), step) for call in step.value]
            completion.finish = "tool_calls"
        elif step.kind in ("reply", "refuse"):
            _add_message(completion, step)
    return _capped(completion, body.get("max_completion_tokens") or body.get("max_tokens"))


def _add_message(completion: _Completion, step: Step) -> None:
    """Add the texts and refusals of a message. Each further text begins on a new line."""
    for part in step.value:
        inner: Any = part.get("text")
        text = inner["value"] if part["type"] == "text" else part.get("refusal")
        target = {"text": completion.text, "refusal": completion.refusal}.get(part["type"])
        if target is not None:
            target.append((f"\n{text}" if target else text, step))


def _call(backend: Backend, call: Obj) -> Obj:
    function = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": call.get("id") or backend.new_id("call_"), "type": "function", "function": function}


def _problem(backend: Backend, step: Step) -> ErrorBody:
    if step.kind == "error":
        return attrs.evolve(server_error(backend.ids.draw("req_")), **step.value)
    status, kind = _STATUSES.get(step.value["code"], (500, "server_error"))
    return ErrorBody(status, step.value["message"], code=step.value["code"], type=kind)


def _capped(completion: _Completion, limit: int | None) -> _Completion:
    if limit is None or sum(tokens.count(text) for text, _ in completion.text) <= limit:
        return completion
    completion.finish = "length"
    left, texts = limit, []
    for text, step in completion.text:
        texts.append((tokens.within(text, left), step))
        left = max(left - tokens.count(text), 0)
    completion.text, completion.calls = texts, []
    return completion


# --- the stream ---------------------------------------------------------------------------------------


def _stream(head: Obj, body: Obj, completion: _Completion) -> Iterator[Chunk]:
    """Yield the stream. Recorded: unnamed events; the role, the pieces, the finish reason, and on request the usage."""
    options = body.get("stream_options") or {}
    counts, pads = bool(options.get("include_usage")), options.get("include_obfuscation") is not False
    shared = {
        "id": head["id"],
        "object": "chat.completion.chunk",
        "created": head["created"],
        "model": head["model"],
        "service_tier": "default",
        "system_fingerprint": None,
    }
    unknown = {"usage": None} if counts else {}
    numbers = count()
    for index in range(body.get("n") or 1):
        for choice in _choices(completion):
            if not isinstance(choice, dict):
                yield choice
                if isinstance(choice, Cut):
                    return
                continue
            padding = {"obfuscation": _padding(choice, f"{head['id']} {next(numbers)}")} if pads else {}
            yield sse.data({**shared, "choices": [{"index": index, **choice}], **unknown, **padding})
    if completion.problem is not None:
        yield sse.data({"error": completion.problem.error()})
        return
    if counts:
        yield sse.data({**shared, "choices": [], "usage": _usage(body, completion)})
    yield b"data: [DONE]\n\n"


def _padding(choice: Obj, seed: str) -> str:
    """Return a random string that hides the length of a delta (documented)."""
    delta = choice["delta"]
    return tokens.padding(str(delta.get("content") or delta.get("refusal") or ""), seed)


def _choices(completion: _Completion) -> Iterator[Obj | Pause | Cut]:
    content = None if completion.calls and not completion.text else ""
    yield _choice({"role": "assistant", "content": content, "refusal": None})
    for key, texts in (("content", completion.text), ("refusal", completion.refusal)):
        for text, step in texts:
            yield from _paced([{key: piece} for piece in tokens.pieces(text, step.chunk)], step)
    for index, (call, step) in enumerate(completion.calls):
        yield from _call_choices(index, call, step)
    if completion.problem is None:
        yield _choice({}, completion.finish)


def _call_choices(index: int, call: Obj, step: Step) -> Iterator[Obj | Pause | Cut]:
    """Yield a call: first its name, then its arguments in pieces."""
    function = {"name": call["function"]["name"], "arguments": ""}
    yield _choice({"tool_calls": [{"index": index, **call, "function": function}]})
    pieces = tokens.pieces(call["function"]["arguments"], step.chunk)
    yield from _paced([{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces], step)


def _paced(deltas: list[Obj], step: Step) -> Iterator[Obj | Pause | Cut]:
    """Yield deltas with the step's pauses between them, and its cut after the given number of deltas."""
    for number, delta in enumerate(deltas):
        if number == step.cut:
            yield Cut()
        if number and step.pause:
            yield Pause(step.pause)
        yield _choice(delta)
    if step.cut is not None and step.cut >= len(deltas):
        yield Cut()


def _choice(delta: Obj, finish: str | None = None) -> Obj:
    return {"delta": delta, "logprobs": None, "finish_reason": finish}
