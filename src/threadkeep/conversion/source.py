"""Read an export for a conversion: its complete threads, in the order of OUT, one at a time.

Nearly all messages are nothing but one text. They are read here into a `PlainMessage`, at a tenth of the cost of a
record, and what a format has to do for them is little.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import attrs
import msgspec

from threadkeep.errors import MalformedLine, OutputUnusable
from threadkeep.records.model import MessageRecord
from threadkeep.records.ndjson import decode
from threadkeep.storage.index import DownloadRow, Outcome
from threadkeep.storage.private_files import on_disk
from threadkeep.storage.reader import Export, ExportedThread, Records

__all__ = ["PlainMessage", "Source", "Thread", "ThreadConverted", "Turn", "UnknownThread"]

_Nothing: TypeAlias = Annotated[list[Any], msgspec.Meta(max_length=0)] | None
_NoKeys: TypeAlias = Annotated[dict[str, Any], msgspec.Meta(max_length=0)] | None
_Role: TypeAlias = Literal["user", "assistant"]


class _Text(msgspec.Struct, gc=False):
    value: str
    annotations: _Nothing = None


class _Part(msgspec.Struct, gc=False, tag_field="type", tag="text"):
    text: _Text


class _Message(msgspec.Struct, gc=False):
    id: str
    thread_id: str
    role: _Role
    content: tuple[_Part]
    created_at: int | None = None
    attachments: _Nothing = None
    metadata: _NoKeys = None


class PlainMessage(msgspec.Struct, gc=False):
    """A message that is one text and nothing else: no annotations, attachments or metadata, of a user or an assistant.

    Attributes:
        message: as far as it was looked at; `msgspec.UNSET` of a flat line.
    """

    thread_id: str
    assistant_id: str | None
    message_id: str
    role: _Role
    text: str
    created_at: int | None
    message: _Message | msgspec.UnsetType = msgspec.UNSET


Turn: TypeAlias = PlainMessage | MessageRecord
"""A message. Both have ``thread_id, assistant_id, message_id, role, text, created_at``."""

_plain = msgspec.json.Decoder(PlainMessage).decode


class Thread:
    """A thread to be converted.

    Attributes:
        thread_id, assistant_id: its id, and the assistant that it was exported for.
        thread: the thread object as the API gave it, with its metadata; None where it was not saved.
        files: where downloaded files are, by their ids, as far as it refers to them.
        not_saved: what became of the other files that it refers to, likewise, as far as the export knows.
        place: its number among all threads of the export, from 0.
        messages: how many were read when they were last read.
        is_flat: whether a flat line was among them.
    """

    def __init__(self, exported: ExportedThread, place: int = 0) -> None:
        self._exported, self.place = exported, place
        self.thread_id, self.assistant_id = exported.thread_id, exported.assistant_id
        self.thread: Mapping[str, Any] | None = exported.thread
        self.files: Mapping[str, Path] = exported.files
        self.not_saved: Mapping[str, DownloadRow] = exported.not_saved
        self.messages = 0
        self.is_flat = False

    @property
    def runs(self) -> tuple[Mapping[str, Any], ...]:
        """Its runs, each ``{"thread_id", "run_id", "run", "steps"}``; none where they were not saved."""
        return self._exported.runs

    def is_as_written(self) -> bool:
        """Return whether its lines are those that were exported, as far as the export can prove it."""
        records = self._exported.messages
        return not isinstance(records, Records) or records.is_as_written()

    def turns(self) -> Iterator[Turn]:
        """Read its messages, each as a `PlainMessage` where it is one, else as its record.

        Raises:
            MalformedLine: a line is no message of an export.
            OutputUnusable: the file cannot be read.
        """
        return self._read(_turn)

    def records(self) -> Iterator[MessageRecord]:
        """Read its messages as records. Raises as `turns` does."""
        return self._read(decode)

    def lines(self) -> Iterator[tuple[bytes, Turn]]:
        """Read its messages as `turns` does, each with its line. Raises as `turns` does."""
        return self._read(lambda line: (line, _turn(line)))

    def _read(self, read_line: Callable[[bytes], Any]) -> Iterator[Any]:
        records = self._exported.messages
        count = 0
        with on_disk(records.name):
            for line in records.lines():
                try:
                    turn = read_line(line)
                except MalformedLine as error:
                    raise MalformedLine(
                        error.code, f"{records.name}, message {count + 1} of {self.thread_id}: {error.what}", error.path
                    ) from None
                count += 1
                yield turn
        self.messages = count
        self.is_flat = count > 0 and _is_flat(_turn(line))


def _is_flat(turn: Turn) -> bool:
    """Return whether a message was read from a flat line."""
    return turn.message is msgspec.UNSET if isinstance(turn, PlainMessage) else not turn.raw


def _turn(line: bytes) -> Turn:
    try:
        plain = _plain(line)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return decode(line)
    message = plain.message
    if message is msgspec.UNSET:
        return plain if plain.text else decode(line)
    if (
        plain.text == message.content[0].text.value
        and plain.role == message.role
        and plain.message_id == message.id
        and plain.thread_id == message.thread_id
        and plain.created_at == message.created_at
    ):
        return plain
    return decode(line)


class UnknownThread(ValueError):
    """A thread that is to be converted is not in OUT."""


@attrs.frozen(kw_only=True)
class ThreadConverted:
    """An event: a thread has been converted.

    Attributes:
        messages: how many it has.
        total: how many threads are to be converted; None where that is not known.
    """

    thread_id: str
    messages: int
    total: int | None


@attrs.define
class Source:
    """The threads of an export that are to be converted; iterate it once.

    Attributes:
        only: the ids of the threads that are wanted; None for all.
        on_event: called when a thread has been converted.
        threads, messages: how many there were.
        not_complete: how many threads of the export are not complete, and so not in OUT.
        is_flat: whether there were flat lines, which have texts only.
    """

    export: Export
    only: Set[str] | None
    on_event: Callable[[ThreadConverted], object]
    threads: int = 0
    messages: int = 0
    not_complete: int = 0
    is_flat: bool = False

    def __iter__(self) -> Iterator[Thread]:
        """Yield them in the order of OUT.

        Raises:
            MalformedLine, OutputUnusable: as reading the export does.
            OutputUnusable: the lines of a thread are not together, in a file without an index.
            UnknownThread: a thread that is wanted is not in OUT.
        """
        missing, seen, total = {*(self.only or ())}, set[int](), self._total()
        for place, exported in enumerate(self.export.threads()):
            thread_id = exported.thread_id
            if exported.outcome is None:
                self._refuse_split(thread_id, seen)
            if self.only is not None and thread_id not in self.only:
                continue
            if exported.outcome not in (None, Outcome.COMPLETE):
                self.not_complete += exported.outcome is not Outcome.DROPPED
                continue
            missing.discard(thread_id)
            thread = Thread(exported, place)
            yield thread
            self.threads += 1
            self.messages += thread.messages
            self.is_flat = self.is_flat or thread.is_flat
            self.on_event(ThreadConverted(thread_id=thread_id, messages=thread.messages, total=total))
        if missing:
            raise UnknownThread(f"{min(missing)} is not a complete thread of {self.export.path}")

    def _total(self) -> int | None:
        if self.only is not None:
            return len(self.only)
        manifest = self.export.manifest
        return None if manifest is None else manifest.outcomes.get(Outcome.COMPLETE)

    def _refuse_split(self, thread_id: str, seen: set[int]) -> None:
        """Raise at the second appearance of a thread. Hashes are kept, since ids of millions would fill the memory."""
        if hash(thread_id) in seen:
            raise OutputUnusable(
                f"{self.export.path}: the lines of {thread_id} are not together. Sort the lines by thread, and in each"
                " thread leave them in their order."
            )
        seen.add(hash(thread_id))
