"""Input items of Responses and Conversations: a line ``{"thread_id", "items": [...]}`` for each thread.

A user's texts become ``input_text``, an assistant's ``output_text`` (documented; the other way round is refused). An
annotation has the place of its marker as ``index``, and the name of its file.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from threadkeep.conversion.content import Carried, carry, file_name, thread_losses
from threadkeep.conversion.job import Citations, Conversion, Options, Unsupported
from threadkeep.conversion.losses import Loss, checked_records, together
from threadkeep.conversion.source import PlainMessage, Thread, Turn
from threadkeep.conversion.thread_lines import ThreadLines
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
)

__all__ = ["DESCRIPTION", "NO_PLACE", "item_of", "to_response_items", "write"]

DESCRIPTION = "Input items of Responses and Conversations, a line for each thread."
NO_PLACE = (
    "ids of messages, assistants and runs",
    "times",
    "status",
    "runs",
    "tools of attachments",
    "ends of annotations",
    "tool_resources",
    "unknown fields",
)

_CARRIES = {"user": {"image_file", "image_url", "attachments"}, "assistant": {"refusal", "annotations"}}


def write(threads: Iterable[Thread], path: Path, conversion: Conversion) -> None:
    """Write the threads. A message with nothing left is omitted."""
    with ThreadLines(path, "items") as file:
        for thread in threads:
            conversion.lose(thread_losses(thread.thread_id, thread.thread))
            file.add(thread.thread_id, _items(thread, conversion))


def to_response_items(
    records: Iterable[MessageRecord],
    *,
    citations: Citations = "keep",
    unsupported: Unsupported = "skip",
    files_url: str | None = None,
    inline_images: bool = False,
    files: Mapping[str, Path] | None = None,
) -> tuple[list[dict[str, Any]], list[Loss]]:
    """Turn the messages of a thread into input items of Responses and Conversations.

    Args:
        records: of one thread, in their order.
        citations, unsupported, files_url, inline_images, files: as `threadkeep.to_chat_messages` takes them. Without
            ``files_url`` and ``inline_images``, image files are carried by their ids.

    Returns:
        The items, and everything that they cannot carry.

    Raises:
        ValueError: options that contradict each other, or that there are not.
        TypeError: ``records`` are no records.
    """
    options = Options(citations=citations, unsupported=unsupported, files_url=files_url, inline_images=inline_images)
    return together(_item(record, options, files or {}) for record in checked_records(records))


def item_of(turn: Turn, options: Options, files: Mapping[str, Path]) -> tuple[dict[str, Any] | None, Iterable[Loss]]:
    """Turn a message into an item, None if nothing is left of it, and everything that the item cannot carry."""
    if isinstance(turn, PlainMessage):
        return _message(turn.role, [_text(turn.role, turn.text, [])]), ()
    return _item(turn, options, files)


def _items(thread: Thread, conversion: Conversion) -> Iterator[dict[str, Any]]:
    for turn in thread.turns():
        item, losses = item_of(turn, conversion.options, thread.files)
        conversion.lose(losses)
        if item is None:
            conversion.leave_out()
        else:
            yield item


def _item(
    record: MessageRecord, options: Options, files: Mapping[str, Path]
) -> tuple[dict[str, Any] | None, Iterable[Loss]]:
    carried = carry(record, _CARRIES, options, files)
    losses = [*carried.losses, *_lost_of_annotations(record, carried)]
    attached = [{"type": "input_file", "file_id": file_id} for file_id in carried.attachments]
    content = [*(_part(part, carried.role, files) for part in carried.parts), *attached]
    return (_message(carried.role, content) if content else None), losses


def _message(role: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def _part(part: Part, role: str, files: Mapping[str, Path]) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return _text(
            role, part.value, [_annotation(one, files) for one in part.annotations if _is_placed(one, part.value)]
        )
    if isinstance(part, RefusalPart):
        return {"type": "refusal", "refusal": part.refusal}
    if isinstance(part, ImageUrlPart):
        return {"type": "input_image", "image_url": part.url, "detail": part.detail or "auto"}
    assert isinstance(part, ImageFilePart)  # no role carries anything else
    return {"type": "input_image", "file_id": part.file_id, "detail": part.detail or "auto"}


def _text(role: str, value: str, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    if role == "assistant":
        return {"type": "output_text", "text": value, "annotations": annotations}
    return {"type": "input_text", "text": value}


def _is_placed(one: Annotation, text: str) -> bool:
    return (
        isinstance(one, FileCitation | FilePath) and one.start_index is not None and 0 <= one.start_index <= len(text)
    )


def _annotation(one: Any, files: Mapping[str, Path]) -> dict[str, Any]:
    if isinstance(one, FilePath):
        return {"type": "file_path", "file_id": one.file_id, "index": one.start_index}
    name = file_name(one, files)
    return {"type": "file_citation", "file_id": one.file_id, "filename": name, "index": one.start_index}


def _lost_of_annotations(record: MessageRecord, carried: Carried) -> Iterator[Loss]:
    """Yield what items have no place for, of the annotations that they carry."""
    for part in carried.parts:
        annotations = part.annotations if isinstance(part, TextPart) else ()
        if isinstance(part, TextPart) and not all(_is_placed(one, part.value) for one in annotations):
            why = "some are of an unknown type, or have no place in the text"
            yield Loss(record.thread_id, record.message_id, "annotations", why)
        if any(isinstance(one, FileCitation) and one.quote for one in annotations):
            yield Loss(record.thread_id, record.message_id, "quote", "an annotation of an item has no place for it")
