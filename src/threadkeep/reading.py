"""One pass over the lines of an export: each line by itself, and against those before it."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from threadkeep.codec import LineFault, line_faults, parse
from threadkeep.errors import MalformedLine
from threadkeep.findings import Finding, Severity, error

__all__ = ["Reading", "ThreadLines"]


@attrs.define
class ThreadLines:
    """The lines of one thread, as they stand in the export."""

    thread_id: str
    first_line: int
    messages: int = 0
    ends: int = 0
    first_id: str | None = None
    last_id: str | None = None
    digest: Any = attrs.field(factory=hashlib.sha256)

    def take(self, line: bytes, ends: int) -> None:
        """Count a line to the thread."""
        self.messages += 1
        self.ends = ends
        self.digest.update(line)


class Reading:
    """One pass over the lines: each by itself, and against those before it."""

    def __init__(self) -> None:
        self.threads: dict[str, ThreadLines] = {}
        self._current: ThreadLines | None = None
        self._offset = 0
        self._messages: set[tuple[str, str]] = set()

    def read(self, lines: Iterable[bytes], *, torn_is_normal_from: int | None) -> Iterator[Finding]:
        """Give the findings of the lines; afterwards ``threads`` holds what stands there.

        Args:
            lines: with their newlines, split on ``\\n`` only.
            torn_is_normal_from: the byte behind which a run that was cut off may leave a torn line; None for nowhere.
        """
        for number, line in enumerate(lines, 1):
            before = self._offset
            self._offset += len(line)
            if line.endswith(b"\n"):
                yield from self._line(number, line)
            else:
                behind = torn_is_normal_from is not None and before >= torn_is_normal_from
                yield _torn(number, behind=behind)

    def _line(self, number: int, line: bytes) -> Iterator[Finding]:
        if not line.strip():
            yield error("blank_line", "the line is blank", line=number)
            self._take(line)
            return
        try:
            value = parse(line)
        except MalformedLine as malformed:
            yield error(malformed.code, malformed.what, line=number, path=malformed.path)
            self._take(line)
            return
        faults = list(line_faults(value))
        thread_id, message_id = _text_at(value, "thread_id"), _text_at(value, "message_id")
        yield from (_fault(fault, number, thread_id, message_id) for fault in faults)
        if thread_id is not None:
            yield from self._enter(thread_id, number)
        self._take(line)
        if thread_id is not None and message_id is not None:
            yield from self._message(thread_id, message_id, number)

    def _enter(self, thread_id: str, number: int) -> Iterator[Finding]:
        """Go on with the thread at hand, or begin the next."""
        if self._current is not None and self._current.thread_id == thread_id:
            return
        known = self.threads.get(thread_id)
        if known is not None:
            what = f"the thread began at line {known.first_line} and goes on here, behind another thread's lines"
            yield error("split_thread", what, line=number, thread_id=thread_id)
        self._current = self.threads.setdefault(thread_id, ThreadLines(thread_id, number))

    def _take(self, line: bytes) -> None:
        """Count a line to the thread at hand, also one that cannot be read: its bytes were part of the thread."""
        if self._current is not None:
            self._current.take(line, self._offset)

    def _message(self, thread_id: str, message_id: str, number: int) -> Iterator[Finding]:
        key = (thread_id, message_id)
        if key in self._messages:
            what = "the message stands in the export already"
            yield error("duplicate_message", what, line=number, thread_id=thread_id, message_id=message_id)
        self._messages.add(key)
        thread = self.threads[thread_id]
        thread.first_id = thread.first_id or message_id
        thread.last_id = message_id


def _torn(number: int, *, behind: bool) -> Finding:
    what = "the last line is cut short: it does not end with a newline"
    if behind:
        what += ", behind all that the journal vouches for"
        return Finding(code="torn_line", severity=Severity.NOTE, message=what, line=number)
    return error("torn_line", what, line=number)


def _fault(fault: LineFault, number: int, thread_id: str | None, message_id: str | None) -> Finding:
    return error(fault.code, fault.what, path=fault.path, line=number, thread_id=thread_id, message_id=message_id)


def _text_at(value: object, key: str) -> str | None:
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else None
