"""Text files from any editor or shell: UTF-8 with or without a byte order mark, or UTF-16 with one."""

import codecs
import re
from collections.abc import Mapping

__all__ = ["BINARY_FILES", "BYTE_ORDER_MARK", "decode", "lines_of"]

BYTE_ORDER_MARK = codecs.BOM_UTF8
"""Of UTF-8. At the beginning of a file it has no meaning."""

BINARY_FILES: Mapping[bytes, str] = {
    b"SQLite format 3\x00": "an SQLite database",
    b"\x1f\x8b": "a compressed file",
    b"PK\x03\x04": "a zip file or an Excel workbook",
    b"\x28\xb5\x2f\xfd": "a compressed file",
}
"""Files that are no text, by how they begin."""

_LINE_END = re.compile(r"\r\n|\n|\r")
_ENCODINGS = {BYTE_ORDER_MARK: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def decode(content: bytes) -> str:
    """Decode the bytes of a file.

    Raises:
        ValueError: they are not text. The message names the line and shows nothing of it.
    """
    encoding = next((name for mark, name in _ENCODINGS.items() if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\x00" in content:
        raise ValueError("not text: it holds NUL bytes (UTF-16 needs a byte order mark)")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"not {encoding} text: {error.reason} in line {line}") from None


def lines_of(text: str) -> list[str]:
    """Split a text at LF, CRLF or CR, and strip white space and a byte order mark from each line.

    The second of two files that were joined brings a byte order mark into the middle.
    """
    return [line.strip().removeprefix("\ufeff") for line in _LINE_END.split(text)]
