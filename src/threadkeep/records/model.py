"""The rows that everything else speaks of: a message as a frozen record, its parts and their annotations.

They hold what the Assistants API calls by the same names (message, content part, annotation). The behaviour is
elsewhere: `threadkeep.records.mapping` makes records from messages, `threadkeep.records.ndjson` makes lines from
records.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

__all__ = [
    "Annotation",
    "FileCitation",
    "FilePath",
    "ImageFilePart",
    "ImagePart",
    "ImageUrlPart",
    "MessageRecord",
    "Part",
    "RefusalPart",
    "TextPart",
    "UnknownAnnotation",
    "UnknownPart",
]


@attrs.frozen(kw_only=True)
class FileCitation:
    """A citation of a file, marked in the text as ``【4:0†name.txt】``.

    ``start_index`` and ``end_index`` count code points in the part's value, half open (recorded). ``quote`` is
    None in what API v2 stores (recorded).
    """

    text: str
    file_id: str
    start_index: int | None
    end_index: int | None
    quote: str | None


@attrs.frozen(kw_only=True)
class FilePath:
    """A file that the code interpreter made, marked in the text as ``sandbox:/mnt/data/name.csv``."""

    text: str
    file_id: str
    start_index: int | None
    end_index: int | None


@attrs.frozen
class UnknownAnnotation:
    """An annotation of a type or shape that is not known here, kept as it came.

    ``type`` is None when the JSON names none.
    """

    type: str | None
    raw: Any


Annotation: TypeAlias = FileCitation | FilePath | UnknownAnnotation


@attrs.frozen
class TextPart:
    """A piece of text."""

    value: str
    annotations: tuple[Annotation, ...] = ()


@attrs.frozen
class ImageFilePart:
    """An image by file id. ``detail`` is None when the API leaves it out."""

    file_id: str
    detail: str | None = None


@attrs.frozen
class ImageUrlPart:
    """An image by address. ``detail`` is None when the API leaves it out."""

    url: str
    detail: str | None = None


@attrs.frozen
class RefusalPart:
    """The model's refusal to answer."""

    refusal: str


@attrs.frozen
class UnknownPart:
    """A part of a type or shape that is not known here, kept as it came.

    ``type`` is None when the JSON names none.
    """

    type: str | None
    raw: Any


ImagePart: TypeAlias = ImageFilePart | ImageUrlPart
Part: TypeAlias = TextPart | ImageFilePart | ImageUrlPart | RefusalPart | UnknownPart


@attrs.frozen(kw_only=True, hash=False)
class MessageRecord:
    """One message of a thread, ready to be written, read, or carried on.

    Attributes:
        thread_id: the thread it belongs to.
        assistant_id: the assistant that the export is for. The author's own id stays in ``raw``.
        message_id: the message's id.
        role: "user" or "assistant"; None when the API gave nothing that is text.
        text: the values of the text parts joined by a newline, and nothing else.
        created_at: seconds since the epoch; None when the API gave nothing that is a whole number. Several
            messages may share a second: the order of the list is the truth, not this.
        parts: the content, in order.
        raw: the message as the API gave it, unknown and absent fields included. Empty only in a record that
            was read from a flat line, which does not carry it.
    """

    thread_id: str
    assistant_id: str
    message_id: str
    role: str | None
    text: str
    created_at: int | None
    parts: tuple[Part, ...]
    raw: Mapping[str, Any] = attrs.field(repr=False)

    @property
    def images(self) -> tuple[ImagePart, ...]:
        """The image parts, in order."""
        return tuple(part for part in self.parts if isinstance(part, ImageFilePart | ImageUrlPart))
