"""From the steps of a script to the output of a response: its items, and how it ends."""

from collections.abc import Iterator
from typing import Any, Literal

import attrs

import fake_assistants.resources.items as items
import fake_assistants.simulation.tokens as tokens
from fake_assistants.engine.backend import Backend
from fake_assistants.errors.server import server_error
from fake_assistants.http.lossless_json import Obj
from fake_assistants.simulation.script_parser import Step
from fake_assistants.store.kinds import FILES

Status = Literal["completed", "incomplete", "failed"]

# A run's words for running out of tokens. A response has one word for all of them (recorded).
_CAPS = frozenset({"max_tokens", "max_completion_tokens", "max_prompt_tokens"})


@attrs.frozen
class SignalWaiter:
    """An item of the output, and the step whose pace a stream of it keeps."""

    item: Obj
    step: Step


@attrs.frozen(kw_only=True)
class Ending:
    """How a response ends. `error` is what a failed one shows; `broken` is what ends a stream before that."""

    status: Status = "completed"
    reason: str | None = None
    error: Obj | None = None
    broken: Obj | None = None


@attrs.frozen
class Output:
    """What the model answers."""

    told: tuple[SignalWaiter, ...]
    ending: Ending

    @property
    def items(self) -> list[Obj]:
        """The items alone."""
        return [told.item for told in self.told]

    @property
    def cost(self) -> int:
        """In tokens."""
        return sum(tokens.count(text) for item in self.items for text in items.texts(item))


def of(backend: Backend, steps: tuple[Step, ...], request: Obj, words: str) -> Output:
    """The output that the steps make. `words` are the user's last, which a file search is said to look for.

    What is beyond `max_output_tokens` is cut off; a message just before an `incomplete` step is incomplete.
    """
    told: list[SignalWaiter] = []
    left = request.get("max_output_tokens")
    for step in steps:
        ending = _ending(backend, step)
        if ending is not None:
            return Output(tuple(_shortened(told) if ending.status == "incomplete" else told), ending)
        for item in _items(backend, step, request, words):
            short = item if left is None else _within(item, left)
            told.append(SignalWaiter(short, step))
            if short != item:
                return Output(tuple(told), Ending(status="incomplete", reason="max_output_tokens"))
            left = None if left is None else left - sum(map(tokens.count, items.texts(item)))
    return Output(tuple(told), Ending())


def _ending(backend: Backend, step: Step) -> Ending | None:
    """How a step ends the response; None when it does not."""
    if step.kind == "incomplete":
        reason = "max_output_tokens" if step.value in _CAPS else step.value
        return Ending(status="incomplete", reason=reason)
    if step.kind == "fail":
        return Ending(status="failed", error=step.value)
    if step.kind == "error":
        broken = attrs.evolve(server_error(backend.ids.draw("req_")), **step.value).error()
        error = {"code": broken["code"] or "server_error", "message": broken["message"]}
        return Ending(status="failed", error=error, broken=broken)
    return None


# --- the items of a step ------------------------------------------------------------------------------


def _items(backend: Backend, step: Step, request: Obj, words: str) -> Iterator[Obj]:
    include = request.get("include")
    includes = include if isinstance(include, list) else []
    if step.kind == "call":
        yield from (_call(backend, call) for call in step.value)
    elif step.kind == "code":
        yield _code(backend, step.value, includes)
    elif step.kind == "image":
        outputs = [{"type": "image", "image": part["image_file"]} for part in step.value]
        yield _code(backend, {"input": "", "outputs": outputs}, includes)
    elif step.kind == "search":
        yield _search(backend, step.value, includes, words)
    else:
        content = [_part(backend, part) for part in step.value]
        head = {"id": backend.new_id("msg_0"), "type": "message", "status": "completed"}
        yield {**head, "content": content, "role": "assistant"}


def _call(backend: Backend, call: Obj) -> Obj:
    return {
        "id": backend.new_id("fc_0"),
        "type": "function_call",
        "status": "completed",
        "arguments": call["arguments"],
        "call_id": call.get("id") or backend.new_id("call_"),
        "name": call["name"],
    }


def _code(backend: Backend, code: Obj, includes: list[Any]) -> Obj:
    """Recorded: outputs are null unless they are asked for."""
    shown = "code_interpreter_call.outputs" in includes
    return {
        "id": backend.new_id("ci_0"),
        "type": "code_interpreter_call",
        "status": "completed",
        "code": code["input"],
        "container_id": backend.new_id("cntr_0"),
        "outputs": [_code_output(output) for output in code["outputs"]] if shown else None,
    }


def _code_output(output: Obj) -> Obj:
    """An image has an address here (inferred); over the threads' routes it has a file id."""
    image = output.get("image")
    if output["type"] != "image" or not isinstance(image, dict):
        return output
    return {"type": "image", "url": f"https://api.openai.com/v1/files/{image.get('file_id')}/content"}


def _search(backend: Backend, search: Obj, includes: list[Any], words: str) -> Obj:
    """Recorded: results are null unless they are asked for."""
    shown = "file_search_call.results" in includes
    return {
        "id": backend.new_id("fs_0"),
        "type": "file_search_call",
        "status": "completed",
        "queries": [words],
        "results": [_result(one) for one in search["results"]] if shown else None,
    }


def _result(found: Obj) -> Obj:
    """What a script writes as a run step's result, as responses show it."""
    content = found.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return {
        "attributes": found.get("attributes", {}),
        "file_id": found.get("file_id"),
        "filename": found.get("filename", found.get("file_name")),
        "score": found.get("score"),
        "text": "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str)),
    }


def _part(backend: Backend, part: Obj) -> Obj:
    """A part of a message; what is neither text nor refusal stays as the script has it."""
    if part["type"] == "text":
        text = part["text"]
        notes = [_note(backend, note) for note in text["annotations"]]
        return {"type": "output_text", "annotations": notes, "logprobs": [], "text": text["value"]}
    if part["type"] == "output_text":
        annotations = part.get("annotations")
        notes = annotations if isinstance(annotations, list) else []
        return {"type": "output_text", "annotations": notes, "logprobs": [], "text": str(part.get("text", ""))}
    return part


def _note(backend: Backend, note: Obj) -> Obj:
    """An annotation of a thread's message, as responses have it (recorded for citations)."""
    about = note.get(note["type"])
    if note["type"] not in ("file_citation", "file_path") or not isinstance(about, dict):
        return note
    file_id = about.get("file_id")
    if note["type"] == "file_path":
        return {"type": "file_path", "file_id": file_id, "index": note["start_index"]}
    file = backend.database.find(FILES, file_id) if isinstance(file_id, str) else None
    filename = (file or {}).get("filename", "")
    return {"type": "file_citation", "file_id": file_id, "filename": filename, "index": note["start_index"]}


# --- cutting ------------------------------------------------------------------------------------------


def _shortened(told: list[SignalWaiter]) -> list[SignalWaiter]:
    """The last item is incomplete, when it is a message."""
    if not told or told[-1].item["type"] != "message":
        return told
    return [*told[:-1], SignalWaiter({**told[-1].item, "status": "incomplete"}, told[-1].step)]


def _within(item: Obj, left: int) -> Obj:
    """The item, with its text cut off after so many tokens. What is no message is never cut."""
    if item["type"] != "message":
        return item
    content = []
    for part in item["content"]:
        key = "refusal" if part["type"] == "refusal" else "text"
        if not isinstance(part.get(key), str):
            content.append(part)
            continue
        short = tokens.within(part[key], max(left, 0))
        content.append({**part, key: short})
        left -= tokens.count(part[key])
        if short != part[key]:
            return {**item, "status": "incomplete", "content": content}
    return {**item, "content": content}
