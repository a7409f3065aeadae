"""The ids that a run was asked for and that nothing has become of, kept beside an export until its manifest is there.

Written whole and synced before the first thread is asked for: a kill takes the manifest, and must not take them.
"""

from collections.abc import Iterable

from threadkeep.serialization.lossless_json import dumps, loads

__all__ = ["FORMAT", "encode", "read"]

FORMAT = "threadkeep-wanted/1"


def encode(ids: Iterable[str]) -> bytes:
    """Write the ids as the content of their file."""
    return dumps({"format": FORMAT, "thread_ids": list(ids)}) + b"\n"


def read(content: bytes) -> tuple[str, ...]:
    """Read the ids back.

    Raises:
        ValueError: it is no such file.
    """
    value = loads(content)
    ids = value.get("thread_ids") if isinstance(value, dict) and value.get("format") == FORMAT else None
    if not isinstance(ids, list) or not all(isinstance(thread_id, str) for thread_id in ids):
        raise ValueError("these are no wanted ids")
    return tuple(ids)
