"""The file of thread ids: one id a line, as people keep them.

Blank lines and lines that begin with ``#`` are passed over, white space round an id is dropped, an id that is
listed twice counts once. CRLF, a byte order mark and UTF-16 (what a Windows shell writes) are understood.
"""

import codecs
import re
from collections.abc import Iterator

import attrs

from threadkeep.errors import UnreadableIds

__all__ = ["ThreadIds", "is_thread_id", "read_ids"]

_THREAD_ID = re.compile(r"thread[^\s/\\?#%\"',;]*")
_LINE_END = re.compile(r"\r\n|\n|\r")
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


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
    entries = list(_entries(_decode(content)))
    listed = tuple(dict.fromkeys(entries))
    return ThreadIds(listed, repeated=len(entries) - len(listed))


def _decode(content: bytes) -> str:
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\x00" in content:
        raise UnreadableIds("not text: it holds NUL bytes (UTF-16 needs a byte order mark)")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UnreadableIds(f"not {encoding} text: {error.reason} in line {line}") from None


def _entries(text: str) -> Iterator[str]:
    for line in _LINE_END.split(text):
        entry = line.strip().removeprefix("\ufeff")  # of a file that was appended to another
        if entry and not entry.startswith("#"):
            yield entry
