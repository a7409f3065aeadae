"""Read the pages of a list, and check each against its cursor. Pure.

A list is walked oldest first, ``limit`` 100. The next page is asked for after the last id of this one; the page's own
``last_id`` is not needed. The server's order counts (recorded: it is the order of insertion, also among messages of one
second).

A page that repeats rows, or is empty and yet promises more, raises `BadPage`, and the request is repeated. After a full
page the next one is requested even if the server says that there is none: only this reveals a server that cuts lists
short.
"""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import attrs

from threadkeep.errors import BadPage
from threadkeep.serialization.lossless_json import loads

__all__ = ["LIMIT", "Page", "is_last_page", "read_object", "read_page"]

LIMIT = 100
"""The largest page that the API gives (spec)."""


@attrs.frozen
class Page:
    """One page of a list. ``has_more`` is None if the server leaves it out."""

    rows: Sequence[Mapping[str, Any]]
    has_more: bool | None


def read_page(body: bytes, *, thread_id: str | None = None, run_id: str | None = None) -> Page:
    """Read a page from the body of a success. If a thread or run is given, every row must belong to it.

    Raises:
        BadPage: the body is not a page of this list: not JSON (cut short, HTML), or with rows of another thread or run.
    """
    page = _loads(body)
    if not isinstance(page, dict) or not isinstance(page.get("data"), list):
        raise BadPage(f"the answer is not a page of a list: {_excerpt(body)}")
    owners = {field: owner for field, owner in (("thread_id", thread_id), ("run_id", run_id)) if owner is not None}
    for index, row in enumerate(page["data"]):
        if not _has_id(row):
            raise BadPage(f"row {index} of the page has no id")
        for field, owner in owners.items():
            if row.get(field) != owner:
                raise BadPage(f"row {index} of the page, {row['id']}, belongs to {row.get(field)!r}, not to {owner}")
    has_more = page.get("has_more")
    if not isinstance(has_more, bool | None):
        raise BadPage(f"has_more is neither true nor false: {has_more!r}")
    return Page(page["data"], has_more)


def read_object(body: bytes, *, object_id: str | None = None) -> Mapping[str, Any]:
    """Read one object from the body of a success.

    Raises:
        BadPage: the body is not an object with an id, or has another id than this one.
    """
    value: Mapping[str, Any] = _loads(body)
    if not _has_id(value):
        raise BadPage(f"the answer is not an object with an id: {_excerpt(body)}")
    if object_id is not None and value["id"] != object_id:
        raise BadPage(f"the answer is {value['id']!r}, and not {object_id}")
    return value


def is_last_page(page: Page, cursor: str | None, seen: Set[str], *, limit: int = LIMIT) -> bool:
    """Return whether a page is the last of its list.

    Args:
        page: its rows are in ascending order.
        cursor: the id after which it was requested; None for the first page.
        seen: the ids of all rows before this page.
        limit: the number of rows that was requested.

    Raises:
        BadPage: the page contradicts its cursor.
    """
    ids = [row["id"] for row in page.rows]
    place = f"after {cursor}" if cursor else "at the beginning"
    if not ids and page.has_more:
        raise BadPage(f"the page {place} is empty and says that there is more")
    if not ids:
        return True
    repeated = next((row_id for row_id in ids if row_id in seen), None)
    if repeated is not None:
        raise BadPage(f"the page {place} repeats {repeated}")
    if len(set(ids)) < len(ids):
        raise BadPage(f"the page {place} holds one id twice")
    return page.has_more is False and len(ids) < limit


def _loads(body: bytes) -> Any:
    try:
        return loads(body)
    except ValueError as error:
        raise BadPage(f"the answer is not JSON ({error}): {_excerpt(body)}") from None


def _has_id(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("id"), str) and bool(row["id"])


def _excerpt(body: bytes) -> str:
    shown = body[:60].decode("utf-8", "replace")
    return repr(shown + "…" if len(body) > 60 else shown)
