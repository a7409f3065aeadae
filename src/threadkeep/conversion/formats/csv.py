"""CSV (RFC 4180, UTF-8): a row for each message, after a row with the names of the columns.

Every text is quoted, and nothing in it is changed, whatever a spreadsheet may make of it. What is None is an empty
field without quotes.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from threadkeep.conversion.job import Conversion
from threadkeep.conversion.message_rows import MessageRow, loss_without_rows, lost_of_columns, message_rows
from threadkeep.conversion.source import Thread
from threadkeep.storage.private_files import create

__all__ = ["COLUMNS", "DESCRIPTION", "NO_PLACE", "write"]

DESCRIPTION = "A table as CSV, a row for each message."
NO_PLACE = (
    "runs",
    "tool_resources",
    "times of threads",
    "times and details of completion",
    "assistants of single messages",
    "unknown fields",
)

COLUMNS = tuple(name for name in MessageRow.__struct_fields__ if name != "raw")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write(threads: Iterable[Thread], path: Path, conversion: Conversion) -> None:
    """Write the threads."""
    with create(path) as file:
        file.write(",".join(COLUMNS).encode() + b"\r\n")
        for thread in threads:
            for row, record in message_rows(thread, conversion.options):
                file.write(",".join([_field(name, getattr(row, name)) for name in COLUMNS]).encode() + b"\r\n")
                if record is not None:
                    conversion.lose(lost_of_columns(row, record))
            conversion.lose(loss_without_rows(thread))


def _field(name: str, value: str | int | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f'"{value.replace(chr(34), chr(34) * 2)}"'
    return _time(value) if name == "created_at" else str(value)


def _time(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")
