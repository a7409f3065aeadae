"""Check the bodies of runs."""

from fake_assistants.schemas.assistants import FORMAT, LONG, METADATA, NEW_MESSAGE, NEW_RESOURCES, NEW_THREAD, tools
from fake_assistants.schemas.checks import (
    NAME,
    Check,
    Choice,
    ListOf,
    Number,
    OrNull,
    Shape,
    Tagged,
    Text,
    TextOr,
    boolean,
)

_TOKENS = OrNull(Number(1, 10**9, "integer"))
_TRUNCATION = Shape(
    {"type": Choice(("auto", "last_messages")), "last_messages": OrNull(Number(1, 10**6, "integer"))}, needed=("type",)
)
_CHOICE = TextOr(
    Choice(("none", "auto", "required")),
    Tagged(
        {
            "function": Shape({"function": Shape({"name": NAME}, needed=("name",))}, needed=("function",)),
            "code_interpreter": Shape({}),
            "file_search": Shape({}),
        }
    ),
    takes=dict,
    expected="one of a string or an object",
)
_RUN: dict[str, Check] = {
    "assistant_id": Text(),
    "model": OrNull(Text()),
    "instructions": OrNull(LONG),
    "tools": OrNull(tools(20)),
    "metadata": METADATA,
    "temperature": OrNull(Number(0, 2)),
    "top_p": OrNull(Number(0, 1)),
    "reasoning_effort": OrNull(Text()),
    "stream": OrNull(boolean),
    "max_prompt_tokens": _TOKENS,
    "max_completion_tokens": _TOKENS,
    "truncation_strategy": OrNull(_TRUNCATION),
    "tool_choice": OrNull(_CHOICE),
    "parallel_tool_calls": OrNull(boolean),
    "response_format": OrNull(FORMAT),
}
NEW_RUN = Shape(
    _RUN | {"additional_instructions": OrNull(LONG), "additional_messages": OrNull(ListOf(NEW_MESSAGE))},
    needed=("assistant_id",),
)
NEW_THREAD_AND_RUN = Shape(
    _RUN | {"thread": OrNull(NEW_THREAD), "tool_resources": NEW_RESOURCES}, needed=("assistant_id",)
)
CHANGED_RUN = Shape({"metadata": METADATA})
OUTPUTS = Shape(
    {
        "tool_outputs": ListOf(Shape({"tool_call_id": OrNull(Text()), "output": OrNull(Text())})),
        "stream": OrNull(boolean),
    },
    needed=("tool_outputs",),
)
