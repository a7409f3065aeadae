"""A thread's new version joined with what only its old one still has. Pure."""

from collections.abc import Iterable
from typing import TypeVar

__all__ = ["merged"]

_Row = TypeVar("_Row")


def merged(old: Iterable[tuple[str, _Row]], new: Iterable[tuple[str, _Row]]) -> list[tuple[str, _Row]]:
    """Join two versions of a list: the new one, with the rows of the old one that it has no longer put back.

    Each of these stands behind the row that stood before it in the old version, or first where none did.

    Args:
        old: ids, distinct, and what goes with each.
        new: the same, as the server gives them now.
    """
    now = list(new)
    alive = {row_id for row_id, _ in now}
    behind: dict[str | None, list[tuple[str, _Row]]] = {}
    place: str | None = None
    for row_id, row in old:
        if row_id in alive:
            place = row_id
        else:
            behind.setdefault(place, []).append((row_id, row))
    joined = behind.get(None, [])
    for row_id, row in now:
        joined += [(row_id, row), *behind.get(row_id, ())]
    return joined
