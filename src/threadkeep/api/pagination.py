"""Read the pages of a list, and check each against its cursor. Pure.

A list is walked oldest first, ``limit`` 100. The next page is asked for after the last id of this one; the page's own
``last_id`` is not needed. The server's order counts (recorded: it is the order of insertion, also among messages of one
second).

A page that repeats rows, or is empty and yet promises more, raises `BadPage`, and the request is repeated. After a full
page the next one is requested even if the server says that there is none: only this reveals a server that cuts lists
short. Some servers ignore cursors and give the complete list each time (quoted): what is behind the rows that are known
is new then, and the same rows again are the end.
"""

import codecs
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from threadkeep.errors import BadPage
from threadkeep.serialization.lossless_json import loads, text_or_none

__all__ = ["LIMIT", "Page", "Walk", "read_object", "read_page"]

LIMIT = 100
"""The largest page that the API gives (spec)."""

# What servers give at a time if they ignore what is asked for.
_USUAL_LIMITS = (10, 20, 25, 50, 100)

# So many empty pages in a row may promise more.
_MOST_EMPTY = 10

# Values cost many times their bytes in memory. A page of the API has some thousands.
_MOST_VALUES = 2_000_000
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


@attrs.frozen
class Page:
    """One page of a list. ``has_more`` and ``last_id`` are None if the server leaves them out."""

    rows: Sequence[Mapping[str, Any]]
    has_more: bool | None = None
    last_id: str | None = None


def read_page(body: bytes, *, thread_id: str | None = None, run_id: str | None = None) -> Page:
    """Read a page from the body of a success. If a thread or run is given, every row must belong to it.

    Raises:
        BadPage: the body is not a page of this list: not JSON (cut short, HTML), or with rows of another thread or run.
    """
    page = _loads(body)
    rows = page.get("data", ()) if isinstance(page, dict) else ()
    if rows is None and "error" not in page and (page.get("has_more") is False or page.get("object") == "list"):
        rows = []  # how servers written in Go spell an empty list (quoted)
    if not isinstance(rows, list):
        raise BadPage("the answer is not a page of a list", quoted=body)
    owners = {field: owner for field, owner in (("thread_id", thread_id), ("run_id", run_id)) if owner is not None}
    for index, row in enumerate(rows):
        if not _has_id(row):
            raise BadPage(f"row {index} of the page has no id")
        for field, owner in owners.items():
            if row.get(field) != owner:
                raise BadPage(f"row {index} of the page, {row['id']}, belongs to {row.get(field)!r}, not to {owner}")
    has_more = page.get("has_more")
    if not isinstance(has_more, bool | None):
        raise BadPage(f"has_more is neither true nor false: {has_more!r}")
    return Page(rows, has_more, text_or_none(page.get("last_id")) or None)


def read_object(body: bytes, *, object_id: str | None = None) -> Mapping[str, Any]:
    """Read one object from the body of a success.

    Raises:
        BadPage: the body is not an object with an id, or has another id than this one.
    """
    value: Mapping[str, Any] = _loads(body)
    if not _has_id(value):
        raise BadPage("the answer is not an object with an id", quoted=body)
    if object_id is not None and value["id"] != object_id:
        raise BadPage(f"the answer is {value['id']!r}, and not {object_id}")
    return value


@attrs.define
class Walk:
    """A walk along a list: the rows so far, and where to ask next.

    Attributes:
        cursor: the id to ask behind; None for the first page.
        is_over: the list is complete.
        was_last: the last page with rows has has_more false.
    """

    cursor: str | None
    is_over: bool
    _known: dict[str, None]  # the ids so far, in order
    _cursors: set[str]
    _empty: int = 0  # pages in a row
    was_last: bool = False

    @classmethod
    def behind(cls, walked: Sequence[str]) -> "Walk":
        """Begin behind the rows that an earlier walk has had, by their ids in order."""
        return cls(walked[-1] if walked else None, False, dict.fromkeys(walked), set(walked[-1:]))

    def take(self, page: Page, *, limit: int = LIMIT) -> Page:
        """Return the new rows of a page that was asked for behind the cursor, and move on.

        Args:
            page: its rows are in ascending order.
            limit: the number of rows that was requested.

        Raises:
            BadPage: the page contradicts its cursor. The walk stays where it is.
        """
        place = f"after {self.cursor}" if self.cursor else "at the beginning"
        ids = [row["id"] for row in page.rows]
        if len(set(ids)) < len(ids):
            raise BadPage(f"the page {place} holds one id twice")
        if len(ids) > limit and page.has_more:
            raise BadPage(
                f"the page {place} has {len(ids)} rows, {limit} were asked for, and it says that there is more"
            )
        rows = page.rows[self._repeated(ids, page, place, limit) :]
        if rows:
            self._empty = 0
            self._move_to(rows[-1]["id"])
            self.was_last = page.has_more is False
            # A full page may be all that a server gives at a time, whatever it says of more.
            self.is_over = page.has_more is False and len(rows) < limit
        elif not page.has_more:
            self.is_over = True
        elif page.last_id is not None and page.last_id not in self._cursors and self._empty < _MOST_EMPTY:
            self._empty += 1
            self._move_to(page.last_id)
        else:
            raise BadPage(f"the page {place} is empty and says that there is more")
        self._known |= dict.fromkeys(row["id"] for row in rows)
        return Page(rows)

    def _repeated(self, ids: Sequence[str], page: Page, place: str, limit: int) -> int:
        """Return how many rows of a page are the list from its beginning, from a server that ignores cursors."""
        repeated = next((row_id for row_id in ids if row_id in self._known), None)
        if repeated is None:
            return 0
        # As many rows as a page usually has may be the first ones of a longer list.
        may_be_cut = len(ids) == limit or (page.has_more is None and len(ids) in _USUAL_LIMITS)
        is_complete_list = not page.has_more and not may_be_cut
        if is_complete_list and ids[: len(self._known)] == list(self._known):
            return len(self._known)
        raise BadPage(f"the page {place} repeats {repeated}")

    def _move_to(self, cursor: str) -> None:
        self.cursor = cursor
        self._cursors.add(cursor)


def _loads(body: bytes) -> Any:
    if _has_too_many_values(body):
        raise BadPage(f"the answer holds more than {_MOST_VALUES:,} values")
    try:
        return loads(body.removeprefix(codecs.BOM_UTF8))
    except ValueError as error:
        raise BadPage(f"the answer is not JSON ({error})", quoted=body) from None


def _has_too_many_values(body: bytes) -> bool:
    if len(body) <= _MOST_VALUES or _marks(body) <= _MOST_VALUES:
        return False
    strings = body.replace(rb"\\", b"").replace(rb"\"", b"").count(b'"') // 2
    return strings > _MOST_VALUES or _marks(_STRING.sub(b"", body)) > _MOST_VALUES


def _marks(body: bytes) -> int:
    """Count the characters that come before values, in strings as well."""
    return sum(map(body.count, (b"[", b"{", b",")))


def _has_id(row: object) -> bool:
    return isinstance(row, dict) and isinstance(row.get("id"), str) and bool(row["id"])
