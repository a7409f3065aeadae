"""An answer of a model, whichever API gave it: what is added to the history, and which functions it calls."""

from typing import Any

import attrs

from threadkeep.errors import RequestFailed
from threadkeep.history.items import Item

__all__ = ["BETWEEN", "Answer", "Call", "answered_wrong", "texts_of", "without_nulls"]

BETWEEN = "\n"
"""What is put between the texts of two messages."""


@attrs.frozen(kw_only=True)
class Call:
    """A function that the model calls.

    Attributes:
        call_id: names the call in its output.
        arguments: as the model wrote them, which should be a JSON object.
    """

    call_id: str
    name: str
    arguments: str


@attrs.frozen(kw_only=True)
class Answer:
    """A complete answer.

    Attributes:
        items: to be added to the history.
        calls: to be answered, each with an output, before the model can continue.
        text: of the message; empty without one.
        refusal: what the model says instead of an answer, if it refuses.
        incomplete: why the answer is cut off, in the API's word; None if it is not.
    """

    items: tuple[Item, ...]
    calls: tuple[Call, ...]
    text: str
    refusal: str | None
    incomplete: str | None


def answered_wrong(api: str, answer: object) -> RequestFailed:
    """Return the error about an answer that does not have the shape of an API."""
    return RequestFailed(f"the answer is not one of {api}: {str(answer)[:200]}")


def without_nulls(item: Item) -> Item:
    """Return an item without its fields that are null, which an API sends, and may refuse to take."""
    return {name: value for name, value in item.items() if value is not None}


def texts_of(content: Any, key: str = "text") -> str:
    """Return the texts of the parts of a message, or what their ``key`` holds, joined; a string is one text."""
    if isinstance(content, str):
        return content if key == "text" else ""
    parts = content if isinstance(content, list) else []
    found = (part.get(key) for part in parts if isinstance(part, dict))
    return "".join(text for text in found if isinstance(text, str))
