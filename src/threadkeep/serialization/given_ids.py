"""Thread ids as a call from Python is given them: the ids themselves, or the path of a list."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from threadkeep.errors import UnreadableIds
from threadkeep.serialization.id_lists import IdList
from threadkeep.serialization.thread_ids import ListedId, is_thread_id

__all__ = ["GivenIds", "given_ids"]

GivenIds: TypeAlias = Iterable[str] | str | os.PathLike[str]
"""Thread ids; or the path, as a str too, of a list of ids in any form that the command takes."""


def given_ids(
    ids: GivenIds, opened: contextlib.ExitStack, column: str | None = None, *, may_be_empty: bool = False
) -> Iterable[ListedId]:
    """Return the entries of a list, to be read once. A file is opened now, so that a wrong name is an error at once.

    Args:
        ids: the list.
        opened: closes the file.
        column: see `IdList`.
        may_be_empty: a file may have no ids, as one of those that are saved already.

    Raises:
        UnreadableIds: the file cannot be opened, or is no list of ids.
        TypeError: when it is read: an id is no str.
    """
    if not isinstance(ids, str | os.PathLike):
        return _entries(ids)
    name = os.fspath(ids)
    try:
        file = opened.enter_context(Path(name).open("rb"))  # noqa: SIM115 - closed by the caller
    except ValueError as error:  # a name that no file can have
        raise UnreadableIds(f"{name!r}: {error}") from None
    except OSError as error:
        hint = f". A str is the path of a file; one thread is [{name!r}]" if is_thread_id(name) else ""
        raise UnreadableIds(f"{name}: {error.strerror or error}{hint}") from None
    found = IdList(file, name, column)
    return found if may_be_empty else found.refuse_empty()


def _entries(ids: Iterable[str]) -> Iterator[ListedId]:
    for place, entry in enumerate(ids, 1):
        if not isinstance(entry, str):
            raise TypeError(f"a thread id is a str, and {entry!r} is none")
        if entry := entry.strip():
            yield ListedId(place, entry)
