"""The record of a message, with its parts and annotations, under the names that the Assistants API has for them.

`threadkeep.records.mapping` makes records from messages, `threadkeep.records.ndjson` makes lines from records.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from threadkeep.records.content import files_of

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

    ``start_index`` and ``end_index`` count code points of the part's value, end excluded (recorded). ``quote`` is None
    in what API v2 stores (recorded).
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
    """An annotation of an unknown type or shape, unchanged. ``type`` is None if the JSON has none."""

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
    """An image by file id. ``detail`` is None if the API leaves it out."""

    file_id: str
    detail: str | None = None


@attrs.frozen
class ImageUrlPart:
    """An image by URL. ``detail`` is None if the API leaves it out."""

    url: str
    detail: str | None = None


@attrs.frozen
class RefusalPart:
    """The model's refusal to answer."""

    refusal: str


@attrs.frozen
class UnknownPart:
    """A part of an unknown type or shape, unchanged. ``type`` is None if the JSON has none."""

    type: str | None
    raw: Any


ImagePart: TypeAlias = ImageFilePart | ImageUrlPart
Part: TypeAlias = TextPart | ImageFilePart | ImageUrlPart | RefusalPart | UnknownPart


@attrs.frozen(kw_only=True, hash=False)
class MessageRecord:
    """One message of a thread.

    Attributes:
        assistant_id: the assistant that the thread is exported for; None if that is not known. The author's own id is
            in ``raw``.
        role: "user" or "assistant"; None if the API gave no string.
        text: the values of the text parts joined by a newline, and nothing else.
        created_at: seconds since the epoch; None if the API gave no integer. Several messages may share a second: the
            order of the list counts, not this.
        parts: the content, in order.
        raw: the message as the API gave it, with unknown fields and without absent ones. Empty only in a record that
            was read from a flat line, which does not carry it.
    """

    thread_id: str
    assistant_id: str | None
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

    @property
    def annotations(self) -> tuple[Annotation, ...]:
        """The annotations of all text parts, in order."""
        return tuple(annotation for part in self.parts if isinstance(part, TextPart) for annotation in part.annotations)

    @property
    def file_ids(self) -> tuple[str, ...]:
        """The ids of all files that the message refers to, each once, in the order of its JSON.

        They are those of images, annotations and attachments, and those under ``file_id`` in parts of unknown types:
        the files that ``export`` downloads with ``files``. A record of a flat line has none.
        """
        return files_of(self.raw)
