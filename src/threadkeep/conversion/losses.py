"""What a conversion could not carry: a row for each lost thing, and how many there are of each kind."""

from collections import Counter
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

import attrs

from threadkeep.arguments import wrong_type
from threadkeep.records.model import MessageRecord
from threadkeep.serialization.lossless_json import dumps

__all__ = ["Loss", "LossReport", "checked_records", "together"]

_T = TypeVar("_T")


@attrs.frozen
class Loss:
    """Something that the other format has no place for.

    Attributes:
        message_id: None for what belongs to the thread itself.
        lost: the API's word for it, such as ``image_file``, ``refusal``, ``annotations``, ``metadata``.
        why: the reason, for people.
    """

    thread_id: str
    message_id: str | None
    lost: str
    why: str


def checked_records(records: Iterable[MessageRecord]) -> Iterator[MessageRecord]:
    """Yield records that somebody gave.

    Raises:
        TypeError: one is none, or they cannot be iterated.
    """
    if not isinstance(records, Iterable):
        raise wrong_type("records", "the records of a thread", records)
    for record in records:
        if not isinstance(record, MessageRecord):
            raise wrong_type("each of the records", "a MessageRecord", record)
        yield record


def together(turned: Iterable[tuple[_T | None, Iterable[Loss]]]) -> tuple[list[_T], list[Loss]]:
    """Return what became of all messages, without those of which nothing is left, and all their losses."""
    found: list[_T] = []
    losses: list[Loss] = []
    for one, lost in turned:
        found += [] if one is None else [one]
        losses += lost
    return found, losses


class LossReport:
    """Write losses as NDJSON while they come. Every row has the four keys of a `Loss`.

    Attributes:
        totals: how many losses there are, by ``lost``.
        left_out: how many messages are not in the target, since nothing is left of them.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.totals = Counter[str]()
        self.left_out = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, losses: Iterable[Loss]) -> None:
        """Write some more."""
        for loss in losses:
            self.totals[loss.lost] += 1
            row = {name: getattr(loss, name) for name in ("thread_id", "message_id", "lost", "why")}
            self._file.write(dumps(row) + b"\n")
