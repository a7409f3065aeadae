"""Searches in vector stores."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_assistants import BadInput, FakeAssistants, Reply
from fake_assistants.resources.store_search import _passes

Ask = Callable[..., Reply]

TEXTS = {"file-1": "Vacation is 30 days a year.", "file-2": "On Fridays there is fish.", "file-3": "Łódź, 30 days"}
PATH = "/v1/vector_stores/vs_1/search"


@pytest.fixture(autouse=True)
def _stocked(fake: FakeAssistants) -> None:
    """A store with three files, and one that holds no text."""
    rows = [(file_id, text.encode()) for file_id, text in TEXTS.items()] + [("file-4", b"\xff\xfe")]
    fake.load(
        {
            "files": [{"id": file_id, "filename": f"{file_id}.txt"} for file_id, _ in rows],
            "file_contents": [{"id": one, "content": base64.b64encode(content).decode()} for one, content in rows],
            "vector_stores": [{"id": "vs_1"}],
            "vector_store_files": [
                {
                    "id": file_id,
                    "vector_store_id": "vs_1",
                    "status": "completed",
                    "attributes": {"number": index, "even": index % 2 == 1},
                }
                for index, (file_id, _) in enumerate(rows)
            ],
        }
    )


def found(ask: Ask, **body: Any) -> list[tuple[str, float]]:
    return [(one["file_id"], one["score"]) for one in ask("POST", PATH, body).json()["data"]]


def test_a_page_in_full(ask: Ask) -> None:
    """Documented key order; texts are searched for the words of the query, best first."""
    page = ask("POST", PATH, {"query": "days of VACATION", "max_num_results": 1}).json()
    assert list(page.items()) == [
        ("object", "vector_store.search_results.page"),
        ("search_query", ["days of VACATION"]),
        (
            "data",
            [
                {
                    "file_id": "file-1",
                    "filename": "file-1.txt",
                    "score": 0.6667,
                    "attributes": {"number": 0, "even": False},
                    "content": [{"type": "text", "text": TEXTS["file-1"]}],
                }
            ],
        ),
        ("has_more", False),
        ("next_page", None),
    ]


def test_all_of_a_store_is_ranked(ask: Ask) -> None:
    """Equals in the order of the store; a threshold leaves out what is below it."""
    assert found(ask, query=["30", "days"]) == [("file-1", 1.0), ("file-3", 1.0), ("file-2", 0.0), ("file-4", 0.0)]
    assert found(ask, query="łódź days", ranking_options={"score_threshold": 0.5}) == [("file-3", 1.0), ("file-1", 0.5)]
    assert found(ask, query="") == [(f"file-{number}", 0.0) for number in range(1, 5)]


def test_a_script_serves_searches_in_order(fake: FakeAssistants, ask: Ask) -> None:
    """With defaults for what it leaves out; then the store is searched again."""
    parts = [{"type": "text", "text": "b"}]
    fake.script = {
        "searches": [[{"content": "a"}, {"content": parts, "score": 0.2, "attributes": {"n": 1}}], []],
    }
    first = ask("POST", PATH, {"query": "x"}).json()["data"]
    assert [(one["score"], one["content"][0]["text"], one["attributes"]) for one in first] == [
        (1.0, "a", {}),
        (0.2, "b", {"n": 1}),
    ]
    assert fake.script.json() == {"searches": [[]]}
    assert found(ask, query="x") == []
    assert found(ask, query="fish", max_num_results=1) == [("file-2", 1.0)]


@pytest.mark.parametrize(
    ("searches", "where"),
    [
        (5, "$.searches"),
        ([5], "$.searches[0]"),
        ([[5]], "$.searches[0][0]"),
        ([[{"score": 2}]], "$.searches[0][0].score"),
        ([[{"filename": 2}]], "$.searches[0][0].filename"),
        ([[{"content": [2]}]], "$.searches[0][0].content[0]"),
        ([[{"text": "x"}]], "$.searches[0][0].text"),
    ],
)
def test_a_script_that_is_none_is_refused(fake: FakeAssistants, searches: Any, where: str) -> None:
    """With the place of what is wrong."""
    with pytest.raises(BadInput) as refused:
        fake.script = {"searches": searches}
    assert refused.value.where == where


# --- filters ------------------------------------------------------------------------------------------

VALUES = st.one_of(st.integers(-2, 2), st.sampled_from(["", "a", "b", 0.5]), st.booleans())
COMPARED = st.builds(
    lambda sort, value: {"type": sort, "key": "k", "value": value}, st.sampled_from(["eq", "gt", "gte", "in"]), VALUES
)
OPPOSITE = {"eq": "ne", "in": "nin"}


@given(VALUES, st.lists(COMPARED, min_size=1, max_size=4))
def test_filters_are_logic(value: Any, filters: list[Any]) -> None:
    """All and any, opposites, and the three ways in which two values of a kind compare."""
    passing = [_passes({"k": value}, one) for one in filters]
    assert _passes({"k": value}, {"type": "and", "filters": filters}) is all(passing)
    assert _passes({"k": value}, {"type": "or", "filters": filters}) is any(passing)
    for one, passes in zip(filters, passing, strict=True):
        if one["type"] in OPPOSITE:
            assert _passes({"k": value}, {**one, "type": OPPOSITE[one["type"]]}) is not passes
        assert not _passes({}, one)
        ways = [_passes({"k": value}, {**one, "type": sort}) for sort in ("lt", "eq", "gt")]
        assert sum(ways) <= 1


def test_filters_choose_files(ask: Ask) -> None:
    """By their attributes; true is not 1."""
    number = {"type": "gte", "key": "number", "value": 1}
    assert [one for one, _ in found(ask, query="x", filters=number)] == ["file-2", "file-3", "file-4"]
    both = {"type": "and", "filters": [number, {"type": "eq", "key": "even", "value": True}]}
    assert [one for one, _ in found(ask, query="x", filters=both)] == ["file-2", "file-4"]
    assert found(ask, query="x", filters={"type": "eq", "key": "number", "value": True}) == []
    listed = {"type": "in", "key": "number", "value": [0, 3]}
    assert [one for one, _ in found(ask, query="x", filters=listed)] == ["file-1", "file-4"]


def nested(levels: int) -> Any:
    inner: Any = {"type": "eq", "key": "k", "value": 1}
    for _ in range(levels):
        inner = {"type": "or", "filters": [inner]}
    return inner


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "query"),
        ({"query": 5}, "query"),
        ({"query": "x", "max_num_results": 51}, "max_num_results"),
        ({"query": "x", "ranking_options": {"ranker": "best"}}, "ranking_options.ranker"),
        ({"query": "x", "filters": []}, "filters"),
        ({"query": "x", "filters": {}}, "filters.type"),
        ({"query": "x", "filters": {"type": "like"}}, "filters.type"),
        ({"query": "x", "filters": {"type": "eq", "key": "k"}}, "filters.value"),
        ({"query": "x", "filters": {"type": "eq", "key": "k", "value": None}}, "filters.value"),
        ({"query": "x", "filters": nested(40)}, "filters" + ".filters[0]" * 17),
    ],
)
def test_a_search_that_is_none_is_refused(ask: Ask, body: Any, param: str) -> None:
    """400, with the place of what is wrong; and what is unknown is 404."""
    reply = ask("POST", PATH, body)
    assert (reply.status, (reply.json()["error"]["param"] or "")[: len(param)]) == (400, param)
    assert ask("POST", "/v1/vector_stores/vs_x/search", {"query": "x"}).status == 404
    assert ask("POST", PATH, {"query": "x", "filters": nested(16)}).status == 200
