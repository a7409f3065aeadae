"""The file of wanted ids beside an export: while a run is at work, and after a kill, what it was asked for.

It stands in for the manifest, which is there before a run and after it, and not meanwhile.
"""

from collections.abc import Callable, Container, Iterable
from pathlib import Path

import threadkeep.manifest as manifest
import threadkeep.wanted as wanted
from threadkeep.disk import Disk
from threadkeep.paths import Paths, draft

__all__ = ["WantedFile"]

_Reader = Callable[[bytes], tuple[str, ...]]


class WantedFile:
    """The file of wanted ids. Every method raises OSError.

    Args:
        paths: of the export.
        disk: what it is on.
    """

    def __init__(self, paths: Paths, disk: Disk) -> None:
        self._paths = paths
        self._disk = disk

    def read(self) -> tuple[str, ...]:
        """The ids in it; none where it is not there, or is no such file."""
        return self._read(self._paths.wanted, wanted.read)

    def left_over(self, known: Container[str]) -> tuple[str, ...]:
        """The ids that the run before came to no end with.

        By the manifest, or by what was kept for want of one; after a kill between the two, by both.

        Args:
            known: the ids that something has become of.
        """
        unfinished = self._read(self._paths.manifest, lambda content: manifest.read(content).unfinished)
        return _others([*unfinished, *self.read()], known)

    def keep(self, ids: Iterable[str], known: Container[str]) -> None:
        """Keep ids for good, before the manifest goes: a kill from now on loses none of them.

        Args:
            ids: what somebody has asked for.
            known: those of them that need no keeping. Where no others are, no file stays.
        """
        others = _others(ids, known)
        if not others:
            self.remove()
            return
        path = self._paths.wanted
        self._disk.put(path, draft(path), iter([wanted.encode(others)]), like=self._paths.out)

    def remove(self) -> None:
        """Delete it: there is a manifest, which says of each what became of it."""
        self._disk.remove(self._paths.wanted)

    def _read(self, path: Path, ids_in: _Reader) -> tuple[str, ...]:
        if not self._disk.exists(path):
            return ()
        with self._disk.read(path) as file:
            content = file.read()
        try:
            return ids_in(content)
        except ValueError:
            return ()


def _others(ids: Iterable[str], known: Container[str]) -> tuple[str, ...]:
    return tuple(thread_id for thread_id in dict.fromkeys(ids) if thread_id not in known)
