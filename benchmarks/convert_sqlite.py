"""What the SQLite database costs, and how soon it answers, each claim next to its limit, measured in one run.

The export is that of benchmarks/validate.py: threads of 100 messages, lines of about 700 bytes, texts of 17 words of
some 20, so that every word is in half of the messages: a search that ranks them has to read each of these. The
conversion is held against reading the records of the export. Whole processes are started anew each time. For an answer
the pages of the database are dropped from the cache of the disk first, and the start of Python counts.

    python benchmarks/convert_sqlite.py [--quick] [--only PART]
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from table import Line, interleaved, print_table
from threadkeep import convert
from validate import export, used

READ = """
import sys, threadkeep
with threadkeep.read(sys.argv[1]) as export:
    for record in export:
        record.parts
"""
CONVERT = """
import sys
from threadkeep import convert
done = convert(sys.argv[1], to="sqlite", target=sys.argv[1] + ".db", force=True)
assert done.messages == {messages} and not done.losses
"""
ASK = """
import sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchall()
assert rows, sys.argv[2]
"""
SEARCH = """
SELECT thread_id, time, role, snippet(messages_fts, 0, '[', ']', '…', 12)
FROM messages_fts JOIN conversations ON conversations.message=messages_fts.rowid
WHERE messages_fts MATCH '{words}' ORDER BY rank LIMIT 20
"""
RANKED = "a search, a word of half of them, ranked"


def questions(messages: int) -> dict[str, str]:
    """What is asked, by its name."""
    thread = f"thread_{messages // 200:024}"
    return {
        "a thread by its id": f"SELECT * FROM conversations WHERE thread_id='{thread}' ORDER BY position",
        "a search, a phrase of four words": SEARCH.format(words='"quick brown fox jumps"'),
        "a search, three frequent words": SEARCH.format(words="fox wall lazy"),
        "a search, a word of half of them": SEARCH.format(words="fox").replace("ORDER BY rank", ""),
        RANKED: SEARCH.format(words="fox"),
        "messages a month": "SELECT * FROM messages_by_month",
        "messages a thread, the longest": "SELECT * FROM messages_by_thread ORDER BY messages DESC LIMIT 20",
        "assistants": "SELECT * FROM assistants",
    }


def answered(path: Path, query: str) -> float:
    """The seconds of a process that asks, with nothing of the database in the cache of the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", ASK, str(path), query], check=True)
    return time.perf_counter() - started


def answers(quick: bool) -> Iterator[Line]:
    """How soon it answers; and how large it is next to OUT."""
    many, rounds = (200_000, 3) if quick else (1_000_000, 5)
    with tempfile.TemporaryDirectory() as folder:
        out, path = export(Path(folder), many), Path(folder, "out.db")
        convert(out, to="sqlite", target=path)
        size, reference = (file.stat().st_size / 2**20 for file in (path, out))
        yield Line(f"size at {many:,} messages (OUT)", size, reference, 2, unit="MiB")
        for what, query in questions(many).items():
            median = statistics.median(answered(path, query) for _ in range(rounds))
            yield Line(f"{many:,} messages, {what}", median, None, 2 if what == RANKED else 1)


def compared(what: str, limit: float, rounds: int, out: Path, code: str) -> Line:
    """The CPU of the conversion next to that of reading."""
    read, converted = interleaved(rounds, lambda: used(READ, out), lambda: used(code, out))
    measured, reference = (statistics.median(cpu for cpu, _ in numbers) for numbers in (converted, read))
    return Line(f"CPU, {what} (read)", measured, reference, limit)


def processor(quick: bool) -> Iterator[Line]:
    """The CPU of the conversion: texts only; then with an image in every tenth message."""
    many, rounds = (200_000, 1) if quick else (1_000_000, 3)
    for images in (0, 10):
        with tempfile.TemporaryDirectory() as folder:
            what = "every tenth with an image" if images else "texts"
            out = export(Path(folder), many, images=images)
            yield compared(f"{many:,} messages, {what}", 3, rounds, out, CONVERT.format(messages=many))


def memory(quick: bool) -> Iterator[Line]:
    """The peak of the process: many threads; one of them alone; and an image in every message."""
    many = 100_000 if quick else 1_000_000
    for what, length, images in (("threads of 100", 100, 0), ("one thread", many, 0), ("images", 100, 1)):
        with tempfile.TemporaryDirectory() as folder:
            out = export(Path(folder), many, length=length, images=images)
            peak = used(CONVERT.format(messages=many), out)[1]
            yield Line(f"memory at {many:,} messages, {what}", peak, None, 256, unit="MiB")


if __name__ == "__main__":
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    print_table(__doc__, (answers, processor, memory))
