"""Pagination: walking the pages of a list yields the list, and each page is checked against its cursor."""

import codecs
import json
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.api.pagination import Page, Walk, read_page
from threadkeep.errors import BadPage

IDS = st.lists(st.text("abc", min_size=1, max_size=4), unique=True, max_size=30)


def served(ids: list[str], cursor: str | None, limit: int, *, says_more: bool = True) -> Page:
    """Return the answer of an honest server."""
    start = ids.index(cursor) + 1 if cursor is not None else 0
    rows = [{"id": row_id} for row_id in ids[start : start + limit]]
    return Page(rows, has_more=start + limit < len(ids) if says_more else None)


def walked(limit: int, page_after: Callable[[str | None], Page]) -> list[str]:
    """Walk a list to its end."""
    found, walk = list[str](), Walk.behind(())
    while not walk.is_over:
        found += [row["id"] for row in walk.take(page_after(walk.cursor), limit=limit).rows]
    return found


@given(IDS, st.integers(1, 7), st.booleans())
def test_walking_the_pages_yields_the_list(ids: list[str], limit: int, says_more: bool) -> None:
    """Every row once, in order, whatever the page size, and also when the server never says has_more."""
    assert walked(limit, lambda cursor: served(ids, cursor, limit, says_more=says_more)) == ids


@given(IDS.filter(bool), st.integers(1, 7))
def test_a_full_page_that_says_it_is_the_last_is_not_believed(ids: list[str], limit: int) -> None:
    """A wrong has_more on full pages loses nothing."""
    assert walked(limit, lambda cursor: Page(served(ids, cursor, limit).rows, has_more=False)) == ids


@given(IDS, st.integers(1, 7), st.sampled_from([None, False]), st.integers(0, 30))
def test_a_server_that_ignores_cursors_is_understood(
    ids: list[str], limit: int, has_more: bool | None, known: int
) -> None:
    """It gives the complete list each time: the same rows again are its end, and what has come since is new."""
    walk, found = Walk.behind(ids[:known]), ids[:known]
    if len(ids) == limit or (len(ids) in (10, 20, 25, 50, 100) and has_more is None):
        return  # these may be the first rows of a longer list
    for _ in range(3):
        found += [row["id"] for row in walk.take(Page([{"id": one} for one in ids], has_more), limit=limit).rows]
        if walk.is_over:
            break
    assert (found, walk.is_over) == (ids, True)


@given(IDS.filter(bool), st.integers(1, 7), st.integers(0, 6))
def test_empty_pages_that_name_a_new_cursor_are_walked_on(ids: list[str], limit: int, empty: int) -> None:
    """A server may filter a page after it has counted its rows."""
    cursors = [f"cursor_{number}" for number in range(empty)]

    def page_after(cursor: str | None) -> Page:
        at = cursors.index(cursor) + 1 if cursor in cursors else 0 if cursor is None else empty
        if at < empty:
            return Page([], has_more=True, last_id=cursors[at])
        return served(ids, None if cursor is None or cursor in cursors else cursor, limit)

    assert walked(limit, page_after) == ids


@pytest.mark.parametrize(
    ("rows", "has_more", "last_id", "words"),
    [
        ([], True, None, "the page after b is empty and says that there is more"),
        ([], True, "b", "the page after b is empty and says that there is more"),
        (["a", "b"], True, None, "the page after b repeats a"),
        (["a", "b"], None, None, "the page after b repeats a"),
        (["b", "a"], False, None, "the page after b repeats b"),
        (["b"], False, None, "the page after b repeats b"),
        (["c", "a", "b"], False, None, "the page after b repeats a"),
        (["a", "b", *map(str, range(18))], None, None, "the page after b repeats a"),
        (["c", "c"], True, None, "the page after b holds one id twice"),
        (["c", "d", "e"], True, None, "the page after b has 3 rows, 2 were asked for, and it says that there is more"),
    ],
)
def test_a_page_that_contradicts_its_cursor_is_refused(
    rows: list[str], has_more: bool | None, last_id: str | None, words: str
) -> None:
    """Loops and empty promises are named; the walk can ask again."""
    walk = Walk.behind(("a", "b"))
    with pytest.raises(BadPage, match=words):
        walk.take(Page([{"id": row_id} for row_id in rows], has_more, last_id), limit=2)
    assert walk == Walk.behind(("a", "b"))


def test_empty_pages_without_an_end_are_refused() -> None:
    """Each of them names a new cursor."""
    cursors = (Page([], has_more=True, last_id=f"cursor_{number}") for number in count())
    with pytest.raises(BadPage, match="the page after cursor_9 is empty and says that there is more"):
        walked(2, lambda _cursor: next(cursors))


@pytest.mark.parametrize("values", [b"[]", b"{}", b'"ab"', b"7"])
def test_a_page_of_millions_of_values_is_refused(values: bytes) -> None:
    """They would cost gigabytes. Commas and brackets in texts are no values, however many there are."""
    with pytest.raises(BadPage, match="the answer holds more than 2,000,000 values"):
        read_page(b'{"data": [' + (values + b",") * 2_000_001 + b"0]}")
    text = r"[{,\"\\" * 500_000
    assert len(read_page(json.dumps({"data": [{"id": "msg_1", "text": text}]}).encode()).rows) == 1


def test_an_empty_list_is_done_at_once() -> None:
    """A thread without messages is a complete thread."""
    assert walked(2, lambda _cursor: Page([], has_more=False)) == []


def body(**fields: Any) -> bytes:
    """A page as JSON."""
    return json.dumps({"object": "list", "data": [], "has_more": False, **fields}).encode()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"data": [{"id": "ms', "the answer is not JSON"),
        (b"<html><title>502</title></html>", "the answer is not JSON"),
        (b"", "the answer is not JSON"),
        (b"[" * 2000, "the answer is not JSON"),
        (b"[]", "not a page of a list"),
        (b'{"data": {}}', "not a page of a list"),
        (b'{"object": "list"}', "not a page of a list"),
        (b'{"data": null}', "not a page of a list"),
        (b'{"object": "list", "data": null, "error": {"message": "overloaded"}}', "not a page of a list"),
        (body(data=[1]), "row 0 of the page has no id"),
        (body(data=[{"id": None}]), "row 0 of the page has no id"),
        (body(data=[{"id": ""}]), "row 0 of the page has no id"),
        (body(data=[{"id": "msg_1", "thread_id": "thread_b"}]), "msg_1, belongs to 'thread_b', not to thread_a"),
        (body(data=[{"id": "msg_1"}]), "msg_1, belongs to None, not to thread_a"),
        (body(has_more="yes"), "has_more is neither true nor false: 'yes'"),
        (b'{"data": [{"id": "msg_1", "thread_id": "thread_a", "n": 1e400}]}', "too large"),
        (b'{"data": [{"id": "msg_1", "thread_id": "thread_a", "n": NaN}]}', "NaN is not JSON"),
    ],
)
def test_what_is_no_page_is_refused(answer: bytes, words: str) -> None:
    """A success that is cut short, foreign, or of another thread is a bad page, with its beginning shown."""
    with pytest.raises(BadPage, match=words):
        read_page(answer, thread_id="thread_a")


@pytest.mark.parametrize(
    ("answer", "page"),
    [
        (body(data=[{"id": "asst_1"}]), Page([{"id": "asst_1"}], has_more=False)),  # belongs to no thread
        (body(data=None, last_id=None), Page([], has_more=False)),
        (body(last_id="msg_9", has_more=True), Page([], has_more=True, last_id="msg_9")),
        (codecs.BOM_UTF8 + body(), Page([], has_more=False)),
    ],
)
def test_other_shapes_of_a_page(answer: bytes, page: Page) -> None:
    """As other lists, and other servers, have them."""
    assert read_page(answer) == page
