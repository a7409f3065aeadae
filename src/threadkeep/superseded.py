"""Lines of a file that do not count while threads are fetched again, or where a kill has ended that. Nothing is lost.

The old lines of a thread stand there until the files are written anew; and behind the journal's end stand new ones of
threads whose old lines still count.
"""

import re
from collections.abc import Iterable, Iterator, Set
from itertools import groupby
from math import inf
from operator import itemgetter
from pathlib import Path

import attrs

from threadkeep.journal import Journal, Outcome
from threadkeep.paths import Paths
from threadkeep.resume import ends, replaced

__all__ = ["Superseded", "superseded"]

_NAMED = re.compile(rb'\{"thread_id":"([^"\\]+)"')


@attrs.frozen(kw_only=True)
class Superseded:
    """Which lines of a file do not count.

    Attributes:
        ranges: bytes at which they begin and end, ascending.
        tail: the byte behind which lines of complete threads do not count.
        complete: the ids of those.
    """

    ranges: tuple[tuple[int, int], ...] = ()
    tail: float = inf
    complete: Set[str] = frozenset()

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
        for line in lines:
            while place >= end:
                start, end = next(ranges, _NOWHERE)
            yield start <= place or (place >= self.tail and self._is_again(line)), line
            place += len(line)

    def _is_again(self, line: bytes) -> bool:
        found = _NAMED.match(line) if line.endswith(b"\n") else None
        return found is not None and found[1].decode("utf-8", "replace") in self.complete


_NOWHERE = (inf, inf)


def superseded(path: Path, paths: Paths, journal: Journal, *, was_killed: bool) -> Superseded:
    """Say which lines of a file of an export do not count.

    Args:
        path: of the file, one of those that grow.
        paths: of the export.
        journal: its journal.
        was_killed: whether the last run did not come to its end.
    """
    gone = (stretch for stretch in replaced(paths, journal) if stretch.path == path)
    return Superseded(
        ranges=tuple((stretch.start, stretch.end) for stretch in gone if stretch.start < stretch.end),
        tail=ends(paths, journal).get(path, inf) if was_killed else inf,
        complete={one.thread_id for one in journal.entries.values() if one.outcome is Outcome.COMPLETE},
    )
