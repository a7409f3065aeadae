"""Commands that are suggested: they can be typed as they are."""

import shlex

import pytest

from threadkeep.cli.suggestions import merge_of


@pytest.mark.parametrize("prefix", ["prefix", "-prefix", "a prefix", "s3://bucket/prefix", "it's"])
def test_a_merge_is_typed_in_one_way(prefix: str) -> None:
    """The names come first, and none of them is taken for an option."""
    words = shlex.split(merge_of(prefix, "again.ndjson", options=["--ids=my ids.txt"]))
    name = f"./{prefix}" if prefix.startswith("-") else prefix
    assert words == ["threadkeep", "merge", name, "again.ndjson", "-o", "out.ndjson", "--ids=my ids.txt"]
