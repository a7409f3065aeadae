"""How a message or a tool call is cut into deltas (recorded shapes)."""

from collections.abc import Iterable, Iterator

import fake_assistants.engine.deltas as deltas
import fake_assistants.simulation.tokens as tokens
from fake_assistants.engine.run_plan import RunPlan
from fake_assistants.http.lossless_json import Obj


def of_part(index: int, part: Obj, chunk: int | None) -> Iterator[Obj]:
    """The deltas of one part of a message, in order. Unknown parts and images come whole."""
    head = {"index": index, "type": part["type"]}
    if part["type"] == "text":
        yield from ({**head, "text": text} for text in _texts(part["text"], chunk))
    elif part["type"] == "refusal":
        yield from ({**head, "refusal": piece} for piece in tokens.pieces(part["refusal"], chunk) or [""])
    else:
        yield {**head, **part}


def _texts(text: Obj, chunk: int | None) -> Iterator[Obj]:
    """Recorded: the first delta has an empty list of annotations, later ones have none but their own."""
    position, told = 0, 0
    for number, piece in enumerate(_pieces(text["value"], text["annotations"], chunk)):
        position += len(piece)
        notes = _ended(text["annotations"], told, position)
        told += len(notes)
        yield {"value": piece, "annotations": notes} if notes or not number else {"value": piece}


def _pieces(value: str, annotations: list[Obj], chunk: int | None) -> Iterator[str]:
    """The text in pieces; an annotated marker is one piece."""
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


def _ended(annotations: list[Obj], told: int, position: int) -> list[Obj]:
    """The next annotations, in the order of the message, whose markers are over at this position."""
    notes = []
    for index in range(told, len(annotations)):
        if annotations[index]["end_index"] > position:
            break
        notes.append(_note(index, annotations[index]))
    return notes


def _note(index: int, note: Obj) -> Obj:
    """Recorded: a citation has an empty quote in deltas, which the message itself has not."""
    if isinstance(note.get("file_citation"), dict):
        return {"index": index, **note, "file_citation": {**note["file_citation"], "quote": ""}}
    return {"index": index, **note}


def length(delta: Obj) -> int:
    """How many characters of its part a delta tells."""
    return len(delta["text"]["value"]) if delta["type"] == "text" else len(delta.get("refusal", ""))


def head(part: Obj, characters: int) -> Obj:
    """A part as far as it was told: its first characters, with the annotations that have ended there."""
    if part["type"] == "text":
        text = part["text"]
        notes = [note for note in text["annotations"] if note["end_index"] <= characters]
        return {**part, "text": {**text, "value": text["value"][:characters], "annotations": notes}}
    return {**part, "refusal": part["refusal"][:characters]} if part["type"] == "refusal" else part


def of_code(call: Obj, chunk: int | None) -> Iterator[Obj]:
    """The deltas of a code interpreter's call: an empty one, the input in pieces, each output."""
    head = {"index": 0, "type": "code_interpreter"}
    code = call["code_interpreter"]
    yield {"index": 0, "id": call["id"], "type": head["type"], "code_interpreter": {"input": "", "outputs": []}}
    for piece in tokens.pieces(code["input"], chunk):
        yield {**head, "code_interpreter": {"input": piece}}
    for index, output in enumerate(code["outputs"]):
        yield {**head, "code_interpreter": {"outputs": [{"index": index, **output}]}}


def of_search(call: Obj) -> Iterator[Obj]:
    """A file search has one delta, before anything is found."""
    search = {**call["file_search"], "results": []}
    yield {"index": 0, "id": call["id"], "type": "file_search", "file_search": search}


def of_function(index: int, call: Obj, chunk: int | None) -> Iterator[Obj]:
    """The deltas of a function call: its name, then the arguments in pieces."""
    function = call["function"]
    first = {"name": function["name"], "arguments": "", "output": None}
    yield {"index": index, "id": call["id"], "type": "function", "function": first}
    for piece in tokens.pieces(function["arguments"], chunk):
        yield {"index": index, "type": "function", "function": {"arguments": piece}}


def size(parts: Iterable[Obj]) -> int:
    """Tokens of the text in parts."""
    return sum(tokens.count(part["text"]["value"]) for part in parts if part["type"] == "text")


def affordable(plan: RunPlan, parts: tuple[Obj, ...]) -> tuple[tuple[Obj, ...], bool]:
    """The parts that fit within the run's limit of completion tokens, and whether anything did not."""
    limit = plan.run.get("max_completion_tokens")
    if not isinstance(limit, int) or size(parts) <= limit - plan.completion:
        return parts, False
    left, kept = max(0, limit - plan.completion), []
    for part in parts:
        if part["type"] == "text" and size((part,)) > left:
            kept.append(deltas.head(part, len(tokens.within(part["text"]["value"], left))))
            break
        kept.append(part)
        left -= size((part,))
    return tuple(kept), True
