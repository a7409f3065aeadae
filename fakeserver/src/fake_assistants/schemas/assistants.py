"""Check the bodies of assistants, threads and messages: one literal table per object. Read a body.

Keys and limits are those of the published documentation; the recordings show what is echoed.
"""

import re
from typing import cast

import fake_assistants.errors.requests as errors
import fake_assistants.errors.values as values
from fake_assistants.http.lossless_json import MalformedJson, Obj, loads
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
)

_LEVELS = 400  # below the limit of the JSON parser, so that a state file can hold every accepted body

METADATA = OrNull(Metadata())
LONG = Text(256_000)
_DETAIL = Choice(("auto", "low", "high"))

# --- messages

_IMAGES = (".gif", ".jpeg", ".jpg", ".png", ".webp")  # documented


def _image_url(value: object, path: str) -> None:
    """The address of an image; its path has the ending of a supported format."""
    Text()(value, path)
    if not re.split(r"[?#]", cast(str, value), maxsplit=1)[0].lower().endswith(_IMAGES):
        raise values.unsupported_image_url(path)


_PARTS = Tagged(
    {
        "image_file": Shape(
            {"image_file": Shape({"file_id": Text(), "detail": _DETAIL}, needed=("file_id",))},
            needed=("image_file",),
        ),
        "image_url": Shape(
            {"image_url": Shape({"url": _image_url, "detail": _DETAIL}, needed=("url",))},
            needed=("image_url",),
        ),
        "text": Shape({"text": Text(256_000, filled=True)}, needed=("text",)),
    }
)
_CONTENT = TextOr(
    Text(256_000, filled=True),
    ListOf(_PARTS, filled=True),
    takes=list,
    expected="one of a string or array of objects",
)
_ATTACHMENT = Shape(
    {
        "file_id": Text(),
        "tools": ListOf(Tagged({"code_interpreter": Shape({}), "file_search": Shape({})})),
    }
)
NEW_MESSAGE = Shape(
    {
        "role": Choice(("user", "assistant")),
        "content": _CONTENT,
        "attachments": OrNull(ListOf(_ATTACHMENT)),
        "metadata": METADATA,
    },
    needed=("role", "content"),
)
CHANGED_MESSAGE = Shape({"metadata": METADATA})

# --- tool resources, of threads and assistants

_NEW_STORE = Shape(
    {
        "file_ids": ListOf(Text(), at_most=10_000),
        "chunking_strategy": anything,
        "metadata": METADATA,
    }
)
_CODE_FILES = Shape({"file_ids": ListOf(Text(), at_most=20)})
_STORE_IDS = ListOf(Text(), at_most=1)
NEW_RESOURCES = OrNull(
    Shape(
        {
            "code_interpreter": _CODE_FILES,
            "file_search": Shape({"vector_store_ids": _STORE_IDS, "vector_stores": ListOf(_NEW_STORE, at_most=1)}),
        }
    )
)
_CHANGED_RESOURCES = OrNull(
    Shape({"code_interpreter": _CODE_FILES, "file_search": Shape({"vector_store_ids": _STORE_IDS})})
)

# --- threads

_FIRST_MESSAGES = 32  # quoted from 2023 and 2024; the specification has no limit

NEW_THREAD = Shape(
    {"messages": ListOf(NEW_MESSAGE, at_most=_FIRST_MESSAGES), "tool_resources": NEW_RESOURCES, "metadata": METADATA}
)
CHANGED_THREAD = Shape({"tool_resources": _CHANGED_RESOURCES, "metadata": METADATA})

# --- assistants

_RANKING = Shape({"ranker": Text(), "score_threshold": Number(0, 1), "hybrid_search": anything})
_SEARCH = Shape({"max_num_results": Number(1, 50, "integer"), "ranking_options": _RANKING})
_FUNCTION = Shape(
    {
        "name": NAME,
        "description": Text(),
        "parameters": anything,
        "strict": OrNull(boolean),
    },
    needed=("name",),
)
_TOOL = Tagged(
    {
        "code_interpreter": Shape({}),
        "file_search": Shape({"file_search": _SEARCH}),
        "function": Shape({"function": _FUNCTION}, needed=("function",)),
    }
)


def tools(at_most: int) -> Check:
    """A list of tools: an assistant has up to 128, a run up to 20 (documented)."""
    return ListOf(_TOOL, at_most=at_most)


FORMAT = TextOr(
    Choice(("auto", "none")),
    Tagged(
        {
            "json_object": Shape({}),
            "json_schema": Shape({"json_schema": Open({"name": NAME})}, needed=("json_schema",)),
            "text": Shape({}),
        }
    ),
    takes=dict,
    expected="one of a string or an object",
)
_ASSISTANT: dict[str, Check] = {
    "model": Text(),
    "name": OrNull(Text(256)),
    "description": OrNull(Text(512)),
    "instructions": OrNull(LONG),
    "tools": tools(128),
    "top_p": OrNull(Number(0, 1)),
    "temperature": OrNull(Number(0, 2)),
    "reasoning_effort": OrNull(Text()),
    "metadata": METADATA,
    "response_format": OrNull(FORMAT),
}
NEW_ASSISTANT = Shape(_ASSISTANT | {"tool_resources": NEW_RESOURCES}, needed=("model",))
CHANGED_ASSISTANT = Shape(_ASSISTANT | {"tool_resources": _CHANGED_RESOURCES})


def read(body: bytes, shape: Shape) -> Obj:
    """The body as a checked object; an empty body counts as `{}`. Raises ApiProblem."""
    try:
        value = loads(body, levels=_LEVELS) if body.strip() else {}
    except MalformedJson:
        raise errors.malformed_json() from None
    shape(value, "")
    checked: Obj = value
    return checked
