"""Where two JSON values differ, as paths.

Places in a JSON value, as people write them: ``$.message.content[0]``.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from threadkeep.serialization.lossless_json import dumps

__all__ = ["ABSENT", "below", "differences"]


def below(path: str, key: str | int) -> str:
    """The path of what an object has under a key, or a list at a place."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key)}]"


def differences(one: Any, other: Any, path: str = "$", *, into_lists: bool = False) -> Iterator[str]:
    """Give the paths at which two values differ, each as deep as it can be told, in the order of the first one.

    The order of keys does not count; the types of numbers do, and -0.0 is another number than 0.0. Without recursion,
    as JSON may be nested deeply.

    Args:
        one, other: JSON values.
        path: of both.
        into_lists: whether lists of unequal length are compared item by item; else they differ at their own path.
    """
    waiting = [(path, one, other)]
    while waiting:
        path, one, other = waiting.pop()
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            keys = dict.fromkeys([*one, *other])
            inner = [(below(path, key), one.get(key, ABSENT), other.get(key, ABSENT)) for key in keys]
        elif isinstance(one, list) and isinstance(other, list) and (into_lists or len(one) == len(other)):
            pairs = enumerate(zip_longest(one, other, fillvalue=ABSENT))
            inner = [(below(path, place), *pair) for place, pair in pairs]
        elif _is_same(one, other):
            continue
        else:
            yield path
            continue
        waiting += reversed(inner)


ABSENT = object()
"""In the place of a value that is not there: it differs from every value."""


def _is_same(one: Any, other: Any) -> bool:
    """Of two values of which neither holds others, or not both."""
    return type(one) is type(other) and (one is ABSENT or dumps(one) == dumps(other))
