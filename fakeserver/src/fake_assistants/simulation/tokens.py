"""Tokens, as far as a fake needs them: a count that is always the same, and the pieces a stream brings.

No tokenizer's tables: four characters count as one token, about what English text has.
"""

import re

_CHARACTERS = 4

# A word with the space before it, as tokenizers cut; whatever is left over is a piece too.
_WORDS = re.compile(r"\s?\S+|\s+")


def count(text: str) -> int:
    """How many tokens a text has: 0 for "" only."""
    return -(-len(text) // _CHARACTERS)


def within(text: str, tokens: int) -> str:
    """As much of a text as so many tokens hold."""
    return text[: tokens * _CHARACTERS]


def pieces(text: str, chunk: int | None = None) -> list[str]:
    """The text in pieces: words, or `chunk` characters each. Joined they are the text."""
    if chunk is None:
        return _WORDS.findall(text)
    return [text[start : start + chunk] for start in range(0, len(text), chunk)]
