"""Chat Completions, for a `Conversation`. `responses` has the same names for the other API. Nothing is sent here."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from threadkeep.errors import RequestFailed
from threadkeep.history.answers import Answer, Call, answered_wrong, texts_of, without_nulls
from threadkeep.history.items import Item

__all__ = ["NAME", "Assembly", "create_of", "output_item", "read_answer", "request", "sendable"]

NAME = "Chat Completions"

_CUT_OFF = ("length", "content_filter")


def create_of(client: Any) -> Callable[..., Any]:
    """Return the method of a client of the SDK that sends a request."""
    method: Callable[..., Any] = client.chat.completions.create
    return method


def request(model: str, instructions: str | None, items: Sequence[Item]) -> dict[str, Any]:
    """Return the arguments of a request that sends `sendable` items."""
    system = [] if instructions is None else [{"role": "system", "content": instructions}]
    return {"model": model, "messages": [*system, *items]}


def output_item(call: Call, output: str) -> Item:
    """Return the message with the output of a call."""
    return {"role": "tool", "tool_call_id": call.call_id, "content": output}


# --- what is sent


def sendable(items: Iterable[Item]) -> list[Item]:
    """Return the items of a history as messages of this API: items of Responses are converted.

    Reasoning is left out, since no message can hold it. A call of a function becomes a part of the assistant's message
    before it, and its output comes behind that message, even if others were between the two.

    Raises:
        ValueError: an item of Responses that no message can hold.
    """
    found: list[Item] = []
    for number, item in enumerate(items):
        kind = item.get("type") or "message"
        if kind == "message":
            found.append(_message(item, number))
        elif kind == "function_call":
            _calling(found)["tool_calls"].append(_tool_call(item))
        elif kind == "function_call_output":
            output = item.get("output")
            content = output if isinstance(output, str) else _content(output, number)
            answer = {"role": "tool", "tool_call_id": item.get("call_id"), "content": content}
            found.insert(_behind_call(found, item.get("call_id")), answer)
        elif kind != "reasoning":
            raise _no_place(number, str(kind))
    return found


def _message(item: Item, number: int) -> Item:
    typed: Item = {name: item[name] for name in ("role", "content") if name in item}
    own = typed if "type" in item else _filled(item)
    return {**own, "content": _content(item.get("content"), number)}


def _filled(message: Mapping[str, Any]) -> Item:
    """Return a message without fields that are null or empty: OpenAI refuses the empty ``tool_calls`` of others."""
    return {name: value for name, value in message.items() if value is not None and value != []}


def _calling(found: list[Item]) -> Item:
    """Return the assistant's message to which a call belongs: the last one, or a new one."""
    if not found or found[-1].get("role") != "assistant":
        found.append({"role": "assistant", "content": None})
    found[-1]["tool_calls"] = [*found[-1].get("tool_calls", ())]
    return found[-1]


def _behind_call(found: list[Item], call_id: Any) -> int:
    """Return the place of an output: behind the message that made the call, and behind outputs that it has already."""
    for index in range(len(found) - 1, -1, -1):
        if any(isinstance(call, dict) and call.get("id") == call_id for call in found[index].get("tool_calls") or ()):
            answers = itertools.takewhile(lambda message: message.get("role") == "tool", found[index + 1 :])
            return index + 1 + sum(1 for _ in answers)
    return len(found)


def _tool_call(item: Item) -> Item:
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    return {"id": item.get("call_id"), "type": "function", "function": function}


def _content(content: Any, number: int) -> Any:
    if not isinstance(content, list):
        return content
    return [_part(part, number) for part in content]


def _part(part: Any, number: int) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("input_text", "output_text"):
        return {"type": "text", "text": part.get("text")}
    if kind == "input_image":
        if not part.get("image_url"):
            raise _no_place(number, "image without a URL")
        image = {"url": part["image_url"], "detail": part.get("detail")}
        return {"type": "image_url", "image_url": without_nulls(image)}
    if kind == "input_file":
        if part.get("file_url"):
            raise _no_place(number, "file with a URL")
        file = {name: part.get(name) for name in ("file_id", "file_data", "filename")}
        return {"type": "file", "file": without_nulls(file)}
    return part


def _no_place(number: int, kind: str) -> ValueError:
    return ValueError(
        f"item {number} of the history is a {kind}, which Chat Completions do not take. Use api='responses'."
    )


# --- what comes


def read_answer(answer: Mapping[str, Any]) -> Answer:
    """Read a ``chat.completion``.

    Raises:
        RequestFailed: it is none, or calls what is no function.
    """
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        calls = tuple(_call(call) for call in message.get("tool_calls") or ())
    except (LookupError, TypeError, AttributeError):
        raise answered_wrong(NAME, answer) from None
    content, finish = message.get("content"), choice.get("finish_reason")
    return Answer(
        items=({"role": "assistant", "content": content, **_filled(message)},),
        calls=calls,
        text=texts_of(content),
        refusal=message.get("refusal") or texts_of(content, "refusal") or None,
        incomplete=finish if finish in _CUT_OFF else None,
    )


def _call(call: Mapping[str, Any]) -> Call:
    if call.get("type") == "custom":
        raise RequestFailed(f"the model calls the custom tool {call['custom']['name']!r}: only functions can be called")
    function = call["function"]
    return Call(call_id=call["id"], name=function["name"], arguments=function.get("arguments") or "")


class Assembly:
    """A ``chat.completion`` that is put together from the chunks of a stream."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._message: dict[str, Any] = {}
        self._finish: str | None = None

    def take(self, chunk: Mapping[str, Any]) -> str:
        """Take a chunk, and return the text that it adds."""
        self._head |= {name: value for name, value in chunk.items() if name != "choices" and value is not None}
        choices = chunk.get("choices")
        if not choices:  # usage, or what Azure says of the prompt
            return ""
        self._finish = choices[0].get("finish_reason") or self._finish
        delta = choices[0].get("delta") or {}
        _merge(self._message, delta)
        return texts_of(delta.get("content"))

    def finish(self) -> dict[str, Any]:
        """Return the ``chat.completion``, when the stream has ended.

        Raises:
            RequestFailed: it ended before the model did.
        """
        if self._finish is None:
            raise RequestFailed("the answer broke off: the stream ended without a finish_reason", may_retry=True)
        calls = self._message.get("tool_calls") or ()
        own = [{name: value for name, value in call.items() if name != "index"} for call in calls]
        message = {**self._message, **({"tool_calls": own} if own else {})}
        choice = {"index": 0, "message": message, "finish_reason": self._finish}
        return {**self._head, "object": "chat.completion", "choices": [choice]}


# Strings of a delta that come once, or again as they were; all others come in pieces.
_AT_ONCE = ("role", "id", "type", "name")


def _merge(merged: dict[str, Any], delta: Mapping[str, Any]) -> None:
    """Add a delta to what has come before it."""
    for name, value in delta.items():
        before = merged.get(name)
        if value is None:
            merged.setdefault(name, None)
        elif isinstance(value, str) and isinstance(before, str) and name not in _AT_ONCE:
            merged[name] = None  # what only `before` holds, CPython extends in place
            before += value
            merged[name] = before
        elif isinstance(value, dict):
            merged[name] = before if isinstance(before, dict) else {}
            _merge(merged[name], value)
        elif isinstance(value, list):
            merged[name] = _merged_list(before if isinstance(before, list) else [], value)
        elif before is None or value != "":
            merged[name] = value


def _merged_list(merged: list[Any], delta: list[Any]) -> list[Any]:
    """Add elements to a list. One with an ``index`` continues the element that began with it."""
    for part in delta:
        if not isinstance(part, dict):
            merged.append(part)
            continue
        index = part.get("index")
        begun = [one for one in merged if index is not None and isinstance(one, dict) and one.get("index") == index]
        if not begun:
            begun = [{}]
            merged += begun
        _merge(begun[0], part)
    return merged
