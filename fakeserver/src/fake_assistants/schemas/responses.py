"""Check the body of `POST /responses`: the keys that the SDK's types list."""

from typing import cast

from fake_assistants.http.lossless_json import Obj
from fake_assistants.schemas.checks import (
    NAME,
    Choice,
    ListOf,
    Metadata,
    Number,
    Open,
    OrNull,
    Shape,
    Text,
    TextOr,
    anything,
    boolean,
    typed,
)
from fake_assistants.schemas.items import item

_FEWEST_TOKENS = 16  # documented
_MOST_TOKENS = 10**9  # no limit of the API's, which has one for each model


def tool(value: object, path: str) -> None:
    """A tool of any type; a function is checked."""
    typed(value, path)
    if cast(Obj, value)["type"] == "function":
        _FUNCTION(value, path)


def _tool_choice(value: object, path: str) -> None:
    """A word or an object. The name of a function is checked; that of a tool of another type is not."""
    if isinstance(value, dict) and value.get("type") == "function":
        Open({"name": NAME})(value, path)


_FUNCTION = Shape(
    {
        "type": anything,
        "name": NAME,
        "description": OrNull(Text()),
        "parameters": anything,
        "strict": OrNull(boolean),
        **dict.fromkeys(("allowed_callers", "async", "defer_loading", "output_schema"), anything),
    },
    needed=("name",),
)
_CONVERSATION = TextOr(
    Text(), Shape({"id": Text()}, needed=("id",)), takes=dict, expected="one of a string or an object"
)
_INPUT = TextOr(Text(), ListOf(item), takes=list, expected="one of a string or an array of objects")

# Keys that are echoed or ignored. Their values are not checked.
_TAKEN = (
    *("access_programs", "background_options", "context_management", "image", "include", "moderation", "prompt"),
    *("prompt_cache_options", "prompt_cache_retention", "reasoning", "service_tier"),
)

NEW_RESPONSE = Shape(
    {
        "background": OrNull(boolean),
        "conversation": OrNull(_CONVERSATION),
        "input": OrNull(_INPUT),
        "instructions": OrNull(Text()),
        "max_output_tokens": OrNull(Number(_FEWEST_TOKENS, _MOST_TOKENS, "integer")),
        "max_tool_calls": OrNull(Number(1, _MOST_TOKENS, "integer")),
        "metadata": OrNull(Metadata()),
        "model": Text(),
        "parallel_tool_calls": OrNull(boolean),
        "previous_response_id": OrNull(Text()),
        "prompt_cache_key": OrNull(Text()),
        "safety_identifier": OrNull(Text()),
        "store": OrNull(boolean),
        "stream": OrNull(boolean),
        "stream_options": Open({"include_obfuscation": OrNull(boolean)}),
        "temperature": OrNull(Number(0, 2)),
        "text": Open({"format": Open({"name": NAME})}),
        "tool_choice": _tool_choice,
        "tools": OrNull(ListOf(tool)),
        "top_logprobs": OrNull(Number(0, 20, "integer")),
        "top_p": OrNull(Number(0, 1)),
        "truncation": OrNull(Choice(("auto", "disabled"))),
        "user": OrNull(Text()),
        **dict.fromkeys(_TAKEN, anything),
    },
    needed=("model",),
)
