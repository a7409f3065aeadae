"""What validate costs, each claim next to its reference and its limit, measured in one run.

The export has an index and a manifest, so that all checks and digests are on. Whole processes are started anew each
time, the bare loop of `orjson.loads` over the lines of the same file too; rounds of both are interleaved, and the
medians of their CPU are compared. Threads have 100 messages, texts of random words, lines of about 700 bytes.

    python benchmarks/validate.py [--quick] [--only PART]
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from table import Line, interleaved, print_table
from threadkeep.records.ndjson import encode_message
from threadkeep.storage.combine import Lines, ThreadToWrite
from threadkeep.storage.index import IndexHeader, Outcome
from threadkeep.storage.paths import Paths
from threadkeep.storage.writer import RunFacts, put_in_place, write_new_set

MESSAGES = 100  # of each thread
TEXT = (
    "the quick brown fox jumps over a lazy dog while nobody looks and then writes a word on the wall in small letters"
)
WORDS = TEXT.split()
FACTS = RunFacts(
    started_at="2026-03-31T00:00:00+00:00", finished_at="2026-03-31T01:00:00+00:00", versions={}, ended_by=None
)

# The seconds of CPU of a process, and the most memory in MiB.
USED = """
import sys, time
with open("/proc/self/status") as status:
    (peak,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM"))
print(time.process_time(), peak / 1024, file=sys.stderr)
"""
BARE = """
import orjson, sys
with open(sys.argv[1], "rb") as lines:
    for line in lines:
        orjson.loads(line)
"""
VALIDATE = """
import sys
from threadkeep import validate
assert validate(sys.argv[1]).is_complete
"""


# --- exports


def message(number: int, words: int, draw: random.Random, length: int) -> dict[str, Any]:
    """A message as the API gives it; every hundredth second has a few of them."""
    text = " ".join(draw.choices(WORDS, k=words))
    return {
        "id": f"msg_{draw.getrandbits(120):030x}"[:28],
        "object": "thread.message",
        "created_at": 1_774_963_800 + number // 3,
        "assistant_id": None if number % 2 else "asst_benchmark",
        "thread_id": f"thread_{number // length:024}",
        "run_id": None if number % 2 else f"run_{number:024}",
        "role": "user" if number % 2 else "assistant",
        "content": [{"type": "text", "text": {"value": text, "annotations": []}}],
        "attachments": [],
        "metadata": {},
    }


def image(row: dict[str, Any]) -> dict[str, Any]:
    """The same message with an image before its text."""
    part = {"type": "image_file", "image_file": {"file_id": f"file-{row['id']}", "detail": "auto"}}
    return {**row, "content": [part, *row["content"]]}


def export(
    folder: Path, messages: int, *, flat: bool = False, images: int = 0, length: int = MESSAGES, words: int = 17
) -> Path:
    """An export with so many messages, so many in a thread; every so manieth has an image."""
    paths = Paths(folder / "out.ndjson")
    header = IndexHeader(source="http://here/v1", assistant_id="asst_benchmark", flat=flat, include=())
    put_in_place(
        paths,
        write_new_set(
            paths, header, threads(messages, 95 if flat else words, flat, images, length), FACTS, downloads=None
        ),
    )
    return paths.out


def threads(messages: int, words: int, flat: bool, images: int, length: int) -> Iterator[ThreadToWrite]:
    """The threads of an export."""
    draw = random.Random(0)
    for first in range(0, messages, length):
        rows = [message(number, words, draw, length) for number in range(first, first + length)]
        rows = [image(row) if images and not place % images else row for place, row in enumerate(rows)]
        lines = [encode_message(row, assistant_id="asst_benchmark", flat=flat) + b"\n" for row in rows]
        yield ThreadToWrite(
            thread_id=rows[0]["thread_id"],
            assistant_id="asst_benchmark",
            outcome=Outcome.COMPLETE,
            messages=Lines([([row["id"] for row in rows], (), b"".join(lines))]),
        )


# --- measuring


def used(code: str, out: Path) -> tuple[float, float]:
    """Seconds of CPU and MiB of a whole process."""
    ended = subprocess.run(
        [sys.executable, "-c", code + USED, str(out)], check=True, timeout=900, capture_output=True, text=True
    )
    cpu, peak = ended.stderr.split()[-2:]
    return float(cpu), float(peak)


def compared(what: str, limit: float, rounds: int, out: Path) -> Line:
    """The CPU of validate beside that of the bare loop."""
    mean = out.stat().st_size / sum(1 for _ in out.open("rb"))
    bare, checked = interleaved(rounds, lambda: used(BARE, out), lambda: used(VALIDATE, out))
    measured, reference = (statistics.median(cpu for cpu, _ in numbers) for numbers in (checked, bare))
    return Line(f"CPU, {what}, {mean:.0f} bytes a line (orjson.loads)", measured, reference, limit)


def processor(quick: bool) -> Iterator[Line]:
    """Full lines, the export's own form; then flat ones, and full ones of which every tenth has an image."""
    many, rounds = (300_000, 1) if quick else (1_000_000, 3)
    forms: dict[str, tuple[float, dict[str, Any]]] = {
        "full lines": (2.0, {}),
        "flat lines": (3.0, {"flat": True}),
        "full lines, every tenth with an image": (3.0, {"images": 10}),
    }
    for what, (limit, form) in forms.items():
        with tempfile.TemporaryDirectory() as folder:
            yield compared(f"{many:,} {what}", limit, rounds, export(Path(folder), many, **form))


def memory(quick: bool) -> Iterator[Line]:
    """The peak of the process, and by how much it grows."""
    few, many = (20_000, 100_000) if quick else (250_000, 1_000_000)
    peaks = []
    for messages in (few, many):
        with tempfile.TemporaryDirectory() as folder:
            peaks.append(used(VALIDATE, export(Path(folder), messages))[1])
    yield Line(f"memory at {many:,} messages", peaks[1], None, 250, unit="MiB")
    grown = (peaks[1] - peaks[0]) * 1024 * 1024 / (many - few)
    yield Line("memory a message more", grown, None, 60, unit="B")


if __name__ == "__main__":
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    print_table(__doc__, (processor, memory))
