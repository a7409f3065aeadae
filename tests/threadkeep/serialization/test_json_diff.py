"""Where two JSON values differ."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import strategies
from threadkeep.serialization.json_diff import differences


def same(one: Any, other: Any) -> bool:
    """Equal with types, whatever the order of keys."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(strategies.json_values, strategies.json_values)
def test_there_are_none_just_where_two_values_are_equal(one: Any, other: Any) -> None:
    """With their types; a value does not differ from itself."""
    assert (list(differences(one, other)) == []) is same(one, other)
    assert list(differences(one, one)) == []


@pytest.mark.parametrize(
    ("one", "other", "paths"),
    [
        (1, 1.0, ["$"]),
        (1, True, ["$"]),
        (0.0, -0.0, ["$"]),
        ([1], [1, 2], ["$[1]"]),
        ([1, {"a": 2}], [1, {"a": 3}], ["$[1].a"]),
        ({"a": 1, "b c": 2}, {"a": 1, "d": 3}, ['$["b c"]', "$.d"]),
        ({"a": {"b": [0, 1]}}, {"a": {"b": [0, None]}}, ["$.a.b[1]"]),
        ({"a": []}, {"a": {}}, ["$.a"]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
    ],
)
def test_the_paths_are_as_deep_as_possible(one: Any, other: Any, paths: list[str]) -> None:
    """In the order of the first value's keys, and then of the second's."""
    assert list(differences(one, other)) == paths


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2)),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2)),
)
def test_each_key_that_differs_is_named_once(one: dict[str, int], other: dict[str, int]) -> None:
    """And no other."""
    expected = {f"$.{key}" for key in one.keys() | other.keys() if one.get(key) != other.get(key)}
    found = list(differences(one, other))
    assert len(found) == len(set(found))
    assert set(found) == expected
