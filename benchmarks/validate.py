"""What validate reaches, each claim beside its reference and what is wanted, measured in one run.

The export has a journal and a manifest, so that all checks and digests are on. Whole processes are started anew each
time, the bare loop of `orjson.loads` over the lines of the same file too; rounds of both are interleaved, and the
medians of their CPU are compared. Threads have 100 messages, texts of random words, lines of about 700 bytes.

    python benchmarks/validate.py [--quick] [--only PART]
"""

import hashlib
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
from threadkeep.journal import Entry, Header, Outcome, encode_line, fold
from threadkeep.records.ndjson import encode_message
from threadkeep.serialization.lossless_json import dumps_pretty
from threadkeep.storage.manifest import Ending, build, to_json
from threadkeep.storage.paths import Paths

MESSAGES = 100  # of each thread
TEXT = (
    "the quick brown fox jumps over a lazy dog while nobody looks and then writes a word on the wall in small letters"
)
WORDS = TEXT.split()
HEADER = Header(
    source="http://here/v1", assistant_id="asst_benchmark", flat=False, started_at="2026-03-31T00:00:00+00:00"
)

# What a process took: seconds of CPU, and the most memory in MiB.
TOLD = """
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
from threadkeep.cli.main import run
assert run(["validate", sys.argv[1]]) == 0
"""


# --- exports


def message(number: int, words: int, draw: random.Random) -> dict[str, Any]:
    """A message as the API gives it; every hundredth second has a few of them."""
    text = " ".join(draw.choices(WORDS, k=words))
    return {
        "id": f"msg_{draw.getrandbits(120):030x}"[:28],
        "object": "thread.message",
        "created_at": 1_774_963_800 + number // 3,
        "assistant_id": None if number % 2 else "asst_benchmark",
        "thread_id": f"thread_{number // MESSAGES:024}",
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


def export(folder: Path, messages: int, *, flat: bool = False, images: int = 0) -> Path:
    """An export with so many messages; every so manieth has an image."""
    paths, draw, end = Paths(folder / "out.ndjson"), random.Random(0), 0
    header = Header(**{**to_plain(HEADER), "flat": flat})
    with paths.out.open("wb") as out, paths.journal.open("wb") as journal:
        journal.write(encode_line(header))
        for first in range(0, messages, MESSAGES):
            rows = [message(number, 95 if flat else 17, draw) for number in range(first, first + MESSAGES)]
            rows = [image(row) if images and not place % images else row for place, row in enumerate(rows)]
            lines = [encode_message(row, assistant_id="asst_benchmark", flat=flat) + b"\n" for row in rows]
            content = b"".join(lines)
            out.write(content)
            end += len(content)
            journal.write(encode_line(entry(rows, end, content)))
    read = fold(paths.journal.read_bytes())
    ending = Ending(finished_at="2026-03-31T01:00:00+00:00", listed=tuple(read.entries), ended_by=None)
    paths.manifest.write_bytes(dumps_pretty(to_json(build(header, read, ending, {}))))
    return paths.out


def to_plain(header: Header) -> dict[str, Any]:
    """What a header was made from."""
    names = ("source", "assistant_id", "started_at")
    return {name: getattr(header, name) for name in names}


def entry(rows: list[dict[str, Any]], end: int, content: bytes) -> Entry:
    """What the exporter writes down of a thread."""
    return Entry(
        thread_id=rows[0]["thread_id"],
        outcome=Outcome.COMPLETE,
        messages=len(rows),
        first_id=rows[0]["id"],
        last_id=rows[-1]["id"],
        end_offset=end,
        sha256=hashlib.sha256(content).hexdigest(),
    )


# --- measuring


def told(code: str, out: Path) -> tuple[float, float]:
    """Seconds of CPU and MiB of a whole process."""
    ended = subprocess.run(
        [sys.executable, "-c", code + TOLD, str(out)], check=True, timeout=900, capture_output=True, text=True
    )
    cpu, peak = ended.stderr.split()[-2:]
    return float(cpu), float(peak)


def compared(what: str, limit: float, rounds: int, out: Path) -> Line:
    """The CPU of validate beside that of the bare loop."""
    mean = out.stat().st_size / sum(1 for _ in out.open("rb"))
    bare, checked = interleaved(rounds, lambda: told(BARE, out), lambda: told(VALIDATE, out))
    measured, reference = (statistics.median(cpu for cpu, _ in numbers) for numbers in (checked, bare))
    return Line(f"CPU, {what}, {mean:.0f} bytes a line (orjson.loads)", measured, reference, limit)


def processor(quick: bool) -> Iterator[Line]:
    """Full lines, the export's own form; then flat ones, and full ones of which every tenth has an image."""
    many, rounds = (100_000, 1) if quick else (1_000_000, 3)
    forms: dict[str, dict[str, Any]] = {"full lines": {}, "flat lines": {"flat": True}, "images": {"images": 10}}
    for what, form in forms.items():
        with tempfile.TemporaryDirectory() as folder:
            yield compared(f"{many:,} {what}", 2.5, rounds, export(Path(folder), many, **form))


def memory(quick: bool) -> Iterator[Line]:
    """The peak of the process, and by how much it grows."""
    few, many = (20_000, 100_000) if quick else (250_000, 1_000_000)
    peaks = []
    for messages in (few, many):
        with tempfile.TemporaryDirectory() as folder:
            peaks.append(told(VALIDATE, export(Path(folder), messages))[1])
    yield Line(f"memory at {many:,} messages", peaks[1], None, 250, unit="MiB")
    grown = (peaks[1] - peaks[0]) * 1024 * 1024 / (many - few)
    yield Line("memory a message more", grown, None, 60, unit="B")


if __name__ == "__main__":
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    print_table(__doc__, (processor, memory))
