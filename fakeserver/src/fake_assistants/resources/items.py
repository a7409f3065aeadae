"""Items: what conversations and the inputs of responses are made of, as they are kept and read.

A state may have brought in any JSON as an item, so whatever is read here is looked at first.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping

import fake_assistants.engine.pagination as paging
import fake_assistants.errors.responses as refusals
from fake_assistants.engine.backend import Backend
from fake_assistants.http.lossless_json import Obj, loads
from fake_assistants.http.message import Request
from fake_assistants.store.collection import ObjectCollection
from fake_assistants.store.kinds import Kind

# How the ids of items begin; what is not named here begins like an item of a conversation.
_PREFIXES = {
    "function_call": "fc_0",
    "function_call_output": "fc_0",
    "file_search_call": "fs_0",
    "code_interpreter_call": "ci_0",
    "reasoning": "rs_0",
}


def kept(backend: Backend, given: Obj) -> Obj:
    """A checked item as it is kept (recorded shapes), under its own id or a new one."""
    kind = given.get("type", "message")
    item_id = given.get("id") or backend.new_id(_PREFIXES.get(kind, "msg_0"))
    shape = {"id": item_id, **_KEPT.get(kind, _as_it_is)(given)}
    return {**shape, **{key: value for key, value in given.items() if key not in shape and value is not None}}


def _message(given: Obj) -> Obj:
    content = given["content"]
    if isinstance(content, str):
        content = [{"type": "output_text" if given["role"] == "assistant" else "input_text", "text": content}]
    parts = [_PARTS.get(part["type"], _as_it_is)(part) for part in content]
    return {"type": "message", "status": _status(given), "content": parts, "role": given["role"]}


def _output_text(part: Obj) -> Obj:
    """Recorded: stored text has annotations and logprobs, empty when none were given."""
    return {
        "type": "output_text",
        "annotations": part.get("annotations", []),
        "logprobs": part.get("logprobs") or [],
        "text": part["text"],
    }


def _input_image(part: Obj) -> Obj:
    detail = part.get("detail") or "auto"
    return {"type": "input_image", "detail": detail, "file_id": part.get("file_id"), "image_url": part.get("image_url")}


def _as_it_is(given: Obj) -> Obj:
    return {key: value for key, value in given.items() if key != "id"}


def _function_call(given: Obj) -> Obj:
    keys = ("arguments", "call_id", "name")
    return {"type": given["type"], "status": _status(given), **{key: given[key] for key in keys}}


def _function_output(given: Obj) -> Obj:
    return {"type": given["type"], "status": _status(given), "call_id": given["call_id"], "output": given["output"]}


def _status(given: Obj) -> str:
    return given.get("status") or "completed"


_PARTS: Mapping[str, Callable[[Obj], Obj]] = {"output_text": _output_text, "input_image": _input_image}
_KEPT: Mapping[str, Callable[[Obj], Obj]] = {
    "message": _message,
    "function_call": _function_call,
    "function_call_output": _function_output,
}

# --- lists of items -----------------------------------------------------------------------------------


def within(kind: Kind, parent_id: str, item: Obj) -> Obj:
    """The item as the database keeps it: it names what it stands in."""
    return {**item, str(kind.parent): parent_id}


def shown(kind: Kind, item: Obj) -> Obj:
    """The item as the API shows it."""
    return {key: value for key, value in item.items() if key != kind.parent}


def standing(backend: Backend, kind: Kind, parent_id: str) -> list[Obj]:
    """All items, oldest first, as the API shows them."""
    return [shown(kind, item) for _, item in backend.database.collection(kind, parent_id).rows()]


def page(request: Request, collection: ObjectCollection, kind: Kind) -> Obj:
    """A list page. Recorded: it has an order of keys of its own; documented: there is no `before`."""
    query = [pair for pair in request.query if pair[0] != "before"]
    ask = paging.asked(Request(request.method, request.path, query), collection, kind)
    plain: Obj = loads(paging.page(collection, ask))
    return listed([shown(kind, item) for item in plain["data"]], has_more=plain["has_more"])


def listed(rows: list[Obj], *, has_more: bool = False) -> Obj:
    """Items as a page, in the recorded order of keys."""
    return {
        "object": "list",
        "data": rows,
        "first_id": rows[0]["id"] if rows else None,
        "has_more": has_more,
        "last_id": rows[-1]["id"] if rows else None,
    }


def refuse_twins(before: Container[str], coming: Iterable[Obj]) -> None:
    """Refuse an item whose id is there already: `before` are the ids of what stands there."""
    seen: set[str] = set()
    for item in coming:
        if item["id"] in before or item["id"] in seen:
            raise refusals.duplicate_item(item["id"])
        seen.add(item["id"])


# --- what items say -----------------------------------------------------------------------------------


def texts(item: Obj) -> Iterator[str]:
    """Every text in an item that costs tokens."""
    content = item.get("content")
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict):
            yield from _strings(part, "text", "refusal")
    yield from _strings(item, "arguments", "output", "code", "content")


def _strings(holder: Obj, *keys: str) -> Iterator[str]:
    return (holder[key] for key in keys if isinstance(holder.get(key), str))


def last_words(messages: Iterable[Obj]) -> str:
    """What the user said last; "" when that was nothing. Also for the messages of a chat."""
    said = [message for message in messages if message.get("role") == "user"]
    return "\n".join(texts(said[-1])) if said else ""


def refuse_open_calls(past: Iterable[Obj]) -> None:
    """Refuse outputs of functions that nobody called, then calls that have no output."""
    items = list(past)
    called, answered = _call_ids(items, "function_call"), _call_ids(items, "function_call_output")
    for call_id in answered:
        if call_id not in called:
            raise refusals.output_without_call(call_id)
    for call_id in called:
        if call_id not in answered:
            raise refusals.call_without_output(call_id)


def _call_ids(items: Iterable[Obj], kind: str) -> dict[str, None]:
    ids = (item.get("call_id") for item in items if item.get("type") == kind)
    return {call_id: None for call_id in ids if isinstance(call_id, str)}
