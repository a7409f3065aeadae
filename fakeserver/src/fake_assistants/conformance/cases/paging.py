"""Cases: lists and their cursors, with the messages of a thread."""

from typing import Any

import fake_assistants.conformance.fixtures as staging
from fake_assistants.conformance.api import Api
from fake_assistants.conformance.case import Case
from fake_assistants.conformance.expectations import Deviation

_KEYS = ("object", "data", "first_id", "last_id", "has_more")
_EMPTY: dict[str, Any] = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


def _new_messages(api: Api, count: int) -> tuple[str, list[str]]:
    """Create a thread with messages, and return the path of the list and the ids in order of creation."""
    path = staging.thread(api)
    return f"{path}/messages", [staging.message(api, path)["id"].text() for _ in range(count)]


def walk(api: Api) -> None:
    """Following `after` yields every message once, in either order and with any limit."""
    path, ids = _new_messages(api, 45)
    for order, expected in (("asc", ids), ("desc", ids[::-1])):
        for limit in (7, 20, 45, 100):
            _walked(api, f"{path}?order={order}&limit={limit}", expected)


def _walked(api: Api, target: str, expected: list[str]) -> None:
    walked: list[str] = []
    for _ in range(len(expected) + 1):
        page = api.get(f"{target}&after={walked[-1]}" if walked else target).ok()
        walked += [row["id"].text() for row in page["data"].rows()]
        if page["has_more"].value is not True:
            break
    if walked != expected:
        raise Deviation(f"GET {api.wire_path(target)}", f"{len(expected)} messages, once each, in order", _sum(walked))


def _sum(walked: list[str]) -> str:
    return f"{len(walked)} ({len(set(walked))} different)"


def default_limit(api: Api) -> None:
    """A page has 20 rows by default, and reports that there are more."""
    path, ids = _new_messages(api, 21)
    page = api.get(path).ok()
    page.ids(ids[:0:-1])
    page.has(has_more=True, first_id=ids[20], last_id=ids[1])


def no_rows(api: Api) -> None:
    """A limit of 0 gives a page without rows."""
    path, _ = _new_messages(api, 1)
    api.get(f"{path}?limit=0").ok().has(data=[], first_id=None, last_id=None)


def default_order(api: Api) -> None:
    """The default order is newest first."""
    path, ids = _new_messages(api, 3)
    api.get(path).ok().ids(ids[::-1])
    api.get(f"{path}?order=desc").ok().ids(ids[::-1])
    api.get(f"{path}?order=asc").ok().ids(ids)


def ties(api: Api) -> None:
    """Messages of the same second are in order of insertion, both ways."""
    path = staging.thread(api, *(str(number) for number in range(12)))
    for order, expected in (("asc", range(12)), ("desc", range(11, -1, -1))):
        rows = api.get(f"{path}/messages?order={order}").ok()["data"].rows(12)
        for row, number in zip(rows, expected, strict=False):
            row["content"].only()["text"]["value"].same(str(number))


def empty(api: Api) -> None:
    """An empty page has null ids, and the recorded keys in order."""
    page = api.get(f"{staging.thread(api)}/messages").ok()
    page.same(_EMPTY)
    page.keys(_KEYS)


def page_shape(api: Api) -> None:
    """A page has the recorded keys in order; first_id and last_id are those of its rows in their order."""
    path, ids = _new_messages(api, 3)
    page = api.get(f"{path}?limit=2&order=asc").ok()
    page.keys(_KEYS)
    page.has(object="list", first_id=ids[0], last_id=ids[1], has_more=True)
    api.get(f"{path}?limit=2").ok().has(first_id=ids[2], last_id=ids[1])


def full_last_page(api: Api) -> None:
    """A full page at the end of the list has has_more false."""
    path, ids = _new_messages(api, 4)
    api.get(f"{path}?limit=4").ok().has(has_more=False)
    page = api.get(f"{path}?limit=2&order=asc&after={ids[1]}").ok()
    page.ids(ids[2:])
    page.has(has_more=False)


def many(api: Api) -> None:
    """More than 20 rows come in one page if the limit allows them."""
    path, ids = _new_messages(api, 30)
    page = api.get(f"{path}?limit=100&order=asc").ok()
    page.ids(ids)
    page.has(has_more=False)
    api.get(f"{path}?limit=25").ok().has(has_more=True)


def one_by_one(api: Api) -> None:
    """Pages of one row."""
    path, ids = _new_messages(api, 3)
    for at, message_id in enumerate(ids[1:], 1):
        page = api.get(f"{path}?limit=1&order=asc&after={ids[at - 1]}").ok()
        page.ids([message_id])
        page.has(has_more=at < 2)


def after(api: Api) -> None:
    """`after` is exclusive, in the requested order."""
    path, ids = _new_messages(api, 5)
    api.get(f"{path}?order=asc&after={ids[1]}").ok().ids(ids[2:])
    api.get(f"{path}?order=desc&after={ids[3]}").ok().ids(ids[2::-1])


def beyond(api: Api) -> None:
    """After the last message there is an empty page."""
    path, ids = _new_messages(api, 2)
    api.get(f"{path}?order=asc&after={ids[1]}").ok().same(_EMPTY)
    api.get(f"{path}?order=desc&after={ids[0]}").ok().same(_EMPTY)


def appended(api: Api) -> None:
    """A message that is appended during a walk is found in ascending order, and not in descending order."""
    path, ids = _new_messages(api, 3)
    late = staging.message(api, path.removesuffix("/messages"), content="late")["id"].text()
    api.get(f"{path}?order=asc&after={ids[2]}").ok().ids([late])
    api.get(f"{path}?order=desc&after={ids[2]}").ok().ids(ids[1::-1])


def deleted(api: Api) -> None:
    """A deleted message is in no page."""
    path, ids = _new_messages(api, 4)
    api.delete(f"{path}/{ids[1]}").ok()
    api.get(f"{path}?order=asc").ok().ids([ids[0], *ids[2:]])
    api.get(f"{path}?order=asc&after={ids[0]}&limit=1").ok().ids([ids[2]])


def before(api: Api) -> None:
    """`before` returns the page that ends next to its message, in the requested order."""
    path, ids = _new_messages(api, 5)
    page = api.get(f"{path}?order=asc&limit=2&before={ids[3]}").ok()
    page.ids(ids[1:3])
    page.has(has_more=True)
    api.get(f"{path}?order=desc&limit=2&before={ids[1]}").ok().ids(ids[3:1:-1])
    api.get(f"{path}?order=asc&before={ids[0]}").ok().same(_EMPTY)


def between(api: Api) -> None:
    """`after` and `before` together return the messages between them."""
    path, ids = _new_messages(api, 5)
    api.get(f"{path}?order=asc&after={ids[0]}&before={ids[4]}").ok().ids(ids[1:4])


def of_a_run(api: Api) -> None:
    """`run_id` lists the messages of that run only."""
    path, _ = _new_messages(api, 2)
    page = api.get(f"{path}?run_id=run_000000000000000000000000").ok()
    page.same(_EMPTY)


CASES = (
    Case("paging", "walk", "recorded", walk),
    Case("paging", "default-limit", "spec", default_limit),
    Case("paging", "no-rows", "SDK", no_rows),
    Case("paging", "default-order", "recorded", default_order),
    Case("paging", "ties", "recorded", ties),
    Case("paging", "empty", "recorded", empty),
    Case("paging", "page-shape", "recorded", page_shape),
    Case("paging", "full-last-page", "recorded", full_last_page),
    Case("paging", "many", "recorded", many),
    Case("paging", "one-by-one", "recorded", one_by_one),
    Case("paging", "after", "recorded", after),
    Case("paging", "beyond", "inferred", beyond),
    Case("paging", "appended", "inferred", appended),
    Case("paging", "deleted", "inferred", deleted),
    Case("paging", "before", "inferred", before),
    Case("paging", "between", "inferred", between),
    Case("paging", "of-a-run", "inferred", of_a_run),
)
