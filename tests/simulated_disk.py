"""A disk in memory from which the power can go: what was not synced may be lost, whole or in part.

Written against the promise of `threadkeep.disk`, and nothing more: bytes that were synced stay, and names that were
synced with their folder. Of what came later a file keeps any beginning, the last write perhaps torn or full of zeros,
and of the names any beginning too, whatever became of the bytes.
"""

import errno
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

Choose = Callable[[int], int]
"""Draws a number from 0 up to and including the one given."""


class PowerCut(BaseException):
    """Nothing runs any more. No handler for exceptions may catch this."""


class _Node:
    """What a name leads to."""

    def __init__(self, durable: bytes = b"") -> None:
        self.durable = durable
        self.volatile = durable
        self.since: list[bytes] = []  # every state of the file since it was synced, oldest first
        self.is_locked = False

    def becomes(self, content: bytes) -> None:
        self.volatile = content
        self.since.append(content)

    def after_the_cut(self, choose: Choose) -> bytes:
        states = [self.durable, *self.since]
        kept = choose(len(states) - 1)
        content = states[kept]
        is_torn = kept + 1 < len(states) and states[kept + 1].startswith(content)
        if not is_torn:
            return content
        rest = states[kept + 1][len(content) :]
        torn = rest[: choose(len(rest))]
        return content + (torn if choose(3) else b"\0" * len(torn))


class SimulatedDisk:
    """Files and names in memory.

    Attributes:
        left: how many more changes there are before the power goes; None for no end.
        room: how many bytes fit on it; None for no end.
    """

    def __init__(self) -> None:
        self.left: int | None = None
        self.room: int | None = None
        self._names: dict[Path, _Node] = {}
        self._names_since: list[dict[Path, _Node]] = []
        self._durable_names: dict[Path, _Node] = {}
        self.age = 0

    # --- what a test does to it

    def cut_the_power(self, choose: Choose) -> None:
        """Lose what was not synced."""
        states = [self._durable_names, *self._names_since]
        names = states[choose(len(states) - 1)]
        self._restart({path: _Node(node.after_the_cut(choose)) for path, node in names.items()})

    def kill(self) -> None:
        """End whoever uses it: everything that was written stays."""
        self._restart({path: _Node(node.volatile) for path, node in self._names.items()})

    def _restart(self, names: dict[Path, _Node]) -> None:
        self._names, self._durable_names, self._names_since = names, dict(names), []
        self.left = None
        self.age += 1

    def content(self, path: Path) -> bytes | None:
        """What stands in a file; None where there is none."""
        node = self._names.get(path)
        return None if node is None else node.volatile

    def change(self) -> None:
        """One more change to the disk."""
        if self.left is not None:
            if self.left == 0:
                raise PowerCut
            self.left -= 1

    def used(self) -> int:
        """Bytes of all files."""
        return sum(len(node.volatile) for node in self._names.values())

    # --- what threadkeep does with it

    def grow(self, path: Path, *, like: Path | None = None) -> "SimulatedGrowing":
        del like  # there are no modes here
        if path not in self._names:
            self._rename(lambda names: {**names, path: _Node()})
        return SimulatedGrowing(self, path, self._names[path])

    def read(self, path: Path) -> BinaryIO:
        if path not in self._names:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return BytesIO(self._names[path].volatile)

    def exists(self, path: Path) -> bool:
        return path in self._names

    def put(self, path: Path, draft: Path, chunks: Iterator[bytes], *, like: Path | None = None) -> None:
        del like
        content = b"".join(chunks)
        node = _Node()
        self._rename(lambda names: {**names, draft: node})
        self.change()
        if self.room is not None and self.used() + len(content) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        node.becomes(content)
        self.change()
        node.durable, node.since = content, []
        self._rename(lambda names: {**{name: at for name, at in names.items() if name != draft}, path: node})
        self.sync_names(path.parent)

    def rename(self, path: Path, new: Path) -> None:
        self._rename(lambda names: {new if name == path else name: node for name, node in names.items() if name != new})

    def remove(self, path: Path) -> None:
        if path in self._names:
            self._rename(lambda names: {name: node for name, node in names.items() if name != path})

    def sync_names(self, folder: Path) -> None:
        del folder
        self.change()
        self._durable_names, self._names_since = dict(self._names), []

    def name_of(self, node: _Node) -> Path | None:
        """The name that leads to a file now."""
        return next((path for path, standing in self._names.items() if standing is node), None)

    def _rename(self, change: Callable[[dict[Path, _Node]], dict[Path, _Node]]) -> None:
        self.change()
        self._names = change(self._names)
        self._names_since.append(dict(self._names))


class SimulatedGrowing:
    """A file that grows. After a restart of its disk it is dead, as an open file is after one."""

    def __init__(self, disk: SimulatedDisk, path: Path, node: _Node) -> None:
        self._disk, self._path, self._node, self._age = disk, path, node, disk.age
        self.end = len(node.volatile)

    def write(self, content: bytes) -> None:
        self._change()
        room = len(content) if self._disk.room is None else max(0, self._disk.room - self._disk.used())
        self._node.becomes(self._node.volatile + content[:room])
        self.end = len(self._node.volatile)
        if room < len(content):
            raise OSError(errno.ENOSPC, "No space left on device")

    def sync(self) -> None:
        self._change()
        self._node.durable, self._node.since = self._node.volatile, []

    def cut(self, end: int) -> None:
        if end != self.end:
            self._change()
            self._node.becomes(self._node.volatile[:end])
            self.end = end

    def is_in_place(self) -> bool:
        return self._disk.name_of(self._node) == self._path

    def lock(self) -> bool:
        was_locked, self._node.is_locked = self._node.is_locked, True
        return not was_locked

    def close(self) -> None:
        self._node.is_locked = False

    def _change(self) -> None:
        if self._age != self._disk.age:
            raise PowerCut
        self._disk.change()
