"""Check states, control bodies and files that a user gives. Errors have the path of the wrong value."""

from collections.abc import Collection, Mapping
from typing import Any

from fake_assistants.http.lossless_json import MAX_LEVELS, Obj, dumps, loads


class BadInput(ValueError):
    """Input to the fake is not well formed; nothing was changed.

    `reason` describes the error, `where` is a path (`$.messages[3].id`) or a line (`line 3`).
    """

    def __init__(self, reason: str, where: str = "$") -> None:
        super().__init__(f"{reason} @ {where}")
        self.reason = reason
        self.where = where


# The longest delay, in seconds.
LONGEST = 3600


def an_object(given: object, where: str, known: Collection[str] | None = None) -> Obj:
    """Return an object; with `known`, one without other keys. Raises BadInput."""
    if not isinstance(given, dict):
        raise BadInput("expected an object", where)
    for key in given:
        if known is not None and key not in known:
            raise BadInput(f"unknown key; known are {', '.join(sorted(known))}", f"{where}.{key}")
    return given


def a_list(given: object, where: str) -> list[Any]:
    """Return a list. Raises BadInput."""
    if not isinstance(given, list | tuple):
        raise BadInput("expected a list", where)
    return list(given)


def a_string(fields: Obj, key: str, where: str) -> None:
    """Check that the value of a key is a string. Raises BadInput."""
    if not isinstance(fields.get(key), str):
        raise BadInput("expected a string", f"{where}.{key}")


def a_count(fields: Obj, key: str, where: str, *, least: int) -> int | None:
    """Return a whole number, `least` or more; None if the key is missing. Raises BadInput."""
    value = fields.get(key)
    if value is not None and (type(value) is not int or value < least):
        raise BadInput(f"expected a whole number, {least} or more", f"{where}.{key}")
    return value


def seconds(value: object, where: str) -> float:
    """Return seconds, at most an hour. Raises BadInput."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST:
        raise BadInput(f"expected seconds from 0 to {LONGEST}", where)
    return float(value)


def plain(given: object, *, levels: int = MAX_LEVELS) -> Any:
    """Return a copy of a value. Raises BadInput if it is not JSON or nested too deep."""
    try:
        copy = loads(dumps(dict(given) if isinstance(given, Mapping) else given), levels=levels)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"not plain JSON: {error}") from None
    if copy != given:
        raise BadInput("not plain JSON: NaN, tuples and the like do not survive")
    return copy
