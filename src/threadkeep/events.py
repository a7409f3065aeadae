"""What an export tells while it runs."""

import attrs

from threadkeep.journal import Entry, FileEntry

__all__ = ["Event", "Notice"]


@attrs.frozen
class Notice:
    """Something that a person should know now. It ends nothing."""

    text: str


Event = Entry | FileEntry | Notice
"""The journal entry of a thread or of a file, as soon as it is on the disk; or a notice."""
