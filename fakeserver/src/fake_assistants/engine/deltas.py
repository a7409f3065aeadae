"""Split messages and tool calls into the deltas of a stream (recorded shapes), and cut messages at a token limit."""

from collections.abc import Iterable, Iterator

import fake_assistants.simulation.tokens as tokens
from fake_assistants.engine.run_plan import RunPlan
from fake_assistants.http.lossless_json import Obj


def of_part(index: int, part: Obj, chunk: int | None) -> Iterator[Obj]:
    """Yield the deltas of one part of a message, in order. Images and unknown parts are sent in one delta."""
    start = {"index": index, "type": part["type"]}
    if part["type"] == "text":
        yield from ({**start, "text": text} for text in _texts(part["text"], chunk))
    elif part["type"] == "refusal":
        yield from ({**start, "refusal": piece} for piece in tokens.pieces(part["refusal"], chunk) or [""])
    else:
        yield {**start, **part}


def _texts(text: Obj, chunk: int | None) -> Iterator[Obj]:
    """Yield the pieces of a text. Recorded: the first has an empty list of annotations, later ones only new ones."""
    position, sent = 0, 0
    for number, piece in enumerate(_pieces(text["value"], text["annotations"], chunk)):
        position += len(piece)
        notes = _ended(text["annotations"], sent, position)
        sent += len(notes)
        yield {"value": piece, "annotations": notes} if notes or not number else {"value": piece}


def _pieces(value: str, annotations: list[Obj], chunk: int | None) -> Iterator[str]:
    """Split the text into pieces. The marker of an annotation is one piece."""
    position = 0
    for start, end in _markers(annotations):
        if start >= position:
            yield from tokens.pieces(value[position:start], chunk)
            if end > start:
                yield value[start:end]
            position = end
    yield from tokens.pieces(value[position:], chunk)
    if not value:
        yield ""


def _markers(annotations: list[Obj]) -> list[tuple[int, int]]:
    return sorted((note["start_index"], note["end_index"]) for note in annotations)


def _ended(annotations: list[Obj], sent: int, position: int) -> list[Obj]:
    """Return the annotations after the first `sent`, in their order, whose markers end at or before this position."""
    notes = []
    for index in range(sent, len(annotations)):
        if annotations[index]["end_index"] > position:
            break
        notes.append(_note(index, annotations[index]))
    return notes


def _note(index: int, note: Obj) -> Obj:
    """Return an annotation as a delta has it. Recorded: only there, a citation has an empty quote."""
    if isinstance(note.get("file_citation"), dict):
        return {"index": index, **note, "file_citation": {**note["file_citation"], "quote": ""}}
    return {"index": index, **note}


def length(delta: Obj) -> int:
    """Return the number of characters of the part that a delta carries."""
    return len(delta["text"]["value"]) if delta["type"] == "text" else len(delta.get("refusal", ""))


def head(part: Obj, characters: int) -> Obj:
    """Return the first characters of a part, with the annotations that end within them."""
    if part["type"] == "text":
        text = part["text"]
        notes = [note for note in text["annotations"] if note["end_index"] <= characters]
        return {**part, "text": {**text, "value": text["value"][:characters], "annotations": notes}}
    return {**part, "refusal": part["refusal"][:characters]} if part["type"] == "refusal" else part


def of_code(call: Obj, chunk: int | None) -> Iterator[Obj]:
    """Yield the deltas of a code interpreter call: an empty one, the input in pieces, each output."""
    start = {"index": 0, "type": "code_interpreter"}
    code = call["code_interpreter"]
    yield {"index": 0, "id": call["id"], "type": start["type"], "code_interpreter": {"input": "", "outputs": []}}
    for piece in tokens.pieces(code["input"], chunk):
        yield {**start, "code_interpreter": {"input": piece}}
    for index, output in enumerate(code["outputs"]):
        yield {**start, "code_interpreter": {"outputs": [{"index": index, **output}]}}


def of_search(call: Obj) -> Iterator[Obj]:
    """Yield the only delta of a file search, which has no results yet."""
    search = {**call["file_search"], "results": []}
    yield {"index": 0, "id": call["id"], "type": "file_search", "file_search": search}


def of_function(index: int, call: Obj, chunk: int | None) -> Iterator[Obj]:
    """Yield the deltas of a function call: its name, then the arguments in pieces."""
    function = call["function"]
    first = {"name": function["name"], "arguments": "", "output": None}
    yield {"index": index, "id": call["id"], "type": "function", "function": first}
    for piece in tokens.pieces(function["arguments"], chunk):
        yield {"index": index, "type": "function", "function": {"arguments": piece}}


def size(parts: Iterable[Obj]) -> int:
    """Count the tokens of the texts in parts."""
    return sum(tokens.count(part["text"]["value"]) for part in parts if part["type"] == "text")


def affordable(plan: RunPlan, parts: tuple[Obj, ...]) -> tuple[tuple[Obj, ...], bool]:
    """Cut parts at the run's limit of completion tokens. Return them, and whether anything was cut off."""
    limit = plan.run.get("max_completion_tokens")
    if not isinstance(limit, int) or size(parts) <= limit - plan.completion:
        return parts, False
    left, fitting = max(0, limit - plan.completion), []
    for part in parts:
        if part["type"] == "text" and size((part,)) > left:
            fitting.append(head(part, len(tokens.within(part["text"]["value"], left))))
            break
        fitting.append(part)
        left -= size((part,))
    return tuple(fitting), True
