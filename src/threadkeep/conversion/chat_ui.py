"""A thread as chat interfaces hold one: a title, and messages that have one text, a time and a model."""

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from threadkeep.conversion.content import Carries, carry
from threadkeep.conversion.job import Conversion
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.source import Thread
from threadkeep.records.model import ImageUrlPart, MessageRecord, TextPart

__all__ = ["ShownMessage", "Times", "messages", "plain_metadata", "runs_by_id", "seconds", "title_from", "well_formed"]

_LAST_SECOND = (2**64 - 1) // 10**9  # the year 2554: what 64 bits of nanoseconds hold
_TITLE = 80


@attrs.frozen(kw_only=True)
class ShownMessage:
    """A message of a chat interface.

    Attributes:
        message_id: unique in its thread: a repeated id has a number behind it.
        role: "user" or "assistant".
        text: its texts, joined by a newline.
        images: the URLs of its images.
        created_at: seconds since the epoch.
        model: the model of its run; the author's assistant id where the run was not saved; None for a user's message.
    """

    message_id: str
    role: str
    text: str
    images: tuple[str, ...]
    created_at: int
    model: str | None


def messages(thread: Thread, conversion: Conversion, carries: Carries) -> Iterator[ShownMessage]:
    """Yield the messages of a thread, and report what they lose. A message with nothing left is omitted.

    Args:
        carries: as `carry` takes it; of all that is not text, only ``image_url`` may be in it.
    """
    runs, times, seen = runs_by_id(thread), Times(thread, conversion), set[int]()
    for number, record in enumerate(thread.records(), 1):
        carried = carry(record, carries, conversion.options, thread.files)
        conversion.lose(carried.losses)
        if not carried.parts:
            conversion.leave_out()
            continue
        unique = record.message_id
        while hash(unique) in seen:
            unique = f"{unique}-{number}"
        seen.add(hash(unique))
        yield ShownMessage(
            message_id=unique,
            role=carried.role,
            text="\n".join(part.value for part in carried.parts if isinstance(part, TextPart)),
            images=tuple(part.url for part in carried.parts if isinstance(part, ImageUrlPart)),
            created_at=times.of(record),
            model=_model(record, runs) if carried.role == "assistant" else None,
        )


def _model(record: MessageRecord, runs: Mapping[str, Mapping[str, Any]]) -> str | None:
    run_id, author = record.raw.get("run_id"), record.raw.get("assistant_id")
    model = runs.get(run_id, {}).get("model") if isinstance(run_id, str) else None
    found = [value for value in (model, author) if isinstance(value, str) and value]
    return found[0] if found else None


def runs_by_id(thread: Thread) -> dict[str, Mapping[str, Any]]:
    """Return the runs of a thread, as the API gave them; none where they were not saved."""
    return {row["run_id"]: row["run"] for row in thread.runs if isinstance(row.get("run"), dict)}


class Times:
    """The times of messages, for a format in which each message needs one.

    A message without a usable time has the time of the one before it, or else of the thread, or else 0. It is reported.

    Attributes:
        last: the time that was given last.
    """

    def __init__(self, thread: Thread, conversion: Conversion) -> None:
        self._conversion = conversion
        self.last = seconds((thread.thread or {}).get("created_at")) or 0

    def of(self, record: MessageRecord) -> int:
        """Return the time of the next message, in seconds since the epoch."""
        found = seconds(record.created_at)
        if found is None:
            why = f"{record.created_at!r} is no usable time: the message has that of the one before it"
            self._conversion.lose([Loss(record.thread_id, record.message_id, "created_at", why)])
        else:
            self.last = found
        return self.last


def seconds(value: object) -> int | None:
    """Return a time of the API if it can be written in any format: from 1970 until 2554, as a whole number."""
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return value if is_number and isinstance(value, int) and 0 <= value <= _LAST_SECOND else None


def plain_metadata(carrier: Mapping[str, Any] | None) -> dict[str, str] | None:
    """Return the metadata of a message or thread if they are strings, as the API promises; None for any others."""
    found = (carrier or {}).get("metadata") or {}
    if isinstance(found, dict) and all(isinstance(value, str) for value in found.values()):
        return found
    return None


def title_from(text: str) -> str:
    """Return the first words of a text on one line; empty if there are none."""
    return well_formed(" ".join(text.replace("\x00", "").lstrip()[: 4 * _TITLE].split())[:_TITLE].rstrip())


def well_formed(text: str) -> str:
    """Return a text with "?" for each lone surrogate, which databases and protocols refuse."""
    return text.encode("utf-8", "replace").decode()
