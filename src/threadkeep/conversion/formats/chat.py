"""Chat Completions messages: a line ``{"thread_id", "messages": [...]}`` for each thread."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from threadkeep.conversion.content import carry, thread_losses
from threadkeep.conversion.job import Citations, Conversion, Options, Unsupported
from threadkeep.conversion.losses import Loss, checked_records, together
from threadkeep.conversion.source import PlainMessage, Thread
from threadkeep.conversion.thread_lines import ThreadLines
from threadkeep.records.model import ImageUrlPart, MessageRecord, Part, RefusalPart, TextPart

__all__ = ["DESCRIPTION", "NO_PLACE", "chat_part", "to_chat_messages", "write"]

DESCRIPTION = "Messages of Chat Completions, a line for each thread."
NO_PLACE = ("ids of messages, assistants and runs", "times", "status", "runs", "tool_resources", "unknown fields")

_CARRIES = {"user": {"image_url"}, "assistant": {"refusal"}}


def write(threads: Iterable[Thread], path: Path, conversion: Conversion) -> None:
    """Write the threads. A message with nothing left is omitted."""
    with ThreadLines(path, "messages") as file:
        for thread in threads:
            conversion.lose(thread_losses(thread.thread_id, thread.thread))
            file.add(thread.thread_id, _messages(thread, conversion))


def to_chat_messages(
    records: Iterable[MessageRecord],
    *,
    citations: Citations = "keep",
    unsupported: Unsupported = "skip",
    files_url: str | None = None,
    inline_images: bool = False,
    files: Mapping[str, Path] | None = None,
) -> tuple[list[dict[str, Any]], list[Loss]]:
    """Turn the messages of a thread into messages of Chat Completions.

    Args:
        records: of one thread, in their order.
        citations: "keep" leaves texts as they are, "strip" takes the markers of citations out, "footnotes" puts
            numbers in their place and the names of the files behind the text.
        unsupported: what to do with what a role cannot carry: "skip" it, or keep it as "text". It is a loss either way.
        files_url: the beginning of the URLs of image files.
        inline_images: take image files that were downloaded as data URLs.
        files: where downloaded files are, by their ids, as ``read(out)[thread_id].files`` has them.

    Returns:
        The messages, and everything that they cannot carry.

    Raises:
        ValueError: options that contradict each other, or that there are not.
        TypeError: ``records`` are no records.
    """
    options = Options(citations=citations, unsupported=unsupported, files_url=files_url, inline_images=inline_images)
    return together(_message(record, options, files or {}) for record in checked_records(records))


def _messages(thread: Thread, conversion: Conversion) -> Iterator[dict[str, Any]]:
    for turn in thread.turns():
        if isinstance(turn, PlainMessage):
            yield {"role": turn.role, "content": turn.text}
            continue
        message, losses = _message(turn, conversion.options, thread.files)
        conversion.lose(losses)
        if message is None:
            conversion.leave_out()
        else:
            yield message


def _message(
    record: MessageRecord, options: Options, files: Mapping[str, Path]
) -> tuple[dict[str, Any] | None, Iterable[Loss]]:
    carried = carry(record, _CARRIES, options, files)
    match carried.parts:
        case ():
            return None, carried.losses
        case (TextPart(value),):
            return {"role": carried.role, "content": value}, carried.losses
    return {"role": carried.role, "content": [chat_part(part) for part in carried.parts]}, carried.losses


def chat_part(part: Part) -> dict[str, Any]:
    """Return a part as Chat Completions has it."""
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.value}
    if isinstance(part, RefusalPart):
        return {"type": "refusal", "refusal": part.refusal}
    assert isinstance(part, ImageUrlPart)  # no role carries anything else
    image = {"url": part.url} if part.detail is None else {"url": part.url, "detail": part.detail}
    return {"type": "image_url", "image_url": image}
