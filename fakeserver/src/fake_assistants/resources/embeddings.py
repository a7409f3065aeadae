"""Handler for /embeddings: vectors of length 1, the same for the same text on every run and every machine.

Each word changes a few numbers of the vector, so texts with common words are nearer to each other than other texts.
Beyond that the vectors have no meaning.
"""

import base64
import math
import re
import struct
from hashlib import blake2b

import fake_assistants.schemas.embeddings as bodies
import fake_assistants.simulation.tokens as tokens
from fake_assistants.engine.backend import Backend, Call
from fake_assistants.errors.models import no_dimensions
from fake_assistants.http.lossless_json import Obj

# Documented: the dimensions of a vector, by model; any other model has those of the first.
_DIMENSIONS = {"text-embedding-3-small": 1_536, "text-embedding-3-large": 3_072, "text-embedding-ada-002": 1_536}
_FIXED = "text-embedding-ada-002"

_CHANGED = 8  # numbers that a word changes
_WORD = re.compile(r"\w+|[^\w\s]+")


def create(_backend: Backend, call: Call) -> Obj:
    """POST /embeddings. Key order as documented."""
    body = call.body(bodies.NEW_EMBEDDINGS)
    if "dimensions" in body and body["model"] == _FIXED:
        raise no_dimensions()
    size = body.get("dimensions") or _DIMENSIONS.get(body["model"], _DIMENSIONS["text-embedding-3-small"])
    given = bodies.inputs(body["input"])
    is_text = body.get("encoding_format") == "base64"
    spent = sum(tokens.count(one) if isinstance(one, str) else len(one) for one in given)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _base64(vector) if is_text else vector}
            for index, vector in enumerate(_vector(one, size) for one in given)
        ],
        "model": body["model"],
        "usage": {"prompt_tokens": spent, "total_tokens": spent},
    }


def _vector(given: str | list[int], size: int) -> list[float]:
    """Return a vector of `size` numbers, each rounded to 32 bits."""
    vector = [0.0] * size
    for word in _words(given):
        digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=4 * _CHANGED).digest()
        for number in struct.unpack(f"<{_CHANGED}I", digest):
            vector[(number >> 1) % size] += 1.0 if number & 1 else -1.0
    if not any(vector):
        vector[0] = 1.0
    length = math.sqrt(sum(number * number for number in vector))
    return list(_floats(struct.pack(f"<{size}f", *(number / length for number in vector))))


def _words(given: str | list[int]) -> list[str]:
    if isinstance(given, str):
        return _WORD.findall(given.casefold())
    return [str(token) for token in given]


def _floats(packed: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(packed) // 4}f", packed)


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
