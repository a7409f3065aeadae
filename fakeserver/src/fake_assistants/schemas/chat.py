"""Check the body of `POST /chat/completions`: the keys that the SDK's types list."""

from typing import cast

import fake_assistants.errors.values as errors
from fake_assistants.schemas.checks import (
    NAME,
    Check,
    Choice,
    ListOf,
    Metadata,
    Number,
    Open,
    OrNull,
    Shape,
    Tagged,
    Text,
    TextOr,
    anything,
    boolean,
    typed,
)

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_MOST_TOKENS = 10**9  # no limit of the API's, which has one for each model


_CHOSEN = Open({"name": NAME})  # of one function, by the older parameters
_CONTENT = OrNull(TextOr(Text(), ListOf(typed), takes=list, expected="one of a string or array of objects"))
_CALLED = Shape({"name": NAME, "arguments": Text()}, needed=("name", "arguments"))
_CALL = Tagged(
    {
        "custom": Shape({"id": Text(), "custom": anything}, needed=("id", "custom")),
        "function": Shape({"id": Text(), "function": _CALLED}, needed=("id", "function")),
    }
)
_KEYS: dict[str, Check] = {
    "role": anything,
    "content": _CONTENT,
    "name": OrNull(Text()),
    "refusal": OrNull(Text()),
    "tool_calls": OrNull(ListOf(_CALL)),
    "tool_call_id": Text(),
    "function_call": _CHOSEN,
    **dict.fromkeys(("annotations", "audio"), anything),
}
_MESSAGES = {
    "assistant": Shape(_KEYS),
    "tool": Shape(_KEYS, needed=("content", "tool_call_id")),
    **dict.fromkeys(("developer", "function", "system", "user"), Shape(_KEYS, needed=("content",))),
}


def _message(value: object, path: str) -> None:
    if not isinstance(value, dict):
        raise errors.invalid_type(path, "an object", value)
    if "role" not in value:
        raise errors.missing_parameter(f"{path}.role")
    Choice(_ROLES)(value["role"], f"{path}.role")
    _MESSAGES[cast(str, value["role"])](value, path)


_FUNCTION = Shape(
    {"name": NAME, "description": OrNull(Text()), "parameters": anything, "strict": OrNull(boolean)},
    needed=("name",),
)
_TOOLS = ListOf(
    Tagged(
        {
            "custom": Shape({"custom": anything}, needed=("custom",)),
            "function": Shape({"function": _FUNCTION}, needed=("function",)),
        }
    ),
    at_most=128,
)

# Keys that are accepted and ignored.
_TAKEN = (
    *("audio", "logit_bias", "modalities", "moderation", "prediction"),
    *(
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "service_tier",
        "stop",
        "verbosity",
        "web_search_options",
    ),
)
_STREAM_OPTIONS = Shape({"include_usage": OrNull(boolean), "include_obfuscation": OrNull(boolean)})

NEW_COMPLETION = Shape(
    {
        "frequency_penalty": OrNull(Number(-2, 2)),
        "function_call": _CHOSEN,
        "functions": OrNull(ListOf(_CHOSEN)),
        "logprobs": OrNull(boolean),
        "max_completion_tokens": OrNull(Number(1, _MOST_TOKENS, "integer")),
        "max_tokens": OrNull(Number(1, _MOST_TOKENS, "integer")),
        "messages": ListOf(_message, filled=True),
        "metadata": OrNull(Metadata()),
        "model": Text(),
        "n": OrNull(Number(1, 128, "integer")),
        "parallel_tool_calls": OrNull(boolean),
        "presence_penalty": OrNull(Number(-2, 2)),
        "prompt_cache_key": OrNull(Text()),
        "response_format": Open({"json_schema": Open({"name": NAME})}),
        "safety_identifier": OrNull(Text()),
        "seed": OrNull(Number(-(2**63), 2**63 - 1, "integer")),
        "store": OrNull(boolean),
        "stream": OrNull(boolean),
        "stream_options": OrNull(_STREAM_OPTIONS),
        "temperature": OrNull(Number(0, 2)),
        "tool_choice": Open({"function": Open({"name": NAME})}),
        "tools": OrNull(_TOOLS),
        "top_logprobs": OrNull(Number(0, 20, "integer")),
        "top_p": OrNull(Number(0, 1)),
        "user": OrNull(Text()),
        **dict.fromkeys(_TAKEN, anything),
    },
    needed=("model", "messages"),
)
