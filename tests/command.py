"""The command line in this process, for tests."""

from collections.abc import Callable

import attrs

__all__ = ["Done", "Run"]


@attrs.frozen
class Done:
    """What one command came to."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]
