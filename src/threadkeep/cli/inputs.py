"""What commands read besides an export: the file of thread ids."""

import sys
from pathlib import Path

from threadkeep.errors import UnreadableIds
from threadkeep.ids import ThreadIds, read_ids

__all__ = ["load_ids"]


def load_ids(source: str) -> ThreadIds:
    """Read the ids from a file, or from standard input for "-".

    Raises:
        UnreadableIds: the file cannot be read, or is not text.
    """
    try:
        content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        return read_ids(content)
    except OSError as error:
        raise UnreadableIds(f"{source}: {error.strerror or error}") from None
    except UnreadableIds as error:
        raise UnreadableIds(f"{source}: {error}") from None
