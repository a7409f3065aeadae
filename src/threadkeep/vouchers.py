"""What stands beside an export and vouches for it, and what was wanted of it."""

from collections.abc import Iterable, Sequence, Set

import attrs

from threadkeep.journal import Journal
from threadkeep.storage.manifest import Manifest, NotWhole

__all__ = ["Vouchers"]


@attrs.frozen(kw_only=True)
class Vouchers:
    """What stands beside the export and what was wanted of it; None where there is none.

    Attributes:
        manifest_fault: why the manifest that is there cannot be read.
        partial: the lines of the partial file, with their newlines.
        ids: the thread ids that were wanted.
        wanted: those that a run was asked for and had not come to when it began, where it has not ended by itself.
        wanted_fault: why the file of these that is there cannot be read.
        is_rewriting: whether files stand there that were about to take the places of these.
    """

    journal: Journal | None = None
    manifest: Manifest | None = None
    manifest_fault: str | None = None
    partial: Iterable[bytes] = ()
    ids: Set[str] | None = None
    wanted: Sequence[str] = ()
    wanted_fault: str | None = None
    is_rewriting: bool = False

    @property
    def has_manifest(self) -> bool:
        """Whether there is one, readable or not."""
        return self.manifest is not None or self.manifest_fault is not None

    @property
    def was_killed(self) -> bool:
        """Whether the last run did not come to its end: it leaves no manifest, and maybe torn lines."""
        return self.journal is not None and not self.has_manifest

    @property
    def given_up(self) -> Sequence[NotWhole]:
        """The threads that are not whole by the manifest, where the journal that says so is gone."""
        return () if self.manifest is None or self.journal is not None else self.manifest.not_whole
