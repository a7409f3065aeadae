"""Write the tables of the estimate of tokens, from the encodings as bpe-openai has them: ``token_tables.py FOLDER``.

A table is four planes of bytes, compressed: for each token, in the order of the ranks, the high and the low byte of the
first of the two tokens that it is joined from, then those of the second. Tokens below 256 are the single bytes.
"""

import sys
import zlib
from pathlib import Path

import bpe_openai

SIZES = {"o200k_base": 65_536, "cl100k_base": 32_768}


def table(encoding: str, size: int) -> bytes:
    """Return the table of the first tokens of an encoding."""
    source = bpe_openai.get_encoding(encoding)
    tokens = [source.decode_single_token_bytes(rank) for rank in range(256, size)]
    places = {bytes([byte]): byte for byte in range(256)}
    pairs = []
    for place, token in enumerate(tokens, 256):
        halves = [(token[:cut], token[cut:]) for cut in range(1, len(token))]
        pairs.append(min(((places[a], places[b]) for a, b in halves if a in places and b in places), key=max))
        places[token] = place
    planes = [bytes(pair[half] >> shift & 255 for pair in pairs) for half in (0, 1) for shift in (8, 0)]
    return zlib.compress(b"".join(planes), 9)


for name, size in SIZES.items():
    Path(sys.argv[1], f"{name}.zlib").write_bytes(table(name, size))
