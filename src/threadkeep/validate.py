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
| lost_thread | error | the journal says complete, and the lines are not there |
| unjournalled_thread | error | lines of a thread that the journal does not know |
| torn_journal, unreadable_journal | error | the journal cannot vouch for every thread |
| manifest_mismatch | error | the manifest claims what the journal does not say |
| thread_failed, thread_partial | error | the thread is not in the export, or not whole |
| thread_missing, thread_invalid | warning | the API knew no such thread, or the id is malformed |
| not_exported | error | a wanted thread of which nothing is known |
| unvouched | note | there is no journal: the lines were checked for what they are |
| unfinished_run | warning | a journal without manifest: the run did not end by itself |
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any

import attrs

from threadkeep.codec import LineFault, line_faults, parse
from threadkeep.errors import MalformedLine
from threadkeep.journal import Entry, Journal, Outcome
from threadkeep.manifest import claims

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
    """What stands beside the export and what was wanted of it; None where there is none."""

    journal: Journal | None = None
    manifest: Mapping[str, Any] | None = None
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
    if vouchers.journal is None:
        yield Finding(
            code="unvouched",
            severity=Severity.NOTE,
            message="there is no journal beside it: the lines were checked, but nothing vouches that they are all",
        )
    else:
        yield from _against_journal(reading.threads, vouchers.journal)
        yield from _against_manifest(vouchers.journal, vouchers.manifest)
    yield from _against_ids(reading.threads, vouchers)


@attrs.define
class _Thread:
    """The lines of one thread, as they stand in the export."""

    thread_id: str
    first_line: int
    messages: int = 0
    digest: Any = attrs.field(factory=hashlib.sha256)


class _Reading:
    """One pass over the lines: each by itself, and against those before it."""

    def __init__(self) -> None:
        self.threads: dict[str, _Thread] = {}
        self._current: _Thread | None = None
        self._messages: set[tuple[str, str]] = set()

    def read(self, lines: Iterable[bytes], vouchers: Vouchers) -> Iterator[Finding]:
        """Give the findings of the lines; afterwards ``threads`` holds what stands there."""
        offset = 0
        for number, line in enumerate(lines, 1):
            if line.endswith(b"\n"):
                yield from self._line(number, line)
            else:
                yield _torn(number, offset, vouchers)
            offset += len(line)

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
            self._current.messages += 1
            self._current.digest.update(line)

    def _message(self, thread_id: str, message_id: str, number: int) -> Iterator[Finding]:
        key = (thread_id, message_id)
        if key in self._messages:
            what = "the message stands in the export already"
            yield _error("duplicate_message", what, line=number, thread_id=thread_id, message_id=message_id)
        self._messages.add(key)


def _against_journal(threads: Mapping[str, _Thread], journal: Journal) -> Iterator[Finding]:
    yield from _journal_faults(journal)
    for thread_id, thread in threads.items():
        entry = journal.entries.get(thread_id)
        if entry is None or entry.outcome is not Outcome.COMPLETE:
            what = "the export holds lines of the thread, and the journal does not say that it is complete"
            yield _error("unjournalled_thread", what, line=thread.first_line, thread_id=thread_id)
    for entry in journal.complete:
        yield from _complete_thread(entry, threads.get(entry.thread_id))


def _journal_faults(journal: Journal) -> Iterator[Finding]:
    if journal.torn:
        yield _error("torn_journal", "the journal's last line is cut short: its thread is not vouched for")
    if journal.header is None:
        yield _error("unreadable_journal", "the journal does not begin with its header")
    for number in journal.unreadable:
        yield _error("unreadable_journal", f"line {number} of the journal cannot be read")


def _complete_thread(entry: Entry, thread: _Thread | None) -> Iterator[Finding]:
    if thread is None and entry.messages:
        what = f"the journal vouches for {entry.messages} messages, and none of them is in the export"
        yield _error("lost_thread", what, thread_id=entry.thread_id)
    if thread is not None and thread.digest.hexdigest() != entry.sha256:
        what = f"the thread's {thread.messages} lines are not the {entry.messages} that were written"
        yield _error("digest_mismatch", what, line=thread.first_line, thread_id=entry.thread_id)


def _against_manifest(journal: Journal, manifest: Mapping[str, Any] | None) -> Iterator[Finding]:
    if manifest is None:
        what = "there is no manifest: the run did not end by itself"
        yield Finding(code="unfinished_run", severity=Severity.WARNING, message=what)
        return
    totals = manifest.get("totals")
    listed = totals.get("threads") if isinstance(totals, Mapping) else None
    for key, value in claims(journal, listed=listed if isinstance(listed, int) else 0).items():
        if manifest.get(key) != value:
            yield _error("manifest_mismatch", f"the manifest's {key!r} are not what the journal says", path=f"$.{key}")


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
    yield from _not_started(vouchers)


def _not_started(vouchers: Vouchers) -> Iterator[Finding]:
    """Without the ids, only the manifest knows how many threads never had their turn."""
    totals = vouchers.manifest.get("totals") if vouchers.manifest is not None else None
    left = totals.get("not_started") if isinstance(totals, Mapping) else None
    if vouchers.ids is None and isinstance(left, int) and left > 0:
        yield _error("not_exported", f"{left} threads were wanted and never had their turn (--ids names them)")


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
