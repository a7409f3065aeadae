"""Text files as people keep them: UTF-8, with or without a byte order mark, or UTF-16 as a Windows shell writes it."""

import codecs
import re

__all__ = ["BYTE_ORDER_MARK", "decode", "lines_of"]

BYTE_ORDER_MARK = codecs.BOM_UTF8
"""Of UTF-8; it may stand at the beginning of a file, and means nothing there."""

_LINE_END = re.compile(r"\r\n|\n|\r")
_BYTE_ORDER_MARKS = {
    BYTE_ORDER_MARK: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def decode(content: bytes) -> str:
    """Read a file's bytes as text.

    Raises:
        ValueError: they are not text. The message names the line, and shows nothing of it.
    """
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8")
    if encoding == "utf-8" and b"\x00" in content:
        raise ValueError("not text: it holds NUL bytes (UTF-16 needs a byte order mark)")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"not {encoding} text: {error.reason} in line {line}") from None


def lines_of(text: str) -> list[str]:
    """Split on LF, CRLF or CR, and drop white space round each line.

    A byte order mark goes too: a file that was appended to another has one in the middle.
    """
    return [line.strip().removeprefix("\ufeff") for line in _LINE_END.split(text)]
