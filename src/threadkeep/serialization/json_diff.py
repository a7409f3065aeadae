"""Paths in JSON values, such as ``$.message.content[0]``, and the paths at which two values differ."""

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from threadkeep.serialization.lossless_json import dumps

__all__ = ["ABSENT", "child_path", "differences"]

ABSENT = object()
"""A placeholder for a value that does not exist. It differs from every value."""


def child_path(path: str, key: str | int) -> str:
    """Return the path of a key of the object, or of an index of the list, at ``path``."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key)}]"


def differences(one: Any, other: Any, path: str = "$") -> Iterator[str]:
    """Yield the deepest paths at which two values differ, in the order of the first value.

    The order of keys does not count. The types of numbers do, and -0.0 differs from 0.0.
    """
    pending = [(path, one, other)]  # no recursion: JSON may be nested deeply
    while pending:
        path, one, other = pending.pop()
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            keys = dict.fromkeys([*one, *other])
            children = [(child_path(path, key), one.get(key, ABSENT), other.get(key, ABSENT)) for key in keys]
        elif isinstance(one, list) and isinstance(other, list):
            pairs = enumerate(zip_longest(one, other, fillvalue=ABSENT))
            children = [(child_path(path, index), *pair) for index, pair in pairs]
        else:
            if type(one) is not type(other) or (one is not ABSENT and dumps(one) != dumps(other)):
                yield path
            continue
        pending += reversed(children)
