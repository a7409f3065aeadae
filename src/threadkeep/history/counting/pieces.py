"""Split a text into the pieces that an encoding codes one by one: words with the space before them, numbers, marks.

The patterns are those of the encodings. The standard library's ``re`` has no classes for Unicode's categories, so they
are made here from ``unicodedata``.
"""

import functools
import itertools
import re
import unicodedata
from collections.abc import Callable, Mapping

import attrs

__all__ = ["split", "unknown_characters"]


# A class of few ranges is faster by far, and most texts need no more.
_ASCII, _BASIC, _ALL = 0x80, 0x10000, 0x110000


def split(text: str, encoding: str) -> list[str]:
    """Split a text as ``o200k_base`` or ``cl100k_base`` does."""
    if text.isascii():
        return _pattern(encoding, _ASCII).findall(text)
    return _pattern(encoding, _BASIC if ord(max(text)) < _BASIC else _ALL).findall(text)


def unknown_characters(text: str) -> int:
    """Return how many characters have no category in this Python, and may have one in a newer version of Unicode."""
    return sum(text.count(found) for found in set(text) if unicodedata.category(found) == "Cn")


@functools.cache
def _pattern(encoding: str, end: int) -> re.Pattern[str]:
    """Return the pattern of a piece, for texts whose code points are below ``end``."""
    return re.compile(_PATTERNS[encoding](_Classes.below(end)))


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
    def below(cls, end: int) -> "_Classes":
        uncased = {"Lt", "Lm", "Lo", "Mn", "Mc", "Me"}
        categories = _categories(end)
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


def _categories(end: int) -> list[tuple[int, int, str]]:
    """Return the ranges of code points of one category."""

    def category(point: int) -> str:
        return unicodedata.category(chr(point))

    starts = [(next(points), category) for category, points in itertools.groupby(range(end), category)]
    ends = [*(start for start, _ in starts[1:]), end]
    return [(start, after - 1, category) for (start, category), after in zip(starts, ends, strict=True)]


def _inside(categories: list[tuple[int, int, str]], wanted: set[str]) -> str:
    return "".join(rf"\U{first:08x}-\U{last:08x}" for first, last, category in categories if category in wanted)
