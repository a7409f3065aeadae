"""Problems of threads, files and lines as people read them: each once, and many with one reason as a number."""

import re
from collections.abc import Iterable, Iterator

import attrs

from threadkeep.cli.console import escape, problem_line

__all__ = ["Problems", "folded", "names_of"]

# So many problems of one reason are printed one by one, and so many reasons are distinguished.
_FIRST, _REASONS = 3, 20

# An id of a request, or a digest: it differs where nothing else does.
_ID = re.compile(r"\b(?=[\w-]*\d)[\w-]{12,}\b")


@attrs.define
class Problems:
    """Problems that are printed as they come. Where one reason comes often, the first are printed and all counted.

    Reasons are equal if they differ only in the name that the problem is about, and in other ids.
    """

    _counts: dict[tuple[str, str], int] = attrs.field(factory=dict, init=False)

    def take(self, name: str, outcome: str, reason: str | None) -> str | None:
        """Count a problem, and return its line; None if there have been enough with this reason."""
        key = self._key(name, outcome, reason)
        number = self._counts[key] = self._counts.get(key, 0) + 1
        return problem_line(name, outcome, reason) if number <= _FIRST else None

    def knows(self, name: str, reason: str | None) -> bool:
        """Return whether a problem with this reason was taken."""
        return any(known == _general(name, reason) for _, known in self._counts)

    def rest(self) -> Iterator[str]:
        """Yield a line for each reason that came more often than it was printed."""
        for (outcome, reason), number in self._counts.items():
            if number > _FIRST:
                what = f"… and {number - _FIRST:,} more {outcome}"
                yield f"{what}: {escape(reason, 300)}" if reason else what

    def _key(self, name: str, outcome: str, reason: str | None) -> tuple[str, str]:
        key = outcome, _general(name, reason)
        return key if key in self._counts or len(self._counts) < _REASONS else (outcome, "for other reasons")


def _general(name: str, reason: str | None) -> str:
    return _ID.sub("…", (reason or "").replace(name, "…") if name else reason or "")


def folded(faults: Iterable[str]) -> list[str]:
    """Return faults such as "NAME is missing", a line each: the first of each kind, and how many more there are."""
    problems, lines = Problems(), list[str]()
    for fault in faults:
        name, _, what = fault.partition(" is " if " is " in fault else " ")
        outcome, _, reason = what.partition(": ")
        if problems.take(name, outcome, reason) is not None:
            lines.append(fault)
    return [*lines, *problems.rest()]


def names_of(names: Iterator[str], total: int) -> str:
    """Return the first names, and how many more there are of ``total``."""
    first = [escape(name, 80) for _, name in zip(range(_FIRST), names, strict=False)]
    more = f" and {total - len(first):,} more" if total > len(first) else ""
    return ", ".join(first) + more
