"""The content of a message as other formats take it: what a role can carry, and what is lost. No I/O but images."""

import base64
import mimetypes
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import attrs

from threadkeep.conversion.job import Options
from threadkeep.conversion.losses import Loss
from threadkeep.errors import OutputUnusable
from threadkeep.records.model import (
    Annotation,
    FileCitation,
    FilePath,
    ImageFilePart,
    ImageUrlPart,
    MessageRecord,
    Part,
    RefusalPart,
    TextPart,
    UnknownAnnotation,
    UnknownPart,
)
from threadkeep.serialization.lossless_json import dumps
from threadkeep.storage.private_files import open_regular

__all__ = [
    "UNPLACED",
    "Carried",
    "Carries",
    "Footnotes",
    "Spans",
    "carry",
    "data_url",
    "file_name",
    "file_url",
    "named_file",
    "spans",
    "text_of_part",
    "thread_losses",
    "with_captions",
    "with_footnotes",
    "without_markers",
]

Carries: TypeAlias = Mapping[str, Set[str]]
"""What a format can carry, by role, in the API's words: ``image_file`` (by id), ``image_url``, ``refusal``,
``annotations``, ``attachments``, ``metadata``. Texts are always carried. It must have a row for ``user``."""

_NO_PLACE = "the format has no place for it"
_AN_ID = "the format takes images as URLs, and this is the id of a file: give --files-url or --inline-images"
UNPLACED = "their offsets do not lead to their markers in the text, or their type is not known"
_IMAGES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}
_NAMED_MARKER = re.compile(r"†([^†】]+)】$")


@attrs.frozen(kw_only=True)
class Carried:
    """What a format can carry of a message.

    Attributes:
        role: a role that the format has.
        parts: in their order; none of `UnknownPart`, and of the others only what the role can carry.
        attachments: the ids of attached files, where the role can carry them.
        losses: everything else.
    """

    role: str
    parts: tuple[Part, ...]
    attachments: tuple[str, ...]
    losses: tuple[Loss, ...]


def carry(record: MessageRecord, carries: Carries, options: Options, files: Mapping[str, Path]) -> Carried:
    """Return what a format can carry of a message, and name everything else.

    Args:
        record: a message, in full or from a flat line.
        carries: what the format can carry.
        options: what was asked for.
        files: where downloaded files are, by their ids.
    """
    message = _Message(record, carries, options, files)
    parts = tuple(message.parts())
    attachments = tuple(message.attachments())
    message.metadata()
    return Carried(role=message.role, parts=parts, attachments=attachments, losses=tuple(message.losses))


def thread_losses(thread_id: str, thread: Mapping[str, Any] | None) -> Iterator[Loss]:
    """Yield what is lost of a thread object by a format that carries messages only: its metadata."""
    if thread is not None and thread.get("metadata"):
        yield Loss(thread_id, None, "metadata", _NO_PLACE)


def with_captions(record: MessageRecord) -> Iterator[Part]:
    """Yield the parts of a message, and behind one of another type that has a text, such as a caption, that text."""
    content = record.raw.get("content")
    texts = map(text_of_part, content) if isinstance(content, list) else iter(())
    for part in record.parts:
        yield part
        text = next(texts, None)
        if text is not None and not isinstance(part, TextPart | UnknownPart):
            yield TextPart(text)


def text_of_part(part: object) -> str | None:
    """Return the text that a part of JSON has as a string, as the text of its message has it; None without one."""
    text = part.get("text") if isinstance(part, dict) else None
    return text if isinstance(text, str) else None


class _Message:
    """A message that is being carried; its losses grow in the order of its parts."""

    def __init__(self, record: MessageRecord, carries: Carries, options: Options, files: Mapping[str, Path]) -> None:
        self.losses: list[Loss] = []
        self.role = record.role if record.role is not None and record.role in carries else "user"
        self._record, self._options, self._files = record, options, files
        self._carries, self._carried = carries, carries[self.role]
        self._footnotes = Footnotes(files)
        if self.role != record.role:
            self._lose("role", f"the role is {record.role!r}, which the format does not have: it became 'user'")

    def parts(self) -> Iterator[Part]:
        for part in with_captions(self._record):
            match part:
                case TextPart():
                    yield self._text(part)
                case ImageFilePart():
                    yield from self._image_file(part)
                case ImageUrlPart(url):
                    yield from self._if_carried(part, "image_url", f"[image_url {url}]")
                case RefusalPart(refusal):
                    yield from self._if_carried(part, "refusal", refusal)
                case _:
                    yield from self._unknown(part)

    def attachments(self) -> Iterator[str]:
        attached = self._record.raw.get("attachments")
        if not attached:
            return
        rows = attached if isinstance(attached, list) else [attached]
        ids = [row["file_id"] for row in rows if isinstance(row, dict) and isinstance(row.get("file_id"), str)]
        if "attachments" not in self._carried:
            self._lose("attachments", self._no_place("attachments"))
        elif len(ids) < len(rows):
            self._lose("attachments", "some of them name no file")
        yield from ids if "attachments" in self._carried else ()

    def metadata(self) -> None:
        if self._record.raw.get("metadata") and "metadata" not in self._carried:
            self._lose("metadata", _NO_PLACE)

    def _text(self, part: TextPart) -> TextPart:
        value, annotations = part.value, part.annotations
        if not annotations:
            return part
        if self._options.citations == "strip":
            self._lose("annotations", "citations are stripped")
            return TextPart(without_markers(value, annotations))
        if self._options.citations == "footnotes":
            value, unplaced = with_footnotes(value, annotations, self._footnotes)
            if unplaced:
                self._lose("annotations", UNPLACED)
            return TextPart(value)
        if "annotations" in self._carried:
            return part
        self._lose("annotations", self._no_place("annotations"))
        return TextPart(value)

    def _image_file(self, part: ImageFilePart) -> Iterator[Part]:
        path, takes_urls = self._files.get(part.file_id), "image_url" in self._carried
        if takes_urls and self._options.files_url is not None:
            name = part.file_id if path is None else path.name
            yield ImageUrlPart(file_url(self._options.files_url, name), part.detail)
        elif takes_urls and self._options.inline_images:
            yield from self._inline(part, path)
        elif takes_urls and "image_file" not in self._carried:
            yield from self._lost("image_file", _AN_ID, _in_words(part))
        else:
            yield from self._if_carried(part, "image_file", _in_words(part))

    def _inline(self, part: ImageFilePart, path: Path | None) -> Iterator[Part]:
        """An image that is not there is carried by its id where it can be."""
        url, why = None, "the image was not downloaded: export with --files"
        if path is not None:
            try:
                url = data_url(path)
            except (OSError, OutputUnusable) as error:
                why = f"the image cannot be read: {error}"
        if url is not None:
            yield ImageUrlPart(url, part.detail)
        elif "image_file" in self._carried:
            yield part
        else:
            yield from self._lost("image_file", why, _in_words(part))

    def _unknown(self, part: UnknownPart) -> Iterator[Part]:
        # Servers like the API's have texts under types of their own, and no text is ever lost.
        if (text := text_of_part(part.raw)) is not None:
            yield TextPart(text)
            if not part.raw.keys() <= {"type", "text"}:
                self._lose(
                    part.type or "content",
                    "threadkeep does not know this type of a part: only its text is kept",
                )
            return
        why = "threadkeep does not know this type of a part, or its shape"
        yield from self._lost(part.type or "content", why, dumps(part.raw).decode())

    def _if_carried(self, part: Part, word: str, words: str) -> Iterator[Part]:
        if word in self._carried:
            yield part
        else:
            yield from self._lost(word, self._no_place(word), words)

    def _lost(self, lost: str, why: str, words: str) -> Iterator[TextPart]:
        is_kept = self._options.unsupported == "text"
        self._lose(lost, f"{why}; kept as text" if is_kept else why)
        if is_kept:
            yield TextPart(words)

    def _no_place(self, word: str) -> str:
        has_any = any(word in carried for carried in self._carries.values())
        return f"{_NO_PLACE} in a message of role {self.role!r}" if has_any else _NO_PLACE

    def _lose(self, lost: str, why: str) -> None:
        self.losses.append(Loss(self._record.thread_id, self._record.message_id, lost, why))


def _in_words(part: ImageFilePart) -> str:
    return f"[image_file {part.file_id}]"


def file_url(prefix: str, name: str) -> str:
    """Return the URL of a file under a prefix, which may end with a slash, or as a query does."""
    return f"{prefix}{'' if prefix.endswith(('/', '=')) else '/'}{quote(name, safe='', errors='replace')}"


def data_url(path: Path) -> str:
    """Return a downloaded image as a data URL.

    Raises:
        OSError: the file cannot be read.
        OutputUnusable: it is a link, or no regular file.
    """
    with open_regular(path) as file:
        content = base64.b64encode(file.read()).decode()
    kind = _IMAGES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{content}"


# --- citations


@attrs.define
class Footnotes:
    """The footnotes of a message: the same source has the same number in all its texts.

    Attributes:
        files: where downloaded files are, by their ids.
        mark: what is put in the place of a marker, with the number.
        line: a footnote, with the number and the words.
    """

    files: Mapping[str, Path]
    mark: str = "[{}]"
    line: str = "[{}] {}"
    _notes: dict[tuple[str, str | None], tuple[int, str]] = attrs.field(factory=dict)

    def note(self, one: FileCitation | FilePath) -> tuple[int, str]:
        """Return the number of a source, and its name with the id of the file, and the quote if there is one."""
        quoted = one.quote or None if isinstance(one, FileCitation) else None
        words = named_file(one.file_id, file_name(one, self.files))
        words += "" if quoted is None else f": “{quoted}”"
        return self._notes.setdefault((one.file_id, quoted), (len(self._notes) + 1, words))


def named_file(file_id: str, name: str) -> str:
    """Return the name of a file with its id; the name alone if that is the id, with or without an ending."""
    return name if name == file_id or name.startswith(f"{file_id}.") else f"{name} ({file_id})"


def file_name(annotation: FileCitation | FilePath, files: Mapping[str, Path]) -> str:
    """Return the name of a cited file: that of its marker, else that of the download, else its id."""
    if isinstance(annotation, FilePath):
        named = annotation.text.rpartition("/")[2]
    else:
        found = _NAMED_MARKER.search(annotation.text)
        named = found[1] if found is not None and found[1] != "source" else ""
    saved = files.get(annotation.file_id)
    return named or (annotation.file_id if saved is None else saved.name)


def without_markers(value: str, annotations: Iterable[Annotation]) -> str:
    """Return a text without the markers of its citations, as far as offsets lead to them."""
    return _replaced(value, spans(value, annotations)[0], lambda _: "")


def with_footnotes(
    value: str, annotations: Iterable[Annotation], footnotes: Footnotes
) -> tuple[str, Sequence[Annotation]]:
    """Put numbers in the place of the markers of citations, and the footnotes behind the text.

    Returns:
        The text, and the annotations that have no footnote: offsets do not lead to their markers.
    """
    placed, unplaced = spans(value, annotations)
    if not placed:
        return value, unplaced
    notes: dict[int, str] = {}

    def marks(cited: Sequence[FileCitation | FilePath]) -> str:
        numbers = dict(map(footnotes.note, cited))
        notes.update(numbers)
        return "".join(footnotes.mark.format(number) for number in numbers)

    text = _replaced(value, placed, marks)
    return "\n".join([f"{text}\n", *(footnotes.line.format(*note) for note in notes.items())]), unplaced


Spans: TypeAlias = Mapping[tuple[int, int], list[FileCitation | FilePath]]


def spans(value: str, annotations: Iterable[Annotation]) -> tuple[Spans, Sequence[Annotation]]:
    """Return the annotations by the range of code points of their marker, in its order, and those without one.

    A range that does not hold the marker is of no use: to cut there would harm the text. No two ranges overlap.
    """
    found: dict[tuple[int, int], list[FileCitation | FilePath]] = {}
    unplaced: list[Annotation] = []
    for one in annotations:
        if isinstance(one, UnknownAnnotation) or (span := _span(value, one)) is None:
            unplaced.append(one)
        else:
            found.setdefault(span, []).append(one)
    apart: dict[tuple[int, int], list[FileCitation | FilePath]] = {}
    reached = 0
    for span in sorted(found):
        if span[0] >= reached:
            apart[span], reached = found[span], span[1]
        else:
            unplaced += found[span]
    return apart, unplaced


def _span(value: str, one: FileCitation | FilePath) -> tuple[int, int] | None:
    start, end = one.start_index, one.end_index
    if start is None or end is None or not 0 <= start <= end or value[start:end] != one.text:
        return None
    return start, end


def _replaced(value: str, spans: Spans, put: Any) -> str:
    pieces, reached = [], 0
    for (start, end), cited in spans.items():
        pieces += [value[reached:start], put(cited)]
        reached = end
    return "".join([*pieces, value[reached:]])
