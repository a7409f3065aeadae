"""What the storage of an export costs, each claim with its reference and its limit, measured in one run.

The writer is measured against copying its file with sha256, both to a new file that is synced, in turn. Five million
ids are planned, written as an index and read back in a process of its own, whose memory is that process's peak.

    python benchmarks/storage.py [--quick] [--only PART]
"""

import hashlib
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from table import Line, best_of, print_table
from threadkeep.records.ndjson import encode_message
from threadkeep.storage.combine import Combined
from threadkeep.storage.damage import Inspection
from threadkeep.storage.file_set import open_file_set
from threadkeep.storage.index import IndexHeader, Outcome
from threadkeep.storage.paths import Paths, new
from threadkeep.storage.store import MESSAGES, Page, Settled, Store, StoreFacts
from threadkeep.storage.writer import RunFacts, put_in_place, write_new_set

ASSISTANT = "asst_benchmark"
HEADER = IndexHeader(source="http://127.0.0.1/v1", assistant_id=ASSISTANT, flat=False, include=())
FACTS = RunFacts(started_at="", finished_at="", versions={}, ended_by=None)
TEXT = "The quick brown fox jumps over the lazy dog. " * 6


def write(quick: bool) -> Iterator[Line]:
    """Write OUT from a full store, in threads of 100 messages, and of 10."""
    total = 100_000 if quick else 1_000_000
    for size in (100, 10):
        with tempfile.TemporaryDirectory() as folder:
            paths = Paths(Path(folder) / "out.ndjson")
            store = _filled(paths, total, size)

            def ours(paths: Paths = paths, store: Store = store) -> None:
                write_new_set(paths, HEADER, Combined(store, None), FACTS, downloads=None)

            def copy(paths: Paths = paths) -> None:
                _copy(new(paths.out), paths.out.with_name("copy"))

            written, copied = best_of(3, 1, ours, copy, clock=time.perf_counter)
            what = f"write {total:,} messages of 700 bytes, {size} a thread (copy with sha256)"
            yield Line(what, written, copied, 2, "ms")
            store.close()


def _copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    digest = hashlib.sha256()
    with source.open("rb") as file, target.open("wb") as copy:
        while chunk := file.read(1024 * 1024):
            digest.update(chunk)
            copy.write(chunk)
        copy.flush()
        os.fsync(copy.fileno())


def _filled(paths: Paths, total: int, size: int) -> Store:
    store = Store.create(paths, StoreFacts(header=HEADER, started_at="2026-01-01"))
    names = [f"thread_{number:024d}" for number in range(total // size)]
    store.plan((), ((name, None) for name in names))
    changes: list[Page | Settled] = []
    for name in names:
        lines = [encode_message(_message(name, place), assistant_id=ASSISTANT) for place in range(size)]
        ids = [_message_id(name, place) for place in range(size)]
        changes.append(
            Page(thread_id=name, kind=MESSAGES, seq=0, ids=ids, lines=b"".join(line + b"\n" for line in lines))
        )
        changes.append(Settled(thread_id=name, outcome=Outcome.COMPLETE))
        if len(changes) >= 128:
            store.apply(changes)
            changes.clear()
    store.apply(changes)
    return store


def _message_id(thread_id: str, place: int) -> str:
    return "msg_" + hashlib.sha256(f"{thread_id} {place}".encode()).hexdigest()[:24]


def _message(thread_id: str, place: int) -> dict[str, object]:
    return {
        "id": _message_id(thread_id, place),
        "object": "thread.message",
        "created_at": 1_750_000_000 + place,
        "assistant_id": None,
        "thread_id": thread_id,
        "run_id": None,
        "role": "user",
        "content": [{"type": "text", "text": {"value": TEXT[:165], "annotations": []}}],
        "attachments": [],
        "metadata": {},
    }


def many_ids(quick: bool) -> Iterator[Line]:
    """Plan a run over five million ids, write the index, read it back, and plan the next run."""
    total = 500_000 if quick else 5_000_000
    code = f"import storage; storage.tell_many({total})"
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, cwd=Path(__file__).parent, timeout=1800
    )
    planned, written, read, again, peak = json.loads(told.stdout)
    limit = 60.0 * total / 5_000_000
    yield Line(f"{total:,} ids: plan the first run", planned, None, limit)
    yield Line(f"{total:,} rows: write the index", written, None, 2 * limit)
    yield Line(f"{total:,} rows: read the index back", read, None, limit)
    yield Line(f"{total:,} rows and ids: plan the next run", again, None, 2 * limit)
    yield Line(f"{total:,} ids: memory of all that", peak, None, 300, "MiB")


def tell_many(total: int) -> None:
    """Do it, and print the seconds of each step and the peak of memory in MiB."""

    def ids() -> Iterator[str]:
        numbers = random.Random(7)
        return (f"thread_{numbers.getrandbits(96):024x}" for _ in range(total))

    with tempfile.TemporaryDirectory() as folder:
        paths = Paths(Path(folder) / "out.ndjson")
        times = [time.perf_counter()]
        store = Store.create(paths, StoreFacts(header=HEADER, started_at="2026-01-01"))
        store.plan((), ((name, None) for name in ids()))
        times.append(time.perf_counter())
        store.apply(
            Settled(thread_id=thread_id, outcome=Outcome.MISSING, reason="No thread found.")
            for _, thread_id in store.to_ask(0, 1000)
        )
        put_in_place(paths, write_new_set(paths, HEADER, Combined(store, None), FACTS, downloads=None))
        store.close()
        times.append(time.perf_counter())
        store = Store.create(paths, StoreFacts(header=HEADER, started_at="2026-01-01"))
        with open_file_set(paths) as files:
            inspection = Inspection(files, (), store)
            inspection.look()
            times.append(time.perf_counter())
            store.plan(inspection.threads(), ((name, None) for name in ids()))
        times.append(time.perf_counter())
        store.close()
    steps = [end - start for start, end in itertools.pairwise(times)]
    status = Path("/proc/self/status").read_text()
    (peak,) = (int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps([*steps, peak]))


if __name__ == "__main__":
    print_table(__doc__, (write, many_ids))
