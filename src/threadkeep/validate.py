"""Check an export against itself, its journal, its manifest and the ids that were wanted.

Everything that is wrong is a finding; nothing raises, and one finding does not hide the next.

| code | severity | what |
|---|---|---|
| not_utf8, malformed_line, blank_line | error | the line is no JSON |
| not_an_object, missing_key, wrong_type, malformed_message | error | the line is no record |
| text_mismatch, key_mismatch | error | the keys contradict the message beside them |
| duplicate_message | error | a message stands there twice |
| split_thread | error | a thread's lines are not together |
| torn_line | error | the last line is cut short (a note, where a run was cut off behind all that its journal knows) |
| digest_mismatch | error | a thread's lines are not those that were written |
| misplaced_thread | error | a thread's lines do not end where the journal says |
| lost_thread | error | the journal says complete, and the lines are not there |
| lost_partial | error | the journal says that pages were kept in the partial file, and they are not there |
| unjournalled_thread | error | lines of a thread that the journal does not know |
| torn_journal, unreadable_journal, lost_journal | error | the journal cannot vouch for every thread, or is gone |
| manifest_mismatch, unreadable_manifest | error | the manifest contradicts the journal, or cannot be read |
| thread_failed, thread_partial | error | the thread is not in the export, or not whole |
| thread_missing, thread_invalid | warning | the API knew no such thread, or the id is malformed |
| not_exported | error | a wanted thread of which nothing is known |
| unvouched | note | neither journal nor manifest: the lines were checked for what they are |
| unfinished_run | warning | a journal without manifest: the run did not end by itself |
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import attrs

from threadkeep.codec import LineFault, decode, line_faults, parse
from threadkeep.errors import MalformedLine
from threadkeep.journal import Entry, Journal, Outcome
from threadkeep.manifest import Manifest, claims

__all__ = ["Finding", "Severity", "Vouchers", "is_whole", "validate"]


class Severity(StrEnum):
    """How much a finding matters. An export with errors or warnings is not whole."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@attrs.frozen(kw_only=True)
class Finding:
    """One thing to know about an export.

    Attributes:
        code: the kind, from the table above.
        path: where in the line, as a JSON path; None when it is not about a line's content.
        line: the line's number in the export, from 1.
        message: for a person.
    """

    code: str
    severity: Severity
    message: str
    path: str | None = None
    line: int | None = None
    thread_id: str | None = None
    message_id: str | None = None


@attrs.frozen(kw_only=True)
class Vouchers:
    """What stands beside the export and what was wanted of it; None where there is none.

    Attributes:
        manifest_fault: why the manifest that is there cannot be read.
        partial: the lines of the partial file, without their newlines.
        ids: the thread ids that were wanted.
    """

    journal: Journal | None = None
    manifest: Manifest | None = None
    manifest_fault: str | None = None
    partial: Sequence[bytes] = ()
    ids: Sequence[str] | None = None


def is_whole(findings: Iterable[Finding]) -> bool:
    """Say whether the findings leave the export whole."""
    return all(finding.severity is Severity.NOTE for finding in findings)


def validate(lines: Iterable[bytes], vouchers: Vouchers) -> Iterator[Finding]:
    """Check an export.

    Args:
        lines: the export's lines with their newlines, split on ``\\n`` only, as a binary file gives them.
        vouchers: what to hold it against.
    """
    reading = _Reading()
    yield from reading.read(lines, vouchers)
    if vouchers.manifest_fault is not None:
        yield _error("unreadable_manifest", vouchers.manifest_fault)
    if vouchers.journal is not None:
        yield from _against_journal(reading.threads, vouchers)
        yield from _against_manifest(vouchers.journal, vouchers)
    elif vouchers.manifest is not None or vouchers.manifest_fault is not None:
        yield _error("lost_journal", "there is a manifest and no journal: nothing says what must be in the export")
    else:
        what = "there is no journal beside it: the lines were checked, but nothing vouches that they are all"
        yield Finding(code="unvouched", severity=Severity.NOTE, message=what)
    yield from _against_ids(reading.threads, vouchers)


@attrs.define
class _Thread:
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


class _Reading:
    """One pass over the lines: each by itself, and against those before it."""

    def __init__(self) -> None:
        self.threads: dict[str, _Thread] = {}
        self._current: _Thread | None = None
        self._offset = 0
        self._messages: set[tuple[str, str]] = set()

    def read(self, lines: Iterable[bytes], vouchers: Vouchers) -> Iterator[Finding]:
        """Give the findings of the lines; afterwards ``threads`` holds what stands there."""
        for number, line in enumerate(lines, 1):
            before = self._offset
            self._offset += len(line)
            if line.endswith(b"\n"):
                yield from self._line(number, line)
            else:
                yield _torn(number, before, vouchers)

    def _line(self, number: int, line: bytes) -> Iterator[Finding]:
        if not line.strip():
            yield _error("blank_line", "the line is blank", line=number)
            self._take(line)
            return
        try:
            value = parse(line)
        except MalformedLine as error:
            yield _error(error.code, error.what, line=number, path=error.path)
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
            yield _error("split_thread", what, line=number, thread_id=thread_id)
        self._current = self.threads.setdefault(thread_id, _Thread(thread_id, number))

    def _take(self, line: bytes) -> None:
        """Count a line to the thread at hand, also one that cannot be read: its bytes were part of the thread."""
        if self._current is not None:
            self._current.take(line, self._offset)

    def _message(self, thread_id: str, message_id: str, number: int) -> Iterator[Finding]:
        key = (thread_id, message_id)
        if key in self._messages:
            what = "the message stands in the export already"
            yield _error("duplicate_message", what, line=number, thread_id=thread_id, message_id=message_id)
        self._messages.add(key)
        thread = self.threads[thread_id]
        thread.first_id = thread.first_id or message_id
        thread.last_id = message_id


def _against_journal(threads: Mapping[str, _Thread], vouchers: Vouchers) -> Iterator[Finding]:
    journal = vouchers.journal or Journal(None, {})
    yield from _journal_faults(journal)
    for thread_id, thread in threads.items():
        entry = journal.entries.get(thread_id)
        if entry is None or entry.outcome is not Outcome.COMPLETE:
            what = "the export holds lines of the thread, and the journal does not say that it is complete"
            yield _error("unjournalled_thread", what, line=thread.first_line, thread_id=thread_id)
    for entry in journal.complete:
        yield from _complete_thread(entry, threads.get(entry.thread_id))
    yield from _against_partial(journal, vouchers.partial)


def _against_partial(journal: Journal, lines: Sequence[bytes]) -> Iterator[Finding]:
    kept = Counter(_thread_of(line) for line in lines)
    for entry in journal.entries.values():
        if entry.outcome is Outcome.PARTIAL and kept[entry.thread_id] < entry.messages:
            what = f"of {entry.messages} messages that were kept, {kept[entry.thread_id]} are in the partial file"
            yield _error("lost_partial", what, thread_id=entry.thread_id)


def _thread_of(line: bytes) -> str | None:
    try:
        return decode(line).thread_id
    except MalformedLine:
        return None


def _journal_faults(journal: Journal) -> Iterator[Finding]:
    if journal.torn:
        yield _error("torn_journal", "the journal's last line is cut short: its thread is not vouched for")
    if journal.header is None:
        yield _error("unreadable_journal", "the journal does not begin with its header")
    for number in journal.unreadable:
        yield _error("unreadable_journal", f"line {number} of the journal cannot be read")


def _complete_thread(entry: Entry, thread: _Thread | None) -> Iterator[Finding]:
    if thread is None:
        if entry.messages:
            what = f"the journal vouches for {entry.messages} messages, and none of them is in the export"
            yield _error("lost_thread", what, thread_id=entry.thread_id)
        return
    where = {"line": thread.first_line, "thread_id": entry.thread_id}
    if thread.digest.hexdigest() != entry.sha256:
        what = f"the thread's {thread.messages} lines are not the {entry.messages} that were written"
        yield _error("digest_mismatch", what, **where)
    elif (thread.messages, thread.first_id, thread.last_id) != (entry.messages, entry.first_id, entry.last_id):
        yield _error("unreadable_journal", "the journal's entry contradicts the thread's lines", **where)
    elif thread.ends != entry.end_offset:
        what = f"the thread's lines end at byte {thread.ends}, and the journal says {entry.end_offset}"
        yield _error("misplaced_thread", what, **where)


def _against_manifest(journal: Journal, vouchers: Vouchers) -> Iterator[Finding]:
    manifest = vouchers.manifest
    if manifest is None:
        if vouchers.manifest_fault is None:
            what = "there is no manifest: the run did not end by itself"
            yield Finding(code="unfinished_run", severity=Severity.WARNING, message=what)
        return
    counted = claims(journal, listed=manifest.claims.totals.threads)
    said = {field: (getattr(manifest.claims, field), getattr(counted, field)) for field in _CLAIMED}
    if journal.header is not None:
        said |= {field: (getattr(manifest, field), getattr(journal.header, field)) for field in _HEADED}
    for field, (claimed, found) in said.items():
        if claimed != found:
            what = f"the manifest's {field!r} is not what the journal says"
            yield _error("manifest_mismatch", what, path=f"$.{field}")


_CLAIMED = ("totals", "outcomes", "digest")
_HEADED = ("source", "assistant_id", "flat", "started_at")


_INCOMPLETE: dict[Outcome, tuple[str, Severity]] = {
    Outcome.FAILED: ("thread_failed", Severity.ERROR),
    Outcome.PARTIAL: ("thread_partial", Severity.ERROR),
    Outcome.MISSING: ("thread_missing", Severity.WARNING),
    Outcome.INVALID: ("thread_invalid", Severity.WARNING),
}


def _against_ids(threads: Mapping[str, _Thread], vouchers: Vouchers) -> Iterator[Finding]:
    """Hold the export against the ids that were wanted: those of the file, and those that the journal names."""
    entries = vouchers.journal.entries if vouchers.journal is not None else {}
    wanted = dict.fromkeys([*(vouchers.ids or ()), *entries])
    for thread_id in wanted:
        entry = entries.get(thread_id)
        if entry is not None and entry.outcome in _INCOMPLETE:
            code, severity = _INCOMPLETE[entry.outcome]
            what = entry.reason or f"the thread is {entry.outcome}"
            yield Finding(code=code, severity=severity, message=what, thread_id=thread_id)
        elif entry is None and thread_id not in threads:
            yield _error("not_exported", "the thread was wanted and is not in the export", thread_id=thread_id)
    yield from _unfinished(vouchers)


def _unfinished(vouchers: Vouchers) -> Iterator[Finding]:
    """Without the ids, only the manifest knows how many threads never had their turn."""
    left = vouchers.manifest.claims.totals.unfinished if vouchers.manifest is not None else 0
    if vouchers.ids is None and left > 0:
        yield _error("not_exported", f"{left} wanted threads have no outcome (--ids names them)")


def _torn(number: int, offset: int, vouchers: Vouchers) -> Finding:
    what = "the last line is cut short: it does not end with a newline"
    journal = vouchers.journal
    if journal is not None and vouchers.manifest is None and offset >= journal.end_offset:
        what += ", behind all that the journal vouches for"
        return Finding(code="torn_line", severity=Severity.NOTE, message=what, line=number)
    return _error("torn_line", what, line=number)


def _fault(fault: LineFault, number: int, thread_id: str | None, message_id: str | None) -> Finding:
    return _error(fault.code, fault.what, path=fault.path, line=number, thread_id=thread_id, message_id=message_id)


def _error(code: str, message: str, **where: Any) -> Finding:
    return Finding(code=code, severity=Severity.ERROR, message=message, **where)


def _text_at(value: object, key: str) -> str | None:
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, str) else None
