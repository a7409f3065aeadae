"""Rewrite list pages so that they contradict their cursors, as a broken server might. The faults are the fake's own."""

from collections.abc import Callable, Mapping

from fake_assistants.http.lossless_json import MalformedJson, Obj, loads
from fake_assistants.http.message import Reply, Request

_CURSORS = frozenset({"after", "before"})

# The identity of a list: path and query of a request, without the cursors.
ListKey = tuple[object, ...]


def list_key(request: Request) -> ListKey:
    """Return the key of the list that a request asks for."""
    return (request.path, *(pair for pair in request.query if pair[0] not in _CURSORS))


def page_in(body: bytes) -> Obj | None:
    """Parse a body as a list page; None if it is not one."""
    try:
        value = loads(body)
    except MalformedJson:
        return None
    is_page = (
        isinstance(value, dict)
        and value.get("object") == "list"
        and isinstance(value.get("data"), list)
        and isinstance(value.get("has_more"), bool)
    )
    return value if is_page else None


def page_of(request: Request, reply: Reply) -> Obj | None:
    """Return the list page in the answer to a request; None for any other answer."""
    return page_in(reply.body) if request.method == "GET" and reply.status == 200 else None


def _repeat(_: Request, __: Obj, before: Obj | None) -> Obj | None:
    """Repeat the previous page of the list."""
    return before


def _shift(request: Request, page: Obj, before: Obj | None) -> Obj | None:
    """Repeat the row of the cursor at the front of the page, and drop the last row."""
    cursor = request.asked("after")
    again = [row for row in (before or {"data": []})["data"] if _id(row) == cursor]
    if cursor is None or not again or not page["data"]:
        return None
    rows = [again[0], *page["data"][:-1]]
    ids = {"first_id": _id(rows[0]), "last_id": _id(rows[-1])}
    return {**page, "data": rows, **{key: value for key, value in ids.items() if key in page}}


def _lie(_: Request, page: Obj, __: Obj | None) -> Obj | None:
    """Invert has_more."""
    return {**page, "has_more": not page["has_more"]}


def _id(row: object) -> object:
    return row.get("id") if isinstance(row, dict) else None


# Takes a request, its page, and the previous page of that list. Returns None if the rewrite does not apply.
Rewrite = Callable[[Request, Obj, Obj | None], Obj | None]

REWRITES: Mapping[str, Rewrite] = {"repeat-page": _repeat, "shift-page": _shift, "lie-has-more": _lie}

# Rewrites that need the previous page.
REMEMBERING = frozenset({"repeat-page", "shift-page"})
