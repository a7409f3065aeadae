"""Check the items of a conversation, or of a response's input.

Messages and function calls are checked in full. Of the items of other tools only the id is checked.
"""

import re
from collections.abc import Mapping

import fake_assistants.errors.values as errors
from fake_assistants.errors.ids import id_characters
from fake_assistants.schemas.checks import (
    NAME,
    Check,
    Choice,
    ListOf,
    Metadata,
    OrNull,
    Shape,
    Tagged,
    Text,
    TextOr,
    anything,
)

# Limits in characters. Quoted: of texts and file ids in the inputs of responses. Documented: of an image's address, on
# another route.
_TEXT, _FILE_ID, _IMAGE_URL = Text(10_485_760), Text(64), Text(20_971_520)

_ID = re.compile("[A-Za-z0-9_-]+")


def _file_id(value: object, path: str) -> None:
    """The id of a file. `resources.file_checks` checks whether it can be used."""
    _FILE_ID(value, path)
    if not _ID.fullmatch(str(value)):
        raise id_characters(path, str(value))


_DETAIL = Choice(("auto", "low", "high", "original"))
_STATUS = OrNull(Choice(("in_progress", "completed", "incomplete")))

_INPUT_PARTS: Mapping[str, Shape] = {
    "input_text": Shape({"text": _TEXT, "prompt_cache_breakpoint": anything}, needed=("text",)),
    "input_image": Shape(
        {
            "detail": OrNull(_DETAIL),
            "file_id": OrNull(_file_id),
            "image_url": OrNull(_IMAGE_URL),
            "prompt_cache_breakpoint": anything,
        }
    ),
    "input_file": Shape(
        {
            "detail": anything,
            "file_data": OrNull(Text()),
            "file_id": OrNull(_file_id),
            "file_url": OrNull(Text()),
            "filename": OrNull(Text()),
            "prompt_cache_breakpoint": anything,
        }
    ),
}
_OUTPUT_PARTS: Mapping[str, Shape] = {
    "output_text": Shape(
        {"text": _TEXT, "annotations": ListOf(anything), "logprobs": OrNull(ListOf(anything))}, needed=("text",)
    ),
    "refusal": Shape({"refusal": Text()}, needed=("refusal",)),
}


class _Parts:
    """The parts of a message. A part of another role's type is refused at the part itself (quoted)."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self._kinds = tuple(shapes)
        self._part = Tagged(shapes)

    def __call__(self, value: object, path: str) -> None:
        kind = value.get("type") if isinstance(value, dict) else None
        if isinstance(kind, str) and kind not in self._kinds:
            raise errors.invalid_value(path, kind, self._kinds)
        self._part(value, path)


def _message(parts: Mapping[str, Shape]) -> Shape:
    content = TextOr(_TEXT, ListOf(_Parts(parts)), takes=list, expected="one of a string or array of objects")
    known: dict[str, Check] = {
        "type": Choice(("message",)),
        "id": OrNull(Text()),
        "role": anything,
        "content": content,
        "status": _STATUS,
        "phase": anything,
    }
    return Shape(known, needed=("content",))


# By role, in the order of the error text (quoted).
_MESSAGES = {
    "assistant": _message(_OUTPUT_PARTS),
    "system": _message(_INPUT_PARTS),
    "developer": _message(_INPUT_PARTS),
    "user": _message(_INPUT_PARTS),
}


def _by_role(value: object, path: str) -> None:
    if not isinstance(value, dict):
        raise errors.invalid_type(path, "an object", value)
    role = value.get("role", "")
    if "role" not in value or (isinstance(role, str) and role not in _MESSAGES):
        raise errors.invalid_value(path, role, tuple(_MESSAGES))
    Choice(tuple(_MESSAGES))(role, f"{path}.role")
    _MESSAGES[role](value, path)


_CALL_KEYS: dict[str, Check] = {
    "type": anything,
    "id": OrNull(Text()),
    "call_id": Text(),
    "status": _STATUS,
    "caller": anything,
    "namespace": anything,
}
_OUTPUT = TextOr(_TEXT, ListOf(_Parts(_INPUT_PARTS)), takes=list, expected="one of a string or array of objects")
_CALL = Shape(
    {**_CALL_KEYS, "name": NAME, "arguments": Text(), "async": anything}, needed=("call_id", "name", "arguments")
)
_CALL_OUTPUT = Shape({**_CALL_KEYS, "name": anything, "output": _OUTPUT}, needed=("call_id", "output"))

# Every type that the SDK's own union of input items knows, and how each is checked.
ITEMS: Mapping[str, Check] = {
    "message": _by_role,
    "function_call": _CALL,
    "function_call_output": _CALL_OUTPUT,
    **dict.fromkeys(
        (
            *("additional_tools", "apply_patch_call", "apply_patch_call_output", "code_interpreter_call", "compaction"),
            *("compaction_trigger", "computer_call", "computer_call_output", "configuration_update"),
            *("custom_tool_call", "custom_tool_call_output", "file_search_call", "image_generation_call"),
            *("item_reference", "local_shell_call", "local_shell_call_output", "mcp_approval_request"),
            *("mcp_approval_response", "mcp_call", "mcp_list_tools", "program", "program_output", "reasoning"),
            *("shell_call", "shell_call_output", "tool_search_call", "tool_search_output", "web_search_call"),
        ),
        anything,
    ),
}


# Quoted for a file search; for the others the SDK's types say so. A reasoning item needs its id there too, but the
# Agents SDK sends it without one on request.
NEEDS_ID = frozenset(
    (
        *("code_interpreter_call", "computer_call", "file_search_call", "image_generation_call", "item_reference"),
        *("local_shell_call", "local_shell_call_output", "mcp_approval_request", "mcp_call", "mcp_list_tools"),
        *("program", "program_output", "web_search_call"),
    )
)


def item(value: object, path: str) -> None:
    """One item; without a type it is a message."""
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(value, dict) or kind is None:
        _by_role(value, path)
        return
    Choice(tuple(ITEMS))(kind, f"{path}.type")
    ITEMS[kind](value, path)
    if kind in NEEDS_ID and value.get("id") is None:
        raise errors.missing_parameter(f"{path}.id")
    OrNull(Text())(value.get("id"), f"{path}.id")


_METADATA = OrNull(Metadata())
_FEW = ListOf(item, at_most=20)

NEW_CONVERSATION = Shape({"items": OrNull(_FEW), "metadata": _METADATA})
CHANGED_CONVERSATION = Shape({"metadata": _METADATA}, needed=("metadata",))
NEW_ITEMS = Shape({"items": _FEW}, needed=("items",))
