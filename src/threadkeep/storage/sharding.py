"""Shards of a list of threads: disjoint parts that each machine finds by itself, by a hash of the ids."""

import re
from hashlib import blake2b

import attrs

__all__ = ["Shard"]

_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


@attrs.frozen
class Shard:
    """One of several parts of any list. Which part an id is in depends on the id and the count alone.

    Attributes:
        number: of the shard, from 0.
        count: how many shards there are.

    Raises:
        ValueError: there is no such shard.
    """

    number: int
    count: int

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.number < self.count:
            raise ValueError(f"there is no shard {self.number} of {self.count}: shards are numbered from 0")

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read ``i/n``.

        Raises:
            ValueError: it is something else, or there is no such shard.
        """
        found = _SHARD.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no shard, such as 0/4 for the first of four")
        return cls(int(found[1]), int(found[2]))

    def has(self, thread_id: str) -> bool:
        """Return whether an id is in this shard."""
        digest = blake2b(thread_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.number
