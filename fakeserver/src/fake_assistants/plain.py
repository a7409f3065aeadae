"""What a caller hands over in Python, as plain JSON of our own."""

from collections.abc import Mapping
from typing import Any

from fake_assistants.badinput import BadInput
from fake_assistants.jsontext import dumps, loads


def plain(given: object) -> Any:
    """A copy that the caller's later changes cannot reach. Raises BadInput for what is not JSON."""
    try:
        copy = loads(dumps(dict(given) if isinstance(given, Mapping) else given))
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"not plain JSON: {error}") from None
    if copy != given:
        raise BadInput("not plain JSON: NaN, tuples and the like do not survive")
    return copy
