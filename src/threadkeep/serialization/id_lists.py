"""The file of thread ids: one id a line, as people keep them.

Blank lines and lines that begin with ``#`` are passed over, white space round an id is dropped, an id that is
listed twice counts once. CRLF, a byte order mark and UTF-16 (what a Windows shell writes) are understood.
"""

import re

import attrs

from threadkeep.errors import UnreadableIds
from threadkeep.serialization.text_files import decode, lines_of

__all__ = ["ThreadIds", "is_thread_id", "read_ids"]

_THREAD_ID = re.compile(r"thread[^\s/\\?#%\"',;]*")


@attrs.frozen
class ThreadIds:
    """What a file of ids holds.

    Attributes:
        listed: every distinct entry in the file's order, malformed ones included.
        repeated: how many lines named an id that was named before.
    """

    listed: tuple[str, ...]
    repeated: int = 0


def is_thread_id(text: str) -> bool:
    """Say whether to ask the API about this id: it begins with ``thread``, which is all that the API checks, and
    holds nothing that a file of ids has beside ids (blanks, quotes, separators) or that means something in a URL."""
    return _THREAD_ID.fullmatch(text) is not None and text.isprintable()


def read_ids(content: bytes) -> ThreadIds:
    """Read the ids out of a file's bytes.

    Raises:
        UnreadableIds: the bytes are not text.
    """
    try:
        lines = lines_of(decode(content))
    except ValueError as error:
        raise UnreadableIds(str(error)) from None
    entries = [line for line in lines if line and not line.startswith("#")]
    listed = tuple(dict.fromkeys(entries))
    return ThreadIds(listed, repeated=len(entries) - len(listed))
