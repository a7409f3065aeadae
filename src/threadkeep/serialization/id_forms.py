"""The forms in which databases, spreadsheets and programs write lists of thread ids.

===============================  =====================================================================================
one id a line                    with or without a header line; quotes, commas and bullets around an id are left out
several ids a line               between commas, semicolons, tabs, bars or blanks, as in a clause of SQL
text                             a log, URLs, code: each line has one id of the API, or several next to each other
CSV, TSV, tables of databases    with a header line, or with one column of ids that begin with ``thread_``
records                          a line for each field, as psql prints them with ``-x``, and MySQL with ``\\G``
JSON                             see `threadkeep.serialization.json_lists`
===============================  =====================================================================================

Blank lines and lines that begin with ``#`` are ignored, and so are comments of code that have no id. JSON is read as
one text, unless it has a value a line. No id is left out without a word: where the column had to be found out, and
another one has an id too, the list is refused.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeAlias

import attrs

from threadkeep.errors import UnreadableIds
from threadkeep.serialization.id_columns import (
    BLANK,
    Column,
    Reading,
    by_name,
    chosen,
    cleaned,
    entries_of,
    is_thread_id_name,
    named,
    normal,
    value_of,
)
from threadkeep.serialization.json_lists import is_object, read_ndjson, read_rows, read_text
from threadkeep.serialization.thread_ids import (
    ListedId,
    has_id,
    ids_in,
    is_likely_id,
    is_thread_id,
    is_usual_id,
    kind_of_id,
)

__all__ = ["PLAIN", "TAKE_ALL", "Line", "is_ignored", "read_entries"]

PLAIN = "one id a line"
"""The form of a list in which nothing has to be found out."""

TAKE_ALL = "To take every id in it: grep -oE 'thread_[[:alnum:]]+' FILE > list.txt"
"""What to do with a text that has ids, and is no list of them."""

Line: TypeAlias = tuple[int, str]
"""A line with its number, from 1, without its end."""

_BULLET = re.compile(r"^(?:[-*+\u2013\u2022]|\d+[.)])\s+(?:\[[ xX]\]\s+)?")

_DELIMITERS = {",": "CSV", "\t": "TSV", ";": "CSV with semicolons", "|": "table"}
_BETWEEN = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars", " ": "blanks"}

# What databases write around their rows: lines, how many rows there are, how long it took.
_BARS = str.maketrans("\u2502\u2503\u2551", "|||")
_RULE = re.compile(
    r"[\s|+:=*\u2500-\u257f-]+|\(?\d+ rows?(?: (?:in set|selected|affected)\b[^|\t]*)?\)?\.?|time: [\d.: ms()]+"
    r"|sep=(?:.|\\t)|\\\.|copy \S+ \([^)]*\) from stdin;",
    re.IGNORECASE,
)
_RECORD = re.compile(r"[-+|\u2500-\u257f]*\[ RECORD \d+ \].*|\*+ \d+\. row \*+")
_FIELD = re.compile(r"[\s\-|]*[\"']?([\w. ]*?)[\"']?\s*([|=:])\s*(.+)")


def is_ignored(text: str) -> bool:
    """Return whether a line is blank or a comment. One of code that has an id is none."""
    stripped = text.strip(BLANK)
    return not stripped or stripped.startswith("#") or (stripped.startswith(("//", "-- ")) and not has_id(stripped))


def _is_rule(text: str) -> bool:
    return _RULE.fullmatch(text.strip()) is not None and not has_id(text)


def read_entries(head: Sequence[Line], lines: Iterator[Line], column: str | None) -> Reading:
    """Return how a list is read.

    Args:
        head: the first lines, by which the form is found out.
        lines: all of them.
        column: the name of the column or key that has the ids, or the number of a column; None to find it out.

    Raises:
        UnreadableIds: the column is not there or cannot be found out, or the list is no complete JSON; while the
            entries are read: that a later part cannot be, or that an id would be left out.
    """
    said = [line for line in head if not is_ignored(line[1])]
    start = said[0][1].strip(BLANK) if said else ""
    if not start.startswith(("[", "{")):
        return _read_lines(said, lines, column)
    if len(said) > 1 and is_object(start):
        return read_ndjson((line for line in lines if not is_ignored(line[1])), column)
    kept = list(lines)
    text = "\n".join(line for _, line in kept).lstrip(BLANK + "\n")
    try:
        return read_text(text, column)
    except ValueError as error:
        if any(text.count(left) != text.count(right) for left, right in ("[]", "{}")):
            raise UnreadableIds(f"not complete JSON: {error}") from None
    return _read_lines(said, iter(kept), column)


def _read_lines(said: Sequence[Line], lines: Iterator[Line], column: str | None) -> Reading:
    mark = _mark_of_records(said)
    if mark is not None:
        is_guessed = not any(_RECORD.fullmatch(text.translate(_BARS).strip()) for _, text in said)
        return read_rows("table of records", _records(lines, mark), column, is_guessed=is_guessed)
    rows = [(place, text.translate(_BARS)) for place, text in said if not _is_rule(text)]
    above = _lines_above(rows)
    rows, start = rows[above:], rows[above][0] if above else 0
    lines = (line for line in lines if line[0] >= start)
    delimiter = _delimiter_of(rows, column)
    if delimiter is None:
        return _read_plain(rows, lines, column)
    if delimiter == " ":
        return _read_several(lines)
    return _read_table(rows, lines, delimiter, column)


def _lines_above(rows: Sequence[Line]) -> int:
    """Return how many lines are above the header: a title, or the command that printed the table."""
    for at, (_, text) in enumerate(rows):
        if has_id(text) or is_likely_id(cleaned(text)):
            return 0
        if any(is_thread_id_name(cleaned(name)) for name in re.split(r"[,;|\t]", text)):
            return at
    return 0


def _mark_of_records(said: Sequence[Line]) -> str | None:
    """Return what is between the name and the value of a field, if there is a line for each field of a row."""
    for _, text in said:
        line = text.translate(_BARS)
        if _RECORD.fullmatch(line.strip()):
            return ":" if line.startswith("*") else "|"
        field = _FIELD.fullmatch(line.strip())
        if field is not None and by_name([field[1]]) is not None and has_id(field[3]):
            return None if all(has_id(text) for _, text in said) else field[2]
    return None


def _records(lines: Iterator[Line], mark: str) -> Iterator[tuple[int, Any]]:
    """Yield the rows of a table that is printed with a line for each field: a name, the mark, a value."""
    begun, record, last = 0, dict[str, str](), ""
    for place, text in lines:
        line = text.translate(_BARS).strip(BLANK)
        name, found, value = line.strip("|").partition(mark)
        name = cleaned(name, "-<>")
        is_field = bool(found and name) and not _RECORD.fullmatch(line)
        if record and (not is_field if _RECORD.fullmatch(line) or not line else name in record):
            yield begun, record
            record = {}
        if is_field:
            begun, last = begun if record else place, name
            record[name] = cleaned(value)
        elif has_id(line):  # a value of several lines
            record[last] = f"{record.get(last, '')} {line}"
    if record:
        yield begun, record


def _delimiter_of(rows: Sequence[Line], column: str | None) -> str | None:
    """Return what separates the fields; None for one id a line, or a text."""
    split = {one: [_names(_split(text, one)) for _, text in rows] for one in (*_DELIMITERS, " ")}
    for delimiter in _DELIMITERS:
        names = next(iter(split[delimiter]), [])
        if len(names) > 1 and (named(names, column) if column else by_name(names)) is not None:
            return delimiter
    found = {one: [field for row in fields for field in row if field] for one, fields in split.items()}
    several = [one for one, texts in found.items() if len(texts) > len(rows)]
    for delimiter in several:
        if all(map(is_usual_id, found[delimiter])):
            return delimiter
    ids = [ids_in(_plain(text)) for _, text in rows]
    if any(len(some) > 1 for some in ids) and all(map(is_usual_id, chain(*ids))):
        return None
    even = [one for one in several if one != " " and len({len(row) for row in split[one]}) == 1]
    return next((one for one in even if any(map(has_id, found[one]))), even[0] if even else None)


def _split(text: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([text], skipinitialspace=True, **_dialect(delimiter)), [])
    except csv.Error:  # a field is too long for it: the delimiter is another one
        return [text]


def _names(fields: Iterable[str]) -> list[str]:
    return [cleaned(field) for field in fields]


# --- one id a line, and other texts

_HEADERS = frozenset({"id", "ids", "thread", "threads", "threadids"})
_HEADER = re.compile(r"[^\W\d][^\d<>{}!?]{0,60}")


def _read_plain(head: Sequence[Line], lines: Iterator[Line], column: str | None) -> Reading:
    texts = [_plain(text) for _, text in head] or [""]
    first, *others = texts
    is_named = column is not None or by_name([first]) is not None
    if column not in (None, "1"):
        if normal(first) != normal(str(column)):
            raise UnreadableIds(f"no column {column}: there is only {first[:40]!r}")
        is_header = True
    else:
        is_header = normal(first) in _HEADERS or by_name([first]) is not None or _is_header_of(first, others)
        is_header = is_header and not is_usual_id(first) and not has_id(first)
    place = head[0][0] if is_header else 0
    below = texts[is_header:]
    is_text = any(not is_thread_id(text) and ids_in(text, is_annotated=True) != [text] for text in below)
    is_text = is_text and not any(map(is_usual_id, below))  # with ids alone in lines, others are malformed
    form = "text with thread ids" if is_text else PLAIN
    return Reading(
        f"{form}, header {' '.join(first.split())}" if is_header else form,
        _text_entries(lines, place) if is_text else _plain_entries(lines, place, first),
        is_named=is_named,
    )


def _is_header_of(first: str, others: Sequence[str]) -> bool:
    """Return whether a first line is a header by its look: it is no id, and all lines below have one."""
    if not _HEADER.fullmatch(first) or kind_of_id(first) is not None:
        return False
    ids = [one for text in others if text for one in ids_in(text)]
    return bool(ids) and all(map(is_likely_id, ids))


def _plain_entries(lines: Iterator[Line], header: int, name: str, *, is_annotated: bool = False) -> Iterator[ListedId]:
    for place, text in lines:
        if place == header:
            continue
        if is_usual_id(text):  # nearly every line
            yield ListedId(place, text)
        elif not is_ignored(text) and not _is_rule(text):
            plain = _plain(text)
            if plain and (not header or plain != name):  # it is also above the second of two files that were joined
                ids = ids_in(value_of(plain), is_annotated=is_annotated)
                yield from (ListedId(place, one) for one in ids)


def _text_entries(lines: Iterator[Line], header: int) -> Iterator[ListedId]:
    for entry in _plain_entries(lines, header, "", is_annotated=True):
        if entry.thread_id and not is_likely_id(entry.thread_id) and kind_of_id(entry.thread_id) is None:
            what = "several thread ids between other words" if has_id(entry.thread_id) else "no thread id"
            raise UnreadableIds(f"line {entry.place} has {what}, and other lines have one. {TAKE_ALL}")
        yield entry


def _plain(text: str) -> str:
    return cleaned(_BULLET.sub("", cleaned(text.strip(BLANK)), count=1), ",;|")


def _read_several(lines: Iterator[Line]) -> Reading:
    """Read several ids a line, with blanks between them."""
    texts = ((place, text) for place, text in lines if not is_ignored(text))
    fields = ((place, cleaned(field, ",;")) for place, text in texts for field in text.split())
    return Reading(f"ids with {_BETWEEN[' ']}", (ListedId(place, field) for place, field in fields))


# --- tables


def _read_table(head: Sequence[Line], lines: Iterator[Line], delimiter: str, column: str | None) -> Reading:
    texts = [f"{text}\n" for _, text in head]
    split = map(_names, csv.reader(texts, skipinitialspace=True, **_dialect(delimiter)))
    fields = [row for row in split if any(row)]
    rows = _rows(lines, delimiter)
    if column is None and all(is_usual_id(text) for row in fields for text in row if text):
        between = (ListedId(place, text) for place, row in rows for text in row if text)
        return Reading(f"ids with {_BETWEEN[delimiter]}", between)
    columns = _Columns.of(fields, column)
    return Reading(f"{_DELIMITERS[delimiter]}, column {columns.ids.name}", columns.entries(rows))


@attrs.frozen
class _Columns:
    """Which columns of a table count.

    Attributes:
        header: its first row, if that has the names of the columns.
        width: how many columns it has.
        ids: the column with the ids.
        assistants: the number of the column with the assistants, from 0; None if there is none.
    """

    header: Sequence[str] | None
    width: int
    ids: Column
    assistants: int | None

    @classmethod
    def of(cls, fields: Sequence[Sequence[str]], column: str | None) -> "_Columns":
        """Find them out by the first rows.

        Raises:
            UnreadableIds: the column is not there, or cannot be found out.
        """
        width = max(map(len, fields))
        padded = [[*row, *[""] * (width - len(row))] for row in fields]
        below = padded[1:] if any(has_id(cell) for row in padded[1:] for cell in row) else padded
        first, values = padded[0], [[row[at] for row in below] for at in range(width)]
        number = int(column) if column is not None and re.fullmatch("[0-9]{1,4}", column) else None
        if number is not None and named(first, column) is None:
            if not 1 <= number <= width:
                raise UnreadableIds(f"no column {column}: there are {width}")
            ids = Column(number - 1, first[number - 1], is_certain=True, is_named=True)
            is_header = _is_header(first, ids.at, values[ids.at])
        else:
            ids = chosen(first, values, column)
            is_header = column is not None or _is_header(first, ids.at, values[ids.at])
        if is_header and any(has_id(name) and re.search(r"\d", name) for name in first):
            raise UnreadableIds("there is a thread id in the header: is a line end missing?")
        return cls(
            header=fields[0] if is_header else None,
            width=len(fields[0]) if is_header else width,
            ids=ids if is_header else attrs.evolve(ids, name=str(ids.at + 1)),
            assistants=named(first, "assistant_id") if is_header else None,
        )

    def entries(self, rows: Iterable[tuple[int, list[str]]]) -> Iterator[ListedId]:
        """Yield the entries of rows with their numbers."""
        for place, row in rows:
            if row == self.header:  # also that of a second file behind the first
                continue
            cells = row + [""] * (1 + max(self.ids.at, self.width) - len(row))
            if row[0].startswith("#") and not _is_row(row[0], cells[self.ids.at]):
                continue
            if self.header is not None and any(row[self.width :]):
                raise UnreadableIds(
                    f"line {place} has {len(row)} cells, and the header {self.width}: are quotes missing?"
                )
            others = (cell for at, cell in enumerate(row) if at != self.ids.at)
            authors = () if self.assistants is None else (cells[self.assistants],)
            yield from entries_of(place, (cells[self.ids.at],), others, self.ids, authors)


def _is_header(names: Sequence[str], column: int, values: Sequence[str]) -> bool:
    first = names[column]
    is_usual = any(map(has_id, values)) and re.fullmatch(r"\D+", first)
    return by_name(names) is not None or ((bool(is_usual) or normal(first) in _HEADERS) and not any(map(has_id, names)))


def _rows(lines: Iterator[Line], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a table with the numbers of their lines. A field in quotes may hold line ends."""
    place = 0

    def texts() -> Iterator[str]:
        nonlocal place
        for number, text in lines:
            place = number
            yield f"{text.translate(_BARS)}\n"

    try:
        for row in csv.reader(texts(), strict=True, skipinitialspace=True, **_dialect(delimiter)):
            text = delimiter.join(row)
            if "\n" in text.strip() and any("\n" in cell.strip() and has_id(cell) for cell in row):
                raise UnreadableIds(
                    f"a cell that ends in line {place} has several lines and a thread id. Either a quotation mark"
                    " before it is not closed, and ids would be lost, or the id is in a text. Write a list of the ids"
                    " alone"
                )
            if text.strip(BLANK + delimiter) and not _is_rule(text):
                yield place, _names(row)
    except csv.Error as error:
        raise UnreadableIds(
            f"line {place} is no row of {_DELIMITERS[delimiter]}, by the quotation marks in it or before it, or by its"
            f" length: {error}. Write a list of the ids alone"
        ) from None


def _dialect(delimiter: str) -> dict[str, Any]:
    """Tables of databases, and what they write with tabs, know no quotes: there they are part of the text."""
    return {"delimiter": delimiter, "quoting": csv.QUOTE_NONE if delimiter in "|\t" else csv.QUOTE_MINIMAL}


def _is_row(first: str, cell: str) -> bool:
    """Return whether a line that begins with # is a row: then its first cell begins so, and it is no comment."""
    return is_usual_id(cell) or (re.match(r"#\s", first) is None and is_thread_id(cell))
