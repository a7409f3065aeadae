"""The forms in which databases, spreadsheets and programs write lists of thread ids.

===============================  =====================================================================================
one id a line                    with or without a header line; quotes, commas and bullets around an id are left out
several ids a line               between commas, semicolons, tabs, bars or blanks, as in a clause of SQL
CSV, TSV, tables of databases    with a header line, or with one column of ids that begin with ``thread_``
records                          a line for each field, as psql prints them with ``-x``, and MySQL with ``\\G``
NDJSON, a JSON array             of ids, or of objects that have one
===============================  =====================================================================================

Blank lines, and lines that begin with ``#``, are ignored. A JSON array is read as one text. No id is left out without a
word: where the column had to be found out, and another one has an id too, the list is refused.
"""

import ast
import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, TypeAlias

import attrs

from threadkeep.errors import UnreadableIds
from threadkeep.serialization.thread_ids import INVISIBLE, NO_VALUES, ListedId, is_thread_id, unlike_assistant_id

__all__ = ["PLAIN", "Line", "is_ignored", "read_entries"]

PLAIN = "one id a line"
"""The form of a list in which nothing has to be found out."""

Line: TypeAlias = tuple[int, str]
"""A line with its number, from 1, without its end."""

# So many rows of values decide which key has the ids.
_HEAD = 50

_BLANK = " \t\v\f\xa0"
_AROUND = f"{_BLANK}{INVISIBLE}\r\n\"'`*()[]{{}}\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
_BULLET = re.compile(r"^(?:[-*+\u2013\u2022]|\d+[.)])\s+(?:\[[ xX]\]\s+)?")

_USUAL = re.compile(r"thread_[\w-]+")

# Part of a text that is plainly a thread's id, wherever it is.
_TOKEN = re.compile(r"thread_(?!ids?\b)\w+")

_DELIMITERS = {",": "CSV", "\t": "TSV", ";": "CSV with semicolons", "|": "table"}
_BETWEEN = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars", " ": "blanks"}

# What tables of databases have between, above and below their rows: lines, and how many rows there are.
_BARS = str.maketrans("\u2502\u2503\u2551", "|||")
_RULE = re.compile(r"[\s|+:=*\u2500-\u257f-]+|\(?\d+ rows?(?: in set.*)?\)?|sep=(?:.|\\t)", re.IGNORECASE)
_RECORD = re.compile(r"[-+|\u2500-\u257f]*\[ RECORD \d+ \].*|\*+ \d+\. row \*+")


def is_ignored(text: str) -> bool:
    """Return whether a line is blank or a comment."""
    stripped = text.strip(_BLANK + INVISIBLE)
    return not stripped or stripped.startswith("#")


def _cleaned(text: str, more: str = "") -> str:
    return text.strip(_AROUND + more)


def read_entries(head: Sequence[Line], lines: Iterator[Line], column: str | None) -> tuple[str, Iterator[ListedId]]:
    """Return the form of a list, in words, and its entries; one without an id is a row that has none.

    Args:
        head: the first lines, by which the form is found out.
        lines: all of them.
        column: the name of the column or key that has the ids, or the number of a column; None to find it out.

    Raises:
        UnreadableIds: the column is not there or cannot be found out, or the list is no complete JSON; while the
            entries are read: that a later part cannot be, or that an id would be left out.
    """
    said = [line for line in head if not is_ignored(line[1])]
    start = said[0][1].strip(_BLANK + INVISIBLE) if said else ""
    if start.startswith("["):
        return _read_array(lines, column)
    if start.startswith("{"):
        return _read_objects(said, lines, column)
    if any(_RECORD.match(text) for _, text in said):
        records = _records(lines, is_vertical=said[0][1].startswith("*"))
        first = list(islice(records, _HEAD))
        return _of_values("table of records", first, chain(first, records), column)
    rows = [(place, text.translate(_BARS)) for place, text in said if not _RULE.fullmatch(text)]
    delimiter = _delimiter_of(rows, column)
    if delimiter is None:
        return _read_plain(rows, lines, column)
    if delimiter == " ":
        return _read_several(lines)
    return _read_table(rows, lines, delimiter, column)


def _read_array(lines: Iterator[Line], column: str | None) -> tuple[str, Iterator[ListedId]]:
    text = "\n".join(line for _, line in lines).lstrip(_BLANK + INVISIBLE)
    try:
        items = list(_items(text))
    except (ValueError, RecursionError) as error:
        try:
            items = [(1, item) for item in ast.literal_eval(text.strip())]  # as Python prints a list
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise UnreadableIds(f"not a complete JSON array: {error}") from None
        if any(str(item).count("thread_") > 1 for _, item in items):  # Python joins texts without a comma
            raise UnreadableIds(f"not a complete JSON array: {error}") from None
    return _of_values("JSON array", items, iter(items), column)


def _items(text: str) -> Iterator[tuple[int, Any]]:
    """Yield the elements of a JSON array with the numbers of their lines."""
    decoder, place, at = json.JSONDecoder(), 1, text.index("[") + 1
    blank = re.compile(r"\s*")

    def after_blanks(start: int) -> int:
        found = blank.match(text, start)
        return start if found is None else found.end()

    seen, at = 0, after_blanks(at)
    while text[at : at + 1] != "]":
        item, end = decoder.raw_decode(text, at)
        place += text.count("\n", seen, at)
        yield place, item
        seen, at = at, after_blanks(end)
        if text[at : at + 1] == ",":
            at = after_blanks(at + 1)
        elif text[at : at + 1] != "]":
            raise ValueError(f"line {place}: the end is missing" if at == len(text) else f"line {place} is no JSON")
    if after_blanks(at + 1) != len(text):
        raise ValueError("something follows the array")


def _read_objects(head: Sequence[Line], lines: Iterator[Line], column: str | None) -> tuple[str, Iterator[ListedId]]:
    def decoded(rows: Iterable[Line]) -> Iterator[tuple[int, Any]]:
        for place, text in rows:
            if not is_ignored(text):
                try:
                    yield place, json.loads(text.strip(_BLANK + INVISIBLE))
                except (ValueError, RecursionError) as error:
                    raise UnreadableIds(f"line {place} is no JSON, and the lines before are: {error}") from None

    try:
        json.loads(head[0][1].strip(_BLANK + INVISIBLE))
    except (ValueError, RecursionError):
        raise UnreadableIds(
            "neither NDJSON nor a JSON array: give the array of the ids, or one object a line"
        ) from None
    first = list(decoded(head))
    try:
        return _of_values("NDJSON", first, decoded(lines), column)
    except UnreadableIds as error:
        if len(first) > 1:
            raise
        raise UnreadableIds(
            f"a JSON object, and no list: give the array of the ids, or one object a line ({error})"
        ) from None


def _of_values(
    form: str, head: Sequence[tuple[int, Any]], rows: Iterator[tuple[int, Any]], column: str | None
) -> tuple[str, Iterator[ListedId]]:
    """Take the ids out of JSON values, which are ids, or objects with one."""
    objects = [item for _, item in head[:_HEAD] if isinstance(item, dict)]
    if not objects:
        return form, (ListedId(place, _text(item)) for place, item in rows)
    names = list(dict.fromkeys(name for item in objects for name in item))
    columns = [[_text(item.get(name)) for item in objects] for name in names]
    chosen = _chosen(names, columns, column)
    assistant = _named(names, "assistant_id")
    is_guessed = column is None and _by_name(names) is None

    def entries() -> Iterator[ListedId]:
        for place, item in rows:
            if isinstance(item, dict):
                text = _value(_text(item.get(names[chosen])))
                others = (_text(value) for name, value in item.items() if name != names[chosen])
                if is_guessed or not text:
                    _refuse_ids_in(others, place, names[chosen])
                author = None if assistant is None else _author(_text(item.get(names[assistant])), place)
                yield ListedId(place, text, author)
            else:
                yield ListedId(place, _text(item))

    return f"{form}, key {names[chosen]}", entries()


def _text(item: Any) -> str:
    if isinstance(item, str):
        return _cleaned(item)
    return "" if item is None else json.dumps(item)


def _records(lines: Iterator[Line], *, is_vertical: bool) -> Iterator[tuple[int, Any]]:
    """Yield the rows of a table that is printed with a line for each field, as psql does with ``-x``, or MySQL."""
    begun, record = 0, dict[str, str]()
    for place, text in lines:
        line = text.translate(_BARS).strip()
        if _RECORD.fullmatch(line):
            if record:
                yield begun, record
            begun, record = place, {}
            continue
        name, mark, value = line.strip("|").partition(":" if is_vertical else "|")
        if mark and name.strip():
            record[name.strip()] = _cleaned(value)
    if record:
        yield begun, record


def _delimiter_of(rows: Sequence[Line], column: str | None) -> str | None:
    """Return what separates the fields; None for one id a line."""
    split = {one: [_names(_split(text, one)) for _, text in rows] for one in (*_DELIMITERS, " ")}
    for delimiter in _DELIMITERS:
        names = next(iter(split[delimiter]), [])
        if len(names) > 1 and (_named(names, column) if column else _by_name(names)) is not None:
            return delimiter
    found = {one: [field for row in fields for field in row if field] for one, fields in split.items()}
    several = [one for one, texts in found.items() if len(texts) > len(rows)]
    for delimiter in several:
        if all(map(_is_usual, found[delimiter])):
            return delimiter
    even = [one for one in several if one != " " and len({len(row) for row in split[one]}) == 1]
    return next((one for one in even if any(map(_is_usual, found[one]))), even[0] if even else None)


def _split(text: str, delimiter: str) -> list[str]:
    return next(csv.reader([text], skipinitialspace=True, **_dialect(delimiter)), [])


def _names(fields: Sequence[str]) -> list[str]:
    return [_cleaned(field) for field in fields]


def _read_plain(head: Sequence[Line], lines: Iterator[Line], column: str | None) -> tuple[str, Iterator[ListedId]]:
    first, *others = [_plain(text) for _, text in head] or [""]
    is_header = not _is_usual(first) and (_normal(first) in _HEADERS or _by_name([first]) is not None)
    if column not in (None, "1"):
        if _normal(first) != _normal(str(column)):
            raise UnreadableIds(f"no column {column}: there is only {first[:40]!r}")
        is_header = True
    elif others and all(map(_is_usual, others)) and not _is_usual(first):
        is_header = is_header or _HEADER.fullmatch(_normal(first)) is not None
    header = head[0][0] if is_header else 0

    def entries() -> Iterator[ListedId]:
        for place, text in lines:
            if place == header:
                continue
            if text.isidentifier():  # nearly every line
                yield ListedId(place, text)
            elif not is_ignored(text) and not _RULE.fullmatch(text):
                yield ListedId(place, _plain(text))

    return f"{PLAIN}, header {first}" if is_header else PLAIN, entries()


def _plain(text: str) -> str:
    return _cleaned(_BULLET.sub("", text.strip(_AROUND), count=1), ",;|")


def _read_several(lines: Iterator[Line]) -> tuple[str, Iterator[ListedId]]:
    """Read several ids a line, with blanks between them."""
    texts = ((place, text) for place, text in lines if not is_ignored(text))
    return f"ids with {_BETWEEN[' ']}", (
        ListedId(place, _cleaned(field)) for place, text in texts for field in text.split()
    )


def _read_table(
    head: Sequence[Line], lines: Iterator[Line], delimiter: str, column: str | None
) -> tuple[str, Iterator[ListedId]]:
    texts = [f"{text}\n" for _, text in head]
    split = map(_names, csv.reader(texts, skipinitialspace=True, **_dialect(delimiter)))
    fields = [row for row in split if any(row)]
    rows = _rows(lines, delimiter)
    if column is None and all(_is_usual(text) for row in fields for text in row if text):
        between = (ListedId(place, text) for place, row in rows for text in row if text)
        return f"ids with {_BETWEEN[delimiter]}", between
    columns = _Columns.of(fields, column)
    return f"{_DELIMITERS[delimiter]}, column {columns.name}", columns.entries(rows)


@attrs.frozen
class _Columns:
    """Which columns of a table count.

    Attributes:
        header: its first row, if that has the names of the columns.
        width: how many columns it has.
        ids: the number of the column with the ids, from 0; ``name`` is what it is called.
        is_guessed: it was found out by what is in it.
        assistants: the number of the column with the assistants; None if there is none.
    """

    header: Sequence[str] | None
    width: int
    ids: int
    name: str
    is_guessed: bool
    assistants: int | None

    @classmethod
    def of(cls, fields: Sequence[Sequence[str]], column: str | None) -> "_Columns":
        """Find them out by the first rows.

        Raises:
            UnreadableIds: the column is not there, or cannot be found out.
        """
        width = max(map(len, fields))
        padded = [[*row, *[""] * (width - len(row))] for row in fields]
        first, values = padded[0], [[row[at] for row in padded[1:] or padded] for at in range(width)]
        number = int(column) if column is not None and re.fullmatch("[0-9]{1,4}", column) else None
        if number is not None and _named(first, column) is None:
            if not 1 <= number <= width:
                raise UnreadableIds(f"no column {column}: there are {width}")
            ids, is_header = number - 1, _is_header(first, number - 1, values[number - 1])
        else:
            ids = _chosen(first, values, column)
            is_header = column is not None or _is_header(first, ids, values[ids])
        return cls(
            header=fields[0] if is_header else None,
            width=len(fields[0]) if is_header else width,
            ids=ids,
            name=first[ids] if is_header else str(ids + 1),
            is_guessed=column is None and _by_name(first) is None,
            assistants=_named(first, "assistant_id") if is_header else None,
        )

    def entries(self, rows: Iterable[tuple[int, list[str]]]) -> Iterator[ListedId]:
        """Yield the entries of rows with their numbers."""
        for place, row in rows:
            if row == self.header:  # also that of a second file behind the first
                continue
            cells = row + [""] * (1 + max(self.ids, self.width) - len(row))
            if row[0].startswith("#") and not _is_row(row[0], cells[self.ids]):
                continue
            if self.header is not None and any(row[self.width :]):
                raise UnreadableIds(
                    f"line {place} has {len(row)} cells, and the header {self.width}: are quotes missing?"
                )
            text = _value(cells[self.ids])
            if self.is_guessed or not text:
                _refuse_ids_in((cell for at, cell in enumerate(row) if at != self.ids), place, self.name)
            yield ListedId(place, text, None if self.assistants is None else _author(cells[self.assistants], place))


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
            if "\n" in text.strip() and any("\n" in cell.strip() and _TOKEN.search(cell) for cell in row):
                raise UnreadableIds(f"line {place}: a quotation mark before it is not closed, so ids would be lost")
            if text.strip(_BLANK + INVISIBLE + delimiter) and not _RULE.fullmatch(text.strip()):
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
    return _is_usual(cell) or (re.match(r"#\s", first) is None and is_thread_id(cell))


def _value(text: str) -> str:
    return "" if text.casefold() in NO_VALUES else text


def _author(text: str, place: int) -> str | None:
    """Return the assistant that a row names; None if it names none."""
    if not _value(text):
        return None
    unlike = unlike_assistant_id(text)
    if unlike is not None:
        shown = "" if unlike == "a key" else f" {text[:60]!r},"
        raise UnreadableIds(f"line {place}: the assistant's id is{shown} {unlike}")
    return text


def _refuse_ids_in(texts: Iterable[str], place: int, column: str) -> None:
    """Refuse a list of which ids would be left out: the column was found out, and there are ids elsewhere too."""
    if any(_TOKEN.search(text) for text in texts):
        raise UnreadableIds(
            f"line {place} has a thread id outside the column {column}. Name the column with --column, or write a list"
            " of the ids alone"
        )


# --- columns

_HEADERS = frozenset({"id", "ids", "thread", "threads", "threadids"})
_HEADER = re.compile(r"[a-z]*(thread|conversation|chat|session)s?(ids?|keys?|refs?|names?|list)?")


def _normal(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()


def _named(names: Sequence[str], wanted: str | None) -> int | None:
    return next((at for at, name in enumerate(names) if wanted and _normal(name) == _normal(wanted)), None)


def _by_name(names: Sequence[str]) -> int | None:
    """Return the column ``thread_id``, or the only one whose name ends so."""
    exact = _named(names, "thread_id")
    ending = [at for at, name in enumerate(names) if _normal(name).endswith("threadid")]
    return exact if exact is not None else ending[0] if len(ending) == 1 else None


def _is_usual(text: str) -> bool:
    return _USUAL.fullmatch(text) is not None and _normal(text) not in ("threadid", "threadids")


def _is_header(names: Sequence[str], chosen: int, values: Sequence[str]) -> bool:
    first = names[chosen]
    is_usual = any(map(_is_usual, values)) and re.fullmatch(r"\D+", first) and not _TOKEN.search(first)
    return bool(is_usual) or _by_name(names) is not None or _normal(names[chosen]) in _HEADERS


def _chosen(names: Sequence[str], columns: Sequence[Sequence[str]], wanted: str | None) -> int:
    """Return which column has the ids: the one that is wanted, or by its name, or the only one with usual ids.

    Raises:
        UnreadableIds: it is not there, or cannot be found out.
    """
    shown = ", ".join(repr(name[:40]) for name in names[:20])
    if wanted is not None:
        found = _named(names, wanted)
        if found is None:
            raise UnreadableIds(f"no column {wanted}: there are {shown}")
        return found
    found = _by_name(names)
    if found is not None:
        return found
    if len(names) == 1 and not any(text.startswith(("[", "{")) for text in columns[0]):
        return 0
    usual = [at for at, texts in enumerate(columns) if any(map(_is_usual, texts))]
    if len(usual) == 1:
        return usual[0]
    raise UnreadableIds(f"which column has the thread ids? There are {shown}. Name one with --column")
