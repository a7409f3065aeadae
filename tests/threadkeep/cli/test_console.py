"""What is printed for programs."""

import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from threadkeep.cli.console import print_json

ROWS = st.lists(st.dictionaries(st.text(), st.integers() | st.text()), max_size=3)
OBJECTS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | ROWS | ROWS.map(iter),
    lambda values: st.dictionaries(st.text(), values, max_size=4),
).map(lambda value: value if isinstance(value, dict) else {"of": value})


def plain(value: Any) -> Any:
    """The value with lists in place of iterators, which can be read once."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [*value] if isinstance(value, Iterator) else value


def lazy(value: Any, was: Any) -> Any:
    """The plain value with iterators where the other one had them."""
    if isinstance(value, dict):
        return {key: lazy(one, was[key]) for key, one in value.items()}
    return iter(value) if isinstance(was, Iterator) else value


@given(OBJECTS)
def test_what_is_printed_is_the_object(value: dict[str, Any]) -> None:
    """Iterators are lists in it, wherever they are."""
    expected = plain(value)
    with redirect_stdout(StringIO()) as printed:
        print_json(lazy(expected, value))
    assert json.loads(printed.getvalue()) == expected
    assert printed.getvalue().endswith("}\n")
