"""Which column of a table, or key of JSON objects, has the thread ids."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

import attrs

from threadkeep.errors import UnreadableIds
from threadkeep.serialization.thread_ids import (
    INVISIBLE,
    NO_VALUES,
    ListedId,
    has_id,
    ids_in,
    is_likely_id,
    is_usual_id,
    kind_of_id,
    unlike_assistant_id,
)

__all__ = [
    "BLANK",
    "Column",
    "Reading",
    "by_name",
    "chosen",
    "cleaned",
    "entries_of",
    "is_thread_id_name",
    "named",
    "normal",
    "value_of",
]

BLANK = f" \t\v\f\xa0{INVISIBLE}"
"""What may be around the text of a line without being part of it."""

_BOXES = "".join(map(chr, range(0x2500, 0x2580)))  # that databases draw around a table
_AROUND = f"{BLANK}{_BOXES}\r\n\"'`*()[]{{}}\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"


@attrs.frozen
class Reading:
    """How a list is read.

    Attributes:
        form: in words.
        entries: one without an id is a row that has none.
        is_named: the ids are in a column or key that is called so, and may have any shape.
    """

    form: str
    entries: Iterator[ListedId]
    is_named: bool = True


@attrs.frozen
class Column:
    """The column of the ids: where it is, from 0, and what it is called.

    Attributes:
        is_certain: it was named by the user, or is called ``thread_id``: what is in the others does not matter.
        is_named: it is called so: its ids may have any shape.
    """

    at: int
    name: str
    is_certain: bool
    is_named: bool


def cleaned(text: str, more: str = "") -> str:
    """Return a text without the quotes, brackets and blanks around it."""
    return text.strip(_AROUND + more)


def normal(name: str) -> str:
    """Return the name of a column as names are compared."""
    return re.sub(r"[\s_-]", "", name).casefold()


def named(names: Sequence[str], wanted: str | None) -> int | None:
    """Return the first column of this name; None if there is none."""
    return next((at for at, name in enumerate(names) if wanted and normal(name) == normal(wanted)), None)


def is_thread_id_name(name: str) -> bool:
    """Return whether it is ``thread_id``, which is taken whatever else there is."""
    return normal(name) == "threadid"


def by_name(names: Sequence[str]) -> int | None:
    """Return the column ``thread_id``, or the only one whose name ends so."""
    exact = [at for at, name in enumerate(names) if is_thread_id_name(name)]
    found = exact or [at for at, name in enumerate(names) if normal(name).endswith("threadid")]
    return found[0] if len(found) == 1 else None


def chosen(names: Sequence[str], columns: Sequence[Iterable[str]], wanted: str | None) -> Column:
    """Return which column has the ids: the one that is wanted, or by its name, or the one that has all ids of the API.

    Args:
        names: of the columns.
        columns: the first texts of each.
        wanted: the name of the column, if it is known.

    Raises:
        UnreadableIds: it is not there, or cannot be found out.
    """
    shown = ", ".join(repr(name[:40]) for name in names[:20])
    if wanted is not None:
        found = named(names, wanted)
        if found is None:
            raise UnreadableIds(f"no column {wanted}: there are {shown}")
        return Column(found, names[found], is_certain=True, is_named=True)
    found = by_name(names)
    if found is not None:
        return Column(found, names[found], is_certain=is_thread_id_name(names[found]), is_named=True)
    if len(names) == 1:
        return Column(0, names[0], is_certain=False, is_named=not names[0])
    ids = [{one for text in texts for one in ids_in(text) if is_usual_id(one)} for texts in columns]
    complete = [at for at, some in enumerate(ids) if some and some == set[str]().union(*ids)]
    if complete:
        return Column(complete[0], names[complete[0]], is_certain=False, is_named=False)
    raise UnreadableIds(f"which column has the thread ids? There are {shown}. Name one with --column")


def value_of(text: str) -> str:
    """Return a text; none for what databases and programs write where there is no value."""
    return "" if text.casefold() in NO_VALUES else text


def entries_of(
    place: int, texts: Sequence[str], others: Iterable[str], column: Column, authors: Sequence[str] = ()
) -> Iterator[ListedId]:
    """Yield the entries of a row: one without an id if it has none.

    Args:
        place: the number of its line.
        texts: what it has in the column of the ids.
        others: what else it has.
        column: what is known of the column.
        authors: what it has in the column of the assistants.

    Raises:
        UnreadableIds: an id would be left out, or what is in the column is none.
    """
    ids = [one for text in texts for one in ids_in(value_of(text))] or [""]
    if not column.is_certain or not any(ids):
        _refuse_ids_in(others, ids, place, column.name)
    strange = [] if column.is_named else [one for one in ids if one and not is_likely_id(one) and not kind_of_id(one)]
    if strange:
        where = f" in the column {column.name}" if column.name else ""
        raise UnreadableIds(
            f"line {place} has {strange[0][:60]!r}{where}, which is no thread id. Name the column of the ids with"
            " --column, or write a list of the ids alone"
        )
    author = _author(authors[0], place) if authors else None
    for one in ids:
        yield ListedId(place, one, author)


def _author(text: str, place: int) -> str | None:
    """Return the assistant that a row names; None if it names none."""
    if not value_of(text):
        return None
    unlike = unlike_assistant_id(text)
    if unlike is not None:
        shown = "" if unlike == "a key" else f" {text[:60]!r},"
        raise UnreadableIds(f"line {place}: the assistant's id is{shown} {unlike}")
    return text


def _refuse_ids_in(texts: Iterable[str], taken: Collection[str], place: int, column: str) -> None:
    """Refuse a list of which ids would be left out: the column was found out, and there are ids elsewhere too."""
    if any(has_id(text) and not set(ids_in(text)) <= set(taken) for text in texts):
        raise UnreadableIds(
            f"line {place} has a thread id outside the column {column}. Name the column with --column, or write a list"
            " of the ids alone"
        )
