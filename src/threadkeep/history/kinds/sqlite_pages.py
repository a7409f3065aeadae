"""Read the rows of a damaged SQLite database from its pages, without SQLite.

A page of a table that is a leaf holds its rows complete, but for what continues on overflow pages. The format is that
of https://www.sqlite.org/fileformat2.html; pages of a write-ahead log take the place of those in the file.
"""

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path

import attrs

__all__ = ["Row", "rows_of_pages"]

_SIZES = [4096, 8192, 16384, 32768, 65536, 1024, 2048, 512]
_NULL, _FIRST_BLOB = 0, 12
_BYTES_OF_NUMBER = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8}


@attrs.frozen
class Row:
    """A row of ``agent_messages``. ``data`` is the JSON of the item, as it is in the database."""

    number: int
    session_id: str
    data: object


def rows_of_pages(path: Path) -> Iterator[Row]:
    """Yield every row that has the shape of a message and can be read. A row may come twice, or have been deleted.

    Args:
        path: of the database; the write-ahead log is next to it.

    Raises:
        OSError: the file cannot be read.
    """
    content = path.read_bytes()
    log = b""
    with contextlib.suppress(FileNotFoundError):
        log = path.with_name(f"{path.name}-wal").read_bytes()
    size = max(
        _SIZES, key=lambda size: sum(_is_leaf(page) for pages in _read(content, log, size) for page in pages.values())
    )
    for pages in _read(content, log, size):
        yield from _rows(pages, size)


def _read(content: bytes, log: bytes, size: int) -> list[dict[int, bytes]]:
    """Return the pages if they have a size. Behind bytes that were lost or added, they are counted from the end."""
    return [_pages(content, log, size, shift) for shift in dict.fromkeys((0, len(content) % size))]


def _is_leaf(page: bytes) -> bool:
    """Return whether a page begins as one that holds rows: its kind, and how many they are and where."""
    if len(page) < 8 or page[0] != 13:
        return False
    count, start = int.from_bytes(page[3:5], "big"), int.from_bytes(page[5:7], "big")
    return count > 0 and 8 + 2 * count <= (start or 65536) <= len(page)


def _pages(content: bytes, log: bytes, size: int, shift: int) -> dict[int, bytes]:
    pages = {number + 1: content[at : at + size] for number, at in enumerate(range(shift, len(content), size))}
    salts = log[16:24]
    for at in range(32, len(log) - 24 - size + 1, 24 + size):
        if log[at + 8 : at + 16] == salts:  # a frame of this log, and not of an earlier one
            pages[struct.unpack_from(">I", log, at)[0]] = log[at + 24 : at + 24 + size]
    return pages


def _rows(pages: dict[int, bytes], size: int) -> Iterator[Row]:
    for number, page in pages.items():
        start = 100 if number == 1 else 0  # the byte of the page's kind may be damaged, and is not asked
        if len(page) < start + 8:
            continue
        count = struct.unpack_from(">H", page, start + 3)[0]
        for at in range(start + 8, min(start + 8 + 2 * count, len(page) - 1), 2):
            with contextlib.suppress(IndexError, KeyError, ValueError, struct.error):
                row = _row(pages, page, struct.unpack_from(">H", page, at)[0], size)
                if row is not None:
                    yield row


def _row(pages: dict[int, bytes], page: bytes, at: int, size: int) -> Row | None:
    length, at = _varint(page, at)
    number, at = _varint(page, at)
    values = _values(_payload(pages, page, at, length, size))
    match values:
        case [None, bytes() as session_id, data, _] if data is not None:
            return Row(number, session_id.decode(), data)
    return None


def _payload(pages: dict[int, bytes], page: bytes, at: int, length: int, size: int) -> bytes:
    """Return the content of a cell, with what is on overflow pages. Nothing is reserved at the end of a page."""
    most, least = size - 35, (size - 12) * 32 // 255 - 23
    if length <= most:
        here = length
    else:
        here = least + (length - least) % (size - 4)
        here = here if here <= most else least
    content = page[at : at + here]
    if len(content) < here:
        raise ValueError("the page is cut off")
    if here == length:
        return content
    pieces, missing = [content], length - here
    following = struct.unpack_from(">I", page, at + here)[0]
    while missing > 0:
        overflow = pages[following]
        piece = overflow[4 : 4 + min(missing, size - 4)]
        if len(piece) < min(missing, size - 4):
            raise ValueError("an overflow page is cut off")
        pieces.append(piece)
        missing -= len(piece)
        following = struct.unpack_from(">I", overflow)[0]
    return b"".join(pieces)


def _values(payload: bytes) -> list[object]:
    """Return the columns of a record: text and blobs as bytes, NULL as None, any number as 0."""
    end, at = _varint(payload, 0)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[object] = []
    for kind in kinds:
        if kind >= _FIRST_BLOB:
            length = (kind - _FIRST_BLOB) // 2
            if at + length > len(payload):
                raise ValueError("the record is cut off")
            values.append(payload[at : at + length])
            at += length
        else:
            values.append(None if kind == _NULL else 0)
            at += _BYTES_OF_NUMBER.get(kind, 0)
    return values


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = 0
    for count in range(8):
        byte = content[at + count]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + count + 1
    return value << 8 | content[at + 8], at + 9
