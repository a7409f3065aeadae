"""Some of many threads, chosen by a seed: the same ones wherever and in whatever order they stand."""

import hashlib
import heapq
from collections.abc import Sequence

__all__ = ["sample"]


def sample(thread_ids: Sequence[str], most: int, seed: int) -> tuple[str, ...]:
    """Choose some of these ids, in their order.

    Each id draws a number by itself, so the choice does not depend on their order, an id more or less changes at most
    one of the chosen, and a larger sample holds the smaller one of the same seed.

    Args:
        thread_ids: distinct.
        most: how many to choose; all where there are fewer.
        seed: another one, another choice.
    """
    chosen = set(heapq.nsmallest(most, thread_ids, key=lambda thread_id: _lot(thread_id, seed)))
    return tuple(thread_id for thread_id in thread_ids if thread_id in chosen)


def _lot(thread_id: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {thread_id}".encode("utf-8", "surrogatepass")).digest()
