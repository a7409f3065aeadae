"""What the routes of vector stores take in their bodies. Keys and limits are documented."""

from fake_assistants.schemas.checks import Choice, ListOf, Metadata, Number, OrNull, Shape, Tagged, Text

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
CHANGED_STORE_FILE = Shape({"attributes": _attributes}, needed=("attributes",))
