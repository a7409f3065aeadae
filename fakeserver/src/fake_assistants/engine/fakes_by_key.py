"""Keep a separate fake for each API key."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Fake = TypeVar("Fake")


class FakesByKey(Generic[Fake]):
    """One fake for each key, created on first use. Not thread-safe: the caller holds a lock."""

    def __init__(self, create: Callable[[], Fake]) -> None:
        self._create = create
        self._fakes: dict[str, Fake] = {}

    def of(self, key: str) -> Fake:
        """Return the fake of a key."""
        if key not in self._fakes:
            self._fakes[key] = self._create()
        return self._fakes[key]

    def __iter__(self) -> Iterator[Fake]:
        """Iterate over the fakes created so far."""
        return iter(tuple(self._fakes.values()))

    def clear(self) -> None:
        """Drop all fakes. A later use of a key creates a new one."""
        self._fakes.clear()
