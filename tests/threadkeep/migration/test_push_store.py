"""The store of a push on the disk."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

from threadkeep.migration.store import PushStore

TARGET = {"to": "conversations", "address": "https://api.test/v1"}


def test_a_commit_that_a_kill_has_cut_off_is_no_part_of_a_dry_run(tmp_path: Path) -> None:
    """The database is half written then, and its journal has what was there before."""
    path, cut_off = tmp_path / "out.push", tmp_path / "cut_off.push"
    PushStore.open(path, TARGET).close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA cache_size=2")
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO leftovers(thread_id) VALUES (?)", [("thread_a" * 50,)] * 1_000)
        for name in ("", "-journal"):
            shutil.copy(f"{path}{name}", f"{cut_off}{name}")
    assert cut_off.stat().st_size > 100_000
    with contextlib.closing(PushStore.in_memory(cut_off, TARGET)) as store:
        assert store.leftovers() == []
