"""Markdown: a folder with a page for each thread, which people read and `threadkeep.read` reads back."""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import attrs

from threadkeep.conversion.content import UNPLACED, Footnotes, data_url, file_url, with_footnotes, without_markers
from threadkeep.conversion.job import Conversion, Options
from threadkeep.conversion.losses import Loss
from threadkeep.conversion.source import Thread
from threadkeep.errors import OutputUnusable
from threadkeep.records.mapping import from_plain_json
from threadkeep.records.markdown import Page, PageWriter, contents_end, contents_head, contents_line
from threadkeep.records.model import MessageRecord, TextPart
from threadkeep.storage.private_files import create, open_regular

__all__ = ["DESCRIPTION", "NO_PLACE", "page", "write"]

DESCRIPTION = "A folder with a page for each thread, which `threadkeep` also reads back."
NO_PLACE = ("runs",)

_ENDING = re.compile(r"\.[A-Za-z0-9]{1,8}")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d|index|files)")
_LONGEST, _WORDS = 80, 80
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]")
_SAFE = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_-]{{,{_LONGEST}}}")


def write(threads: Iterable[Thread], path: Path, conversion: Conversion) -> None:
    """Write the pages, the page ``index.md`` that lists them in their order, and the files that threads refer to."""
    path.mkdir()
    pages, files, count = _Names(), _Files(path / "files"), 0
    # Files are copied, since the folder may be moved, unless images were asked for in another way.
    are_copied = conversion.options.files_url is None and not conversion.options.inline_images
    with create(path / "index.md") as contents:
        contents.write(contents_head(conversion.out.name).encode())
        for thread in threads:
            count += 1
            name = pages.name(thread.thread_id)
            copied = files.copied(thread.files) if are_copied else None
            seen = _Seen()
            with create(path / f"{name}.md") as file:
                for piece in _page(thread, conversion, copied, seen):
                    file.write(piece.encode())
            contents.write(contents_line(name, thread.thread_id, seen.messages, seen.begun, seen.words).encode())
        contents.write(contents_end(count).encode())


def page(thread: Thread, conversion: Conversion) -> Iterator[str]:
    """Yield one page that is no part of a folder; its files are linked where they are."""
    return _page(thread, conversion, None, _Seen())


@attrs.define
class _Seen:
    """What the list of threads says of one."""

    messages: int = 0
    begun: int | None = None
    words: str = ""

    def take(self, record: MessageRecord) -> None:
        """Look at a message."""
        self.messages += 1
        self.begun = record.created_at if self.begun is None else self.begun
        if not self.words:
            self.words = " ".join(record.text[: 4 * _WORDS].split())[:_WORDS]


def _page(thread: Thread, conversion: Conversion, copied: Mapping[str, str] | None, seen: _Seen) -> Iterator[str]:
    """Yield a page. ``copied`` has the names of files in the folder, or is None where the page has no folder."""
    options, footnotes = conversion.options, Footnotes(thread.files, mark="[^source-{}]", line="[^source-{}]: {}")

    def url(file_id: str) -> str | None:
        if copied is None:
            return _url(thread.files.get(file_id), file_id, conversion)
        return f"files/{copied[file_id]}" if file_id in copied else None

    head = Page(thread_id=thread.thread_id, assistant_id=thread.assistant_id, thread=thread.thread, files=copied or {})
    writer = PageWriter(head, url)
    yield writer.head()
    for record in thread.records():
        seen.take(record)
        shown, losses = _cited(record, options, footnotes)
        conversion.lose(losses)
        yield writer.message(shown)
    yield writer.end()


def _url(path: Path | None, file_id: str, conversion: Conversion) -> str | None:
    options = conversion.options
    if options.files_url is not None:
        return file_url(options.files_url, file_id if path is None else path.name)
    if path is None:
        return None
    if not options.inline_images:
        place = os.path.relpath(path.resolve(), conversion.target.resolve().parent)
        return quote(Path(place).as_posix(), errors="replace")
    try:
        return data_url(path)
    except (OSError, OutputUnusable):
        return None


def _cited(record: MessageRecord, options: Options, footnotes: Footnotes) -> tuple[MessageRecord, list[Loss]]:
    """Return a message with its citations as they were asked for, and what is lost then."""
    content = record.raw.get("content")
    if options.citations == "keep" or not isinstance(content, list):
        return record, []
    changed, losses = [], []
    for raw, part in zip(content, record.parts, strict=True):
        if not isinstance(part, TextPart) or not part.annotations:
            changed.append(raw)
            continue
        if options.citations == "strip":
            text, why = without_markers(part.value, part.annotations), "citations are stripped"
        else:
            text, unplaced = with_footnotes(part.value, part.annotations, footnotes)
            why = UNPLACED if unplaced else ""
        changed.append({**raw, "text": {**raw["text"], "value": text, "annotations": []}})
        losses += [Loss(record.thread_id, record.message_id, "annotations", why)] if why else []
    return from_plain_json({**record.raw, "content": changed}, assistant_id=record.assistant_id), losses


@attrs.define
class _Names:
    """File names made of ids: safe everywhere, and unique also where capitals are small letters."""

    _taken: set[int] = attrs.field(factory=set)  # hashes, since the ids of millions would fill the memory

    def name(self, an_id: str) -> str:
        """Return the name of another id, without an ending."""
        key = hash(an_id.lower())
        if _SAFE.fullmatch(an_id) and not _RESERVED.fullmatch(an_id) and key not in self._taken:
            self._taken.add(key)
            return an_id
        digest = hashlib.sha256(an_id.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{_UNSAFE.sub('_', an_id)[:_LONGEST]}~{digest[:12]}"


@attrs.define
class _Files:
    """The folder of files that threads refer to. Each is copied once."""

    folder: Path
    _names: _Names = attrs.field(factory=_Names)
    _copied: dict[str, str | None] = attrs.field(factory=dict)

    def copied(self, files: Mapping[str, Path]) -> dict[str, str]:
        """Copy files, and return their names by their ids. One that cannot be read is left out."""
        for file_id, path in files.items():
            if file_id not in self._copied:
                self._copied[file_id] = self._copy(file_id, path)
        return {file_id: name for file_id in files if (name := self._copied[file_id]) is not None}

    def _copy(self, file_id: str, path: Path) -> str | None:
        try:
            source = open_regular(path)
        except (OSError, OutputUnusable):
            return None
        ending = path.suffix if _ENDING.fullmatch(path.suffix) else ""
        name = f"{self._names.name(file_id)}{ending}"
        self.folder.mkdir(exist_ok=True)
        with source, create(self.folder / name) as copy:
            shutil.copyfileobj(source, copy)
        return name
