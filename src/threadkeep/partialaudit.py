"""The partial file of an export, held against its journal: the pages of threads that were cut off."""

from collections.abc import Callable, Collection, Iterator, Mapping, Set
from typing import Any

from threadkeep.errors import MalformedLine
from threadkeep.journal import Journal, Outcome
from threadkeep.records.model import MessageRecord
from threadkeep.records.ndjson import decode
from threadkeep.validation.content_check import is_blank
from threadkeep.validation.findings import LEFT_BY_A_KILL, Finding, Severity, finding
from threadkeep.vouchers import Vouchers

__all__ = ["partial_findings"]

_Kept = Mapping[str, Mapping[str, int]]  # the line of each message, by its thread and its id
_Ids = Mapping[str, Collection[str]]  # those of its messages, by thread


def partial_findings(
    name: str, vouchers: Vouchers, exported: Collection[str], ids_of: Callable[[Set[str]], _Ids]
) -> Iterator[Finding]:
    """Say what is not there of the pages that were kept, and which threads were never finished.

    Args:
        name: of the partial file.
        vouchers: with its lines, and the journal.
        exported: the threads that have lines in the export.
        ids_of: reads the export once more, and gives the ids of the messages of some threads that say anything there.
    """
    kept: dict[str, dict[str, int]] = {}
    blank = set[str]()
    for number, line in enumerate(vouchers.partial, 1):
        record = _record(line)
        if record is None:
            yield _no_record(name, line, number, was_killed=vouchers.was_killed)
        else:
            kept.setdefault(record.thread_id, {}).setdefault(record.message_id, number)
            blank |= {record.message_id} if is_blank(record.raw) else set()
    if vouchers.journal is None:
        told = {*exported, *(row.thread_id for row in vouchers.given_up)}
        yield from (_never_finished(name, *one) for one in kept.items() if one[0] not in told)
        return
    yield from _lost(name, vouchers.journal, kept)
    worth = {of: {one: line for one, line in own.items() if one not in blank} for of, own in kept.items()}
    yield from _only_there(name, worth, {entry.thread_id for entry in vouchers.journal.complete}, ids_of)
    wanted = {*vouchers.journal.entries, *vouchers.wanted, *(vouchers.ids or ())}
    wanted.update(vouchers.manifest.unfinished if vouchers.manifest is not None else ())
    yield from (_of_a_stranger(name, *one) for one in kept.items() if one[0] not in wanted)


def _no_record(name: str, line: bytes, number: int, *, was_killed: bool) -> Finding:
    where: dict[str, Any] = {"file": name, "line": number}
    if was_killed and not line.endswith(b"\n"):  # what an entry counts of is on the disk before it
        return Finding(code="torn_line", severity=Severity.NOTE, message=LEFT_BY_A_KILL, **where)
    what = "the line of the partial file is no record, and does not say of which thread it was"
    return finding("lost_partial", what, "no run mends it: restore the file, or take the line out", **where)


def _never_finished(name: str, thread_id: str, lines: Mapping[str, int]) -> Finding:
    what = f"pages with {len(lines)} messages of the thread were kept, and it was never finished"
    return finding("thread_partial", what, file=name, line=next(iter(lines.values())), thread_id=thread_id)


def _of_a_stranger(name: str, thread_id: str, lines: Mapping[str, int]) -> Finding:
    """Nothing that was kept is thrown away: lines of a thread that nobody asked for, which a healing put there."""
    return Finding(
        code="thread_partial",
        severity=Severity.NOTE,
        message=f"{len(lines)} messages are kept of a thread that nobody asked for; export it to have all of it",
        file=name,
        line=next(iter(lines.values())),
        thread_id=thread_id,
    )


def _only_there(name: str, kept: _Kept, complete: Set[str], ids_of: Callable[[Set[str]], _Ids]) -> Iterator[Finding]:
    """What was saved before a thread was complete, and was gone from the server by then."""
    concerned = complete & kept.keys()
    exported = ids_of(concerned) if concerned else {}
    for thread_id in (thread_id for thread_id in kept if thread_id in concerned):
        lines = [line for message_id, line in kept[thread_id].items() if message_id not in exported.get(thread_id, ())]
        if lines:
            many = f"{len(lines):,} messages are" if len(lines) > 1 else "1 message is"
            what = f"of the thread, which is complete, {many} in the partial file only"
            yield finding("only_in_partial", what, file=name, line=lines[0], thread_id=thread_id)


def _lost(name: str, journal: Journal, kept: _Kept) -> Iterator[Finding]:
    for entry in journal.not_complete:
        found = kept.get(entry.thread_id, {})
        ends = {entry.first_id, entry.last_id, entry.cursor} - {None}
        if entry.outcome is Outcome.PARTIAL and (len(found) < entry.messages or ends - found.keys()):
            what = f"of {entry.messages} messages that were kept, {len(found)} are in the partial file"
            what = what if len(found) < entry.messages else "the first or last message that was kept is not there"
            yield finding("lost_partial", what, file=name, thread_id=entry.thread_id)


def _record(line: bytes) -> MessageRecord | None:
    try:
        return decode(line.removesuffix(b"\n"))
    except MalformedLine:
        return None
