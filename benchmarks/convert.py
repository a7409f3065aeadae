"""What convert costs, each claim next to its reference and its limit, measured in one run.

Whole processes are started anew each time, and so is the bare loop that reads the lines of OUT with orjson and writes
them again; rounds of both are interleaved, and the medians of their CPU are compared. The export is that of
benchmarks/validate.py: threads of 100 messages, lines of about 700 bytes.

    python benchmarks/convert.py [--quick] [--only PART]
"""

import os
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from table import Line, interleaved, print_table
from validate import export, used

BARE = """
import orjson, sys
with open(sys.argv[1], "rb") as lines, open(sys.argv[1] + ".again", "wb") as again:
    for line in lines:
        again.write(orjson.dumps(orjson.loads(line)) + b"\\n")
"""
CONVERT = """
import sys
from threadkeep import convert
done = convert(sys.argv[1], to={to!r}, target=sys.argv[1] + ".target", force=True)
assert done.messages == {messages}
"""


def compared(what: str, limit: float, rounds: int, out: Path, code: str) -> Line:
    """The CPU of a conversion next to that of the bare loop."""
    bare, converted = interleaved(rounds, lambda: used(BARE, out), lambda: used(code, out))
    measured, reference = (statistics.median(cpu for cpu, _ in numbers) for numbers in (converted, bare))
    return Line(f"CPU, {what} (orjson)", measured, reference, limit)


def processor(quick: bool) -> Iterator[Line]:
    """Messages of a text only; then with an image in every tenth."""
    many, rounds = (200_000, 1) if quick else (1_000_000, 3)
    for images, limit in ((0, 2.0), (10, 2.5)):
        with tempfile.TemporaryDirectory() as folder:
            out = export(Path(folder), many, images=images)
            what = "every tenth with an image" if images else "texts"
            for to in ("chat", "items"):
                code = CONVERT.format(to=to, messages=many)
                yield compared(f"{many:,} messages, {what}, {to}", limit, rounds, out, code)


def memory(quick: bool) -> Iterator[Line]:
    """The peak of the process: many threads; and one of them alone."""
    many = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        out = export(Path(folder), many)
        for to in ("chat", "items"):
            peak = used(CONVERT.format(to=to, messages=many), out)[1]
            yield Line(f"memory at {many:,} messages, {to}", peak, None, 256, unit="MiB")
    with tempfile.TemporaryDirectory() as folder:
        out = export(Path(folder), many, length=many)
        peak = used(CONVERT.format(to="chat", messages=many), out)[1]
        yield Line(f"memory at one thread of {many:,} messages, chat", peak, None, 256, unit="MiB")


if __name__ == "__main__":
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    print_table(__doc__, (processor, memory))
