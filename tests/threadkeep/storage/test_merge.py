"""Two versions of a list joined: nothing that either has is missing, and the server's order stands."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadkeep.records.content import has_lost_content
from threadkeep.storage.merge import merged


def saying(*values: str) -> dict[str, Any]:
    """A message of these texts."""
    return {"content": [{"type": "text", "text": {"value": value, "annotations": []}} for value in values]}


IMAGE = {"type": "image_file", "image_file": {"file_id": "file-1"}}


@pytest.mark.parametrize(
    ("old", "new", "poorer"),
    [
        (saying("a"), saying("b"), False),
        (saying("a"), saying(""), True),
        (saying("a"), saying(" \n"), True),
        (saying("a"), saying(), True),
        (saying("a"), {"content": None}, True),
        (saying("a"), {}, True),
        (saying("a", "b"), saying("a b"), True),
        ({"content": [IMAGE]}, saying(""), True),
        (saying("a"), {"content": [IMAGE]}, False),
        (saying(""), saying(""), False),
        (saying(), saying("a"), False),
        ({"content": "odd"}, saying("a"), False),
    ],
)
def test_a_message_that_has_lost_what_it_held(old: dict[str, Any], new: dict[str, Any], poorer: bool) -> None:
    """Fewer parts, or nothing but blanks: no API edits a message, so it is the API that is going."""
    assert has_lost_content(new, old) is poorer


ids = st.lists(st.sampled_from("abcdefghij"), unique=True)


def rows(names: list[str], version: str) -> list[tuple[str, str]]:
    """A version of a list."""
    return [(name, name + version) for name in names]


def joined(old: list[tuple[str, str]], new: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Both versions, without the old rows that have new ones."""
    found = list(merged(old, iter(new), {name for name, _ in new}))
    assert [row for row in old if row[0] in dict(new)] == [
        (name, row) for name, _ in old for other, _, row in found if other == name and row is not None
    ]
    return [(name, row) for name, row, _ in found]


@given(ids, ids)
def test_joined_versions(before: list[str], now: list[str]) -> None:
    """Every id of both once; the server's rows as it gives them, in its order; the others as they were."""
    old, new = rows(before, "-old"), rows(now, "-new")
    both = joined(old, new)
    names = [name for name, _ in both]
    assert sorted(names) == sorted({*before, *now})
    assert [row for row in both if row[0] in now] == new
    assert {row for row in both if row[0] not in now} == set(old) - {row for row in old if row[0] in now}


@given(ids, ids)
def test_what_vanished_stands_where_it_stood(before: list[str], now: list[str]) -> None:
    """Right behind what stood before it, or at the beginning."""
    names = [name for name, _ in joined(rows(before, ""), rows(now, ""))]
    for earlier, name in pairwise([None, *before]):
        if name not in now:
            place = names.index(name or "")
            assert (names[place - 1] if place else None) == earlier


@given(ids, st.data())
def test_where_nothing_vanished_it_is_the_new_version(now: list[str], data: st.DataObject) -> None:
    """Whatever the order was before."""
    before = data.draw(st.lists(st.sampled_from(now), unique=True) if now else st.just([]))
    assert joined(rows(before, "-old"), rows(now, "-new")) == rows(now, "-new")


@given(ids, ids)
def test_joining_again_changes_nothing(before: list[str], now: list[str]) -> None:
    """The joined version is what the next refresh finds."""
    both = joined(rows(before, ""), rows(now, ""))
    assert joined(both, rows(now, "")) == both
