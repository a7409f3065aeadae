"""The items of a conversation as they are sent: converted, with the target's ids of files, and Unicode throughout."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from threadkeep.conversion.formats.items import item_of
from threadkeep.conversion.job import Options
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.source import Thread, Turn
from threadkeep.serialization.lossless_json import dumps

__all__ = ["FileAtTarget", "SentItem", "by_kind", "items_of_thread"]

_FILES = {"input_image": "image_file", "input_file": "attachments"}
"""The API's word for what is lost, by the type of the part that names a file."""

# The longest URL of an image, data URLs too (spec of Responses).
_IMAGE_LETTERS = 20_971_520


@attrs.frozen
class FileAtTarget:
    """A file that messages refer to.

    Attributes:
        file_id: its id at the target; None if it is not there.
        why: the reason then.
    """

    file_id: str | None
    why: str = ""


@attrs.frozen
class SentItem:
    """A message of a thread, as it is sent.

    Attributes:
        item: None if nothing is left of it.
        time: of the message.
        losses: what the item does not carry of it.
        files: the ids of the files that it needs, as the source has them, each with whether it is shown as an image.
    """

    item: Mapping[str, Any] | None
    time: int | None
    losses: tuple[Loss, ...] = ()
    files: tuple[tuple[str, bool], ...] = ()


def items_of_thread(
    thread: Thread, options: Options, files: Mapping[str, FileAtTarget] | None = None
) -> Iterator[SentItem]:
    """Yield the messages of a thread as they are sent.

    Args:
        thread: as it is read from an export.
        options: as for the format ``items``.
        files: those that it refers to; None for the ids of the source.

    Raises:
        MalformedLine, OutputUnusable: as reading the thread does.
        KeyError: a file is not among ``files``.
    """
    for turn in thread.turns():
        item, losses = item_of(turn, options, thread.files)
        media = [part for part in item["content"] if part["type"] in _FILES] if item is not None else []
        ids = ((part.get("file_id") or "", part["type"] == "input_image") for part in media)
        needed = tuple(one for one in ids if _is_id(one[0]))
        found = [*losses]
        if item is not None and media:
            item = _with_files(turn, item, files, found)
        # Most texts need no escape at all, which is found out in a twentieth of the time.
        if item is not None and b"\\u" in dumps(item) and not _is_unicode(item):
            item = _as_unicode(item)
            why = "half of a surrogate pair is no character: it became U+FFFD"
            found.append(Loss(turn.thread_id, turn.message_id, "text", why))
        yield SentItem(item, turn.created_at, tuple(found), needed)


def by_kind(files: Iterable[tuple[str, bool]]) -> dict[str, bool]:
    """Return whether files are shown as images anywhere, by their ids. ``files`` are those of items."""
    found = dict[str, bool]()
    for file_id, is_image in files:
        found[file_id] = is_image or found.get(file_id, False)
    return found


def _is_id(file_id: str) -> bool:
    """Return whether a file can have this id: it is in the path of a URL."""
    return file_id != "" and _is_unicode(file_id)


def _with_files(
    turn: Turn, item: Mapping[str, Any], files: Mapping[str, FileAtTarget] | None, losses: list[Loss]
) -> dict[str, Any] | None:
    """Put the target's ids in the place of the source's. A part that the target cannot have is a loss."""
    content = []
    for part in item["content"]:
        why = None
        if part["type"] in _FILES and part.get("file_id") is not None:
            there = _there(part["file_id"], files)
            part, why = {**part, "file_id": there.file_id}, there.why if there.file_id is None else None
        elif part["type"] == "input_image" and len(part["image_url"]) > _IMAGE_LETTERS:
            why = f"the image has {len(part['image_url']):,} letters as a URL, and an item takes {_IMAGE_LETTERS:,}"
        if why is None:
            content.append(part)
        else:
            losses.append(Loss(turn.thread_id, turn.message_id, _FILES[part["type"]], why))
    return {**item, "content": content} if content else None


def _there(file_id: str, files: Mapping[str, FileAtTarget] | None) -> FileAtTarget:
    if not _is_id(file_id):
        return FileAtTarget(None, f"no file has the id {file_id!r}")
    return FileAtTarget(file_id) if files is None else files[file_id]


def _is_unicode(value: object) -> bool:
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, Mapping):
        return all(map(_is_unicode, value.values()))
    return not isinstance(value, list) or all(map(_is_unicode, value))


def _as_unicode(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, Mapping):
        return {key: _as_unicode(one) for key, one in value.items()}
    return [_as_unicode(one) for one in value] if isinstance(value, list) else value
