"""What a chat history costs, each claim with its reference and its limit, measured in one run.

SQLite: a session of 1,000 items in a database of 1,000,000, opened and read by `open_history`, by plain `sqlite3` with
``json.loads`` on the same file, and (for comparison, without a limit) by the Agents SDK's SQLiteSession. Appending to
a log: to one of 10,000 items, against one of a single item, both synced. Importing: CPU of a new process.

    python benchmarks/history.py [--quick] [--only PART]
"""

import asyncio
import contextlib
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from table import Line, best_of, print_table
from threadkeep import open_history

TEXT = "The quick brown fox jumps over the lazy dog. " * 6


def _item(number: int) -> dict[str, Any]:
    role = "user" if number % 2 == 0 else "assistant"
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": f"{number} {TEXT}"}]}


def sqlite(quick: bool) -> Iterator[Line]:
    """Read 1,000 items, and the newest 50, of a database of 1,000,000."""
    from agents import SQLiteSession

    sessions = 100 if quick else 1000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "chat.db")
        _fill(path, sessions)
        wanted = f"session {sessions // 2}"

        def ours(limit: int | None) -> list[Any]:
            return open_history(f"sqlite:///{path}", wanted).sync.get_items(limit)

        def plain(limit: int | None) -> list[Any]:
            with contextlib.closing(sqlite3.connect(path)) as database:
                rows = database.execute(
                    "SELECT message_data FROM agent_messages WHERE session_id = ? ORDER BY id DESC LIMIT ?",
                    (wanted, -1 if limit is None else limit),
                ).fetchall()
            return [json.loads(data) for (data,) in reversed(rows)]

        def theirs(limit: int | None) -> list[Any]:
            session = SQLiteSession(wanted, path)
            items: list[Any] = asyncio.run(session.get_items(limit))
            session.close()
            return items

        for limit, most in ((None, 1.3), (50, 2)):
            assert ours(limit) == plain(limit) == theirs(limit)
            measured, reference, of_sdk = best_of(
                5,
                10,
                *(lambda read=read, limit=limit: read(limit) for read in (ours, plain, theirs)),
                clock=time.perf_counter,
            )
            what = f"{'1,000' if limit is None else f'the newest {limit}'} of {sessions * 1000:,} items"
            yield Line(f"{what} (plain sqlite3)", measured, reference, most, "ms")
            yield Line(f"{what} (the Agents SDK's session)", measured, of_sdk, 1, "ms")


def _fill(path: Path, sessions: int) -> None:
    """Let many sessions grow side by side, two items at a time: the rows of one lie far from each other."""
    for session in range(sessions):
        open_history(f"sqlite:///{path}", f"session {session}").sync.add_items([_item(0), _item(1)])
    with contextlib.closing(sqlite3.connect(path)) as database:
        for number in range(2, 1000, 2):
            database.executemany(
                "INSERT INTO agent_messages (session_id, message_data) VALUES (?, ?)",
                (
                    (f"session {session}", json.dumps(_item(number + half)))
                    for session in range(sessions)
                    for half in (0, 1)
                ),
            )
        database.commit()


def append(quick: bool) -> Iterator[Line]:
    """Add an item to a log of 10,000 items, opened anew each time, and to one of a single item."""
    with tempfile.TemporaryDirectory() as folder:
        long, short = Path(folder, "long.jsonl"), Path(folder, "short.jsonl")
        for number in range(10_000):
            if number % 100 == 0:
                open_history(long, f"session {number % 7}").sync.add_items([_item(n) for n in range(100)])
        open_history(short).sync.add_items([_item(0)])

        def add(path: Path) -> None:
            open_history(path).sync.add_items([_item(1)])

        many = 50 if quick else 300
        measured, reference = best_of(5, many, lambda: add(long), lambda: add(short), clock=time.perf_counter)
        yield Line("append to a log of 10,000 items (to one of 1)", measured, reference, 1.1, "ms")


def imports(quick: bool) -> Iterator[Line]:
    """Import the package, and the SDK, each in a process of its own."""
    del quick
    measured, reference = (
        min(_cpu_of(statement) - _cpu_of("pass") for _ in range(5))
        for statement in ("import threadkeep.history; threadkeep.history.open_history", "import openai")
    )
    yield Line("import threadkeep.history and open_history (import openai)", measured, reference, 0.2, "s")


def _cpu_of(statement: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", statement], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    print_table(__doc__, (sqlite, append, imports))
