"""What convert costs, each claim next to its reference and its limit, measured in one run.

Whole processes are started anew each time, and so is the bare loop that reads the lines of OUT with orjson and writes
them again; rounds of both are interleaved, and the medians of their CPU are compared. Parquet stands next to DuckDB's
own reading of OUT, with the same columns, compression and threads. The export is that of benchmarks/validate.py:
threads of 100 messages, lines of about 700 bytes.

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
DUCKDB = """
import duckdb, sys
lines = "columns={thread_id: VARCHAR, assistant_id: VARCHAR, message_id: VARCHAR, role: VARCHAR, text: VARCHAR"
lines = lines.replace("VARCHAR", "'VARCHAR'") + ", created_at: 'BIGINT', message: 'JSON'}"
settings = {"threads": 1, "memory_limit": "256MB", "temp_directory": sys.argv[1] + ".spilled"}
with duckdb.connect(config=settings) as connection:
    connection.execute(f'''
        COPY (
            SELECT thread_id, row_number() OVER () - 1 AS position, message_id, role,
                to_timestamp(created_at) AS created_at, text, assistant_id,
                message->>'$.run_id' AS run_id, message->>'$.status' AS status,
                nullif((message->'$.content[*].image_file')::VARCHAR, '[]') AS images,
                nullif((message->'$.content[*].refusal')::VARCHAR, '[]') AS refusals,
                nullif((message->'$.content[*].text.annotations[*]')::VARCHAR, '[]') AS annotations,
                nullif(message->>'$.attachments', '[]') AS attachments,
                nullif(message->>'$.metadata', '{{}}') AS metadata, message::VARCHAR AS raw
            FROM read_json('{sys.argv[1]}', format='newline_delimited', {lines})
        ) TO '{sys.argv[1]}.parquet' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE_BYTES '32MB')
    ''')
"""
CONVERT = """
import sys
from threadkeep import convert
done = convert(sys.argv[1], to={to!r}, target=sys.argv[1] + ".target", force=True)
assert done.messages == {messages}
"""


def compared(what: str, limit: float, rounds: int, out: Path, code: str, reference: str = BARE) -> Line:
    """The CPU of a conversion next to that of its reference, such as the bare loop."""
    bare, converted = interleaved(rounds, lambda: used(reference, out), lambda: used(code, out))
    measured, beside = (statistics.median(cpu for cpu, _ in numbers) for numbers in (converted, bare))
    return Line(f"CPU, {what} ({'orjson' if reference == BARE else 'DuckDB'})", measured, beside, limit)


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


def parquet(quick: bool) -> Iterator[Line]:
    """Next to DuckDB's own reading of OUT into the same columns; and the peak, also where every text is long."""
    many, rounds = (200_000, 1) if quick else (1_000_000, 3)
    code = CONVERT.format(to="parquet", messages=many)
    with tempfile.TemporaryDirectory() as folder:
        out = export(Path(folder), many)
        yield compared(f"{many:,} messages, texts, parquet", 2.0, rounds, out, code, DUCKDB)
        yield Line(f"memory at {many:,} messages, parquet", used(code, out)[1], None, 256, unit="MiB")
    with tempfile.TemporaryDirectory() as folder:
        out = export(Path(folder), many, images=10)
        yield compared(f"{many:,} messages, every tenth with an image, parquet", 2.0, rounds, out, code, DUCKDB)
    with tempfile.TemporaryDirectory() as folder:
        out = export(Path(folder), many // 500, words=40_000)
        peak = used(CONVERT.format(to="parquet", messages=many // 500), out)[1]
        yield Line(f"memory at {many // 500:,} messages of 200,000 characters, parquet", peak, None, 256, unit="MiB")


if __name__ == "__main__":
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    print_table(__doc__, (processor, memory, parquet))
