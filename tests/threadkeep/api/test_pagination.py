"""Pagination: walking the pages of a list yields the list, and each page is checked against its cursor."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.api.pagination import Page, is_last_page, read_page
from threadkeep.errors import BadPage

IDS = st.lists(st.text("abc", min_size=1, max_size=4), unique=True, max_size=30)


def served(ids: list[str], cursor: str | None, limit: int, *, says_more: bool = True) -> Page:
    """Return the answer of an honest server."""
    start = ids.index(cursor) + 1 if cursor is not None else 0
    rows = [{"id": row_id} for row_id in ids[start : start + limit]]
    return Page(rows, has_more=start + limit < len(ids) if says_more else None)


def walked(limit: int, page_after: Callable[[str | None], Page]) -> list[str]:
    """Walk a list to its end."""
    found, is_last = list[str](), False
    while not is_last:
        cursor = found[-1] if found else None
        page = page_after(cursor)
        is_last = is_last_page(page, cursor, set(found), limit=limit)
        found += [row["id"] for row in page.rows]
    return found


@given(IDS, st.integers(1, 7), st.booleans())
def test_walking_the_pages_yields_the_list(ids: list[str], limit: int, says_more: bool) -> None:
    """Every row once, in order, whatever the page size, and also when the server never says has_more."""
    assert walked(limit, lambda cursor: served(ids, cursor, limit, says_more=says_more)) == ids


@given(IDS.filter(bool), st.integers(1, 7))
def test_a_full_page_that_says_it_is_the_last_is_not_believed(ids: list[str], limit: int) -> None:
    """A wrong has_more on full pages loses nothing."""
    assert walked(limit, lambda cursor: Page(served(ids, cursor, limit).rows, has_more=False)) == ids


@pytest.mark.parametrize(
    ("rows", "has_more", "words"),
    [
        ([], True, "the page after b is empty and says that there is more"),
        (["a", "b"], True, "the page after b repeats a"),
        (["b"], False, "the page after b repeats b"),
        (["c", "c"], True, "the page after b holds one id twice"),
    ],
)
def test_a_page_that_contradicts_its_cursor_is_refused(rows: list[str], has_more: bool, words: str) -> None:
    """Loops and empty promises are named; the walk can ask again."""
    page = Page([{"id": row_id} for row_id in rows], has_more)
    with pytest.raises(BadPage, match=words):
        is_last_page(page, "b", {"a", "b"}, limit=2)


def test_an_empty_list_is_done_at_once() -> None:
    """A thread without messages is a complete thread."""
    assert is_last_page(Page([], has_more=False), None, set())


def body(**fields: Any) -> bytes:
    """A page as JSON."""
    return json.dumps({"object": "list", "data": [], "has_more": False, **fields}).encode()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"data": [{"id": "ms', "the answer is not JSON"),
        (b"<html><title>502</title></html>" + b" " * 90, "the answer is not JSON .*<html>.*…"),
        (b"", "the answer is not JSON"),
        (b"[" * 2000, "the answer is not JSON"),
        (b"[]", "not a page of a list"),
        (b'{"data": {}}', "not a page of a list"),
        (b'{"object": "list"}', "not a page of a list"),
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


def test_other_lists_belong_to_no_thread() -> None:
    """Assistants have no thread_id."""
    assert read_page(body(data=[{"id": "asst_1"}])) == Page([{"id": "asst_1"}], has_more=False)
