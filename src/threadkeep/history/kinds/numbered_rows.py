"""The rows of a history on a server: each is a number, and a text that should be an item."""

from collections.abc import Awaitable, Callable, Iterable

import attrs

from threadkeep.errors import HistoryDamaged
from threadkeep.history.items import Item, decode_item

__all__ = ["MOST", "Row", "RowPlace", "checked_session_id", "read_items", "undamaged"]

Row = tuple[int, bytes]

MOST = 2**31 - 1
"""The largest limit that every server takes."""


@attrs.frozen(kw_only=True)
class RowPlace:
    """Where the rows of a session are.

    Attributes:
        url: of the store, as `threadkeep.recover` takes it.
        address: of the store without secrets, for messages.
        session_id: the session that has the rows.
        word: the name of a row in messages.
    """

    url: str
    address: str
    session_id: str
    word: str


async def read_items(
    fetch: Callable[[int | None], Awaitable[list[Row]]], limit: int | None, place: RowPlace
) -> list[Item]:
    """Return the newest ``limit`` items, or all of them, oldest first.

    Args:
        fetch: returns the newest rows, oldest first: so many, or all of them for None.
        limit: how many.
        place: for the message.

    Raises:
        HistoryDamaged: one of these rows is not an item.
    """
    items = []
    for number, text in await fetch(limit):
        try:
            items.append(decode_item(text))
        except ValueError as error:
            recoverable = len(undamaged(await fetch(None)))
            raise _damaged(place, number, error, recoverable) from None
    return items


def undamaged(rows: Iterable[Row]) -> list[Item]:
    """Return the items of the rows that are not damaged."""
    items = []
    for _, text in rows:
        try:
            items.append(decode_item(text))
        except ValueError:
            continue
    return items


def checked_session_id(session_id: str) -> str:
    """Return a session id that servers can hold.

    Raises:
        ValueError: it holds a lone surrogate or a NUL.
    """
    if "\0" in session_id or session_id != session_id.encode(errors="replace").decode():
        raise ValueError(f"the session id {session_id!r} holds a character that a server cannot keep")
    return session_id


def _damaged(place: RowPlace, number: int, reason: ValueError, recoverable: int) -> HistoryDamaged:
    return HistoryDamaged(
        f"{place.word} {number} of the session {place.session_id!r} in {place.address} is damaged: {reason}. Nothing"
        f" was deleted. Items that can be recovered: {recoverable}. Call threadkeep.recover(URL,"
        f" session_id={place.session_id!r}).",
        place=place.url,
        recoverable=recoverable,
    )
