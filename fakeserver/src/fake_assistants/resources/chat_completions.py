"""Handlers for /chat/completions. Nothing is stored: each request brings all messages.

Left out of an answer, though a script may have them: code, searches, and images.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, count
from typing import Any

import attrs

import fake_assistants.errors.responses as refusals
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

# What a failure's code would have been answered with (inferred); any other is 500.
_STATUSES: Mapping[str, tuple[int, str]] = {
    "rate_limit_exceeded": (429, "requests"),
    "invalid_prompt": (400, "invalid_request_error"),
}
_END: Obj = {"role": "end"}  # comes after the last message, and needs its calls answered as any message does


@attrs.define(kw_only=True)
class _Said:
    """What the model answers: text, refusal and calls, each with the script step that sets its pace in a stream."""

    text: list[tuple[str, Step]] = attrs.field(factory=list)
    refusal: list[tuple[str, Step]] = attrs.field(factory=list)
    calls: list[tuple[Obj, Step]] = attrs.field(factory=list)
    finish: str = "stop"
    problem: ErrorBody | None = None

    @property
    def cost(self) -> int:
        """In tokens."""
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
    said = _said(backend, steps, body)
    head = {"id": backend.new_id("chatcmpl-"), "created": backend.clock.now(), "model": body["model"]}
    if body.get("stream"):
        return Reply(200, backend.headers(sse.CONTENT_TYPE), chunks=_stream(head, body, said))
    if said.problem is not None:
        raise ApiProblem(said.problem)
    return _completion(head, body, said)


def _refuse_open_calls(messages: list[Obj]) -> None:
    """Refuse tool messages without their call, and calls that the tool messages right after them do not all answer."""
    called: list[str] = []
    answered: set[str] = set()
    for index, message in enumerate([*messages, _END]):
        if message["role"] == "tool":
            if message["tool_call_id"] not in called:
                raise refusals.tool_message_without_call(index)
            answered.add(message["tool_call_id"])
            continue
        missing = [call_id for call_id in called if call_id not in answered]
        if missing:
            raise refusals.calls_without_tool_messages(min(index, len(messages) - 1), missing)
        called, answered = [call["id"] for call in message.get("tool_calls") or []], set()


def _completion(head: Obj, body: Obj, said: _Said) -> Obj:
    """Key order as recorded."""
    message = {
        "role": "assistant",
        "content": _joined(said.text),
        **({"tool_calls": [call for call, _ in said.calls]} if said.calls else {}),
        "refusal": _joined(said.refusal),
        "annotations": [],
    }
    choice = {"message": message, "logprobs": None, "finish_reason": said.finish}
    return {
        "id": head["id"],
        "object": "chat.completion",
        "created": head["created"],
        "model": head["model"],
        "choices": [{"index": index, **choice} for index in range(body.get("n") or 1)],
        "usage": _usage(body, said),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def _joined(texts: list[tuple[str, Step]]) -> str | None:
    return "".join(text for text, _ in texts) if texts else None


def _usage(body: Obj, said: _Said) -> Obj:
    read = sum(tokens.count(text) for message in body["messages"] for text in items.texts(message))
    written = said.cost * (body.get("n") or 1)
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


# --- what is said -------------------------------------------------------------------------------------


def _said(backend: Backend, steps: tuple[Step, ...], body: Obj) -> _Said:
    """What the steps say, up to the one that ends it. Beyond the limit of tokens it is cut off."""
    said = _Said()
    for step in steps:
        if step.kind == "incomplete":
            said.finish = "content_filter" if step.value == "content_filter" else "length"
            break
        if step.kind in ("fail", "error"):
            said.problem = _problem(backend, step)
            break
        if step.kind == "call":
            said.calls += [(_call(backend, call), step) for call in step.value]
            said.finish = "tool_calls"
        elif step.kind in ("reply", "refuse"):
            _listen(said, step)
    return _capped(said, body.get("max_completion_tokens") or body.get("max_tokens"))


def _listen(said: _Said, step: Step) -> None:
    """Texts and refusals of a message. A second text begins on a new line."""
    for part in step.value:
        inner: Any = part.get("text")
        text = inner["value"] if part["type"] == "text" else part.get("refusal")
        heard = {"text": said.text, "refusal": said.refusal}.get(part["type"])
        if heard is not None:
            heard.append((f"\n{text}" if heard else text, step))


def _call(backend: Backend, call: Obj) -> Obj:
    function = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": call.get("id") or backend.new_id("call_"), "type": "function", "function": function}


def _problem(backend: Backend, step: Step) -> ErrorBody:
    if step.kind == "error":
        return attrs.evolve(server_error(backend.ids.draw("req_")), **step.value)
    status, kind = _STATUSES.get(step.value["code"], (500, "server_error"))
    return ErrorBody(status, step.value["message"], code=step.value["code"], type=kind)


def _capped(said: _Said, limit: int | None) -> _Said:
    if limit is None or sum(tokens.count(text) for text, _ in said.text) <= limit:
        return said
    said.finish = "length"
    left, texts = limit, []
    for text, step in said.text:
        texts.append((tokens.within(text, left), step))
        left = max(left - tokens.count(text), 0)
    said.text, said.calls = texts, []
    return said


# --- the stream ---------------------------------------------------------------------------------------


def _stream(head: Obj, body: Obj, said: _Said) -> Iterator[Chunk]:
    """Recorded: unnamed events; the role, the pieces, the reason, and the usage on request."""
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
        for beat in _beats(said):
            if not isinstance(beat, dict):
                yield beat
                if isinstance(beat, Cut):
                    return
                continue
            padding = {"obfuscation": _padding(beat, f"{head['id']} {next(numbers)}")} if pads else {}
            yield sse.data({**shared, "choices": [{"index": index, **beat}], **unknown, **padding})
    if said.problem is not None:
        yield sse.data({"error": said.problem.error()})
        return
    if counts:
        yield sse.data({**shared, "choices": [], "usage": _usage(body, said)})
    yield b"data: [DONE]\n\n"


def _padding(choice: Obj, seed: str) -> str:
    """Documented: a random string that hides the length of a delta."""
    delta = choice["delta"]
    return tokens.padding(str(delta.get("content") or delta.get("refusal") or ""), seed)


def _beats(said: _Said) -> Iterator[Obj | Pause | Cut]:
    content = None if said.calls and not said.text else ""
    yield _choice({"role": "assistant", "content": content, "refusal": None})
    for key, texts in (("content", said.text), ("refusal", said.refusal)):
        for text, step in texts:
            yield from _paced([{key: piece} for piece in tokens.pieces(text, step.chunk)], step)
    for index, (call, step) in enumerate(said.calls):
        yield from _called(index, call, step)
    if said.problem is None:
        yield _choice({}, said.finish)


def _called(index: int, call: Obj, step: Step) -> Iterator[Obj | Pause | Cut]:
    """A call comes with its name first, then its arguments in pieces."""
    function = {"name": call["function"]["name"], "arguments": ""}
    yield _choice({"tool_calls": [{"index": index, **call, "function": function}]})
    pieces = tokens.pieces(call["function"]["arguments"], step.chunk)
    yield from _paced([{"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in pieces], step)


def _paced(deltas: list[Obj], step: Step) -> Iterator[Obj | Pause | Cut]:
    """With the step's pauses between deltas, and its cut after so many of them."""
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
