"""The texts that a page searches, as scripts: a page that is opened from the disk may load those, and no other data."""

from collections.abc import Iterable
from pathlib import Path

from threadkeep.html_report.visible_text import unhidden
from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.private_files import create

__all__ = ["SearchShards", "one_line"]

_SHARD = 1_000_000


def one_line(text: str) -> str:
    """Return a text on one line, without what cannot be seen."""
    return unhidden(" ".join(text.split()))


class SearchShards:
    """Write ``1.js``, ``2.js``, ...: each calls ``threadkeep(number, [run, ...])``.

    A run is ``[page, title, about, [message, text, message, text, ...]]``: messages of one page of a thread, by their
    number. A shard has a million characters, and what the last message has more.

    Attributes:
        count: how many were written.
    """

    def __init__(self, folder: Path) -> None:
        self.count = 0
        self._folder = folder
        self._runs: list[tuple[str, str, str, list[int | str]]] = []
        self._size = 0

    def add(self, page: str, title: str, about: str, number: int, texts: Iterable[str]) -> None:
        """Add a message. Those of a page come one after the other."""
        if not (text := one_line(" ".join(texts))):
            return
        if not self._runs or self._runs[-1][0] != page:
            self._runs.append((page, title, about, []))
            self._size += len(title) + len(about)
        self._runs[-1][3].extend((number, text))
        self._size += len(text)
        if self._size >= _SHARD:
            self.write()

    def write(self) -> None:
        """Write what was added since the last shard."""
        if not self._runs:
            return
        self.count += 1
        with create(self._folder / f"{self.count}.js") as file:
            file.write(b"threadkeep(%d,%b)\n" % (self.count, dumps(self._runs)))
        self._runs, self._size = [], 0
