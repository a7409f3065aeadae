"""Parse a script (JSON) into steps. Errors have the path of the wrong value.

    {"default": [step, ...], "runs": [[step, ...], ...], "responses": [[step, ...], ...],
     "assistants": {"asst_...": [step, ...]}, "searches": [[result, ...], ...]}

A step is one of:

    {"reply": "text"} or {"reply": [part, ...]}      an assistant message; parts as over REST, text may be a string
    {"call": [{"name", "arguments"}, ...]}           function calls; arguments are JSON text or an object
    {"code": {"input", "outputs"}}                   the code interpreter; outputs are logs and images
    {"search": {"results"}}                          a file search
    {"image": file_id}                               a message with an image
    {"refuse": text}                                 a message with a refusal
    {"fail": {"code", "message"}}                    the run fails
    {"incomplete": reason}                           the run ends incomplete; a reply just before it is cut off
    {"error": {"message", "type", "code"}}           a stream ends with an error event; the run fails

A result of a search in a vector store is {"file_id", "filename", "score", "attributes", "content"}, each of them
optional; content is text, or parts as over REST.

For streams, every step may also have: "chunk" (characters in a delta, instead of a word), "pause"
(seconds between deltas) and "cut" (the connection breaks after this many deltas; the run continues).
"""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from fake_assistants.http.lossless_json import Obj, dumps_compact
from fake_assistants.user_input import BadInput
from fake_assistants.user_input import a_count as _count
from fake_assistants.user_input import a_list as _list
from fake_assistants.user_input import a_string as _string
from fake_assistants.user_input import an_object as _object
from fake_assistants.user_input import seconds as _seconds


@attrs.frozen
class Step:
    """One step of the model. The type of `value` depends on the kind; it is validated and complete."""

    kind: str
    value: Any
    chunk: int | None = attrs.field(default=None, kw_only=True)
    pause: float = attrs.field(default=0.0, kw_only=True)
    cut: int | None = attrs.field(default=None, kw_only=True)


Steps = tuple[Step, ...]


@attrs.frozen(kw_only=True)
class ParsedScript:
    """A parsed script."""

    default: Steps | None = None
    runs: tuple[Steps, ...] = ()
    responses: tuple[Steps, ...] = ()
    assistants: Mapping[str, Steps] = attrs.field(factory=dict)
    searches: tuple[tuple[Obj, ...], ...] = ()


def parse_script(given: object) -> ParsedScript:
    """Parse a script. Raises BadInput."""
    fields = _object(given, "$", {"default", "runs", "responses", "assistants", "searches"})
    assistants = _object(fields.get("assistants", {}), "$.assistants")
    return ParsedScript(
        default=steps_of(fields["default"], "$.default") if "default" in fields else None,
        runs=_queue(fields.get("runs", []), "$.runs"),
        responses=_queue(fields.get("responses", []), "$.responses"),
        assistants={name: steps_of(steps, f"$.assistants.{name}") for name, steps in assistants.items()},
        searches=_searches(fields.get("searches", []), "$.searches"),
    )


def steps_of(given: object, where: str) -> Steps:
    """Parse the steps of one answer. Raises BadInput."""
    return tuple(_step(one, f"{where}[{index}]") for index, one in enumerate(_list(given, where)))


def _queue(given: object, where: str) -> tuple[Steps, ...]:
    return tuple(steps_of(one, f"{where}[{index}]") for index, one in enumerate(_list(given, where)))


def _searches(given: object, where: str) -> tuple[tuple[Obj, ...], ...]:
    return tuple(_results(one, f"{where}[{index}]") for index, one in enumerate(_list(given, where)))


def _results(given: object, where: str) -> tuple[Obj, ...]:
    return tuple(_found(one, f"{where}[{index}]") for index, one in enumerate(_list(given, where)))


def _found(given: object, where: str) -> Obj:
    """Parse a search result, and add the missing fields. Key order as documented."""
    result = _object(given, where, {"file_id", "filename", "score", "attributes", "content"})
    score, content = result.get("score", 1.0), result.get("content", "")
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise BadInput("expected a number from 0 to 1", f"{where}.score")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else _list(content, f"{where}.content")
    full = {"file_id": "file-scripted", "filename": "scripted.txt", **result}
    for key in ("file_id", "filename"):
        _string(full, key, where)
    return {
        "file_id": full["file_id"],
        "filename": full["filename"],
        "score": score,
        "attributes": _object(result.get("attributes", {}), f"{where}.attributes"),
        "content": [_object(part, f"{where}.content[{index}]") for index, part in enumerate(parts)],
    }


# --- one step -----------------------------------------------------------------------------------------


def _step(given: object, where: str) -> Step:
    fields = _object(given, where, {*_KINDS, "chunk", "pause", "cut"})
    kinds = [key for key in fields if key in _KINDS]
    if len(kinds) != 1:
        raise BadInput(f"expected exactly one of {', '.join(_KINDS)}", where)
    kind = kinds[0]
    return Step(
        kind,
        _KINDS[kind](fields[kind], f"{where}.{kind}"),
        chunk=_count(fields, "chunk", where, least=1),
        pause=_seconds(fields.get("pause", 0), f"{where}.pause"),
        cut=_count(fields, "cut", where, least=0),
    )


def _reply(given: object, where: str) -> tuple[Obj, ...]:
    if isinstance(given, str):
        return (_text(given),)
    return tuple(_part(one, f"{where}[{index}]") for index, one in enumerate(_list(given, where)))


def _part(given: object, where: str) -> Obj:
    """Parse a part as over REST; unknown types are returned unchanged."""
    part = _object(given, where)
    _string(part, "type", where)
    if part["type"] == "refusal":
        _string(part, "refusal", where)
    if part["type"] != "text":
        return part
    text = part.get("text")
    if isinstance(text, str):
        return _text(text)
    inner = _object(text, f"{where}.text")
    _string(inner, "value", f"{where}.text")
    notes = _list(inner.get("annotations", []), f"{where}.text.annotations")
    for index, note in enumerate(notes):
        _annotation(note, inner["value"], f"{where}.text.annotations[{index}]")
    return {**part, "text": {**inner, "annotations": notes}}


def _annotation(given: object, value: str, where: str) -> None:
    note = _object(given, where)
    for key in ("type", "text"):
        _string(note, key, where)
    start, end = note.get("start_index"), note.get("end_index")
    if type(start) is not int or type(end) is not int or not 0 <= start <= end <= len(value):
        raise BadInput("expected start_index and end_index within the text, in characters", where)


def _text(value: str) -> Obj:
    return {"type": "text", "text": {"value": value, "annotations": []}}


def _calls(given: object, where: str) -> tuple[Obj, ...]:
    calls = tuple(_call(one, f"{where}[{index}]") for index, one in enumerate(_list(given, where)))
    if not calls:
        raise BadInput("expected at least one call", where)
    return calls


def _call(given: object, where: str) -> Obj:
    call = _object(given, where, {"name", "arguments", "id"})
    _string(call, "name", where)
    if "id" in call:
        _string(call, "id", where)
    arguments = call.get("arguments", {})
    if not isinstance(arguments, str | dict):
        raise BadInput("expected JSON text or an object", f"{where}.arguments")
    return {**call, "arguments": arguments if isinstance(arguments, str) else dumps_compact(arguments).decode()}


def _code(given: object, where: str) -> Obj:
    code = _object(given, where, {"input", "outputs"})
    _string(code, "input", where)
    outputs = _list(code.get("outputs", []), f"{where}.outputs")
    read = [_output(one, f"{where}.outputs[{index}]") for index, one in enumerate(outputs)]
    return {"input": code["input"], "outputs": read}


def _output(given: object, where: str) -> Obj:
    """Parse logs or an image, as over REST; a string is read as logs."""
    if isinstance(given, str):
        return {"type": "logs", "logs": given}
    output = _object(given, where)
    _string(output, "type", where)
    return output


def _search(given: object, where: str) -> Obj:
    search = _object(given, where, {"results", "ranking_options"})
    results = _list(search.get("results", []), f"{where}.results")
    read = [_object(one, f"{where}.results[{index}]") for index, one in enumerate(results)]
    return {**search, "results": read}


def _image(given: object, where: str) -> tuple[Obj, ...]:
    return ({"type": "image_file", "image_file": {"file_id": _plain(given, where)}},)


def _refusal(given: object, where: str) -> tuple[Obj, ...]:
    return ({"type": "refusal", "refusal": _plain(given, where)},)


def _failure(given: object, where: str) -> Obj:
    failure = _object(given, where, {"code", "message"})
    for key in ("code", "message"):
        _string(failure, key, where)
    return {"code": failure["code"], "message": failure["message"]}


def _error(given: object, where: str) -> Obj:
    error = _object(given, where, {"message", "type", "param", "code"})
    for key in error:
        _string(error, key, where)
    return error


def _plain(given: object, where: str) -> str:
    if not isinstance(given, str):
        raise BadInput("expected a string", where)
    return given


_KINDS: Mapping[str, Callable[[object, str], Any]] = {
    "reply": _reply,
    "call": _calls,
    "code": _code,
    "search": _search,
    "image": _image,
    "refuse": _refusal,
    "fail": _failure,
    "incomplete": _plain,
    "error": _error,
}
