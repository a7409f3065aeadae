"""A thread's new version joined with what only its old one still has. Pure.

A row that both have is the new one, unless that has lost what it holds: a message its content, a run some steps.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from threadkeep.records.content import has_lost_content
from threadkeep.serialization.lossless_json import dumps, loads

__all__ = ["FULLER", "merged"]

_Row = TypeVar("_Row")


def merged(old: Iterable[tuple[str, _Row]], new: Iterable[tuple[str, _Row]]) -> list[tuple[str, _Row]]:
    """Join two versions of a list: the new one, with the rows of the old one that it has no longer put back.

    Each of these comes behind the row that came before it in the old version, or first where none did.

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


def _fuller_message(old: bytes, new: bytes) -> bytes:
    """Of a flat line the text is all that there is."""
    was, now = loads(old), loads(new)
    if "message" not in now or "message" not in was:
        return old if was["text"].strip() and not now["text"].strip() else new
    return old if has_lost_content(now["message"], was["message"]) else new


def _fuller_run(old: bytes, new: bytes) -> bytes:
    row = loads(new)
    now = _steps(row)
    joined = merged(_steps(loads(old)), now)
    return new if len(joined) == len(now) else dumps({**row, "steps": [step for _, step in joined]})


def _steps(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(step["id"], step) for step in row.get("steps", ())]


FULLER: dict[str, Callable[[bytes, bytes], bytes]] = {"messages": _fuller_message, "runs": _fuller_run}
"""By kind: gives the line that stays of an old and a new one, without their newlines."""
