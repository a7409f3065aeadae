"""Which of millions of ids stand there twice, without keeping them: 64-bit hashes, eight bytes each.

Equal hashes only raise a suspicion; whoever asks looks at the ids themselves then.
"""

from array import array
from collections import Counter
from collections.abc import Iterable

__all__ = ["Suspicions"]

# Many small heaps rather than one: a set of one heap at a time needs little memory.
_HEAPS = 256
_LAST = _HEAPS - 1


class Suspicions:
    """The ids that were seen."""

    def __init__(self) -> None:
        self._heaps = tuple(array("q") for _ in range(_HEAPS))

    def add(self, message_ids: Iterable[str]) -> None:
        """See some more."""
        heaps = self._heaps
        for number in map(hash, message_ids):
            heaps[number & _LAST].append(number)

    def repeated(self) -> frozenset[int]:
        """The hashes that were seen more than once."""
        return frozenset(number for heap in self._heaps for number in _twice(heap))


def _twice(numbers: "array[int]") -> list[int]:
    if len(set(numbers)) == len(numbers):
        return []
    return [number for number, count in Counter(numbers).items() if count > 1]
