"""Items of conversations and of the inputs of responses: how they are stored, listed and checked.

A loaded state may have any JSON as an item, so the type of every value is checked before it is used.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from itertools import pairwise

import fake_assistants.engine.pagination as paging
import fake_assistants.errors.responses as errors
from fake_assistants.engine.backend import Backend
from fake_assistants.http.lossless_json import Obj, loads
from fake_assistants.http.message import Request
from fake_assistants.store.collection import ObjectCollection
from fake_assistants.store.kinds import Kind

# How the ids of items begin; all other types have the prefix of messages.
_PREFIXES = {
    "function_call": "fc_0",
    "function_call_output": "fc_0",
    "reasoning": "rs_0",
}


def stored(backend: Backend, given: Obj) -> Obj:
    """Return a checked item as it is stored (recorded shapes), with its own id or a new one."""
    kind = given.get("type", "message")
    item_id = given.get("id") or backend.new_id(_PREFIXES.get(kind, "msg_0"))
    shape = {"id": item_id, **_STORED.get(kind, _unchanged)(given)}
    return {**shape, **{key: value for key, value in given.items() if key not in shape and value is not None}}


def _message(given: Obj) -> Obj:
    content = given["content"]
    if isinstance(content, str):
        content = [{"type": "output_text" if given["role"] == "assistant" else "input_text", "text": content}]
    parts = [_PARTS.get(part["type"], _unchanged)(part) for part in content]
    return {"type": "message", "status": _status(given), "content": parts, "role": given["role"]}


def _output_text(part: Obj) -> Obj:
    """Return a text as it is stored. Recorded: with annotations and logprobs, empty if none were given."""
    return {
        "type": "output_text",
        "annotations": part.get("annotations", []),
        "logprobs": part.get("logprobs") or [],
        "text": part["text"],
    }


def _input_image(part: Obj) -> Obj:
    detail = part.get("detail") or "auto"
    return {"type": "input_image", "detail": detail, "file_id": part.get("file_id"), "image_url": part.get("image_url")}


def _unchanged(given: Obj) -> Obj:
    return {key: value for key, value in given.items() if key != "id"}


def _function_call(given: Obj) -> Obj:
    keys = ("arguments", "call_id", "name")
    return {"type": given["type"], "status": _status(given), **{key: given[key] for key in keys}}


def _function_output(given: Obj) -> Obj:
    return {"type": given["type"], "status": _status(given), "call_id": given["call_id"], "output": given["output"]}


def _status(given: Obj) -> str:
    return given.get("status") or "completed"


_PARTS: Mapping[str, Callable[[Obj], Obj]] = {"output_text": _output_text, "input_image": _input_image}
_STORED: Mapping[str, Callable[[Obj], Obj]] = {
    "message": _message,
    "function_call": _function_call,
    "function_call_output": _function_output,
}

# --- lists of items -----------------------------------------------------------------------------------


def within(kind: Kind, parent_id: str, item: Obj) -> Obj:
    """Return the item with the id of its conversation or response, as the database stores it."""
    return {**item, str(kind.parent): parent_id}


def shown(kind: Kind, item: Obj) -> Obj:
    """Return the item without the id of its parent, as the API shows it."""
    return {key: value for key, value in item.items() if key != kind.parent}


def all_items(backend: Backend, kind: Kind, parent_id: str) -> list[Obj]:
    """Return all items of a parent, oldest first, as the API shows them."""
    return [shown(kind, item) for _, item in backend.database.collection(kind, parent_id).rows()]


def page(request: Request, collection: ObjectCollection, kind: Kind, **limits: int) -> Obj:
    """Return a page of items. Recorded: the order of its keys. Documented: there is no `before`.

    `limits` are those of `pagination.asked`.
    """
    query = [pair for pair in request.query if pair[0] != "before"]
    ask = paging.asked(Request(request.method, request.path, query), collection, kind, **limits)
    plain: Obj = loads(paging.page(collection, ask))
    return listed([shown(kind, item) for item in plain["data"]], has_more=plain["has_more"])


def listed(rows: list[Obj], *, has_more: bool = False) -> Obj:
    """Return the items as a page, in the recorded order of keys."""
    return {
        "object": "list",
        "data": rows,
        "first_id": rows[0]["id"] if rows else None,
        "has_more": has_more,
        "last_id": rows[-1]["id"] if rows else None,
    }


def refuse_duplicates(before: Container[str], coming: Iterable[Obj]) -> None:
    """Refuse an item whose id exists already. `before` has the ids of the items so far."""
    seen: set[str] = set()
    for item in coming:
        if item["id"] in before or item["id"] in seen:
            raise errors.duplicate_item(item["id"])
        seen.add(item["id"])


# --- texts of items -----------------------------------------------------------------------------------


def texts(item: Obj) -> Iterator[str]:
    """Yield every text in an item that costs tokens."""
    content = item.get("content")
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict):
            yield from _strings(part, "text", "refusal")
    yield from _strings(item, "arguments", "output", "code", "content")


def _strings(holder: Obj, *keys: str) -> Iterator[str]:
    return (holder[key] for key in keys if isinstance(holder.get(key), str))


def last_words(messages: Iterable[Obj]) -> str:
    """Return the text of the user's last message, or "". Also for the messages of a chat."""
    of_user = [message for message in messages if message.get("role") == "user"]
    return "\n".join(texts(of_user[-1])) if of_user else ""


# Calls that need an output with the same `call_id`. The SDK's types require the id in both.
PAIRS = {
    "function_call": "function_call_output",
    "custom_tool_call": "custom_tool_call_output",
    "computer_call": "computer_call_output",
    "shell_call": "shell_call_output",
    "apply_patch_call": "apply_patch_call_output",
    "program": "program_output",
}

# Types of items that the model reads but does not produce.
_INPUT_ONLY = frozenset(
    (
        *("additional_tools", "compaction_trigger", "configuration_update", "local_shell_call_output"),
        *("mcp_approval_response", "tool_search_output", *PAIRS.values()),
    )
)


def refuse_open_calls(past: Iterable[Obj]) -> None:
    """Refuse outputs without their calls, then calls without their outputs, of each kind of tool."""
    items = list(past)
    ids = {kind: _call_ids(items, kind) for pair in PAIRS.items() for kind in pair}
    for call, output in PAIRS.items():
        for call_id in ids[output]:
            if call_id not in ids[call]:
                raise errors.output_without_call(output, call_id)
    for call, output in PAIRS.items():
        for call_id in ids[call]:
            if call_id not in ids[output]:
                raise errors.call_without_output(call, call_id)


def refuse_lone_reasoning(given: Iterable[Obj]) -> None:
    """Refuse a reasoning item that is not followed by an item of the model."""
    for item, follower in pairwise((*given, {})):
        if item.get("type") == "reasoning" and not _is_model_output(follower):
            raise errors.reasoning_without_follower(item["id"])


def _is_model_output(item: Obj) -> bool:
    if item.get("type") == "message":
        return item.get("role") == "assistant"
    return "type" in item and item["type"] not in _INPUT_ONLY


def _call_ids(items: Iterable[Obj], kind: str) -> dict[str, None]:
    ids = (item.get("call_id") for item in items if item.get("type") == kind)
    return {call_id: None for call_id in ids if isinstance(call_id, str)}
