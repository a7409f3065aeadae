"""What merging costs, each claim with its reference and its limit, measured in one run.

The parts are the shards of a list, merged in the order of the list: consecutive threads are in other files. The
reference reads and writes the same messages: each line is decoded and encoded by `orjson` and hashed with sha256, as a
manifest needs. Next to it is a plain copy with sha256, which knows nothing of lines or threads; the index costs a merge
some 25 us a thread on top of that. All are measured in turn, by the wall clock. The memory is the peak of a process of
its own.

    python benchmarks/merge.py [--quick] [--only PART]
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from table import Line, best_of, print_table
from threadkeep.records.ndjson import encode_message
from threadkeep.storage.combine import Lines, ThreadToWrite
from threadkeep.storage.index import IndexHeader, Outcome
from threadkeep.storage.join import join_exports
from threadkeep.storage.paths import Paths
from threadkeep.storage.sharding import Shard
from threadkeep.storage.writer import RunFacts, put_in_place, write_new_set

ASSISTANT = "asst_benchmark"
HEADER = IndexHeader(source="http://127.0.0.1/v1", assistant_id=ASSISTANT, flat=False, include=())
FACTS = RunFacts(started_at="2026-01-01", finished_at="2026-01-02", versions={}, ended_by=None)
TEXT = "The quick brown fox jumps over the lazy dog. " * 6
PARTS = 8


# --- exports


def _names(threads: int) -> list[str]:
    return [f"thread_{number:024d}" for number in range(threads)]


def _message(thread_id: str, place: int) -> dict[str, object]:
    return {
        "id": f"msg_{thread_id[7:]}{place:06d}",
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


def _thread(thread_id: str, size: int) -> ThreadToWrite:
    rows = [_message(thread_id, place) for place in range(size)]
    lines = b"".join(encode_message(row, assistant_id=ASSISTANT) + b"\n" for row in rows)
    messages = Lines([([str(row["id"]) for row in rows], (), lines)])
    return ThreadToWrite(thread_id=thread_id, assistant_id=ASSISTANT, outcome=Outcome.COMPLETE, messages=messages)


def _shards(folder: Path, threads: int, size: int) -> list[Paths]:
    parts = []
    for number in range(PARTS):
        shard, paths = Shard(number, PARTS), Paths(folder / f"part-{number}.ndjson")
        rows = (_thread(name, size) for name in _names(threads) if shard.has(name))
        put_in_place(paths, write_new_set(paths, HEADER, rows, FACTS, downloads=None))
        parts.append(paths)
    return parts


# --- measuring


def _copied(parts: Sequence[Paths], target: Path) -> None:
    """Read, hash and write the bytes of all parts."""
    for suffix in ("", ".index"):
        digest = hashlib.sha256()
        with (target.parent / f"copy{suffix}").open("wb") as copy:
            for part in parts:
                with part.out.with_name(part.out.name + suffix).open("rb") as file:
                    while chunk := file.read(1024 * 1024):
                        digest.update(chunk)
                        copy.write(chunk)
            copy.flush()
            os.fsync(copy.fileno())


def _decoded(parts: Sequence[Paths], target: Path) -> None:
    """Read, hash and write all lines of all parts as values."""
    digest = hashlib.sha256()
    with target.open("wb") as copy:
        for part in parts:
            with part.out.open("rb") as lines:
                for line in lines:
                    again = orjson.dumps(orjson.loads(line), option=orjson.OPT_APPEND_NEWLINE)
                    digest.update(again)
                    copy.write(again)
        copy.flush()
        os.fsync(copy.fileno())


def merge(quick: bool) -> Iterator[Line]:
    """Merge shards, in threads of 100 messages, and of 10."""
    total, rounds = (100_000, 1) if quick else (1_000_000, 3)
    for size in (100, 10):
        with tempfile.TemporaryDirectory() as name:
            folder, names = Path(name), _names(total // size)
            parts, out = _shards(folder, total // size, size), Paths(folder / "out.ndjson")

            def ours(parts: list[Paths] = parts, out: Paths = out, names: list[str] = names) -> None:
                join_exports(parts, out, names, force=True)

            merged, copied, decoded = best_of(
                rounds,
                1,
                ours,
                lambda parts=parts, folder=folder: _copied(parts, folder / "copy"),  # type: ignore[misc]
                lambda parts=parts, folder=folder: _decoded(parts, folder / "decoded"),  # type: ignore[misc]
                clock=time.perf_counter,
            )
            what = f"merge {total:,} messages, {size} a thread"
            yield Line(f"{what} (orjson with sha256)", merged, decoded, 2, "ms")
            yield Line(f"{what} (copy with sha256)", merged, copied, 8, "ms")


def memory(quick: bool) -> Iterator[Line]:
    """Merge many threads in a process of its own."""
    for threads in (10_000, 100_000) if quick else (100_000, 1_000_000):
        with tempfile.TemporaryDirectory() as folder:
            _shards(Path(folder), threads, 1)
            code = f"import merge; merge.print_peak({folder!r}, {threads})"
            printed = subprocess.run(
                [sys.executable, "-c", code], check=True, capture_output=True, cwd=Path(__file__).parent, timeout=1800
            )
            yield Line(f"memory of merging {threads:,} threads", json.loads(printed.stdout), None, 250, "MiB")


def print_peak(folder: str, threads: int) -> None:
    """Merge the parts in a folder, and print the peak of memory in MiB."""
    parts = [Paths(path) for path in sorted(Path(folder).glob("part-*.ndjson"))]
    ids = (f"thread_{number:024d}" for number in range(threads))
    join_exports(parts, Paths(Path(folder) / "out.ndjson"), ids)
    status = Path("/proc/self/status").read_text()
    (peak,) = (int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    print(json.dumps(peak))


if __name__ == "__main__":
    print_table(__doc__, (merge, memory))
