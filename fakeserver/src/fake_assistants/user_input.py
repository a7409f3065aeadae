"""The refusal of state, control bodies and files: what is wrong, and where."""

from collections.abc import Collection, Mapping
from typing import Any

from fake_assistants.http.lossless_json import MAX_LEVELS, Obj, dumps, loads


class BadInput(ValueError):
    """Something handed to the fake is not well formed; nothing was changed.

    `reason` says what is wrong, `where` is a path (`$.messages[3].id`) or a line (`line 3`).
    """

    def __init__(self, reason: str, where: str = "$") -> None:
        super().__init__(f"{reason} @ {where}")
        self.reason = reason
        self.where = where


# The longest that anything waits, in seconds.
LONGEST = 3600


def an_object(given: object, where: str, known: Collection[str] | None = None) -> Obj:
    """An object; with `known`, one without other keys. Raises BadInput."""
    if not isinstance(given, dict):
        raise BadInput("expected an object", where)
    for key in given:
        if known is not None and key not in known:
            raise BadInput(f"unknown key; known are {', '.join(sorted(known))}", f"{where}.{key}")
    return given


def a_list(given: object, where: str) -> list[Any]:
    """A list. Raises BadInput."""
    if not isinstance(given, list | tuple):
        raise BadInput("expected a list", where)
    return list(given)


def a_string(fields: Obj, key: str, where: str) -> None:
    """Refuse what is not a string under this key. Raises BadInput."""
    if not isinstance(fields.get(key), str):
        raise BadInput("expected a string", f"{where}.{key}")


def a_count(fields: Obj, key: str, where: str, *, least: int) -> int | None:
    """A whole number, `least` or more; None when it is not there. Raises BadInput."""
    value = fields.get(key)
    if value is not None and (type(value) is not int or value < least):
        raise BadInput(f"expected a whole number, {least} or more", f"{where}.{key}")
    return value


def seconds(value: object, where: str) -> float:
    """Seconds, up to an hour. Raises BadInput."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST:
        raise BadInput(f"expected seconds from 0 to {LONGEST}", where)
    return float(value)


def plain(given: object, *, levels: int = MAX_LEVELS) -> Any:
    """A copy that the caller's later changes cannot reach. Raises BadInput for what is not JSON, or is too deep."""
    try:
        copy = loads(dumps(dict(given) if isinstance(given, Mapping) else given), levels=levels)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"not plain JSON: {error}") from None
    if copy != given:
        raise BadInput("not plain JSON: NaN, tuples and the like do not survive")
    return copy
