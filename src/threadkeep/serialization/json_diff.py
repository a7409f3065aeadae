"""Where two JSON values differ, as paths."""

from collections.abc import Iterator, Mapping
from typing import Any

from threadkeep.jsonpath import below

__all__ = ["differences"]


def differences(one: Any, other: Any, path: str = "$") -> Iterator[str]:
    """Give the paths at which two values differ, each as deep as it can be told.

    Lists of other lengths differ as a whole; so do numbers of other types, 1 and 1.0 among them.
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in {**one, **other}:
            if key in one and key in other:
                yield from differences(one[key], other[key], below(path, key))
            else:
                yield below(path, key)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for place, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{path}[{place}]")
    elif type(one) is not type(other) or one != other:
        yield path
