"""Lists of thread ids, as a stream of lines: a list may hold millions of ids.

`threadkeep.serialization.id_forms` has the forms that a list may have. Line ends may be LF, CRLF or CR. The encoding is
UTF-8, or UTF-16 with a byte order mark, as a Windows shell writes it.
"""

import codecs
import contextlib
import csv
import io
import re
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import BinaryIO

from threadkeep.errors import UnreadableIds
from threadkeep.serialization.id_forms import PLAIN, TAKE_ALL, Line, is_ignored, read_entries
from threadkeep.serialization.text_files import BINARY_FILES, decode
from threadkeep.serialization.thread_ids import ListedId, has_id, is_likely_id, is_thread_id, kind_of_id

__all__ = ["IdList"]

_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_MAX_LINE_BYTES = 1024 * 1024
_LINE_END = re.compile(r"\r\n|\n|\r")

# So many lines decide which form a list has, and so many ids whether it is one.
_HEAD, _FIRST = 50, 100

# Of a list that has no more entries than this that are none, the others are taken.
_FEW = 10


class IdList:
    """A list of ids, which is read once, as it is iterated over. Repeated and malformed entries are included.

    Args:
        stream: a buffered file at its beginning. It is read far ahead only for JSON, and for first rows without ids.
        name: of the file, for messages.
        column: the name of the column or key that has the ids, or the number of a column, from 1; None to find it out.

    Attributes:
        form: in which form the ids are, in words.
        is_empty: whether there is no id.
        is_plain: whether it is one id a line, without a header, so that nothing had to be found out.
        count: how many entries were read until now.
        without: how many rows had none, until now.

    Raises:
        UnreadableIds: the bytes are not text, the column is not there or cannot be found out, or the first entries are
            all no thread ids; while it is read: that a later part cannot be.
    """

    def __init__(self, stream: BinaryIO, name: str, column: str | None = None) -> None:
        self.count = self.without = 0
        self._name = name
        with self._named():
            lines = _lines(stream)
            head = _peeked(lines, _HEAD)
            reading = read_entries(head, chain(head, lines), column)
            self.form, entries = reading.form, reading.entries
            self._first = list(islice(self._with_ids(entries), _FIRST))
            self._hint = f". {TAKE_ALL}" if any(has_id(text) for _, text in head) else ""
            self._refuse_unless(is_thread_id)
        self.is_empty, self.is_plain = not self._first, self.form == PLAIN
        self._is_named = reading.is_named
        self._entries = chain(self._first, self._with_ids(entries))

    def refuse_empty(self) -> "IdList":
        """Return the list.

        Raises:
            UnreadableIds: it has no id; or its first entries do not look like ids, and nothing says that they are.
        """
        if self.is_empty:
            raise UnreadableIds(f"no thread ids in {self._name}")
        if not self._is_named:
            with self._named():
                self._refuse_unless(is_likely_id)
        return self

    def _refuse_unless(self, is_id: Callable[[str], bool]) -> None:
        invalid = [entry for entry in self._first if not is_id(entry.thread_id)]
        if invalid and (len(invalid) == len(self._first) or len(invalid) > max(_FEW, len(self._first) // 2)):
            raise UnreadableIds(f"no list of thread ids: {_described(invalid[0])}{self._hint}")

    def _with_ids(self, entries: Iterator[ListedId]) -> Iterator[ListedId]:
        for entry in entries:
            if entry.thread_id:
                yield entry
            else:
                self.without += 1

    def __iter__(self) -> Iterator[ListedId]:
        with self._named():
            for entry in self._entries:
                self.count += 1
                yield entry

    def __str__(self) -> str:
        ids = f"{self.count:,} {'id' if self.count == 1 else 'ids'}"
        rows = f", {self.without:,} {'row' if self.without == 1 else 'rows'} without one" if self.without else ""
        return f"{self._name}: {self.form}, {ids}{rows}"

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnreadableIds(f"{self._name}: {error.strerror or error}") from None
        except RecursionError:
            raise UnreadableIds(f"{self._name}: JSON that is nested too deeply") from None
        except csv.Error as error:
            raise UnreadableIds(f"{self._name}: {error}. Write a list of the ids alone") from None
        except UnreadableIds as error:
            raise UnreadableIds(f"{self._name}: {error}") from None


def _described(entry: ListedId) -> str:
    kind = kind_of_id(entry.thread_id)
    if kind == "a key":  # pasted by mistake: no message may have it
        return f"line {entry.place} is a key"
    text = entry.thread_id if len(entry.thread_id) <= 60 else f"{entry.thread_id[:60]}\u2026"
    if kind is None and is_thread_id(entry.thread_id):
        kind = "and ids of threads begin with thread_. If your server has other ids, add --column 1"
    return f"line {entry.place} is {text!r}{'' if kind is None else f', {kind}'}"


# --- lines


def _lines(stream: BinaryIO) -> Iterator[Line]:
    """Yield the lines with their numbers, without their ends."""
    start = stream.read(2)
    texts = _utf_16_lines(stream, _UTF_16[start]) if start in _UTF_16 else _utf_8_lines(stream, start)
    return enumerate((line.removeprefix("\ufeff") for text in texts for line in _LINE_END.split(text)), 1)


def _utf_8_lines(stream: BinaryIO, start: bytes) -> Iterator[str]:
    number = 1
    while line := start + stream.readline(_MAX_LINE_BYTES):
        start = b""
        binary = next((what for begin, what in BINARY_FILES.items() if number == 1 and line.startswith(begin)), None)
        if binary is not None:
            raise UnreadableIds(f"{binary}, and no text. Write the ids as text, for example as CSV")
        if len(line) >= _MAX_LINE_BYTES and not line.endswith(b"\n"):
            if line.lstrip().startswith((b"[", b"{")):
                line += stream.readline()
            else:
                line, end, start = line.rpartition(b"\r")
                if not end:
                    raise UnreadableIds(
                        f"line {number} is longer than any id: {_MAX_LINE_BYTES:,} bytes without a line end"
                    )
        try:
            text = decode(line)
        except ValueError as error:
            words = str(error).replace("in line 1", f"in line {number}")
            raise UnreadableIds(f"{words}. Save the list as UTF-8") from None
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


def _peeked(lines: Iterator[Line], most: int) -> list[Line]:
    """Read lines until so many of them have something to say; those that have not are included."""
    head, count = list[Line](), 0
    for line in lines:
        head.append(line)
        count += not is_ignored(line[1])
        if count == most:
            break
    return head
