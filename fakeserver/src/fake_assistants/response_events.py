"""A response as a stream of events, in the recorded order; a number counts them."""

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

import attrs

import fake_assistants.sse as sse
import fake_assistants.tokens as tokens
from fake_assistants.exchange import Chunk, Cut, Pause
from fake_assistants.outputs import Output, Told
from fake_assistants.scriptfile import Step
from fake_assistants.shelf import Obj


@attrs.frozen
class Event:
    """One event, not numbered yet."""

    name: str
    fields: Mapping[str, Any]

    @property
    def is_delta(self) -> bool:
        """Whether it brings a piece of text, code or arguments."""
        return self.name.endswith(".delta")


Beat = Event | Pause | Cut


def chunks(opened: Obj, output: Output, closed: Obj) -> Iterator[Chunk]:
    """The whole stream as bytes, pauses and perhaps a cut, after which nothing comes."""
    numbers = count()
    for beat in _beats(opened, output, closed):
        yield _framed(beat, next(numbers)) if isinstance(beat, Event) else beat
        if isinstance(beat, Cut):
            return


def _framed(event: Event, number: int) -> bytes:
    """Recorded in 2026: the type comes first, the rest is in alphabetical order."""
    fields = {**event.fields, "sequence_number": number}
    return sse.event(event.name, {"type": event.name, **dict(sorted(fields.items()))})


def _beats(opened: Obj, output: Output, closed: Obj) -> Iterator[Beat]:
    for name in ("created", "in_progress"):
        yield Event(f"response.{name}", {"response": _streamed(opened)})
    for index, told in enumerate(output.told):
        yield from _paced(_item(told, index), told.step)
    if output.ending.broken is not None:
        # Quoted: the error stands in an object, though the documentation has it flat.
        yield Event("error", {"error": output.ending.broken})
    yield Event(f"response.{closed['status']}", {"response": _streamed(closed)})


def _streamed(response: Obj) -> Obj:
    """Recorded: streams say nothing of billing."""
    return {key: value for key, value in response.items() if key != "billing"}


def _paced(events: Iterator[Event], step: Step) -> Iterator[Beat]:
    """With the step's pauses between deltas, and its cut after so many of them."""
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


def _item(told: Told, index: int) -> Iterator[Event]:
    item = told.item
    place = {"item_id": item["id"], "output_index": index}
    begun, inner = _KINDS[item["type"]]
    yield Event(
        "response.output_item.added", {"item": {**item, "status": "in_progress", **begun}, "output_index": index}
    )
    yield from inner(item, place, told.step.chunk)
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

# What an item has not yet when it begins, and what comes between its begin and its end.
_KINDS: Mapping[str, tuple[Obj, Inner]] = {
    "message": ({"content": []}, _message),
    "function_call": ({"arguments": ""}, _call),
    "code_interpreter_call": ({"code": "", "outputs": None}, _code),
    "file_search_call": ({"queries": [], "results": None}, _search),
}
