"""Count tokens without a tokenizer: never fewer than there are, and not many more.

Byte pair encoding begins with single bytes and joins neighbours, the most common pair first. With only the most common
pairs it does the same and stops earlier, so it never gives fewer tokens. The tables here are those pairs: the first
65,536 tokens of o200k_base, the first 32,768 of cl100k_base, each written as the two tokens that it is joined from.
"""

import functools
import heapq
import lzma
import re
import unicodedata
from collections.abc import Callable, Mapping
from importlib.resources import files

import attrs

__all__ = ["estimate", "read_table"]

_LONGEST_PIECE = 1_000
_CACHED_PIECES = 20_000


def estimate(text: str, encoding: str) -> int:
    """Return at least as many tokens as a text has.

    A row of more than 1,000 letters, which prose does not have, is counted in parts, with one token more for each.

    Args:
        text: any text that UTF-8 can hold.
        encoding: ``o200k_base`` or ``cl100k_base``.
    """
    return _estimator(encoding)(text)


def read_table(encoding: str) -> Mapping[bytes, int]:
    """Return the tokens of an encoding that are known here, with their ranks. Single bytes come first."""
    table = lzma.decompress(files("threadkeep.history").joinpath(f"{encoding}.xz").read_bytes())
    size = len(table) // 4
    high_left, low_left, high_right, low_right = (table[part * size : (part + 1) * size] for part in range(4))
    tokens = [bytes([byte]) for byte in range(256)]
    for first, second, third, fourth in zip(high_left, low_left, high_right, low_right, strict=True):
        tokens.append(tokens[first << 8 | second] + tokens[third << 8 | fourth])
    return {token: rank for rank, token in enumerate(tokens)}


@functools.cache
def _estimator(encoding: str) -> Callable[[str], int]:
    split = re.compile(_PATTERNS[encoding](_Classes.of_this_python())).findall
    tokens = read_table(encoding)

    @functools.lru_cache(_CACHED_PIECES)
    def count(piece: str) -> int:
        coded = piece.encode()
        return 1 if coded in tokens else _joined(coded, tokens)

    def count_text(text: str) -> int:
        return sum(count(piece) if len(piece) <= _LONGEST_PIECE else in_parts(piece) for piece in split(text))

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


@attrs.frozen
class _Classes:
    """The character classes of the encodings' patterns, as the inside of ``[...]``."""

    letters: str
    upper: str
    lower: str
    numbers: str
    # str.isspace knows four control characters more
    spaces: str = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"

    @classmethod
    def of_this_python(cls) -> "_Classes":
        uncased = {"Lt", "Lm", "Lo", "Mn", "Mc", "Me"}
        categories = _categories()
        return cls(
            letters=_inside(categories, {"Lu", "Ll", "Lt", "Lm", "Lo"}),
            upper=_inside(categories, uncased | {"Lu"}),
            lower=_inside(categories, uncased - {"Lt"} | {"Ll"}),
            numbers=_inside(categories, {"Nd", "Nl", "No"}),
        )


_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"


def _o200k_pattern(of: _Classes) -> str:
    lead = rf"[^\r\n{of.letters}{of.numbers}]?"
    return (
        rf"{lead}[{of.upper}]*[{of.lower}]+{_CONTRACTIONS}?"
        rf"|{lead}[{of.upper}]+[{of.lower}]*{_CONTRACTIONS}?"
        rf"|[{of.numbers}]{{1,3}}"
        rf"| ?[^{of.spaces}{of.letters}{of.numbers}]+[\r\n/]*"
        rf"|[{of.spaces}]*[\r\n]+|[{of.spaces}]+(?![^{of.spaces}])|[{of.spaces}]+"
    )


def _cl100k_pattern(of: _Classes) -> str:
    return (
        rf"{_CONTRACTIONS}|[^\r\n{of.letters}{of.numbers}]?[{of.letters}]+"
        rf"|[{of.numbers}]{{1,3}}"
        rf"| ?[^{of.spaces}{of.letters}{of.numbers}]+[\r\n]*"
        rf"|[{of.spaces}]*[\r\n]+|[{of.spaces}]+(?![^{of.spaces}])|[{of.spaces}]+"
    )


_PATTERNS: Mapping[str, Callable[[_Classes], str]] = {"o200k_base": _o200k_pattern, "cl100k_base": _cl100k_pattern}


@functools.cache
def _categories() -> list[tuple[int, int, str]]:
    """Return ranges of code points of one category, without those behind the last letter and mark."""
    found: list[tuple[int, int, str]] = []
    start, current = 0, "Cc"
    for point in (*range(0x33480), *range(0xE0000, 0xE01F1)):
        category = unicodedata.category(chr(point))
        if category == "Cn" and 0x2A700 <= point < 0x33480:
            category = "Lo"  # rare Han that this Python is too old to know
        if category != current:
            found.append((start, point - 1, current))
            start, current = point, category
    return found


def _inside(categories: list[tuple[int, int, str]], wanted: set[str]) -> str:
    return "".join(rf"\U{first:08x}-\U{last:08x}" for first, last, category in categories if category in wanted)
