"""Lists of thread ids: one id a line. Blank lines and lines that begin with ``#`` are ignored.

Line ends may be LF, CRLF or CR. The encoding is UTF-8, or UTF-16 with a byte order mark, as a Windows shell writes it.
A list is read as a stream: it may hold millions of ids.
"""

import codecs
import contextlib
import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from threadkeep.errors import UnreadableIds
from threadkeep.serialization.text_files import decode, lines_of

__all__ = ["is_thread_id", "iter_ids"]

# Servers like the API's have ids of other shapes: UUIDs, `jan_...` (quoted). What has the prefix of another object is
# none.
_THREAD_ID = re.compile(r"(?!(?:asst|msg|run|step|vs|conv|resp)_|file[-_]|sk-|\.\.?$)[^\s/\\?#%\"',;]{1,256}")
_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_MAX_LINE_BYTES = 1024 * 1024


def is_thread_id(text: str) -> bool:
    """Return whether an id can be sent to the API: it can stand in a path, and is not plainly one of another object.

    It holds no blank, quote or separator, and nothing that has a meaning in a URL.
    """
    return _THREAD_ID.fullmatch(text) is not None and text.isprintable()


def iter_ids(stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """Yield the entries of a list with their line numbers, from 1. Repeated and malformed entries are included.

    Args:
        stream: a buffered file at its beginning. It is read once, and never far ahead.

    Raises:
        UnreadableIds: the bytes are not text.
    """
    start = stream.read(2)
    texts = _utf_16_lines(stream, _UTF_16[start]) if start in _UTF_16 else _utf_8_lines(stream, start)
    for number, line in enumerate((line for text in texts for line in lines_of(text)), 1):
        if line and not line.startswith("#"):
            yield number, line


def _utf_8_lines(stream: BinaryIO, start: bytes) -> Iterator[str]:
    number = 1
    while line := start + stream.readline(_MAX_LINE_BYTES):
        start = b""
        if len(line) >= _MAX_LINE_BYTES and not line.endswith(b"\n"):
            line, end, start = line.rpartition(b"\r")
            if not end:
                raise UnreadableIds(
                    f"line {number} is longer than any id: {_MAX_LINE_BYTES:,} bytes without a line end"
                )
        try:
            text = decode(line)
        except ValueError as error:
            raise UnreadableIds(str(error).replace("in line 1", f"in line {number}")) from None
        yield text.removesuffix("\n").removesuffix("\r")
        number += 1


def _utf_16_lines(stream: BinaryIO, encoding: str) -> Iterator[str]:
    number, reader = 1, io.TextIOWrapper(stream, encoding=encoding)
    try:
        for line in reader:
            number += 1
            yield line.removesuffix("\n")
    except UnicodeDecodeError as error:
        raise UnreadableIds(f"not utf-16 text: {error.reason} near line {number}") from None
    finally:
        with contextlib.suppress(ValueError):  # the stream is closed already
            reader.detach()
