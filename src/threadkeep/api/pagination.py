"""The cursor step, pure: what a page says, and where the walk goes next.

A list is walked oldest first, ``limit`` 100, and the next page is asked for after the last id of this one; the
page's own ``last_id`` is not needed. The server's order is kept (recorded: it is the order of insertion, also
among messages of one second).

A page is never believed against its cursor. One that repeats what was seen, or is empty and yet promises more,
raises `BadPage`: ask again. A full page that says it is the last is asked behind once more, since a server that
cuts lists short is told from an honest one by nothing else.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import attrs

from threadkeep.errors import BadPage
from threadkeep.serialization.lossless_json import loads

__all__ = ["LIMIT", "Page", "Walk", "advance", "read_object", "read_page"]

LIMIT = 100
"""The largest page that the API gives (spec)."""


@attrs.frozen
class Page:
    """One page of a list. ``has_more`` is None when the server leaves it out; ``body`` is what it was read from."""

    rows: Sequence[Mapping[str, Any]]
    has_more: bool | None
    body: bytes = attrs.field(default=b"", repr=False, eq=False)


@attrs.frozen
class Walk:
    """How far a list has been walked.

    Attributes:
        cursor: the id after which the next page starts; None at the beginning.
        done: there is nothing behind the cursor.
    """

    cursor: str | None = None
    done: bool = False


def read_page(body: bytes, *, thread_id: str | None = None, run_id: str | None = None) -> Page:
    """Read a page from the bytes of a success.

    Args:
        body: what the server sent.
        thread_id: the thread that every row must belong to; None for lists of other things.
        run_id: the run that every row must belong to, for lists of steps.

    Raises:
        BadPage: the bytes are not JSON (cut short, HTML), or no page of a list, or hold another thread's or run's row.
    """
    page = _read(body)
    if not isinstance(page, dict) or not isinstance(page.get("data"), list):
        raise BadPage(f"the answer is no page of a list: {_beginning(body)}")
    for index, row in enumerate(page["data"]):
        _check_row(row, index, thread_id=thread_id, run_id=run_id)
    has_more = page.get("has_more")
    if has_more is not None and not isinstance(has_more, bool):
        raise BadPage(f"has_more is neither true nor false: {has_more!r}")
    return Page(page["data"], has_more, body)


def read_object(body: bytes, *, object_id: str | None = None) -> Mapping[str, Any]:
    """Read one object from the bytes of a success.

    Args:
        body: what the server sent.
        object_id: what was asked for; None where any will do.

    Raises:
        BadPage: the bytes are not JSON (cut short, HTML), or no object with an id, or another one.
    """
    value = _read(body)
    if not isinstance(value, dict) or not isinstance(value.get("id"), str) or not value["id"]:
        raise BadPage(f"the answer is no object with an id: {_beginning(body)}")
    if object_id is not None and value["id"] != object_id:
        raise BadPage(f"the answer is {value['id']!r}, and not {object_id}")
    return value


def advance(walk: Walk, page: Page, seen: Set[str], *, limit: int = LIMIT) -> Walk:
    """Take one page into the walk.

    Args:
        walk: the walk that asked for the page.
        page: what came, in ascending order.
        seen: the ids of all rows before this page. It is only read; the caller adds the page's rows to it.
        limit: how many rows were asked for.

    Raises:
        BadPage: the page contradicts the walk's cursor. The same walk can ask again.
    """
    ids = [row["id"] for row in page.rows]
    if not ids and page.has_more:
        raise BadPage(f"the page {_place(walk)} is empty and says that there is more")
    if not ids:
        return Walk(walk.cursor, done=True)
    repeated = next((row_id for row_id in ids if row_id in seen), None)
    if repeated is not None:
        raise BadPage(f"the page {_place(walk)} repeats {repeated}")
    if len(set(ids)) < len(ids):
        raise BadPage(f"the page {_place(walk)} holds one id twice")
    return Walk(ids[-1], done=page.has_more is False and len(ids) < limit)


def _read(body: bytes) -> Any:
    try:
        return loads(body)
    except ValueError as error:
        raise BadPage(f"the answer is not JSON ({error}): {_beginning(body)}") from None


def _place(walk: Walk) -> str:
    return f"after {walk.cursor}" if walk.cursor else "at the beginning"


def _check_row(row: object, index: int, **owners: str | None) -> None:
    row_id = row.get("id") if isinstance(row, dict) else None
    if not isinstance(row, dict) or not isinstance(row_id, str) or not row_id:
        raise BadPage(f"row {index} of the page has no id")
    for field, owner in owners.items():
        if owner is not None and row.get(field) != owner:
            raise BadPage(f"row {index} of the page, {row_id}, belongs to {row.get(field)!r}, not to {owner}")


def _beginning(body: bytes) -> str:
    shown = body[:60].decode("utf-8", "replace")
    return repr(shown + "…") if len(body) > 60 else repr(shown)
