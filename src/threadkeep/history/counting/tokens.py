"""Count the tokens of a history: its texts, images and calls, and what the API adds.

What OpenAI publishes is counted as published: 3 tokens for a message, 1 for its name, 3 for the start of the reply, and
the prices of images. What is not published is an estimate, and stated here.

| content | tokens |
|---|---|
| a call, an output, reasoning | 3, as for a message, and the id of the call, its name and its arguments |
| encrypted reasoning | 1 for 4 characters |
| a file with its bytes | 1 for 4 bytes of base64 |
| a file by its id or URL | 2,000 |
| audio with its bytes | 1 for 400 bytes of base64, which is 10 a second at 24 kbit/s |
| audio by its id | 1,000 |
| an item or a part of an unknown shape | its JSON |
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from threadkeep.arguments import A_STR, refuse_wrong_types
from threadkeep.history.counting.encodings import text_counter
from threadkeep.history.counting.images import image_tokens
from threadkeep.history.groups import role_of
from threadkeep.history.items import Item
from threadkeep.history.repairing import dicts
from threadkeep.serialization.lossless_json import dumps

__all__ = ["REPLY_TOKENS", "count_tokens", "item_counter"]

REPLY_TOKENS = 3
_ITEM_TOKENS = 3
_FILE_TOKENS, _CHARACTERS_OF_FILE = 2_000, 4
_AUDIO_TOKENS, _CHARACTERS_OF_AUDIO = 1_000, 400
_CHARACTERS_OF_SECRET = 4

# The fields of an item that the model sees. Of an item that is not here, it is all of them.
_MESSAGE = ("role", "content", "refusal", "name", "tool_call_id", "function_call", "tool_calls", "audio")
_SEEN: Mapping[str, tuple[str, ...]] = {
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id", "output"),
    "computer_call_output": ("call_id", "output"),
    "reasoning": ("summary", "content", "encrypted_content"),
    "compaction": ("encrypted_content",),
    "image_generation_call": ("revised_prompt", "result"),
}


def count_tokens(items: Iterable[Mapping[str, Any]], model: str | None = None) -> int:
    """Return the tokens of a history and of the start of the reply.

    They are exact for texts if the extra ``tokens`` is installed. Without it they are an estimate that is never lower,
    and at most 1.6 times as high for prose with the models since gpt-4o, 2 times with those before.

    Args:
        items: in the shape of Chat Completions or of Responses.
        model: of OpenAI, also dated, fine-tuned, or with a provider before it. None or an unknown one counts each text
            by the encoding that needs more.

    Raises:
        TypeError: an item is no dict, or an argument is of another type.
    """
    refuse_wrong_types(locals(), {"model": A_STR}, frozenset({"model"}))
    return REPLY_TOKENS + sum(map(item_counter(model), dicts(items)))


def item_counter(model: str | None) -> Callable[[Item], int]:
    """Return a function that counts the tokens of one item, as `count_tokens` does for all."""
    return _Counter(text_counter(model), model).item


class _Counter:
    """The rules, for one model."""

    def __init__(self, text: Callable[[str], int], model: str | None) -> None:
        self._text = text
        self._model = model
        self._fields: dict[str, Callable[[Any], int]] = {
            "name": lambda name: 1 + self._content(name),
            "tool_calls": lambda calls: sum(map(self._chat_call, calls if isinstance(calls, list) else [calls])),
            "function_call": self._function,
            "encrypted_content": lambda secret: len(str(secret)) // _CHARACTERS_OF_SECRET,
            "result": lambda _: image_tokens(None, None, self._model),
            "audio": lambda _: _AUDIO_TOKENS,
        }
        self._parts: dict[str, Callable[[Mapping[str, Any]], int]] = {
            **dict.fromkeys(
                ("text", "input_text", "output_text", "summary_text", "reasoning_text"),
                lambda part: self._content(part.get("text")),
            ),
            "refusal": lambda part: self._content(part.get("refusal")),
            **dict.fromkeys(("image_url", "input_image", "computer_screenshot", "image_file"), self._image),
            **dict.fromkeys(("file", "input_file"), _file_tokens),
            "input_audio": _audio_tokens,
        }

    def item(self, item: Item) -> int:
        seen = _MESSAGE if role_of(item) is not None else _SEEN.get(str(item.get("type")))
        if seen is None:
            return _ITEM_TOKENS + self._json(item)
        return _ITEM_TOKENS + sum(
            self._fields.get(field, self._content)(value) for field in seen if (value := item.get(field)) is not None
        )

    def _content(self, value: Any) -> int:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list | tuple):
            return sum(map(self._content, value))
        if isinstance(value, Mapping) and (count := self._parts.get(str(value.get("type")))):
            return count(value)
        return 0 if value is None else self._json(value)

    def _json(self, value: Any) -> int:
        return self._text(dumps(value).decode())

    def _image(self, part: Mapping[str, Any]) -> int:
        image = part.get("image_url")
        inner = image if isinstance(image, Mapping) else {"url": image}
        return image_tokens(inner.get("url"), part.get("detail", inner.get("detail")), self._model)

    def _chat_call(self, call: Any) -> int:
        kind = call.get("type", "function") if isinstance(call, Mapping) else None
        if kind not in ("function", "custom"):
            return _ITEM_TOKENS + self._json(call)
        return _ITEM_TOKENS + self._content(call.get("id")) + self._function(call.get(kind))

    def _function(self, function: Any) -> int:
        if not isinstance(function, Mapping):
            return self._json(function)
        return sum(self._content(function.get(field)) for field in ("name", "arguments", "input"))


def _file_tokens(part: Mapping[str, Any]) -> int:
    inner = part.get("file", part)
    embedded = inner.get("file_data") if isinstance(inner, Mapping) else None
    return len(embedded) // _CHARACTERS_OF_FILE if isinstance(embedded, str) else _FILE_TOKENS


def _audio_tokens(part: Mapping[str, Any]) -> int:
    inner = part.get("input_audio")
    embedded = inner.get("data") if isinstance(inner, Mapping) else None
    return len(embedded) // _CHARACTERS_OF_AUDIO if isinstance(embedded, str) else _AUDIO_TOKENS
