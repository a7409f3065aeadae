"""Count tokens without a tokenizer: never fewer than there are, and not many more.

Byte pair encoding begins with single bytes and joins neighbours, the most common pair first. With only the most common
pairs it does the same and stops earlier, so it never gives fewer tokens. The tables here are those pairs: the first
65,536 tokens of o200k_base, the first 32,768 of cl100k_base, each written as the two tokens that it is joined from.
"""

import functools
import heapq
import zlib
from collections.abc import Callable, Mapping
from importlib.resources import files

from threadkeep.history.counting.pieces import split, unknown_characters

__all__ = ["estimate", "read_table"]

_LONGEST_PIECE = 1_000
_CACHED_PIECES = 20_000


def estimate(text: str, encoding: str) -> int:
    """Return at least as many tokens as a text has.

    A row of more than 1,000 letters, which prose does not have, is counted in parts, with one token more for each. A
    character that this Python does not know counts one token more too, since it may be a letter.

    Args:
        text: any text that UTF-8 can hold.
        encoding: ``o200k_base`` or ``cl100k_base``.
    """
    return _estimator(encoding)(text)


def read_table(encoding: str) -> Mapping[bytes, int]:
    """Return the tokens of an encoding that are known here, with their ranks. Single bytes come first."""
    table = zlib.decompress(files("threadkeep.history.counting").joinpath(f"{encoding}.zlib").read_bytes())
    size = len(table) // 4
    high_left, low_left, high_right, low_right = (table[part * size : (part + 1) * size] for part in range(4))
    tokens = [bytes([byte]) for byte in range(256)]
    for first, second, third, fourth in zip(high_left, low_left, high_right, low_right, strict=True):
        tokens.append(tokens[first << 8 | second] + tokens[third << 8 | fourth])
    return {token: rank for rank, token in enumerate(tokens)}


@functools.cache
def _estimator(encoding: str) -> Callable[[str], int]:
    tokens = read_table(encoding)

    @functools.lru_cache(_CACHED_PIECES)
    def count(piece: str) -> int:
        coded = piece.encode()
        return 1 if coded in tokens else _joined(coded, tokens)

    def count_text(text: str) -> int:
        pieces = split(text, encoding)
        return unknown_characters(text) + sum(
            count(piece) if len(piece) <= _LONGEST_PIECE else in_parts(piece) for piece in pieces
        )

    def in_parts(piece: str) -> int:
        starts = range(0, len(piece), _LONGEST_PIECE)
        return sum(count(piece[start : start + _LONGEST_PIECE]) + 1 for start in starts)

    return count_text


def _joined(piece: bytes, ranks: Mapping[bytes, int]) -> int:
    """Join the pair of the lowest rank until there is none, and return the number of tokens that are left."""
    size = left = len(piece)
    ends = list(range(1, size + 1))  # of the token that begins at each place; 0 where none begins any more
    before = list(range(-1, size))  # where the token before it begins
    pairs = [(rank, at, at + 2) for at in range(size - 1) if (rank := ranks.get(piece[at : at + 2])) is not None]
    heapq.heapify(pairs)
    while pairs:
        _, start, end = heapq.heappop(pairs)
        middle = ends[start]
        if not middle or middle >= size or ends[middle] != end:
            continue  # one of the two has been joined with another meanwhile
        ends[start], ends[middle] = end, 0
        before[end] = start
        left -= 1
        previous = before[start]
        if previous >= 0 and (rank := ranks.get(piece[previous:end])) is not None:
            heapq.heappush(pairs, (rank, previous, end))
        if end < size and (rank := ranks.get(piece[start : ends[end]])) is not None:
            heapq.heappush(pairs, (rank, start, ends[end]))
    return left
