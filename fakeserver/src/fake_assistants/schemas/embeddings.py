"""Check the body of `POST /embeddings`. Keys and limits are documented."""

from typing import Any

from fake_assistants.errors.models import invalid_embedding_input
from fake_assistants.schemas.checks import Choice, Number, Shape, Text

_MOST_INPUTS = 2_048
LARGEST = 3_072  # dimensions of the largest model


def _input(value: object, path: str) -> None:  # noqa: ARG001 - the error has a fixed path
    """A text, tokens, or an array of either; nothing in it is empty."""
    items = value if isinstance(value, list) and not _is_tokens(value) else [value]
    if not 0 < len(items) <= _MOST_INPUTS or not all(map(_is_one, items)):
        raise invalid_embedding_input()


def _is_one(value: Any) -> bool:
    return (isinstance(value, str) and bool(value)) or _is_tokens(value)


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(one) is int for one in value)


def inputs(value: Any) -> list[str | list[int]]:
    """Return the inputs of a checked body, one for each embedding."""
    return value if isinstance(value, list) and not _is_tokens(value) else [value]


NEW_EMBEDDINGS = Shape(
    {
        "input": _input,
        "model": Text(filled=True),
        "dimensions": Number(1, LARGEST, "integer"),
        "encoding_format": Choice(("float", "base64")),
        "user": Text(),
    },
    needed=("model", "input"),
)
