"""Lines of a file that do not count while threads are fetched again, or where a kill has ended that. Nothing is lost.

The old lines of a thread stand there until the files are written anew; and behind the journal's end stand new ones of
threads whose old lines still count. Bytes that somebody has put there move old lines behind that end too: so a line is
new only where as many of its thread stand before it as the journal says.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from math import inf
from operator import itemgetter
from pathlib import Path

import attrs

from threadkeep.journal import Entry, Journal
from threadkeep.resume import ends, replaced
from threadkeep.storage.paths import SIDECAR_KINDS, Paths

__all__ = ["Superseded", "named", "superseded"]

_NAMED = re.compile(rb'\{"thread_id":"([^"\\]+)"')


@attrs.frozen(kw_only=True)
class Superseded:
    """Which lines of a file do not count.

    Attributes:
        ranges: bytes at which they begin and end, ascending.
        tail: the byte behind which lines of complete threads do not count, when all of their own have come.
        complete: how many lines of its own each of those has in the file, by its id.
    """

    ranges: tuple[tuple[int, int], ...] = ()
    tail: float = inf
    complete: Mapping[str, int] = attrs.field(factory=dict)

    def parts(self, lines: Iterable[bytes]) -> Iterator[tuple[bool, Iterable[bytes]]]:
        """Give the lines in their order, in parts, each with whether it does not count. Read as they are asked for.

        Args:
            lines: of the file, with their newlines, from its beginning.
        """
        if not self.ranges and self.tail == inf:
            yield False, lines  # as nearly always: nobody looks at each
            return
        for passed, part in groupby(self._marked(lines), itemgetter(0)):
            yield passed, map(itemgetter(1), part)

    def _marked(self, lines: Iterable[bytes]) -> Iterator[tuple[bool, bytes]]:
        place, ranges = 0, iter(self.ranges)
        start, end = next(ranges, _NOWHERE)
        to_come = dict(self.complete)
        for line in lines:
            while place >= end:
                start, end = next(ranges, _NOWHERE)
            passed = start <= place
            if not passed and self.tail < inf and (thread_id := named(line)) in to_come:
                passed = place >= self.tail and to_come[thread_id] <= 0
                to_come[thread_id] -= 1
            yield passed, line
            place += len(line)


def named(line: bytes) -> str:
    """The thread of a line, by how the exporter writes them; empty where it is not written so, or is cut short."""
    found = _NAMED.match(line) if line.endswith(b"\n") else None
    return found[1].decode("utf-8", "replace") if found is not None else ""


_NOWHERE = (inf, inf)


def superseded(path: Path, paths: Paths, journal: Journal, *, was_killed: bool) -> Superseded:
    """Say which lines of a file of an export do not count.

    Args:
        path: of the file, one of those that grow.
        paths: of the export.
        journal: its journal.
        was_killed: whether the last run did not come to its end.
    """
    kind = next((kind for kind in SIDECAR_KINDS if paths.beside(kind) == path), None)
    gone = (stretch for stretch in replaced(paths, journal) if stretch.path == path)
    return Superseded(
        ranges=tuple((stretch.start, stretch.end) for stretch in gone if stretch.start < stretch.end),
        tail=ends(paths, journal).get(path, inf) if was_killed else inf,
        complete={one.thread_id: _lines_in(kind, one) for one in journal.complete} if was_killed else {},
    )


def _lines_in(kind: str | None, entry: Entry) -> int:
    if kind is None:
        return entry.messages
    return entry.beside[kind].lines if kind in entry.beside else 0
