"""Check the bodies of vector stores. Keys and limits are documented."""

import attrs

import fake_assistants.errors.values as errors
from fake_assistants.schemas.checks import (
    Choice,
    ListOf,
    Metadata,
    Number,
    OrNull,
    Shape,
    Tagged,
    Text,
    TextOr,
    anything,
    boolean,
)

_METADATA = OrNull(Metadata())
_EXPIRY = OrNull(
    Shape({"anchor": Choice(("last_active_at",)), "days": Number(1, 365, "integer")}, needed=("anchor", "days"))
)
_CHUNKS = Shape(
    {
        "max_chunk_size_tokens": Number(100, 4_096, "integer"),
        "chunk_overlap_tokens": Number(0, 2_048, "integer"),
    },
    needed=("max_chunk_size_tokens", "chunk_overlap_tokens"),
)
_CHUNKING = OrNull(Tagged({"auto": Shape({}), "static": Shape({"static": _CHUNKS}, needed=("static",))}))

FILTER = Choice(("in_progress", "completed", "failed", "cancelled"))

NEW_STORE = Shape(
    {
        "name": OrNull(Text()),
        "description": OrNull(Text()),
        "file_ids": ListOf(Text(), at_most=10_000),
        "expires_after": _EXPIRY,
        "chunking_strategy": _CHUNKING,
        "metadata": _METADATA,
    }
)
CHANGED_STORE = Shape({"name": OrNull(Text()), "expires_after": _EXPIRY, "metadata": _METADATA})


def _attributes(value: object, path: str) -> None:
    """Up to 16 pairs; a value is a string, a number or a boolean."""
    if isinstance(value, dict):
        value = {key: "" if isinstance(item, bool | int | float) else item for key, item in value.items()}
    OrNull(Metadata())(value, path)


NEW_STORE_FILE = Shape(
    {"file_id": Text(), "attributes": _attributes, "chunking_strategy": _CHUNKING}, needed=("file_id",)
)
NEW_FILE_BATCH = Shape(
    {
        "file_ids": ListOf(Text(), at_most=2_000, filled=True),
        "files": ListOf(NEW_STORE_FILE, at_most=2_000, filled=True),
        "attributes": _attributes,
        "chunking_strategy": _CHUNKING,
    }
)
CHANGED_STORE_FILE = Shape({"attributes": _attributes}, needed=("attributes",))

# --- search ---------------------------------------------------------------------------------------------

_FILTER_LEVELS = 16  # filters within filters; how many the API takes is not known

_VALUES = Choice(("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "and", "or"))


@attrs.frozen
class _Filter:
    """A comparison of an attribute, or several filters joined by "and" or "or"."""

    levels: int = _FILTER_LEVELS

    def __call__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise errors.invalid_type(path, "an object", value)
        if "type" not in value:
            raise errors.missing_parameter(f"{path}.type")
        _VALUES(value["type"], f"{path}.type")
        (self._joined() if value["type"] in ("and", "or") else _COMPARISON)(value, path)

    def _joined(self) -> Shape:
        inner = _Filter(self.levels - 1) if self.levels else _COMPARISON
        return Shape({"type": anything, "filters": ListOf(inner)}, needed=("filters",))


def _compared(value: object, path: str) -> None:
    """A string, a number, a boolean, or an array of strings and numbers."""
    if not isinstance(value, str | bool | int | float | list):
        raise errors.invalid_type(path, "one of a string, number, boolean, or array", value)


_COMPARISON = Shape({"type": anything, "key": Text(), "value": _compared}, needed=("key", "value"))

SEARCH = Shape(
    {
        "query": TextOr(Text(), ListOf(Text()), takes=list, expected="one of a string or array of strings"),
        "filters": OrNull(_Filter()),
        "max_num_results": Number(1, 50, "integer"),
        "ranking_options": OrNull(
            Shape(
                {
                    "ranker": Choice(("none", "auto", "default-2024-11-15")),
                    "score_threshold": Number(0, 1),
                }
            )
        ),
        "rewrite_query": boolean,
    },
    needed=("query",),
)
