"""What each thread of an export is to be written with: from what has been fetched, and from what an earlier OUT holds.

One rule for every thread of which something is there already, whether it is refreshed, damaged or in the partial file:
when it has been fetched completely, the new version takes its place, and what only the old one has stays, each row
behind the one that stood before it. Until then the old lines stay where they are.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import BinaryIO, TypeAlias

import attrs

from threadkeep.errors import OutputUnusable
from threadkeep.records.content import files_of
from threadkeep.records.ndjson import encode_message, flat_lines, with_assistant
from threadkeep.serialization.lossless_json import loads, text_or_none
from threadkeep.storage.damage import DAMAGED, LACKING, index_rows
from threadkeep.storage.file_set import FileSet
from threadkeep.storage.index import AUTO, IndexHeader, IndexRow, Outcome, Span
from threadkeep.storage.lines import chunks, digest_of, lines_in
from threadkeep.storage.merge import FULLER, merged
from threadkeep.storage.store import MESSAGES, Store, StoredThread

__all__ = ["Combined", "Lines", "ThreadToWrite", "copied"]

_ID = {MESSAGES: "message_id", "runs": "run_id"}
"""The key of the id of a row, by kind. A thread object has none of its own: the new one takes its place."""

Piece: TypeAlias = "tuple[Sequence[str], Sequence[str], bytes]"
"""The ids of rows, the ids of the files that they refer to, and their lines."""

_Line: TypeAlias = "bytes | tuple[int, int]"  # a line without its newline, or where it is in a file
_Rows: TypeAlias = "list[tuple[str, _Line]]"
_Row: TypeAlias = "tuple[Sequence[str], _Line]"  # with the ids of the files that it refers to, where it is a new one


class Lines:
    """Lines to be written together. What they are is known when they have been read, since they are read once.

    Args:
        pieces: one line or more in each, with the ids of their rows and the files that these refer to.

    Attributes:
        count: how many there are.
        first_id, last_id: of their rows; None without any.
        files: the ids of the files that they refer to.
        sha256: of their bytes, where these are in memory and were checked; else None.
    """

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = pieces
        self.sha256: str | None = None
        self.count = 0
        self.first_id: str | None = None
        self.last_id: str | None = None
        self.files: dict[str, None] = {}

    def __iter__(self) -> Iterator[bytes]:
        for ids, files, lines in self._pieces:
            if ids:
                self.count += len(ids)
                self.first_id = ids[0] if self.first_id is None else self.first_id
                self.last_id = ids[-1]
                self.files.update(dict.fromkeys(files))
            yield lines

    @classmethod
    def of(cls, row: IndexRow, pieces: Iterable[bytes]) -> "Lines":
        """Return the lines of a row as they are: what they are is known beforehand."""
        lines = cls(((), (), piece) for piece in pieces)
        lines.count, lines.first_id, lines.last_id = row.messages or 0, row.first_id, row.last_id
        return lines


@attrs.frozen(kw_only=True)
class ThreadToWrite:
    """A thread, with all that is written of it.

    Attributes:
        files: the ids of the files that it referred to before.
        messages: its lines in OUT; None unless it is complete.
        sidecars: its lines in the sidecar files, by kind.
        partial: its full lines in the partial file.
    """

    thread_id: str
    assistant_id: str | None
    outcome: Outcome
    reason: str | None = None
    files: tuple[str, ...] = ()
    messages: Lines | None = None
    sidecars: Mapping[str, Lines] = attrs.field(factory=dict)
    partial: Lines | None = None


def copied(file: BinaryIO, name: str, span: Span, start: int | None = None) -> Iterator[bytes]:
    """Yield a range of bytes, in pieces, and make sure that they are what they were.

    Args:
        file: where they are.
        name: of the file, for the error.
        span: where they should be, and their digest.
        start: where they are, if not there.

    Raises:
        OutputUnusable: they have changed since they were looked at.
    """
    place = span.offset if start is None else start
    if digest_of(file, place, place + span.bytes) != span.sha256:
        raise OutputUnusable(f"{name} was changed by another program while it was read. Run the same command again.")
    yield from chunks(file, place, place + span.bytes)


class Combined:
    """The threads of an export as they are to be written.

    Args:
        store: what has been fetched, and which threads are wanted; its plan was made from ``old``.
        old: the files of the export so far; None where they do not count.
        recount: its index is not the one that was written: what rows say of lines is found out from the lines.
    """

    def __init__(self, store: Store, old: FileSet | None, *, recount: bool = False) -> None:
        self._store = store
        self._recount = recount
        self._old = old
        self._header: IndexHeader = store.header
        self._has_salvage = store.has_salvage

    def __iter__(self) -> Iterator[ThreadToWrite]:
        index = self._old.files.get("index") if self._old is not None else None
        name = self._old.paths.index.name if self._old is not None else ""
        rows = enumerate(index_rows(index, name) if index is not None else (), 1)
        for thread in self._store.threads():
            row = None
            if thread.row is not None:
                row = next(found for number, found in rows if number == thread.row)
            yield self._thread(thread, row)

    def _thread(self, thread: StoredThread, row: IndexRow | None) -> ThreadToWrite:
        before = _Before(self._store, self._old, row, thread, has_salvage=self._has_salvage)
        if thread.outcome is Outcome.COMPLETE:
            return self._complete(thread, before)
        partial = self._partial(thread, before)
        sidecars: dict[str, Lines] = {
            kind: Lines(before.counted(kind)) if self._recount else Lines.of(row, before.chunks(kind))
            for kind in self._header.include
            if row is not None and before.has(kind)
        }
        if before.is_complete and row is not None:
            return ThreadToWrite(
                thread_id=thread.thread_id,
                assistant_id=self._assistant_of_lines(row, before),
                outcome=Outcome.COMPLETE,
                files=() if self._recount and not self._header.flat else row.files,
                messages=Lines(before.counted("out")) if self._recount else Lines.of(row, before.chunks("out")),
                sidecars=sidecars,
                partial=partial,
            )
        outcome, reason = _settled(thread, row, has_lines=partial is not None)
        assistant_id = self._assistant(thread, before)
        return ThreadToWrite(
            thread_id=thread.thread_id,
            assistant_id=assistant_id,
            outcome=outcome,
            reason=reason,
            sidecars=sidecars,
            partial=partial,
        )

    def _assistant(self, thread: StoredThread, before: "_Before") -> str | None:
        if self._header.assistant_id != AUTO:
            return self._header.assistant_id
        known = None if before.row is None else before.row.assistant_id
        if known is not None and before.row is not None and before.row.outcome is Outcome.COMPLETE:
            return known
        newest = self._store.newest_assistant(thread.fetched, thread.thread_id)
        return known if newest is None else newest

    def _assistant_of_lines(self, row: IndexRow, before: "_Before") -> str | None:
        """The assistant that is on the lines of a complete thread, whatever an altered row says."""
        if self._header.assistant_id != AUTO:
            return self._header.assistant_id
        return before.assistant_of_lines() if self._recount and row.bytes else row.assistant_id

    def _complete(self, thread: StoredThread, before: "_Before") -> ThreadToWrite:
        assistant_id, flat = self._assistant(thread, before), self._header.flat

        def as_written(lines: bytes) -> bytes:
            lines = self._with_assistant(lines, thread, assistant_id)
            return flat_lines(lines) if flat else lines

        def again(line: bytes) -> bytes:
            """A full line of another time, as it would be written now."""
            return encode_message(loads(line)["message"], assistant_id=assistant_id, flat=flat)

        old = before.rows(again)
        return ThreadToWrite(
            thread_id=thread.thread_id,
            assistant_id=assistant_id,
            outcome=Outcome.COMPLETE,
            files=before.row.files if before.row is not None else (),
            messages=self._joined(thread, MESSAGES, old, before.reader("out"), as_written),
            sidecars={
                kind: self._joined(thread, kind, before.sidecar_rows(kind), before.reader(kind))
                for kind in self._header.include
            },
        )

    def _partial(self, thread: StoredThread, before: "_Before") -> Lines | None:
        """The full lines that are not in OUT, of a thread that has not been fetched completely."""
        assistant_id = self._assistant(thread, before)
        extra = before.extra_rows()
        fetched = self._stored_ids(thread, MESSAGES)
        if not extra and not fetched:
            return None
        in_out = {row_id for row_id, _ in before.base_rows()}
        old: _Rows = [
            (row_id, encode_message(loads(line)["message"], assistant_id=assistant_id))
            for row_id, line in extra
            if row_id not in in_out
        ]
        if not old and in_out.issuperset(fetched):
            return None
        return self._joined(
            thread,
            MESSAGES,
            old,
            before.reader("out"),
            lambda lines: self._with_assistant(lines, thread, assistant_id),
            without=in_out,
        )

    def _stored_ids(self, thread: StoredThread, kind: str) -> list[str]:
        pages = self._store.pages(thread, kind)
        return [row_id for ids, _, _ in pages for row_id in ids]

    def _with_assistant(self, lines: bytes, thread: StoredThread, assistant_id: str | None) -> bytes:
        is_known_before = self._header.assistant_id != AUTO
        return lines if is_known_before else with_assistant(lines, thread.thread_id, assistant_id)

    def _joined(
        self,
        thread: StoredThread,
        kind: str,
        old: _Rows,
        read: Callable[[_Line], bytes],
        as_written: Callable[[bytes], bytes] = bytes,
        without: Set[str] = frozenset(),
    ) -> Lines:
        """The pages of a list, joined with the rows of it that were there before."""
        pages = self._store.pages(thread, kind)
        new = ((ids, files, as_written(lines)) for ids, files, lines in pages)
        if not old and not without:
            return Lines(new)
        ids = frozenset(self._stored_ids(thread, kind)) - without
        rows = (
            (row_id, (files, line))
            for page_ids, files, lines in new
            for row_id, line in zip(page_ids, lines.split(b"\n")[:-1], strict=True)
            if row_id not in without
        )
        return Lines(_merged_lines(old, rows, ids, FULLER.get(kind), read))


def _merged_lines(
    old: _Rows,
    new: Iterable[tuple[str, _Row]],
    new_ids: Set[str],
    fuller: Callable[[bytes, bytes], bytes] | None,
    read: Callable[[_Line], bytes],
) -> Iterator[Piece]:
    """Join line by line: of old lines only their places are held."""
    was: Iterable[tuple[str, _Row]] = ((row_id, ((), line)) for row_id, line in old)
    for row_id, (files, line), before in merged(was, new, new_ids):
        text = read(line)
        if before is not None and fuller is not None and (old_text := read(before[1])) != text:
            text = fuller(old_text, text)
        yield (row_id,), files, text + b"\n"


def _settled(thread: StoredThread, row: IndexRow | None, *, has_lines: bool) -> tuple[Outcome, str | None]:
    """The outcome of a thread that is not complete, and why."""
    if thread.dropped:
        return Outcome.DROPPED, row.reason if row is not None else None
    if thread.outcome is not None and (thread.outcome is not Outcome.FAILED or not has_lines):
        return thread.outcome, thread.reason
    if has_lines:
        reason = thread.reason or (row.reason if row is not None and thread.old not in (DAMAGED, LACKING) else None)
        if reason is None and thread.old == DAMAGED:
            reason = "its lines were damaged; what could be read of them is in the partial file"
        return Outcome.PARTIAL, reason or "the run ended before the thread was complete"
    if thread.old == DAMAGED:
        return Outcome.UNFINISHED, "its lines were damaged, and nothing of them could be read"
    if row is not None and row.outcome in (Outcome.MISSING, Outcome.FAILED, Outcome.UNFINISHED):
        return row.outcome, row.reason
    return Outcome.UNFINISHED, "it was not asked for yet"


class _Before:
    """What an export has of one thread so far."""

    def __init__(
        self, store: Store, old: FileSet | None, row: IndexRow | None, thread: StoredThread, *, has_salvage: bool
    ) -> None:
        self.row = row
        self._old = old
        self._store = store
        self._thread = thread
        self._lost = store.lost(thread.row) if has_salvage and thread.row is not None else {}
        self._has_salvage = has_salvage

    @property
    def is_complete(self) -> bool:
        """Whether all its lines in OUT are as they were written."""
        return self.row is not None and self.row.outcome is Outcome.COMPLETE and self.has("out")

    def has(self, name: str) -> bool:
        """Whether its lines in a file are as they were written."""
        return self._span(name) is not None and self._lost.get(name, 0) is not None

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield its lines in a file as they are."""
        span = self._span(name)
        if span is not None and span.bytes and self._old is not None:
            yield from copied(self._old.files[name], self._name(name), span, self._lost.get(name))

    def counted(self, name: str) -> Iterator[Piece]:
        """Yield its lines in a file with what is in them, since the row is not the one that was written."""
        for _, line in self._lines(name):
            value = loads(line)
            holders = value.get("steps", ()) if name == "runs" else filter(None, [value.get("message")])
            files = [file_id for holder in holders for file_id in files_of(holder)]
            yield [str(value.get("message_id" if name == "out" else "run_id"))], files, line

    def assistant_of_lines(self) -> str | None:
        """Return the assistant id of its first line in OUT."""
        return next((text_or_none(loads(line).get("assistant_id")) for _, line in self._lines("out")), None)

    def rows(self, again: Callable[[bytes], bytes]) -> _Rows:
        """Every message that is there: in OUT, in the partial file, in damaged bytes; by id, in order.

        What OUT lacks came after it was written: where it belongs among its lines is not known any more.
        """
        if self.row is None and not self._has_salvage:
            return []
        extra: _Rows = [(row_id, again(line)) for row_id, line in self.extra_rows()]
        base = self.base_rows()
        in_out = {row_id for row_id, _ in base}
        return [*base, *((row_id, line) for row_id, line in extra if row_id not in in_out)]

    def base_rows(self) -> _Rows:
        """The messages that are in OUT, and where their lines are."""
        return self._rows("out", "message_id") if self.is_complete else []

    def sidecar_rows(self, kind: str) -> _Rows:
        """The rows of a sidecar file that have an id of their own, and where they are."""
        return self._rows(kind, _ID[kind]) if kind in _ID and self.has(kind) else []

    def extra_rows(self) -> list[tuple[str, bytes]]:
        """The messages that are in the partial file or in damaged bytes, as full lines."""
        lines = [line for _, line in self._lines("partial")] if self.has("partial") else []
        partial = [(loads(line)["message_id"], line.removesuffix(b"\n")) for line in lines]
        salvaged = self._store.salvaged(self._thread.thread_id) if self._has_salvage else []
        others = {loads(line)["message_id"]: line.removesuffix(b"\n") for line in salvaged}
        joined = merged(others.items(), partial, {row_id for row_id, _ in partial})
        return [(row_id, line) for row_id, line, _ in joined]

    def reader(self, name: str) -> Callable[[_Line], bytes]:
        """Return what reads a line of a file, unless it is at hand."""
        old = self._old

        def read(line: _Line) -> bytes:
            if isinstance(line, bytes):
                return line
            assert old is not None
            old.files[name].seek(line[0])
            return old.files[name].read(line[1])

        return read

    def _rows(self, name: str, key: str) -> _Rows:
        return [(loads(line)[key], (start, len(line) - 1)) for start, line in self._lines(name)]

    def _lines(self, name: str) -> Iterator[tuple[int, bytes]]:
        """Yield its lines in a file, each with the byte at which it begins."""
        span = self._span(name)
        if span is None or not span.bytes or self._old is None:
            return
        moved = self._lost.get(name)
        start = span.offset if moved is None else moved
        for line in lines_in(self._old.files[name], self._name(name), start, start + span.bytes):
            yield start, line
            start += len(line)

    def _span(self, name: str) -> Span | None:
        if self.row is None:
            return None
        if name == "out":
            return self.row.span
        return self.row.partial if name == "partial" else self.row.sidecars.get(name)

    def _name(self, name: str) -> str:
        return "" if self._old is None else self._old.paths.written[name].name
