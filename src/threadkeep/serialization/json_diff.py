"""Where two JSON values differ, as paths.

Places in a JSON value, as people write them: ``$.message.content[0]``.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["below", "differences"]


def below(path: str, key: str) -> str:
    """The path of a key of the object that is at a path."""
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key)}]"


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
