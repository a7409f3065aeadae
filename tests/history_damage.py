"""What happens to the file of a history: each kind of damage, with the items that it leaves undamaged."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs

__all__ = ["ARRAYS", "DATABASES", "ITEMS", "LOGS", "Damage", "DatabaseDamage"]

ITEMS: list[dict[str, Any]] = [
    {
        "role": "user" if number % 2 == 0 else "assistant",
        "content": [{"type": "text", "text": f'number {number}: "quoted", {{braces}}, [brackets] and é'}],
        "extra": {"number": number, "of": [1, 1.0, None]},
    }
    for number in range(12)
]

_Change = Callable[[bytes, Sequence[bytes]], bytes]


@attrs.frozen
class Damage:
    """A change of a file of text.

    Attributes:
        name: of the kind.
        change: makes the damaged content from the content and the pieces of it that are the items (or the lines).
        lost: the numbers of the items that it damages.
        is_torn: it is a last line without its end, which is a warning and no error.
    """

    name: str
    change: _Change
    lost: frozenset[int] = frozenset()
    is_torn: bool = False

    def __str__(self) -> str:
        return self.name


def _damage(name: str, change: _Change, *lost: int, is_torn: bool = False) -> Damage:
    return Damage(name, change, frozenset(lost), is_torn)


def _instead(number: int, change: Callable[[bytes], bytes]) -> _Change:
    """Change one item."""

    def changed(content: bytes, pieces: Sequence[bytes]) -> bytes:
        assert content.count(pieces[number]) == 1
        damaged = content.replace(pieces[number], change(pieces[number]))
        assert damaged != content
        return damaged

    return changed


def _cut_in(number: int) -> _Change:
    return lambda content, pieces: content[: content.index(pieces[number]) + len(pieces[number]) // 2]


def _over(piece: bytes, start: int, filling: bytes) -> bytes:
    return piece[:start] + filling + piece[start + len(filling) :]


def _once(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(piece: bytes) -> bytes:
        assert old in piece
        return piece.replace(old, new, 1)

    return change


def _whole(make: Callable[[bytes], bytes]) -> _Change:
    return lambda content, _pieces: make(content)


def _utf16(content: bytes) -> bytes:
    return content.decode().encode("utf-16")


_EVERY = range(len(ITEMS))
_LAST = len(ITEMS) - 1

# What both kinds of text file can suffer. An item of an array is a piece; so is a line of a log, with one item each.
_OF_TEXT = [
    _damage("no byte left", _whole(lambda _: b""), *_EVERY),
    _damage("only blanks", _whole(lambda _: b" \n\n "), *_EVERY),
    _damage("only NULs", _whole(lambda content: bytes(len(content))), *_EVERY),
    _damage("random bytes", _whole(lambda _: bytes(range(256)) * 9), *_EVERY),
    _damage("compressed", _whole(lambda _: b"\x1f\x8b\x08\x00" + bytes(range(200))), *_EVERY),
    _damage("an HTML page", _whole(lambda _: b"<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n"), *_EVERY),
    _damage("null", _whole(lambda _: b"null\n"), *_EVERY),
    _damage("a number", _whole(lambda _: b"42\n"), *_EVERY),
    _damage("a string", _whole(lambda _: b'"hello"\n'), *_EVERY),
    _damage("NULs in an item", _instead(3, lambda piece: _over(piece, len(piece) // 2, bytes(16))), 3),
    _damage("NULs over the head of an item", _instead(4, lambda piece: _over(piece, 0, bytes(12))), 4),
    _damage("NULs over a complete item", _instead(4, lambda piece: bytes(len(piece))), 4),
    _damage("a byte that is not UTF-8", _instead(5, _once("é".encode(), b"\xff\xfe")), 5),
    _damage("half of a character", _instead(5, _once("é".encode(), b"\xc3")), 5),
    _damage("a control character in a string", _instead(6, _once(b"quoted", b"quo\x01ed")), 6),
    _damage("a raw line end in a string", _instead(6, _once(b"quoted", b"quo\nted")), 6),
    _damage("a lost opening quote", _instead(2, _once(b'"role"', b'role"')), 2),
    _damage("a lost closing quote", _instead(2, _once(b'"role"', b'"role')), 2),
    _damage("a lost quote of a text", _instead(2, _once(b'"number', b"number")), 2),
    _damage("a lost backslash", _instead(7, _once(b'\\"quoted', b'"quoted')), 7),
    _damage("a lost colon", _instead(7, _once(b'"extra":', b'"extra"')), 7),
    _damage("a lost comma in an item", _instead(8, _once(b'"user",', b'"user"')), 8),
    _damage("a lost brace at the head", _instead(8, lambda piece: piece[1:]), 8),
    _damage("a lost bracket in an item", _instead(9, _once(b"[", b" ")), 9),
    _damage("another bracket in an item", _instead(9, _once(b"[", b"(")), 9),
    _damage("a byte too many", _instead(10, _once(b"null", b"nulll")), 10),
    _damage("a number too large for a double", _instead(10, _once(b"null", b"1e999")), 10),
    _damage("NaN", _instead(10, _once(b"null", b"NaN")), 10),
    _damage(
        "two items damaged",
        lambda content, pieces: _instead(8, lambda piece: piece[1:])(
            _instead(2, _once(b'"role"', b'"role'))(content, pieces), pieces
        ),
        2,
        8,
    ),
    _damage(
        "two neighbours damaged",
        lambda content, pieces: _instead(6, lambda piece: piece[:-1])(
            _instead(5, _once(b'"role"', b"role"))(content, pieces), pieces
        ),
        5,
        6,
    ),
]

ARRAYS = [
    *_OF_TEXT,
    _damage("cut in an item", _cut_in(5), *range(5, 12)),
    _damage("cut in the first item", _cut_in(0), *_EVERY),
    _damage("cut behind an item", lambda content, pieces: content[: content.index(pieces[5])], *range(5, 12)),
    _damage("cut before its last bracket", _whole(lambda content: content.rstrip()[:-1])),
    _damage("only the first bracket", _whole(lambda _: b"["), *_EVERY),
    _damage("without its first bracket", _whole(lambda content: content.replace(b"[", b"", 1))),
    _damage("garbage before it", _whole(lambda content: b"x = " + content)),
    _damage("a mark of byte order", _whole(lambda content: b"\xef\xbb\xbf" + content)),
    _damage("the end of an older version behind it", _whole(lambda content: content + b'"}], "extra": 3}]')),
    _damage("NULs behind it", _whole(lambda content: content + bytes(4096))),
    _damage("UTF-16", _whole(_utf16)),
    _damage("UTF-16 without a mark", _whole(lambda content: content.decode().encode("utf-16-le"))),
    _damage("a comma behind the last item", lambda content, pieces: content.replace(pieces[11], pieces[11] + b",")),
    _damage("two commas", lambda content, pieces: content.replace(pieces[3], b", " + pieces[3])),
    _damage("no comma between two items", lambda content, pieces: content.replace(pieces[3] + b",", pieces[3])),
    _damage("garbage between two items", lambda content, pieces: content.replace(pieces[3], b"oops, " + pieces[3])),
    _damage("a number among the items", lambda content, pieces: content.replace(pieces[3], b"17, " + pieces[3])),
    _damage(
        "marks of a merge",
        lambda content, pieces: content.replace(pieces[3], b"\n<<<<<<< HEAD\n" + pieces[3]).replace(
            pieces[4], b"\n=======\n" + pieces[4]
        ),
    ),
    _damage("an item in single quotes", _instead(3, lambda _: b"{'role': 'user', 'content': 'x'}"), 3),
    _damage("a lost brace at the end of an item", _instead(8, lambda piece: piece[:-1]), 8),
    _damage("one level too many", _whole(lambda content: b"[" + content + b"]")),
]


def _lines(change: Callable[[list[bytes]], list[bytes]]) -> _Change:
    return lambda content, _pieces: b"".join(change(content.splitlines(keepends=True)))


LOGS = [
    *_OF_TEXT,
    _damage("cut in the last line", _whole(lambda content: content[:-40]), _LAST, is_torn=True),
    _damage(
        "cut after a byte of the last line",
        lambda content, _: content[: content[:-1].rindex(b"\n") + 2],
        _LAST,
        is_torn=True,
    ),
    _damage("NULs at the end", _whole(lambda content: content + bytes(512)), is_torn=True),
    _damage("a line removed", _lines(lambda lines: lines[:4] + lines[5:]), 4),
    _damage("the first line removed", _lines(lambda lines: lines[1:]), 0),
    _damage("a line doubled", _lines(lambda lines: [*lines[:4], lines[3], *lines[4:]])),
    _damage("two lines exchanged", _lines(lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]])),
    _damage("an empty line", _lines(lambda lines: [*lines[:4], b"\n", *lines[4:]])),
    _damage("a line end lost", _lines(lambda lines: [*lines[:4], lines[4][:-1], *lines[5:]])),
    _damage("an item that is no object", _instead(3, lambda _: b"17"), 3),
    _damage("a line that is an array", _lines(lambda lines: [*lines[:4], b"[1, 2]\n", *lines[4:]])),
    _damage("a line without its session", _whole(lambda content: content.replace(b'"default"', b"7", 1))),
    _damage("UTF-16", _whole(_utf16)),
]


@attrs.frozen
class DatabaseDamage:
    """A change of a database that is closed. A row is lost if its text is no longer in the file as it was."""

    name: str
    change: Callable[[Path], None]

    def __str__(self) -> str:
        return self.name


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(change(path.read_bytes())) and None) or None


def _page(number: int, filling: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change a page, counted from 1; from the end if it is negative."""

    def change(content: bytes) -> bytes:
        at = (number - 1) * 4096 if number > 0 else len(content) + number * 4096
        return content[:at] + filling(content[at : at + 4096]) + content[at + 4096 :]

    return _bytes(change)


def _leaf(nth: int, filling: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change the nth page that holds rows of messages."""

    def change(path: Path) -> None:
        content = path.read_bytes()
        leaves = [
            at for at in range(0, len(content), 4096) if content[at] == 13 and b"number" in content[at : at + 4096]
        ]
        at = leaves[nth]
        path.write_bytes(content[:at] + filling(content[at : at + 4096]) + content[at + 4096 :])

    return change


def _row(value: object) -> Callable[[Path], None]:
    """Put another value in the place of a row's text."""

    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.execute("UPDATE agent_messages SET message_data = ? WHERE id = 40", (value,))
            database.commit()

    return change


DATABASES = [
    DatabaseDamage("no byte left", _bytes(lambda _: b"")),
    DatabaseDamage("one byte", _bytes(lambda _: b"S")),
    DatabaseDamage("a text", _bytes(lambda _: b"this is no database\n" * 300)),
    DatabaseDamage(
        "random bytes", _bytes(lambda content: (bytes(range(1, 256)) * (len(content) // 255 + 1))[: len(content)])
    ),
    DatabaseDamage("only NULs", _bytes(lambda content: bytes(len(content)))),
    DatabaseDamage("a JSON file", _bytes(lambda _: json.dumps(ITEMS).encode())),
    DatabaseDamage("the first bytes lost", _bytes(lambda content: bytes(16) + content[16:])),
    DatabaseDamage("the header lost", _bytes(lambda content: bytes(100) + content[100:])),
    DatabaseDamage("the header of another format", _bytes(lambda content: b"PK\x03\x04" + content[4:])),
    DatabaseDamage("a page size that there is not", _bytes(lambda content: content[:16] + b"\x13\x37" + content[18:])),
    DatabaseDamage("the first page empty", _page(1, lambda page: bytes(len(page)))),
    DatabaseDamage("the schema garbled", _page(1, lambda page: page[:100] + b"\xaa" * 3996)),
    DatabaseDamage("the schema empty", _page(1, lambda page: page[:100] + bytes(3996))),
    DatabaseDamage("half of the file", _bytes(lambda content: content[: len(content) // 2])),
    DatabaseDamage("cut in a page", _bytes(lambda content: content[: len(content) // 2 + 1000])),
    DatabaseDamage("the last page lost", _bytes(lambda content: content[:-4096])),
    DatabaseDamage("only the first page", _bytes(lambda content: content[:4096])),
    DatabaseDamage("only the header", _bytes(lambda content: content[:100])),
    *(
        DatabaseDamage(f"page {nth} of the messages {name}", _leaf(nth, filling))
        for nth in (0, 3, -1)
        for name, filling in {
            "empty": lambda page: bytes(len(page)),
            "garbled": lambda page: b"\xa5" * len(page),
            "of another kind": lambda page: b"\x0a" + page[1:],
        }.items()
    ),
    DatabaseDamage("a row that is cut JSON", _row('{"role": "us')),
    DatabaseDamage("an empty row", _row("")),
    DatabaseDamage("a row that is an array", _row("[]")),
    DatabaseDamage("a row that is a number", _row(17)),
    DatabaseDamage("a row that is null", _row("null")),
    DatabaseDamage("a row of bytes that are not UTF-8", _row(b"\xff\xfe{}")),
    DatabaseDamage("a row with NaN", _row('{"a": NaN}')),
]
