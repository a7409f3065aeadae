"""Parquet, a row for each message, written by DuckDB.

DuckDB reads rows that are made here, from a file next to the target. So it sees no lone surrogate, which would make it
refuse all lines, and has nothing to guess. One thread and small row groups keep the order of OUT and the memory low.
"""

import contextlib
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from threadkeep.conversion.job import Conversion
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.message_rows import (
    SURROGATES,
    MessageRow,
    escaped,
    loss_without_rows,
    lost_of_columns,
    message_rows,
)
from threadkeep.conversion.source import Thread
from threadkeep.errors import ExtraMissing, OutputUnusable
from threadkeep.records.model import MessageRecord
from threadkeep.storage.private_files import create

__all__ = ["COLUMNS", "DESCRIPTION", "NO_PLACE", "write"]

DESCRIPTION = "A table as Parquet, a row for each message. It needs threadkeep[parquet]."
NO_PLACE = ("runs", "tool_resources", "times of threads")

COLUMNS = tuple(name for name in MessageRow.__struct_fields__ if name != "content")

_NUMBERS = ("position", "created_at")
_MEMORY = 256  # MB, for rows of usual length
_ROW = 2 * 1024 * 1024  # bytes, of the longest row of usual length


_TYPES = ", ".join(f"{name}: '{'BIGINT' if name in _NUMBERS else 'VARCHAR'}'" for name in COLUMNS)
_COPY = """
COPY (
    SELECT * REPLACE (to_timestamp(created_at) AS created_at)
    FROM read_json({rows}, format='newline_delimited', columns={{{types}}}, maximum_object_size={longest})
) TO {path} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE_BYTES '32MB')
"""


def write(threads: Iterable[Thread], path: Path, conversion: Conversion) -> None:
    """Write the threads.

    Raises:
        ExtraMissing: DuckDB is not installed, or too old.
        OutputUnusable: DuckDB cannot write the file.
    """
    duckdb = _duckdb()
    path = path.absolute()
    if str(path) != escaped(str(path)):
        raise OutputUnusable(f"{str(path)!r}: DuckDB takes only names in UTF-8. Give another name.")
    rows = path.with_name(f"{path.name}.rows")
    longest = max(_ROW, _write_rows(threads, rows, conversion))
    settings = {
        "threads": 1,
        "memory_limit": f"{_MEMORY + 8 * (longest - _ROW) // 1_000_000}MB",
        "temp_directory": str(path.with_name(f"{path.name}.spilled")),
    }
    read, written = _quoted(_PATTERN.sub(r"[\1]", str(rows))), _quoted(str(path))
    command = _COPY.format(rows=read, types=_TYPES, longest=longest, path=written)
    try:
        with duckdb.connect(config=settings) as connection:
            _run(connection, command)
    except duckdb.Error as error:
        raise OutputUnusable(f"{path.name}: DuckDB cannot write it: {error}") from None


def _run(connection: Any, command: str) -> None:
    """Run a command of DuckDB that Ctrl-C ends at once. In the main thread it would end when the command does."""
    problems: list[BaseException] = []
    ended = threading.Event()  # an interrupted join takes the thread for ended

    def work() -> None:
        try:
            connection.execute(command)
        except BaseException as error:  # noqa: BLE001 - raised below
            problems.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=work)
    try:
        thread.start()
        ended.wait()
    except BaseException:
        while thread.ident is not None and not ended.is_set():  # only a command that has begun can be interrupted
            with contextlib.suppress(Exception):
                connection.interrupt()
            ended.wait(0.05)
        raise
    if problems:
        raise problems[0]


def _duckdb() -> Any:
    """Import DuckDB. Older versions have row groups by size only where rows may change places."""
    try:
        import duckdb
    except ImportError:
        raise _NO_DUCKDB from None
    if int(duckdb.__version__.partition(".")[0]) < 2:
        raise _NO_DUCKDB
    return duckdb


_NO_DUCKDB = ExtraMissing("Parquet is written by DuckDB 2 or newer: pip install 'threadkeep[parquet]'")
_PATTERN = re.compile(r"([*?\[])")  # DuckDB takes the name of a file that it reads for a pattern


def _quoted(name: str) -> str:
    return "'{}'".format(name.replace("'", "''"))


def _write_rows(threads: Iterable[Thread], path: Path, conversion: Conversion) -> int:
    """Write NDJSON for DuckDB, and return how many bytes the longest line has."""
    encode, longest = msgspec.json.Encoder().encode, 0
    with create(path) as file:
        write_line = file.write
        for thread in threads:
            for row, record in message_rows(thread, conversion.options):
                if record is not None:
                    conversion.lose(_lost(row, record))
                line = encode(row) + b"\n"
                longest = max(longest, len(line))
                write_line(line)
            conversion.lose(loss_without_rows(thread))
    return longest


def _lost(row: MessageRow, record: MessageRecord) -> Iterator[Loss]:
    """Yield what neither a column of its own nor the column ``raw`` holds as it is."""
    for loss in lost_of_columns(row, record):
        if row.raw is None or loss.lost == "assistant_id":
            yield loss
    if row.raw is None and row.content is not None:
        yield Loss(record.thread_id, record.message_id, "text", SURROGATES)
    row.content = None
