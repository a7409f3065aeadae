"""The metadata of a conversation: which thread it was, the thread's own pairs, and the times of its items. Pure.

The API takes 16 pairs of 64 and 512 characters (documented). Items have no times of their own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from threadkeep.conversion.losses import Loss

__all__ = ["THREAD_ID", "Metadata", "decode_times", "encode_times", "metadata_of", "without_times"]

THREAD_ID = "thread_id"
"""The key of the first pair. Its value is the id of the thread."""

_PAIRS, _KEY_LETTERS, _VALUE_LETTERS = 16, 64, 512
_TIMES = "times"
_ALL_TIMES = [_TIMES, *(f"{_TIMES}_{number}" for number in range(1, _PAIRS + 1))]
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@attrs.frozen
class Metadata:
    """The metadata of a conversation.

    Attributes:
        pairs: as they are sent.
        losses: the pairs of the thread that have no place in it.
        has_times: whether it has the times of the items, if any of them has one.
    """

    pairs: Mapping[str, str]
    losses: tuple[Loss, ...]
    has_times: bool


def metadata_of(thread_id: str, own: object, times: str) -> Metadata:
    """Return the metadata of a conversation.

    Args:
        thread_id: of the thread.
        own: the metadata of the thread object; None without one.
        times: of the items, as `encode_times` returns them.
    """
    pairs, losses = {THREAD_ID: thread_id}, list[Loss]()
    rows: Mapping[Any, Any] = own if isinstance(own, Mapping) else {}
    if own and not rows:
        losses.append(Loss(thread_id, None, "metadata", "it is not an object of texts"))
    for key, value in rows.items():
        if (why := _refused(key, value, pairs)) is None:
            pairs[key] = value
        else:
            losses.append(Loss(thread_id, None, "metadata", f"{key!r}: {why}"))
    chunks = _chunks(times)
    fit = len(pairs) + len(chunks) <= _PAIRS and max(map(len, chunks), default=0) <= _VALUE_LETTERS
    # Beside a pair of the thread by one of these names, nobody could tell which are the times.
    has_times = not chunks or (fit and pairs.keys().isdisjoint(_ALL_TIMES))
    names = _ALL_TIMES[:1] if len(chunks) == 1 else _ALL_TIMES[1:]
    return Metadata(pairs | dict(zip(names, chunks, strict=False)) if has_times else pairs, tuple(losses), has_times)


def without_times(pairs: Mapping[str, str]) -> dict[str, str]:
    """Return the pairs that are not of the times of items."""
    return {key: value for key, value in pairs.items() if key not in _ALL_TIMES}


def _refused(key: str, value: object, pairs: Mapping[str, str]) -> str | None:
    """Return why a pair has no place among those that are there, if it has none."""
    if not isinstance(value, str):
        return "its value is no text"
    if pairs.get(key, value) != value:
        return "this key has the id of the thread"
    if len(key) > _KEY_LETTERS or len(value) > _VALUE_LETTERS:
        return f"a key has at most {_KEY_LETTERS} letters, and a value {_VALUE_LETTERS}"
    if not _is_unicode(key + value):
        return "it has half of a surrogate pair, which is no character"
    return f"a conversation has at most {_PAIRS} pairs" if key not in pairs and len(pairs) >= _PAIRS else None


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def encode_times(times: Sequence[int | None]) -> str:
    """Return times as text, in base 36 and separated by commas: the first one, then the differences.

    A time that is not known is empty. Without any, the text is empty.
    """
    if not any(time is not None for time in times):
        return ""
    words, before = list[str](), 0
    for time in times:
        words.append("" if time is None else _in_base_36(time - before))
        before = before if time is None else time
    return ",".join(words)


def decode_times(text: str) -> list[int | None]:
    """Return the times of which `encode_times` made a text; none for an empty one."""
    times, before = list[int | None](), 0
    for word in text.split(",") if text else ():
        before += int(word, 36) if word else 0
        times.append(before if word else None)
    return times


def _in_base_36(number: int) -> str:
    digits, rest = "", abs(number)
    while rest or not digits:
        rest, digit = divmod(rest, 36)
        digits = _DIGITS[digit] + digits
    return f"-{digits}" if number < 0 else digits


def _chunks(times: str) -> list[str]:
    """Cut times at commas, which belong to no chunk, so that each fits into a value. The last one may be empty.

    A time that is longer than a value makes the last chunk too long.
    """
    chunks, rest = list[str](), times
    while len(rest) > _VALUE_LETTERS and (cut := rest.rfind(",", 0, _VALUE_LETTERS + 1)) >= 0:
        chunks.append(rest[:cut])
        rest = rest[cut + 1 :]
    return [*chunks, rest] if times else []
