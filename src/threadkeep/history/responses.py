"""The Responses API, for a `Conversation`. `completions` has the same names for the other API. Nothing is sent here.

Nothing depends on what the server keeps: a history outlives the 30 days of a stored response. So requests say
``store=False``, every request brings all items, and items are sent without the ids that only a server that keeps them
can resolve. Reasoning is sent back only with its encrypted content, since anything else is refused (issues of several
SDKs quote "Items are not persisted when `store` is set to false"); models that do not reason refuse to be asked for it
("Encrypted content is not supported with this model"), so it comes only if the caller asks for it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from threadkeep.errors import RequestFailed
from threadkeep.history.answers import BETWEEN, Answer, Call, answered_wrong, texts_of, without_nulls
from threadkeep.history.items import Item

__all__ = ["NAME", "Assembly", "create_of", "output_item", "read_answer", "request", "sendable"]

NAME = "Responses"

# What needs an output, which only its own client knows how to make.
_OTHER_CALLS = (
    *("apply_patch_call", "computer_call", "custom_tool_call", "local_shell_call", "mcp_approval_request"),
    "shell_call",
)

# Items that are taken without the id and status that they came with. All others need theirs.
_PLAIN = ("message", "function_call", "function_call_output", "reasoning")

_ENDED = ("response.completed", "response.incomplete", "response.failed")


def create_of(client: Any) -> Callable[..., Any]:
    """Return the method of a client of the SDK that sends a request.

    Raises:
        TypeError: the installed SDK is older than this API.
    """
    responses = getattr(client, "responses", None)
    if responses is None:
        raise TypeError("the installed openai has no Responses API. Install openai 1.66 or later, or use api='chat'.")
    method: Callable[..., Any] = responses.create
    return method


def request(model: str, instructions: str | None, items: Sequence[Item]) -> dict[str, Any]:
    """Return the arguments of a request that sends `sendable` items."""
    system = {} if instructions is None else {"instructions": instructions}
    return {"model": model, "input": [*items], "store": False, **system}


def output_item(call: Call, output: str) -> Item:
    """Return the item with the output of a call."""
    return {"type": "function_call_output", "call_id": call.call_id, "output": output}


# --- what is sent


def sendable(items: Iterable[Item]) -> list[Item]:
    """Return the items of a history as input of this API: messages of Chat Completions are converted.

    Raises:
        ValueError: a message of Chat Completions that no item can hold.
    """
    found: list[Item] = []
    for number, item in enumerate(items):
        kind = item.get("type")
        if kind is None:
            found += _of_message(item, number)
        elif kind not in _PLAIN:
            found.append(item)
        elif kind != "reasoning" or item.get("encrypted_content"):
            found.append({name: value for name, value in without_nulls(item).items() if name not in ("id", "status")})
    return found


def _of_message(item: Item, number: int) -> list[Item]:
    role = item.get("role")
    if role == "function":
        raise _no_place(number, "message of the role 'function'")
    content = _content(item.get("content"), str(role), number)
    if role == "tool":
        return [{"type": "function_call_output", "call_id": item.get("tool_call_id"), "output": content or ""}]
    if refusal := item.get("refusal"):
        begun = [{"type": "output_text", "text": content}] if isinstance(content, str) and content else content or []
        content = [*begun, {"type": "refusal", "refusal": refusal}]
    calls = [_function_call(call, number) for call in item.get("tool_calls") or ()]
    return [*([] if calls and not content else [{"role": role, "content": content or ""}]), *calls]


def _function_call(call: Any, number: int) -> Item:
    if not isinstance(call, dict) or "function" not in call:
        raise _no_place(number, "call of a custom tool")
    function = call["function"]
    return {
        "type": "function_call",
        "call_id": call.get("id"),
        "name": function.get("name"),
        "arguments": function.get("arguments"),
    }


def _content(content: Any, role: str, number: int) -> Any:
    if not isinstance(content, list):
        return content
    return [_part(part, role, number) for part in content]


def _part(part: Any, role: str, number: int) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        return {"type": "output_text" if role == "assistant" else "input_text", "text": part.get("text")}
    if kind == "image_url":
        image = part["image_url"] if isinstance(part.get("image_url"), dict) else {}
        return {"type": "input_image", "image_url": image.get("url"), "detail": image.get("detail") or "auto"}
    if kind == "file":
        return {"type": "input_file", **without_nulls(part.get("file") or {})}
    if kind == "input_audio":
        raise _no_place(number, "message with audio")
    return part


def _no_place(number: int, kind: str) -> ValueError:
    return ValueError(f"item {number} of the history is a {kind}, which Responses do not take. Use api='chat'.")


# --- what comes


def read_answer(answer: Mapping[str, Any]) -> Answer:
    """Read a ``response``.

    Raises:
        RequestFailed: it is none, has failed, or calls what is no function.
    """
    status, output = answer.get("status"), answer.get("output")
    if status not in (None, "completed", "incomplete"):
        error = answer.get("error") or {}
        why = f": {error.get('code')}: {error.get('message')}" if error else ""
        raise RequestFailed(f"the response has the status {status!r}{why}")
    if not isinstance(output, list) or not all(isinstance(item, dict) for item in output):
        raise answered_wrong(NAME, answer)
    messages = [item.get("content") for item in output if item.get("type") == "message"]
    details = answer.get("incomplete_details") or {}
    return Answer(
        items=tuple(without_nulls(item) if item.get("type") in _PLAIN else item for item in output),
        calls=tuple(_calls(output)),
        text=BETWEEN.join(filter(None, map(texts_of, messages))),
        refusal="".join(texts_of(content, "refusal") for content in messages) or None,
        incomplete=str(details.get("reason") or status) if status == "incomplete" else None,
    )


def _calls(output: Iterable[Item]) -> Iterable[Call]:
    for item in output:
        kind = item.get("type")
        if kind in _OTHER_CALLS:
            raise RequestFailed(f"the model sent a {kind}: only functions can be called")
        if kind == "function_call":
            try:
                yield Call(call_id=item["call_id"], name=item["name"], arguments=item["arguments"])
            except KeyError:
                raise answered_wrong(NAME, item) from None


class Assembly:
    """A ``response`` that comes with the last event of a stream."""

    def __init__(self) -> None:
        self._response: dict[str, Any] | None = None
        self._place: object = None  # of the message whose text has begun

    def take(self, event: Mapping[str, Any]) -> str:
        """Take an event, and return the text that it adds."""
        kind = event.get("type")
        if kind in _ENDED:
            self._response = event.get("response")
        if kind != "response.output_text.delta" or not event.get("delta"):
            return ""
        before, self._place = self._place, event.get("output_index", 0)
        return f"{'' if before in (None, self._place) else BETWEEN}{event['delta']}"

    def finish(self) -> dict[str, Any]:
        """Return the ``response``, when the stream has ended.

        Raises:
            RequestFailed: it ended before the model did.
        """
        if not isinstance(self._response, dict):
            raise RequestFailed("the answer broke off: the stream ended before the response", may_retry=True)
        return self._response
