"""Cursor paging: what a list request asks for, and which slice of a collection answers it.

Recorded: newest first by default, ties in created_at stay in insertion order, `has_more` looks in the
direction of travel, an empty page has null ids. Inferred: `before=X` is the page that ends next to X, still
in the requested order, with `has_more` for what precedes it; `after` and `before` together are the open
interval, walked from `after`; the texts for bad limits, orders and cursors.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence

import attrs

import fake_assistants.errors.ids as unknown
import fake_assistants.errors.values as refusals
from fake_assistants.http.lossless_json import Obj, array_of, dumps, loads
from fake_assistants.http.message import Request
from fake_assistants.store.collection import Field, ObjectCollection
from fake_assistants.store.kinds import Kind

_LIMITS = (0, 100)
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
class Ask:
    """A list request: how many, in which order, from which cursors. Cursors are places on the collection."""

    limit: int = _DEFAULT_LIMIT
    order: str = "desc"
    after: int | None = None
    before: int | None = None


@attrs.frozen
class Cut:
    """Positions in the ascending sequence, in the order in which they are answered."""

    positions: range
    has_more: bool


def cut(places: Sequence[int], ask: Ask) -> Cut:
    """The slice that answers `ask`, found by bisection. `places` ascend."""
    above, below = (ask.after, ask.before) if ask.order == "asc" else (ask.before, ask.after)
    low = 0 if above is None else bisect_right(places, above)
    high = len(places) if below is None else bisect_left(places, below)
    high = max(low, high)
    backwards = ask.before is not None and ask.after is None
    if (ask.order == "asc") is not backwards:
        start, stop = low, min(low + ask.limit, high)
    else:
        start, stop = max(high - ask.limit, low), high
    positions = range(start, stop) if ask.order == "asc" else range(stop - 1, start - 1, -1)
    return Cut(positions, has_more=high - low > len(positions))


def asked(
    request: Request, collection: ObjectCollection, kind: Kind, *, default: int = _DEFAULT_LIMIT, most: int = _LIMITS[1]
) -> Ask:
    """Read limit, order, after and before from the query. Raises ApiProblem."""
    return Ask(
        limit=_limit(request.asked("limit"), default, most),
        order=_order(request.asked("order")),
        after=_cursor("after", request.asked("after"), collection, kind),
        before=_cursor("before", request.asked("before"), collection, kind),
    )


def page(collection: ObjectCollection, ask: Ask, keep: Field | Callable[[Obj], bool] | None = None) -> bytes:
    """The page as it goes over the wire, joined from the objects' texts.

    With `keep`, only objects that pass are listed; cursors keep their places anyway. A `Field` is looked for in
    every text on the collection; any other condition wants every object read.
    """
    places, ids = (collection.places, collection.order) if keep is None else collection.those(_fit(keep))
    found = cut(places, ask)
    listed = [ids[position] for position in found.positions]
    ends = (dumps(listed[0]), dumps(listed[-1])) if listed else (b"null", b"null")
    tail = _TAIL % (*ends, b"true" if found.has_more else b"false")
    return array_of(collection.texts_of(listed), _HEAD, tail)


def _fit(keep: Field | Callable[[Obj], bool]) -> Callable[[Iterable[bytes]], list[bool]]:
    return keep.among if isinstance(keep, Field) else lambda texts: [keep(loads(text)) for text in texts]


def _limit(given: str | None, default: int, most: int) -> int:
    if given is None:
        return default
    if not _INTEGER.fullmatch(given):
        raise refusals.invalid_type("limit", "an integer", given)
    limit, least = int(given), _LIMITS[0]
    if limit < least:
        raise refusals.out_of_bounds("limit", "below", "integer", least, limit)
    if limit > most:
        raise refusals.out_of_bounds("limit", "above", "integer", most, limit)
    return limit


def _order(given: str | None) -> str:
    if given is not None and given not in _ORDERS:
        raise refusals.invalid_value("order", given, _ORDERS)
    return given or "desc"


def _cursor(param: str, given: str | None, collection: ObjectCollection, kind: Kind) -> int | None:
    if given is None:
        return None
    place = collection.place_of(given)
    if place is not None:
        return place
    if not given.startswith(kind.prefix):
        raise unknown.malformed_id(param, given, kind)
    raise unknown.not_found(kind, given)
