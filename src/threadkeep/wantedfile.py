"""The file of wanted ids beside an export: while a run is at work, and after a kill, what it was asked for.

It stands in for the manifest, which is there before a run and after it, and not meanwhile.
"""

import contextlib
from collections.abc import Collection, Container, Iterable
from pathlib import Path

import threadkeep.storage.manifest as manifest
import threadkeep.wanted as wanted
from threadkeep.disk import Disk
from threadkeep.errors import OutputUnusable
from threadkeep.storage.paths import Paths, draft

__all__ = ["WantedFile"]


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
        """The ids in it; none where it is not there.

        Raises:
            ValueError: it is no such file, or is one of another version.
        """
        content = self._content(self._paths.wanted)
        return () if content is None else wanted.read(content)

    def check(self) -> None:
        """Make sure that it can be read, if it is there: whoever goes on without it forgets what somebody asked for.

        Raises:
            OutputUnusable: it cannot be.
        """
        try:
            self.read()
        except ValueError as error:
            raise OutputUnusable(
                f"{self._paths.wanted} cannot be read: {error}. It held the thread ids that a run before was asked for"
                " and had not come to. Delete it, and give all ids again; or restore it."
            ) from None

    def left_over(self, known: Container[str]) -> tuple[str, ...]:
        """The ids that the run before came to no end with.

        By the manifest, or by what was kept for want of one; after a kill between the two, by both.

        Args:
            known: the ids that something has become of.

        Raises:
            ValueError: this file cannot be read. A manifest that cannot be read says nothing.
        """
        return _others([*self._unfinished(), *self.read()], known)

    def were_more_than(self, known: Collection[str]) -> bool:
        """Whether the manifest knows of more threads of which something became than a journal does.

        Args:
            known: those of the journal.
        """
        claimed = self._manifest()
        if claimed is None:
            return False
        totals = claimed.claims.totals
        return totals.threads - totals.unfinished > len(known)

    def keep(self, ids: Iterable[str], known: Container[str]) -> None:
        """Keep ids for good, before anything is changed: a kill from now on loses none of them.

        Args:
            ids: what somebody has asked for.
            known: those of them that need no keeping. Where no others are, no file stays.
        """
        others = _others(ids, known)
        if not others:
            self.remove()
            return
        try:
            self._put(wanted.encode(others))
        except OSError:
            with contextlib.suppress(OSError):
                self._disk.remove(draft(self._paths.wanted))
            raise

    def remove(self) -> None:
        """Delete it: there is a manifest, which says of each what became of it."""
        self._disk.remove(self._paths.wanted)

    def _put(self, content: bytes) -> None:
        path, out = self._paths.wanted, self._paths.out
        like = out if self._disk.exists(out) else self._paths.journal
        self._disk.put(path, draft(path), iter([content]), like=like)

    def _unfinished(self) -> tuple[str, ...]:
        claimed = self._manifest()
        return () if claimed is None else claimed.unfinished

    def _manifest(self) -> manifest.Manifest | None:
        content = self._content(self._paths.manifest)
        with contextlib.suppress(ValueError):
            return None if content is None else manifest.read(content)
        return None

    def _content(self, path: Path) -> bytes | None:
        if not self._disk.exists(path):
            return None
        with self._disk.read(path) as file:
            return file.read()


def _others(ids: Iterable[str], known: Container[str]) -> tuple[str, ...]:
    return tuple(thread_id for thread_id in dict.fromkeys(ids) if thread_id not in known)
