"""What a caller hands over in Python, as plain JSON of our own."""

from collections.abc import Mapping
from typing import Any

from fake_assistants.badinput import BadInput
from fake_assistants.jsontext import MAX_LEVELS, dumps, loads


def plain(given: object, *, levels: int = MAX_LEVELS) -> Any:
    """A copy that the caller's later changes cannot reach. Raises BadInput for what is not JSON, or is too deep."""
    try:
        copy = loads(dumps(dict(given) if isinstance(given, Mapping) else given), levels=levels)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"not plain JSON: {error}") from None
    if copy != given:
        raise BadInput("not plain JSON: NaN, tuples and the like do not survive")
    return copy
