"""Cursor pagination: read the parameters of a list request, and select the page of a collection.

Recorded: newest first by default, ties in created_at stay in insertion order, `has_more` refers to the
direction of the walk, an empty page has null ids. Inferred: `before=X` is the page that ends next to X, still
in the requested order, with `has_more` for what precedes it; `after` and `before` together are the open
interval, walked from `after`; the texts for bad limits, orders and cursors.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence

import attrs

import fake_assistants.errors.ids as id_errors
import fake_assistants.errors.values as errors
from fake_assistants.http.lossless_json import Obj, array_of, dumps, loads
from fake_assistants.http.message import Request
from fake_assistants.store.collection import Field, ObjectCollection
from fake_assistants.store.kinds import Kind

_LEAST, _MOST = 0, 100
_DEFAULT_LIMIT = 20
_ORDERS = ("asc", "desc")
_INTEGER = re.compile(r"-?[0-9]{1,400}")

# The recorded layout and order of keys.
_HEAD = b"""{
  "object": "list",
  "data": """
_TAIL = b""",
  "first_id": %b,
  "last_id": %b,
  "has_more": %b
}"""


@attrs.frozen(kw_only=True)
class PageRequest:
    """The parameters of a list request. Cursors are positions in the collection."""

    limit: int = _DEFAULT_LIMIT
    order: str = "desc"
    after: int | None = None
    before: int | None = None


@attrs.frozen
class PageSlice:
    """The objects of a page, as indexes into the ascending positions, in the order of the page."""

    positions: range
    has_more: bool


def select(places: Sequence[int], ask: PageRequest) -> PageSlice:
    """Select the page for `ask` by bisection. `places` ascend."""
    lower, upper = (ask.after, ask.before) if ask.order == "asc" else (ask.before, ask.after)
    low = 0 if lower is None else bisect_right(places, lower)
    high = len(places) if upper is None else bisect_left(places, upper)
    high = max(low, high)
    backwards = ask.before is not None and ask.after is None
    if (ask.order == "asc") is not backwards:
        start, stop = low, min(low + ask.limit, high)
    else:
        start, stop = max(high - ask.limit, low), high
    positions = range(start, stop) if ask.order == "asc" else range(stop - 1, start - 1, -1)
    return PageSlice(positions, has_more=high - low > len(positions))


def asked(
    request: Request,
    collection: ObjectCollection,
    kind: Kind,
    *,
    default: int = _DEFAULT_LIMIT,
    least: int = _LEAST,
    most: int = _MOST,
) -> PageRequest:
    """Read limit, order, after and before from the query. `least` and `most` bound the limit. Raises ApiProblem."""
    limit = request.asked("limit")
    return PageRequest(
        limit=default if limit is None else _limit(limit, least, most),
        order=_order(request.asked("order")),
        after=_cursor("after", request.asked("after"), collection, kind),
        before=_cursor("before", request.asked("before"), collection, kind),
    )


def page(collection: ObjectCollection, ask: PageRequest, keep: Field | Callable[[Obj], bool] | None = None) -> bytes:
    """Return the page as it is sent, joined from the objects' JSON texts.

    With `keep`, only objects that pass are listed; cursors to other objects remain valid. A `Field` is searched for in
    the JSON texts; for any other condition every object is parsed.
    """
    places, ids = (collection.places, collection.order) if keep is None else collection.those(_filter(keep))
    selected = select(places, ask)
    listed = [ids[position] for position in selected.positions]
    ends = (dumps(listed[0]), dumps(listed[-1])) if listed else (b"null", b"null")
    tail = _TAIL % (*ends, b"true" if selected.has_more else b"false")
    return array_of(collection.texts_of(listed), _HEAD, tail)


def _filter(keep: Field | Callable[[Obj], bool]) -> Callable[[Iterable[bytes]], list[bool]]:
    return keep.among if isinstance(keep, Field) else lambda texts: [keep(loads(text)) for text in texts]


def _limit(given: str, least: int, most: int) -> int:
    if not _INTEGER.fullmatch(given):
        raise errors.invalid_type("limit", "an integer", given)
    limit = int(given)
    if limit < least:
        raise errors.out_of_bounds("limit", "below", "integer", least, limit)
    if limit > most:
        raise errors.out_of_bounds("limit", "above", "integer", most, limit)
    return limit


def _order(given: str | None) -> str:
    if given is not None and given not in _ORDERS:
        raise errors.invalid_value("order", given, _ORDERS)
    return given or "desc"


def _cursor(param: str, given: str | None, collection: ObjectCollection, kind: Kind) -> int | None:
    if given is None:
        return None
    place = collection.place_of(given)
    if place is not None:
        return place
    if not given.startswith(kind.prefix):
        raise id_errors.malformed_id(param, given, kind)
    raise id_errors.not_found(kind, given)
