"""A thread's new version joined with what only its old one still has. Pure.

A row that both have is the new one, unless that has lost what it holds: a message its content, a run some steps.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import Any, TypeVar

from threadkeep.records.content import has_lost_content
from threadkeep.serialization.lossless_json import dumps, loads

__all__ = ["FULLER", "merged"]

_Row = TypeVar("_Row")


def merged(
    old: Iterable[tuple[str, _Row]], new: Iterable[tuple[str, _Row]], new_ids: Set[str]
) -> Iterator[tuple[str, _Row, _Row | None]]:
    """Join two versions of a list: the new one, with the rows of the old one that it has no longer put back.

    Each of these comes behind the row that came before it in the old version, or first where none did.

    Args:
        old: ids, distinct, and what goes with each.
        new: the same, as the server gives them now; read once.
        new_ids: its ids.

    Yields:
        Ids, rows, and the old row where the new version has one too.
    """
    behind: dict[str | None, list[tuple[str, _Row]]] = {}
    before: dict[str, _Row] = {}
    place: str | None = None
    for row_id, row in old:
        if row_id in new_ids:
            place, before[row_id] = row_id, row
        else:
            behind.setdefault(place, []).append((row_id, row))
    for row_id, row in behind.get(None, ()):
        yield row_id, row, None
    for row_id, row in new:
        yield row_id, row, before.get(row_id)
        for lost_id, lost in behind.get(row_id, ()):
            yield lost_id, lost, None


def _fuller_message(old: bytes, new: bytes) -> bytes:
    """Of a flat line the text is all that there is."""
    was, now = loads(old), loads(new)
    if "message" not in now or "message" not in was:
        return old if was["text"].strip() and not now["text"].strip() else new
    return old if has_lost_content(now["message"], was["message"]) else new


def _fuller_run(old: bytes, new: bytes) -> bytes:
    row = loads(new)
    now = _steps(row)
    steps = [step for _, step, _ in merged(_steps(loads(old)), now, {step_id for step_id, _ in now})]
    return new if len(steps) == len(now) else dumps({**row, "steps": steps})


def _steps(row: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [(step["id"], step) for step in row.get("steps", ())]


FULLER: dict[str, Callable[[bytes, bytes], bytes]] = {"messages": _fuller_message, "runs": _fuller_run}
"""By kind: gives the line that stays of an old and a new one, without their newlines."""
