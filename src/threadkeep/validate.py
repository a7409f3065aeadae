"""Check an export against itself, its journal, its manifest and the ids that were wanted.

Everything that is wrong is a finding (`threadkeep.findings` has the table); nothing raises, and one finding does not
hide the next.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from threadkeep.codec import decode
from threadkeep.errors import MalformedLine
from threadkeep.findings import Finding, Severity, error
from threadkeep.journal import Entry, Journal, Outcome
from threadkeep.manifest import Manifest, claims, files, not_whole
from threadkeep.reading import Reading, ThreadLines

__all__ = ["Vouchers", "validate"]


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


def validate(lines: Iterable[bytes], vouchers: Vouchers) -> Iterator[Finding]:
    """Check an export.

    Args:
        lines: the export's lines with their newlines, split on ``\\n`` only, as a binary file gives them.
        vouchers: what to hold it against.
    """
    reading = Reading()
    yield from reading.read(lines, torn_is_normal_from=_end_of_a_cut_off_run(vouchers))
    if vouchers.manifest_fault is not None:
        yield error("unreadable_manifest", vouchers.manifest_fault)
    if vouchers.journal is not None:
        yield from _against_journal(reading.threads, vouchers)
        yield from _against_manifest(vouchers.journal, vouchers)
    elif vouchers.manifest is not None or vouchers.manifest_fault is not None:
        yield error("lost_journal", "there is a manifest and no journal: nothing says what must be in the export")
    else:
        what = "there is no journal beside it: the lines were checked, but nothing vouches that they are all"
        yield Finding(code="unvouched", severity=Severity.NOTE, message=what)
    yield from _against_ids(reading.threads, vouchers)


def _end_of_a_cut_off_run(vouchers: Vouchers) -> int | None:
    """A run that was killed while writing leaves no manifest, and maybe a torn line behind its journal's end."""
    killed = vouchers.journal is not None and vouchers.manifest is None and vouchers.manifest_fault is None
    return vouchers.journal.end_offset if killed and vouchers.journal is not None else None


def _against_journal(threads: Mapping[str, ThreadLines], vouchers: Vouchers) -> Iterator[Finding]:
    journal = vouchers.journal or Journal(None, {})
    yield from _journal_faults(journal)
    for thread_id, thread in threads.items():
        entry = journal.entries.get(thread_id)
        if entry is None or entry.outcome is not Outcome.COMPLETE:
            what = "the export holds lines of the thread, and the journal does not say that it is complete"
            yield error("unjournalled_thread", what, line=thread.first_line, thread_id=thread_id)
    for entry in journal.complete:
        yield from _complete_thread(entry, threads.get(entry.thread_id))
    yield from _against_partial(journal, vouchers.partial)


def _against_partial(journal: Journal, lines: Sequence[bytes]) -> Iterator[Finding]:
    kept = Counter(_thread_of(line) for line in lines)
    for entry in journal.entries.values():
        if entry.outcome is Outcome.PARTIAL and kept[entry.thread_id] < entry.messages:
            what = f"of {entry.messages} messages that were kept, {kept[entry.thread_id]} are in the partial file"
            yield error("lost_partial", what, thread_id=entry.thread_id)


def _thread_of(line: bytes) -> str | None:
    try:
        return decode(line).thread_id
    except MalformedLine:
        return None


def _journal_faults(journal: Journal) -> Iterator[Finding]:
    if journal.torn:
        yield error("torn_journal", "the journal's last line is cut short: its thread is not vouched for")
    if journal.header is None:
        yield error("unreadable_journal", "the journal does not begin with its header")
    for number in journal.unreadable:
        yield error("unreadable_journal", f"line {number} of the journal cannot be read")


def _complete_thread(entry: Entry, thread: ThreadLines | None) -> Iterator[Finding]:
    if thread is None:
        if entry.messages:
            what = f"the journal vouches for {entry.messages} messages, and none of them is in the export"
            yield error("lost_thread", what, thread_id=entry.thread_id)
        return
    where = {"line": thread.first_line, "thread_id": entry.thread_id}
    if thread.digest.hexdigest() != entry.sha256:
        what = f"the thread's {thread.messages} lines are not the {entry.messages} that were written"
        yield error("digest_mismatch", what, **where)
    elif (thread.messages, thread.first_id, thread.last_id) != (entry.messages, entry.first_id, entry.last_id):
        yield error("unreadable_journal", "the journal's entry contradicts the thread's lines", **where)
    elif thread.ends != entry.end_offset:
        what = f"the thread's lines end at byte {thread.ends}, and the journal says {entry.end_offset}"
        yield error("misplaced_thread", what, **where)


def _against_manifest(journal: Journal, vouchers: Vouchers) -> Iterator[Finding]:
    manifest = vouchers.manifest
    if manifest is None:
        if vouchers.manifest_fault is None:
            what = "there is no manifest: the run did not end by itself"
            yield Finding(code="unfinished_run", severity=Severity.WARNING, message=what)
        return
    counted = claims(journal, listed=manifest.claims.totals.threads)
    said: dict[str, tuple[object, object]] = {
        field: (getattr(manifest.claims, field), getattr(counted, field)) for field in _CLAIMED
    }
    said["not_whole"] = (manifest.not_whole, not_whole(journal))
    said["files"] = (manifest.files, files(journal))
    said["unfinished"] = (len(manifest.unfinished), counted.totals.unfinished)
    if journal.header is not None:
        said |= {field: (getattr(manifest, field), getattr(journal.header, field)) for field in _HEADED}
    for field, (claimed, found) in said.items():
        if claimed != found:
            what = f"the manifest's {field!r} is not what the journal says"
            yield error("manifest_mismatch", what, path=f"$.{field}")


_CLAIMED = ("totals", "outcomes", "digest", "beside")
_HEADED = ("source", "assistant_id", "flat", "started_at")


_INCOMPLETE: dict[Outcome, tuple[str, Severity]] = {
    Outcome.FAILED: ("thread_failed", Severity.ERROR),
    Outcome.PARTIAL: ("thread_partial", Severity.ERROR),
    Outcome.MISSING: ("thread_missing", Severity.WARNING),
    Outcome.INVALID: ("thread_invalid", Severity.WARNING),
}


def _against_ids(threads: Mapping[str, ThreadLines], vouchers: Vouchers) -> Iterator[Finding]:
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
            yield error("not_exported", "the thread was wanted and is not in the export", thread_id=thread_id)
    yield from _unfinished(vouchers)


def _unfinished(vouchers: Vouchers) -> Iterator[Finding]:
    """Without the ids, only the manifest knows which threads never had their turn."""
    unfinished = vouchers.manifest.unfinished if vouchers.manifest is not None and vouchers.ids is None else ()
    for thread_id in unfinished:
        yield error("not_exported", "the run ended before the thread had its turn", thread_id=thread_id)
