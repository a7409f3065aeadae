"""Estimate token counts, split texts into the pieces of a stream, and pad those pieces.

There is no tokenizer: four characters count as one token, about the average of English text.
"""

import re
from hashlib import sha256

_CHARACTERS = 4

# A word with the space before it, as tokenizers split; any other white space is a piece of its own.
_WORDS = re.compile(r"\s?\S+|\s+")


def count(text: str) -> int:
    """Return the number of tokens of a text: 0 for "" only."""
    return -(-len(text) // _CHARACTERS)


def within(text: str, tokens: int) -> str:
    """Return the beginning of a text, of at most this many tokens."""
    return text[: tokens * _CHARACTERS]


_BLOCK = 16


def padding(piece: str, seed: str) -> str:
    """Return a random string that pads a piece of a stream to a multiple of 16 characters; the same for a seed."""
    return sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()[: _BLOCK - len(piece) % _BLOCK]


def pieces(text: str, chunk: int | None = None) -> list[str]:
    """Split a text into words, or into pieces of `chunk` characters. Joined, they are the text."""
    if chunk is None:
        return _WORDS.findall(text)
    return [text[start : start + chunk] for start in range(0, len(text), chunk)]
