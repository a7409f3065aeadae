"""FakesByKey by key: one server, and a database of its own for everyone who brings a key."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Database = TypeVar("Database")


class FakesByKey(Generic[Database]):
    """A database for each key, born when it is first asked for. A caller that has threads holds a lock."""

    def __init__(self, born: Callable[[], Database]) -> None:
        self._born = born
        self._worlds: dict[str, Database] = {}

    def of(self, key: str) -> Database:
        """The database of a key."""
        if key not in self._worlds:
            self._worlds[key] = self._born()
        return self._worlds[key]

    def __iter__(self) -> Iterator[Database]:
        """Those that were born so far."""
        return iter(tuple(self._worlds.values()))

    def forget(self) -> None:
        """Forget them all: they are born anew."""
        self._worlds.clear()
