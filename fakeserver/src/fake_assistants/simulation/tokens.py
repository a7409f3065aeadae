"""Count tokens, cut texts into the pieces of a stream, and pad those pieces.

There is no tokenizer: four characters count as one token, about what English text has.
"""

import re
from hashlib import sha256

_CHARACTERS = 4

# A word with the space before it, as tokenizers cut; whatever is left over is a piece too.
_WORDS = re.compile(r"\s?\S+|\s+")


def count(text: str) -> int:
    """How many tokens a text has: 0 for "" only."""
    return -(-len(text) // _CHARACTERS)


def within(text: str, tokens: int) -> str:
    """As much of a text as so many tokens hold."""
    return text[: tokens * _CHARACTERS]


_BLOCK = 16


def padding(piece: str, seed: str) -> str:
    """Return a random string that fills a piece of a stream up to a multiple of 16 characters; the same for a seed."""
    return sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()[: _BLOCK - len(piece) % _BLOCK]


def pieces(text: str, chunk: int | None = None) -> list[str]:
    """The text in pieces: words, or `chunk` characters each. Joined they are the text."""
    if chunk is None:
        return _WORDS.findall(text)
    return [text[start : start + chunk] for start in range(0, len(text), chunk)]
