"""Which assistants wrote the messages of an export, where they are others than the one that their line names."""

from collections.abc import Mapping
from typing import Any

__all__ = ["other_author", "words_about"]

_NAMED = 5


def other_author(message: Mapping[str, Any], assistant_id: object) -> str | None:
    """Return the assistant that wrote a message, if it names one, and another than this."""
    author = message.get("assistant_id")
    is_other = author != assistant_id and isinstance(author, str) and message.get("role") == "assistant"
    return author if is_other else None


def words_about(others: Mapping[str, int], messages: int, what: str = "messages") -> str:
    """Say how many of these messages are of other assistants.

    Args:
        others: how many messages each of the other assistants has.
        messages: how many there are together.
        what: they are.
    """
    count, first = sum(others.values()), sorted(others, key=lambda one: (-others[one], one))[:_NAMED]
    names = ", ".join(f"{one} ({others[one]:,})" for one in first)
    more = f" and {len(others) - len(first):,} more" if len(others) > len(first) else ""
    is_one = len(others) == 1
    return (
        f"{count:,} of {messages:,} {what} {'is' if count == 1 else 'are'} of"
        f" {'another assistant' if is_one else f'{len(others):,} other assistants'}: {names}{more}"
    )
