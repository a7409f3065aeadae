"""Turn the steps of a script into the output of a response: its items, and how it ends."""

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

# The reasons with which a run exceeds its token limit. A response has one reason for all of them (recorded).
_TOKEN_LIMITS = frozenset({"max_tokens", "max_completion_tokens", "max_prompt_tokens"})


@attrs.frozen
class OutputItem:
    """An item of the output, and the step that sets the pace of its stream."""

    item: Obj
    step: Step


@attrs.frozen(kw_only=True)
class Ending:
    """How a response ends. `error` is that of a failed one; a stream sends `stream_error` before its last event."""

    status: Status = "completed"
    reason: str | None = None
    error: Obj | None = None
    stream_error: Obj | None = None


@attrs.frozen
class Output:
    """The answer of the model."""

    entries: tuple[OutputItem, ...]
    ending: Ending

    @property
    def items(self) -> list[Obj]:
        """The items without their steps."""
        return [entry.item for entry in self.entries]

    @property
    def cost(self) -> int:
        """The number of output tokens."""
        return sum(tokens.count(text) for item in self.items for text in items.texts(item))


def of(backend: Backend, steps: tuple[Step, ...], request: Obj, words: str) -> Output:
    """Build the output of the steps. `words` is the last user message, which is the query of a file search.

    The output is cut at `max_output_tokens`. A message just before an `incomplete` step is incomplete.
    """
    entries: list[OutputItem] = []
    left = request.get("max_output_tokens")
    for step in steps:
        ending = _ending(backend, step)
        if ending is not None:
            return Output(tuple(_with_incomplete_end(entries) if ending.status == "incomplete" else entries), ending)
        for item in _items(backend, step, request, words):
            short = item if left is None else _within(item, left)
            entries.append(OutputItem(short, step))
            if short != item:
                return Output(tuple(entries), Ending(status="incomplete", reason="max_output_tokens"))
            left = None if left is None else left - sum(map(tokens.count, items.texts(item)))
    return Output(tuple(entries), Ending())


def _ending(backend: Backend, step: Step) -> Ending | None:
    """Return how a step ends the response, or None if it does not."""
    if step.kind == "incomplete":
        reason = "max_output_tokens" if step.value in _TOKEN_LIMITS else step.value
        return Ending(status="incomplete", reason=reason)
    if step.kind == "fail":
        return Ending(status="failed", error=step.value)
    if step.kind == "error":
        sent = attrs.evolve(server_error(backend.ids.draw("req_")), **step.value).error()
        error = {"code": sent["code"] or "server_error", "message": sent["message"]}
        return Ending(status="failed", error=error, stream_error=sent)
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
    """Build a code interpreter call. Recorded: outputs are null unless `include` names them."""
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
    """Return an output of code. An image has a URL here (inferred), and a file id in run steps."""
    image = output.get("image")
    if output["type"] != "image" or not isinstance(image, dict):
        return output
    return {"type": "image", "url": f"https://api.openai.com/v1/files/{image.get('file_id')}/content"}


def _search(backend: Backend, search: Obj, includes: list[Any], words: str) -> Obj:
    """Build a file search call. Recorded: results are null unless `include` names them."""
    shown = "file_search_call.results" in includes
    return {
        "id": backend.new_id("fs_0"),
        "type": "file_search_call",
        "status": "completed",
        "queries": [words],
        "results": [_result(one) for one in search["results"]] if shown else None,
    }


def _result(found: Obj) -> Obj:
    """Convert a search result from the format of run steps, which scripts use, to that of responses."""
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
    """Convert a part of a message. What is neither text nor refusal is returned as the script has it."""
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
    """Convert an annotation of a thread message to the format of responses (recorded for citations)."""
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


def _with_incomplete_end(entries: list[OutputItem]) -> list[OutputItem]:
    """Return the items; the last is incomplete if it is a message."""
    if not entries or entries[-1].item["type"] != "message":
        return entries
    *before, last = entries
    return [*before, OutputItem({**last.item, "status": "incomplete"}, last.step)]


def _within(item: Obj, left: int) -> Obj:
    """Return the item with its text cut after `left` tokens. Only messages are cut."""
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
