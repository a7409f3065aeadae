"""The ids that are listed and those that are planned, of which there may be many millions."""

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from threadkeep.scale.plan_objects import PlanObject, damaged_plan
from threadkeep.storage.session import InvalidId, InvalidIds, ThreadList

__all__ = ["Planned", "PlannedIds"]


@attrs.frozen(kw_only=True)
class Planned:
    """What a list adds to a plan.

    Attributes:
        listed: how many distinct ids the list has.
        added: how many of them no earlier run had.
        invalid, invalid_count: the first entries of the list that cannot be thread ids, and how many there are.
    """

    listed: int
    added: int
    invalid: tuple[InvalidId, ...]
    invalid_count: int


class PlannedIds:
    """The ids that are listed and those that are planned, in a database: there may be many millions."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.execute("CREATE TABLE listed(place INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, assistant_id BLOB)")
        db.execute("CREATE TABLE known(id BLOB PRIMARY KEY) WITHOUT ROWID")

    @classmethod
    @contextlib.contextmanager
    def opened(cls) -> Iterator["PlannedIds"]:
        """Yield them; they are deleted afterwards."""
        with contextlib.ExitStack() as opened:
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="threadkeep-"))
            db = opened.enter_context(contextlib.closing(sqlite3.connect(Path(folder) / "lists", isolation_level=None)))
            db.execute("PRAGMA journal_mode=OFF")
            db.execute("PRAGMA synchronous=OFF")
            db.execute("BEGIN")
            yield cls(db)

    def fill(self, wanted: ThreadList) -> Planned:
        """Take the list, without what is left out of it, and return what it adds to an empty plan.

        Raises:
            UnreadableIds: the list cannot be read.
        """
        invalid = InvalidIds()
        self._db.execute("CREATE TEMP TABLE done(id BLOB PRIMARY KEY) WITHOUT ROWID")
        self._db.executemany("INSERT OR IGNORE INTO done VALUES (?)", ((_key(one),) for one in wanted.done))
        insert = (
            "INSERT OR IGNORE INTO listed(id, assistant_id) SELECT :id, :assistant_id"
            " WHERE NOT EXISTS (SELECT 1 FROM done WHERE id = :id)"
        )
        ids = invalid.passed_over(wanted.ids, wanted.shard)
        self._db.executemany(
            insert, ({"id": _key(one), "assistant_id": assistant and _key(assistant)} for one, assistant in ids)
        )
        if wanted.limit is not None:
            cut = "DELETE FROM listed WHERE place > (SELECT place FROM listed ORDER BY place LIMIT 1 OFFSET ?)"
            self._db.execute(cut, (wanted.limit - 1,))
        return Planned(
            listed=self._one("SELECT count(*) FROM listed"),
            added=0,
            invalid=tuple(invalid.examples),
            invalid_count=invalid.count,
        )

    def know(self, planned: PlanObject, place: str) -> None:
        """Take out of the list what is planned.

        Args:
            planned: an object of the plan.
            place: its name, for errors.

        Raises:
            ObjectDamaged: an id is planned twice.
        """
        keys = ((_key(one),) for shard in planned.shards for one in shard.ids)
        try:
            self._db.executemany("INSERT INTO known VALUES (?)", keys)
        except sqlite3.IntegrityError:
            raise damaged_plan(place, "an id is planned twice, here and before") from None

    def left(self) -> int:
        """Return how many listed ids are not planned."""
        return int(self._one("SELECT count(*) FROM listed WHERE id NOT IN known"))

    def next(self, most: int) -> list[tuple[str, str | None]]:
        """Return the first listed ids that are not planned, with their assistants."""
        query = "SELECT id, assistant_id FROM listed WHERE id NOT IN known ORDER BY place LIMIT ?"
        rows = self._db.execute(query, (most,))
        return [(_text(thread_id), None if one is None else _text(one)) for thread_id, one in rows]

    def _one(self, query: str) -> Any:
        return self._db.execute(query).fetchone()[0]


def _text(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")


def _key(thread_id: str) -> bytes:
    """An id may hold a lone surrogate, which SQLite takes for no text."""
    return thread_id.encode("utf-8", "surrogatepass")
