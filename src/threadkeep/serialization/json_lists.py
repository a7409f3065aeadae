"""Lists of thread ids in JSON: an array, NDJSON, or an answer of an API or a database with the ids somewhere in it.

A key within an object has the names of both, with a dot between: ``metadata.thread_id``. If a single object has the
ids in one of its keys, such as ``data``, its rows are what is there.
"""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import attrs

from threadkeep.errors import UnreadableIds
from threadkeep.serialization.id_columns import (
    BLANK,
    Reading,
    by_name,
    chosen,
    cleaned,
    entries_of,
    named,
)
from threadkeep.serialization.thread_ids import ListedId, has_id, ids_in, is_usual_id, usual_ids_in

__all__ = ["is_object", "read_ndjson", "read_rows", "read_text"]

# So many rows of values decide which key has the ids.
_HEAD = 50


def is_object(line: str) -> bool:
    """Return whether a line is a JSON object."""
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def read_ndjson(lines: Iterable[tuple[int, str]], column: str | None) -> Reading:
    """Read a value from each line.

    Raises:
        UnreadableIds: as `id_forms.read_entries` does.
    """

    def decoded() -> Iterator[tuple[int, Any]]:
        for place, text in lines:
            try:
                item = json.loads(text.strip(BLANK))
            except (ValueError, RecursionError) as error:
                raise UnreadableIds(f"line {place} is no JSON, and the lines before are: {error}") from None
            _refuse_lost(text, item, f"line {place}")
            yield place, item

    return read_rows("NDJSON", decoded(), column)


def read_text(text: str, column: str | None) -> Reading:
    """Read a complete text: an array, or values one after the other; or a list as Python prints it.

    Raises:
        ValueError: it is neither.
        UnreadableIds: as `id_forms.read_entries` does.
    """
    form = "JSON array" if text.startswith("[") else "JSON"
    try:
        rows = list(_values(text))
    except (ValueError, RecursionError) as error:
        rows = _python_list(text, error)
    _refuse_lost(text, [item for _, item in rows], "the file")
    if len(rows) == 1 and isinstance(rows[0][1], dict):
        form += ", one page of several (has_more is true)" if rows[0][1].get("has_more") is True else ""
        if column is None:
            _refuse_keys(name for name, _ in _leaves(rows[0][1]))
        rows = [(1, row) for row in _rows_within(rows[0][1])]
    return read_rows(form, iter(rows), column)


def _refuse_lost(text: str, item: Any, where: str) -> None:
    kept = chain.from_iterable(_leaves(item))
    if not usual_ids_in(text) <= set[str]().union(*map(usual_ids_in, kept)):
        raise UnreadableIds(f"{where} has a thread id that is lost when the JSON is read. Is a key there twice?")


def _values(text: str) -> Iterator[tuple[int, Any]]:
    """Yield JSON values, and the elements of arrays, with the numbers of their lines."""
    decoder, place, seen, at, is_array = json.JSONDecoder(), 1, 0, 0, False
    blank = re.compile(r"[\s,]*")
    while (at := blank.match(text, at).end()) < len(text):  # type: ignore[union-attr]  # it matches everywhere
        if text[at] == ("]" if is_array else "["):
            is_array, at = not is_array, at + 1
        else:
            item, end = decoder.raw_decode(text, at)
            place += text.count("\n", seen, at)
            yield place, item
            seen, at = at, end
    if is_array:
        raise ValueError(f"line {place}: the end is missing")


def _python_list(text: str, why: Exception) -> list[tuple[int, Any]]:
    try:
        items = ast.literal_eval(text.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise ValueError(str(why)) from None
    if isinstance(items, set) or any(text.count("thread_") > 1 for _, text in _leaves(items)):
        raise ValueError(str(why))  # a set has no order; Python joins texts without a comma
    return [(1, item) for item in (items if isinstance(items, list | tuple) else [items])]


def _rows_within(item: Any) -> list[Any]:
    """Return the rows of a single object: what is in the key that has all ids; else itself."""
    while isinstance(item, dict) and by_name([key for key, value in item.items() if _is_scalar(value)]) is None:
        inner = [value for value in item.values() if not _is_scalar(value)]
        ids = _ids_within(item)
        complete = [value for value in inner if ids and _ids_within(value) == ids]
        if not complete and (ids or len(inner) != 1 or not isinstance(inner[0], list)):
            return list(item.values()) if len(inner) == len(item) else [item]
        item = (complete or inner)[0]
    return item if isinstance(item, list) else [item]


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, dict | list)


def _ids_within(item: Any) -> set[str]:
    return {one for _, text in _leaves(item) for one in ids_in(text) if has_id(one)}


def _leaves(item: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values in a value with their names. Those of an array have the same one; alone they are numbered."""
    if isinstance(item, dict):
        for key, value in item.items():
            yield from _leaves(value, f"{name}.{key}" if name else key)
    elif isinstance(item, list | tuple):
        for number, value in enumerate(item, 1):
            yield from _leaves(value, name or (str(number) if _is_scalar(value) else ""))
    else:
        yield name, _text(item)


def _text(item: Any) -> str:
    if isinstance(item, str):
        return cleaned(item)
    return "" if item is None else json.dumps(item, default=str)


def _row(item: Any) -> dict[str, list[str]]:
    row = dict[str, list[str]]()
    for name, text in _leaves(item):
        row.setdefault(name, []).append(text)
    return row


def read_rows(form: str, values: Iterator[tuple[int, Any]], column: str | None, *, is_guessed: bool = False) -> Reading:
    """Take the ids out of values with the numbers of their lines.

    Args:
        form: in words.
        values: the rows.
        column: the key that has the ids; None to find it out.
        is_guessed: whether the form is not certain: then no row may have an id elsewhere, whatever the key is called.

    Raises:
        UnreadableIds: as `id_forms.read_entries` does.
    """
    rows = ((place, _row(item)) for place, item in values)
    head = list(islice(rows, _HEAD))
    first = [row for _, row in head]
    names = list(dict.fromkeys(name for row in first for name in row))
    if column is None:
        _refuse_keys(names)
    if not names or (column is None and _are_ids_alone(first, names)):
        entries_alone = (ListedId(place, text) for place, row in chain(head, rows) for text in _all(row))
        return Reading(form, entries_alone)
    texts = [[text for row in first for text in row.get(key, ())] for key in names]
    found = chosen(names, texts, None if names == [""] and column == "1" else column)
    if is_guessed and column is None:
        found = attrs.evolve(found, is_certain=False)
    name = found.name
    assistant = named(names, "assistant_id")

    def entries() -> Iterator[ListedId]:
        for place, row in chain(head, rows):
            others = chain((text for key, texts in row.items() if key != name for text in texts), row)
            authors = () if assistant is None else row.get(names[assistant], ())
            yield from entries_of(place, row.get(name, ()), others, found, authors)

    is_named = column is not None or (found.is_named and bool(name))
    return Reading(f"{form}, key {name[:40]}" if name else form, entries(), is_named=is_named)


def _refuse_keys(names: Iterable[str]) -> None:
    if any(map(has_id, names)):
        raise UnreadableIds("thread ids are keys of the object. Write a list of them: jq keys FILE > list.json")


def _are_ids_alone(rows: Sequence[dict[str, list[str]]], names: Sequence[str]) -> bool:
    """Return whether each value is an id, in arrays, or in one object with a key for each."""
    has_keys = any(name and not name.isdecimal() for name in names)
    if by_name(names) is not None or (has_keys and len(rows) > 1):
        return False
    return all(is_usual_id(text) for row in rows for text in _all(row))


def _all(row: dict[str, list[str]]) -> Iterator[str]:
    return chain.from_iterable(row.values())
