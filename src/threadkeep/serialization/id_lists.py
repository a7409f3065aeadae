"""Lists of thread ids, in the forms that databases, spreadsheets and programs write them.

===============================  =====================================================================================
one id a line                    with or without a header line; quotes, commas and bullets around an id are left out
several ids a line               between commas, semicolons, tabs, bars or blanks, as in a clause of SQL
CSV, TSV, tables of databases    with a header line, or with one column of ids that begin with ``thread_``
NDJSON, a JSON array             of ids, or of objects that have one
===============================  =====================================================================================

Blank lines, and lines that begin with ``#``, are ignored. Line ends may be LF, CRLF or CR. The encoding is UTF-8, or
UTF-16 with a byte order mark, as a Windows shell writes it. A list is read as a stream, since it may hold millions of
ids; a JSON array is read as one text.
"""

import ast
import codecs
import contextlib
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, BinaryIO, NamedTuple, TypeAlias

from threadkeep.errors import UnreadableIds
from threadkeep.serialization.text_files import decode

__all__ = ["IdList", "ListedId", "is_thread_id", "kind_of_id", "unlike_assistant_id"]

_KINDS = {
    "asst_": "an assistant's id",
    "msg_": "a message's id",
    "run_": "a run's id",
    "step_": "a run step's id",
    "vs_": "a vector store's id",
    "file-": "a file's id",
    "file_": "a file's id",
    "conv_": "a conversation's id",
    "resp_": "a response's id",
    "sk-": "a key",
    "http:": "an address",
    "https:": "an address",
}

# Servers like the API's have ids of other shapes: UUIDs, `jan_...` (quoted). What has the prefix of another object is
# none.
_THREAD_ID = re.compile(rf"(?!{'|'.join(map(re.escape, _KINDS))}|\.\.?$)[^\s/\\?#%\"',;<>]{{1,256}}")
_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_MAX_LINE_BYTES = 1024 * 1024
_LINE_END = re.compile(r"\r\n|\n|\r")

_PLAIN = "one id a line"

# So many lines decide which form a list has, and so many entries whether it is one.
_HEAD, _FIRST = 50, 100

# Of a list that has no more entries than this that are none, the others are taken.
_FEW = 10

_BLANK = " \t\v\f\xa0"
_INVISIBLE = "\ufeff\xad\u200b\u200c\u200d\u200e\u200f\u2060\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_AROUND = f"{_BLANK}{_INVISIBLE}\r\n\"'`*()[]{{}}\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
_BULLET = re.compile(r"^(?:[-*+\u2013\u2022]|\d+[.)])\s+(?:\[[ xX]\]\s+)?")

# What databases and programs write where there is no value.
_NO_VALUES = frozenset({"", "null", "nil", "none", "\\n", "undefined", "nan"})

_USUAL = re.compile(r"thread_[\w-]+")

# Part of a text that is plainly a thread's id, wherever it is.
_TOKEN = re.compile(r"thread_(?!ids?\b)\w+")

_DELIMITERS = {",": "CSV", "\t": "TSV", ";": "CSV with semicolons", "|": "table"}
_BETWEEN = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars", " ": "blanks"}

# What tables of databases have between, above and below their rows: lines, and how many rows there are.
_BARS = str.maketrans("\u2502\u2503\u2551", "|||")
_RULE = re.compile(r"[\s|+:=*\u2500-\u257f-]+|\(?\d+ rows?(?: in set.*)?\)?|sep=(?:.|\\t)", re.IGNORECASE)
_RECORD = re.compile(r"[-+|\u2500-\u257f]*\[ RECORD \d+ \].*|\*+ \d+\. row \*+")

_Line: TypeAlias = tuple[int, str]


class ListedId(NamedTuple):
    """An entry of a list: the number of its line, from 1, the id, and that of its assistant if the list has one."""

    place: int
    thread_id: str
    assistant_id: str | None = None


def is_thread_id(text: str) -> bool:
    """Return whether an id can be sent to the API: it can stand in a path, and is not plainly one of another object.

    It holds no blank, quote or separator, and nothing that has a meaning in a URL.
    """
    return _THREAD_ID.fullmatch(text) is not None and text.isprintable()


def kind_of_id(text: str) -> str | None:
    """Return what an entry is that is no thread id, such as "an assistant's id"; None if that is not known."""
    return next((kind for prefix, kind in _KINDS.items() if text.startswith(prefix)), None)


_UNSEEN = re.compile(rf"[\x00-\x1f\x7f-\x9f{_INVISIBLE}]")
_FILE_ENDINGS = (".ndjson", ".jsonl", ".json", ".txt", ".csv", ".tsv")


def unlike_assistant_id(text: str) -> str | None:
    """Return what a text is that was given as an assistant's id by mistake; None if it may be one, or "auto"."""
    if text.casefold() == "auto" != text:
        return 'no id: write "auto"'
    if not text.strip():
        return "empty"
    if _UNSEEN.search(text) or text.casefold() in _NO_VALUES:
        return "no id"
    kind = "a thread's id" if text.startswith("thread_") else None if text.startswith("asst_") else kind_of_id(text)
    if re.search(r"[,;\s]", text.strip()):
        return 'a list: an export is for one assistant, or for "auto"'
    return kind or ("a file name" if re.search(r"[/\\]", text) or text.endswith(_FILE_ENDINGS) else None)


class IdList:
    """A list of ids, which is read once, as it is iterated over. Repeated and malformed entries are included.

    Args:
        stream: a buffered file at its beginning. It is never read far ahead, unless it is a JSON array.
        name: of the file, for messages.
        column: the name of the column or key that has the ids, or the number of a column, from 1; None to find it out.

    Attributes:
        form: in which form the ids are, in words.
        is_empty: whether there is no id among the first rows.
        is_plain: whether it is one id a line, without a header, so that nothing had to be found out.
        count: how many entries were read until now.
        without: how many rows had none.

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
            self.form, entries = _read(head, chain(head, lines), column)
            first = list(islice(entries, _FIRST))
            texts = [entry for entry in first if entry.thread_id]
            invalid = [entry for entry in texts if not is_thread_id(entry.thread_id)]
            if invalid and (len(invalid) == len(texts) or len(invalid) > max(_FEW, len(texts) // 2)):
                raise UnreadableIds(f"no list of thread ids: {_described(invalid[0])}")
        self.is_empty, self.is_plain = not texts, self.form == _PLAIN
        self._entries = chain(first, entries)

    def refuse_empty(self) -> "IdList":
        """Return the list.

        Raises:
            UnreadableIds: there is no id among its first rows.
        """
        if self.is_empty:
            raise UnreadableIds(f"no thread ids in {self._name}")
        return self

    def __iter__(self) -> Iterator[ListedId]:
        with self._named():
            for entry in self._entries:
                if entry.thread_id:
                    self.count += 1
                    yield entry
                else:
                    self.without += 1

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
        except (UnreadableIds, csv.Error) as error:
            raise UnreadableIds(f"{self._name}: {error}") from None


def _described(entry: ListedId) -> str:
    kind = kind_of_id(entry.thread_id)
    if kind == "a key":  # pasted by mistake: no message may have it
        return f"line {entry.place} is a key"
    text = entry.thread_id if len(entry.thread_id) <= 60 else f"{entry.thread_id[:60]}\u2026"
    return f"line {entry.place} is {text!r}{'' if kind is None else f', {kind}'}"


# --- lines


def _lines(stream: BinaryIO) -> Iterator[_Line]:
    """Yield the lines with their numbers, without their ends."""
    start = stream.read(2)
    texts = _utf_16_lines(stream, _UTF_16[start]) if start in _UTF_16 else _utf_8_lines(stream, start)
    return enumerate((line.removeprefix("\ufeff") for text in texts for line in _LINE_END.split(text)), 1)


def _utf_8_lines(stream: BinaryIO, start: bytes) -> Iterator[str]:
    number = 1
    while line := start + stream.readline(_MAX_LINE_BYTES):
        start = b""
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


def _peeked(lines: Iterator[_Line], most: int) -> list[_Line]:
    """Read lines until so many of them have something to say; those that have not are included."""
    head, count = list[_Line](), 0
    for line in lines:
        head.append(line)
        count += not _is_ignored(line[1])
        if count == most:
            break
    return head


def _is_ignored(text: str) -> bool:
    stripped = text.strip(_BLANK + _INVISIBLE)
    return not stripped or stripped.startswith("#")


def _cleaned(text: str, more: str = "") -> str:
    return text.strip(_AROUND + more)


# --- forms


def _read(head: Sequence[_Line], lines: Iterator[_Line], column: str | None) -> tuple[str, Iterator[ListedId]]:
    """Return the form of a list, and its entries; an entry without an id is a row that has none."""
    said = [line for line in head if not _is_ignored(line[1])]
    start = said[0][1].strip(_BLANK + _INVISIBLE) if said else ""
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
    return _read_table(rows, lines, delimiter, column)


def _read_array(lines: Iterator[_Line], column: str | None) -> tuple[str, Iterator[ListedId]]:
    text = "\n".join(line for _, line in lines).lstrip(_BLANK + _INVISIBLE)
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


def _read_objects(head: Sequence[_Line], lines: Iterator[_Line], column: str | None) -> tuple[str, Iterator[ListedId]]:
    def decoded(rows: Iterable[_Line]) -> Iterator[tuple[int, Any]]:
        for place, text in rows:
            if not _is_ignored(text):
                try:
                    yield place, json.loads(text.strip(_BLANK + _INVISIBLE))
                except (ValueError, RecursionError) as error:
                    raise UnreadableIds(f"line {place} is no JSON, and the lines before are: {error}") from None

    try:
        json.loads(head[0][1].strip(_BLANK + _INVISIBLE))
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


def _records(lines: Iterator[_Line], *, is_vertical: bool) -> Iterator[tuple[int, Any]]:
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


def _delimiter_of(rows: Sequence[_Line], column: str | None) -> str | None:
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


def _read_plain(head: Sequence[_Line], lines: Iterator[_Line], column: str | None) -> tuple[str, Iterator[ListedId]]:
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
            elif not _is_ignored(text) and not _RULE.fullmatch(text):
                yield ListedId(place, _plain(text))

    return f"{_PLAIN}, header {first}" if is_header else _PLAIN, entries()


def _plain(text: str) -> str:
    return _cleaned(_BULLET.sub("", text.strip(_AROUND), count=1), ",;|")


def _read_table(
    head: Sequence[_Line], lines: Iterator[_Line], delimiter: str, column: str | None
) -> tuple[str, Iterator[ListedId]]:
    if delimiter == " ":
        return f"ids with {_BETWEEN[delimiter]}", (
            ListedId(place, _cleaned(field)) for place, text in lines if not _is_ignored(text) for field in text.split()
        )
    fields = [
        _names(row)
        for row in csv.reader([f"{text}\n" for _, text in head], skipinitialspace=True, **_dialect(delimiter))
    ]
    fields = [row for row in fields if any(row)]
    names, width = fields[0], max(map(len, fields))
    fields = [row + [""] * (width - len(row)) for row in fields]
    rows = _rows(lines, delimiter)
    if column is None and all(_is_usual(text) for row in fields for text in row if text):
        between = (ListedId(place, text) for place, row in rows for text in row if text)
        return f"ids with {_BETWEEN[delimiter]}", between
    is_numbered = column is not None and re.fullmatch("[0-9]{1,4}", column) and _named(names, column) is None
    if is_numbered and not 1 <= int(str(column)) <= width:
        raise UnreadableIds(f"no column {column}: there are {width}")
    columns = [[row[number] for row in fields[1:] or fields] for number in range(width)]
    chosen = int(str(column)) - 1 if is_numbered else _chosen(fields[0], columns, column)
    is_header = (column is not None and not is_numbered) or _is_header(fields[0], chosen, columns[chosen])
    width = len(names) if is_header else width
    assistant = _named(names, "assistant_id") if is_header else None
    named = fields[0][chosen] if is_header else str(chosen + 1)
    is_guessed = column is None and _by_name(names) is None

    def entries() -> Iterator[ListedId]:
        for place, row in rows:
            if is_header and row == names:  # also that of a second file behind the first
                continue
            cells = row + [""] * (1 + max(chosen, width) - len(row))
            if row[0].startswith("#") and not _is_row(row[0], cells[chosen]):
                continue
            if is_header and any(row[width:]):
                raise UnreadableIds(f"line {place} has {len(row)} cells, and the header {width}: are quotes missing?")
            text = _value(cells[chosen])
            if is_guessed or not text:
                _refuse_ids_in((cell for at, cell in enumerate(row) if at != chosen), place, named)
            yield ListedId(place, text, None if assistant is None else _author(cells[assistant], place))

    return f"{_DELIMITERS[delimiter]}, column {named}", entries()


def _rows(lines: Iterator[_Line], delimiter: str) -> Iterator[tuple[int, list[str]]]:
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
            if text.strip(_BLANK + _INVISIBLE + delimiter) and not _RULE.fullmatch(text.strip()):
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
    return "" if text.casefold() in _NO_VALUES else text


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
