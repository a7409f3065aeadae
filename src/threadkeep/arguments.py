"""Checks of the arguments of calls from Python. What they refuse would come out as something else, deep inside."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, SupportsIndex

__all__ = [
    "A_FUNCTION",
    "A_PATH",
    "A_STR",
    "A_SWITCH",
    "A_WHOLE_NUMBER",
    "IDS",
    "IDS_OR_PATH",
    "refuse_wrong_types",
    "wrong_type",
]

A_PATH = (str | os.PathLike, "a str or a Path")
A_STR = (str, "a str")
A_SWITCH = (bool, "True or False")
A_WHOLE_NUMBER = (SupportsIndex, "a whole number")
A_FUNCTION = (Callable, "a function")
IDS = (Iterable, "ids")
IDS_OR_PATH = (Iterable | os.PathLike, "ids or the path of a file of ids")


def wrong_type(name: str, words: str, value: object) -> TypeError:
    """Return the error for an argument that is of another type than these words say."""
    return TypeError(f"{name} must be {words}, and is {type(value).__name__}")


def refuse_wrong_types(
    arguments: Mapping[str, Any],
    types: Mapping[str, tuple[Any, str]],
    optional: frozenset[str] = frozenset(),
) -> None:
    """Raise TypeError for an argument of the wrong type.

    Args:
        arguments: by their names. Those without a type are not looked at.
        types: what each must be, as `isinstance` takes it and in words.
        optional: the names of those that may be None.
    """
    for name, (kind, words) in types.items():
        value = arguments[name]
        if value is None and name in optional:
            continue
        if not isinstance(value, kind) or isinstance(value, bytes):
            raise wrong_type(name, words, value)
