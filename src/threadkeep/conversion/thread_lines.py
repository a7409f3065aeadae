"""NDJSON with one line for each thread, written item by item: a thread of any length fits into memory."""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.private_files import create

__all__ = ["ThreadLines"]


class ThreadLines:
    """Write lines ``{"thread_id": ..., KEY: [item, ...]}``; without the id if ``has_ids`` is False.

    Args:
        path: of a file that is not there yet.
        key: of the list.
        has_ids: whether the lines begin with the thread's id.
    """

    def __init__(self, path: Path, key: str, *, has_ids: bool = True) -> None:
        self._file = create(path)
        self._key, self._has_ids = dumps(key), has_ids
        self._start = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, thread_id: str, items: Iterable[Any]) -> None:
        """Write the line of a thread."""
        self._start = self._file.tell()
        write = self._file.write
        write(b'{"thread_id":' + dumps(thread_id) + b"," if self._has_ids else b"{")
        write(self._key + b":[")
        separator = b""
        for item in items:
            write(separator + dumps(item))
            separator = b","
        write(b"]}\n")

    def take_back(self) -> None:
        """Remove the line that was added last."""
        self._file.seek(self._start)
        self._file.truncate()
