"""List pages that contradict their cursors: what a broken paging may answer. All of this is the fake's own."""

from collections.abc import Callable, Mapping

from fake_assistants.http.lossless_json import MalformedJson, Obj, loads
from fake_assistants.http.message import Reply, Request

_CURSORS = frozenset({"after", "before"})

# Which list a page is of: its path and query, but for the cursors.
Place = tuple[object, ...]


def place_of(request: Request) -> Place:
    """The list that a request asks for a page of."""
    return (request.path, *(pair for pair in request.query if pair[0] not in _CURSORS))


def page_in(body: bytes) -> Obj | None:
    """The list page that a body holds; None for anything else."""
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
    """The list page that was answered to a request; None for any other answer."""
    return page_in(reply.body) if request.method == "GET" and reply.status == 200 else None


def _repeat(_: Request, __: Obj, before: Obj | None) -> Obj | None:
    """The page of this list that was answered before, once more."""
    return before


def _shift(request: Request, page: Obj, before: Obj | None) -> Obj | None:
    """The cursor's own row comes again at the front, and the last row falls off."""
    cursor = request.asked("after")
    again = [row for row in (before or {"data": []})["data"] if _id(row) == cursor]
    if cursor is None or not again or not page["data"]:
        return None
    rows = [again[0], *page["data"][:-1]]
    ids = {"first_id": _id(rows[0]), "last_id": _id(rows[-1])}
    return {**page, "data": rows, **{key: value for key, value in ids.items() if key in page}}


def _lie(_: Request, page: Obj, __: Obj | None) -> Obj | None:
    """has_more is turned round."""
    return {**page, "has_more": not page["has_more"]}


def _id(row: object) -> object:
    return row.get("id") if isinstance(row, dict) else None


# Each takes the request, its page, and the page of that list that was answered before. None: it cannot be done.
Rewrite = Callable[[Request, Obj, Obj | None], Obj | None]

REWRITES: Mapping[str, Rewrite] = {"repeat-page": _repeat, "shift-page": _shift, "lie-has-more": _lie}

# Those that want to know the page before.
REMEMBERING = frozenset({"repeat-page", "shift-page"})
