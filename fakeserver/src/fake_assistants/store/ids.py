"""Generate ids in the shapes of the real API, the same for the same seed."""

import copy
import hashlib
from collections import Counter
from collections.abc import Callable
from string import ascii_letters, digits


def _table(alphabet: str) -> bytes:
    """Return a translation table from all 256 bytes to the characters of an alphabet."""
    return bytes(ord(alphabet[byte % len(alphabet)]) for byte in range(256))


_BASE62 = _table(digits + ascii_letters)
_HEX = _table(digits + "abcdef")

# The shape of a conversation's id in the new Foundry; its prefix is `conv_` too.
FOUNDRY_CONVERSATION = "foundry conv_"

# Prefix -> characters and length, counted over recordings; every other prefix has 24 of [A-Za-z0-9].
_SHAPES = {
    "vs_": (_HEX, 32),
    "vsfb_": (_HEX, 32),
    "req_": (_HEX, 32),
    "file-": (_BASE62, 22),
    "conv_": (_HEX, 48),
    FOUNDRY_CONVERSATION: (_BASE62, 48),
    "chatcmpl-": (_BASE62, 29),
    # Of a response and its items: 50 hex digits, the first of them 0. Ids of thread messages also begin with `msg_`.
    **dict.fromkeys(("resp_0", "msg_0", "fc_0", "fs_0", "ci_0", "rs_0", "cntr_0"), (_HEX, 49)),
}
_USUAL = (_BASE62, 24)


def _never(_: str) -> bool:
    return False


class IdSource:
    """Generates ids from a seed. Each prefix has its own counter, so request ids do not change thread ids."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._drawn: Counter[str] = Counter()

    def draw(self, prefix: str, taken: Callable[[str], bool] = _never, shape: str = "") -> str:
        """Return the next id with this prefix (`thread_`, `msg_`, ...) that is not `taken`.

        Its alphabet and length are those of the prefix `shape`, by default those of `prefix`.
        """
        while True:
            self._drawn[prefix] += 1
            drawn = prefix + self._tail(prefix, self._drawn[prefix], shape or prefix)
            if not taken(drawn):
                return drawn

    def copy(self) -> "IdSource":
        """Return an independent source that generates the same ids from the beginning."""
        duplicate = copy.deepcopy(self)
        duplicate.restart()
        return duplicate

    def restart(self) -> None:
        """Start again from the first id."""
        self._drawn.clear()

    def _tail(self, prefix: str, count: int, shape: str) -> str:
        table, length = _SHAPES.get(shape, _USUAL)
        wide = hashlib.sha256 if length <= 32 else hashlib.sha512
        digest = wide(f"{self._seed}:{prefix}:{count}".encode()).digest()
        return digest[:length].translate(table).decode("ascii")
