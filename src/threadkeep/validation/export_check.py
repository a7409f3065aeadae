"""Check an export against itself, its journal, its manifest and the ids that were wanted.

Everything that is wrong is a finding (`threadkeep.validation.findings` has the table); nothing raises, and one finding
does not hide the next. Pure but for the lines that it is given.

What stands beside an export and vouches for it, and what was wanted of it.

The manifest of an export, held against its journal, or against its lines where there is no journal.

The partial file of an export, held against its journal: the pages of threads that were cut off.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import attrs

from threadkeep.errors import MalformedLine
from threadkeep.journal import Entry, FileOutcome, Journal, Outcome
from threadkeep.journalaudit import faults, of_entry, order
from threadkeep.records.content import is_blank
from threadkeep.records.model import MessageRecord
from threadkeep.records.ndjson import decode
from threadkeep.serialization.json_diff import differences
from threadkeep.shifts import Shift
from threadkeep.storage.manifest import (
    Manifest,
    NotWhole,
    claims,
    digest_of_digests,
    files,
    not_whole,
    unfinished_files,
)
from threadkeep.storage.paths import Paths
from threadkeep.superseded import named, superseded
from threadkeep.validation.findings import LEFT_BEHIND, LEFT_BY_A_KILL, Finding, Severity, finding
from threadkeep.validation.line_check import check_line
from threadkeep.validation.report import LineTotals
from threadkeep.validation.scan import Expected, Reading, ThreadLines

__all__ = ["Audit", "Evidence", "against_journal", "against_lines", "partial_findings"]


@attrs.frozen(kw_only=True)
class Evidence:
    """What stands beside the export and what was wanted of it; None where there is none.

    Attributes:
        manifest_fault: why the manifest that is there cannot be read.
        partial: the lines of the partial file, with their newlines.
        ids: the thread ids that were wanted.
        wanted: those that a run was asked for and had not come to when it began, where it has not ended by itself.
        wanted_fault: why the file of these that is there cannot be read.
        is_rewriting: whether files stand there that were about to take the places of these.
    """

    journal: Journal | None = None
    manifest: Manifest | None = None
    manifest_fault: str | None = None
    partial: Iterable[bytes] = ()
    ids: Set[str] | None = None
    wanted: Sequence[str] = ()
    wanted_fault: str | None = None
    is_rewriting: bool = False

    @property
    def has_manifest(self) -> bool:
        """Whether there is one, readable or not."""
        return self.manifest is not None or self.manifest_fault is not None

    @property
    def was_interrupted(self) -> bool:
        """Whether the last run did not come to its end: it leaves no manifest, and maybe torn lines."""
        return self.journal is not None and not self.has_manifest

    @property
    def incomplete_threads(self) -> Sequence[NotWhole]:
        """The threads that are not whole by the manifest, where the journal that says so is gone."""
        return () if self.manifest is None or self.journal is not None else self.manifest.not_whole


def against_journal(name: str, evidence: Evidence, journal: Journal) -> Iterator[Finding]:
    """Say where a manifest is not what its journal says.

    Args:
        name: of the manifest's file.
        evidence: with the manifest, if there is one.
        journal: the journal.
    """
    manifest = evidence.manifest
    if manifest is not None:
        counted = _said(journal, manifest)
        claimed = {field: _plain(value) for field, value in _claimed(manifest).items() if field in counted}
        headed = _headed(journal, manifest)
        for path in differences(claimed, counted):
            what = "the manifest does not say what the journal says"
            remedy = _OF_THE_HEADER if path in headed else None
            yield finding("manifest_mismatch", what, remedy, file=name, path=path)
        if journal.header is not None and not journal.header.files and journal.files:
            what = "the journal tells of downloaded files, and its header says that none are downloaded"
            yield finding("manifest_mismatch", what, _OF_THE_HEADER, file=name, path="$.files")
    elif evidence.manifest_fault is None:
        what = "there is no manifest: the run did not end by itself, and threads may be left that it never reached"
        yield finding("unfinished_run", what, file=name)


def against_lines(
    name: str, evidence: Evidence, totals: LineTotals, digests: Iterable[tuple[str, str | None]]
) -> Iterator[Finding]:
    """Say where a manifest whose journal is gone is not what the export's lines say.

    Args:
        name: of the manifest's file.
        evidence: with the manifest, if it can be read.
        totals: of the lines.
        digests: of each thread's lines, by its id.
    """
    if evidence.manifest is None:
        return
    said = evidence.manifest.claims
    claimed = {"totals": {"messages": said.totals.messages, "bytes": said.totals.bytes}, "digest": said.digest}
    found = {"totals": {"messages": totals.messages, "bytes": totals.bytes}, "digest": digest_of_digests(digests)}
    for path in differences(claimed, found):
        what = "the manifest does not say what the export's lines say"
        yield finding("manifest_mismatch", what, file=name, path=path)


# What a manifest has from the journal, and what from its header.
_CLAIMED = ("totals", "outcomes", "digest", "beside")
_HEADED = ("source", "assistant_id", "flat", "started_at")

_OF_THE_HEADER = (
    "one of the two files was changed: restore it, or export to another place; if it was the manifest, the same export"
    " command writes a new one, and if it was the journal, no run goes on"
)


def _headed(journal: Journal, manifest: Manifest) -> Set[str]:
    """Where a manifest and a journal differ on which export they are of. No run goes on with what is another's."""
    kinds = {*manifest.claims.beside} ^ {*(journal.header.include if journal.header is not None else ())}
    return {"$.source", "$.assistant_id", "$.flat", *(f"$.beside.{kind}" for kind in kinds)}


def _claimed(manifest: Manifest) -> dict[str, Any]:
    own = ("not_whole", "unfinished", "files", "unfinished_files", *_HEADED)
    said = {field: getattr(manifest.claims, field) for field in _CLAIMED}
    return said | {field: getattr(manifest, field) for field in own}


def _said(journal: Journal, manifest: Manifest) -> dict[str, Any]:
    """What the manifest must say, as plain JSON."""
    counted = claims(journal, listed=len({*manifest.unfinished, *journal.entries}))
    said = {field: getattr(counted, field) for field in _CLAIMED}
    said |= {"not_whole": not_whole(journal), "files": files(journal), "unfinished_files": unfinished_files(journal)}
    said["unfinished"] = [thread_id for thread_id in manifest.unfinished if thread_id not in journal.entries]
    if journal.header is not None:
        said |= {field: getattr(journal.header, field) for field in _HEADED}
    return {field: _plain(value) for field, value in said.items()}


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        return {field: _plain(inner) for field, inner in attrs.asdict(value, recurse=False).items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


_Kept = Mapping[str, Mapping[str, int]]  # the line of each message, by its thread and its id
_Ids = Mapping[str, Collection[str]]  # those of its messages, by thread


def partial_findings(
    name: str, evidence: Evidence, exported: Collection[str], ids_of: Callable[[Set[str]], _Ids]
) -> Iterator[Finding]:
    """Say what is not there of the pages that were kept, and which threads were never finished.

    Args:
        name: of the partial file.
        evidence: with its lines, and the journal.
        exported: the threads that have lines in the export.
        ids_of: reads the export once more, and gives the ids of the messages of some threads that say anything there.
    """
    kept: dict[str, dict[str, int]] = {}
    blank = set[str]()
    for number, line in enumerate(evidence.partial, 1):
        record = _record(line)
        if record is None:
            yield _no_record(name, line, number, was_killed=evidence.was_interrupted)
        else:
            kept.setdefault(record.thread_id, {}).setdefault(record.message_id, number)
            blank |= {record.message_id} if is_blank(record.raw) else set()
    if evidence.journal is None:
        told = {*exported, *(row.thread_id for row in evidence.incomplete_threads)}
        yield from (_never_finished(name, *one) for one in kept.items() if one[0] not in told)
        return
    yield from _lost(name, evidence.journal, kept)
    worth = {of: {one: line for one, line in own.items() if one not in blank} for of, own in kept.items()}
    yield from _only_there(name, worth, {entry.thread_id for entry in evidence.journal.complete}, ids_of)
    wanted = {*evidence.journal.entries, *evidence.wanted, *(evidence.ids or ())}
    wanted.update(evidence.manifest.unfinished if evidence.manifest is not None else ())
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


_Stand = tuple[str | None, int]  # a thread, and the number of a line


class Audit:
    """One check of an export.

    Args:
        paths: where it is, for names.
        evidence: what to hold it against.
        now: seconds since the epoch.

    Attributes:
        reading: what was read, once the findings are out.
    """

    def __init__(self, paths: Paths, evidence: Evidence, *, now: int) -> None:
        self._paths = paths
        self._evidence = evidence
        self._journal = evidence.journal or Journal(None, {})
        self._now = now
        self._superseded = superseded(paths.out, paths, self._journal, was_killed=evidence.was_interrupted)
        self._is_unfinished = bool(self._journal.superseded) or evidence.is_rewriting
        self._shift = Shift()
        self._doubted = set[str]()  # the threads whose lines are not those that were written
        self._wanted = frozenset(evidence.wanted) | self._journal.entries.keys()
        self._left = set[str]()  # the threads whose lines a run has written and not vouched for
        self._digests: list[tuple[str, str | None]] = []  # only where no journal holds them
        self.reading = Reading(self._expected(), self._judge if evidence.journal is not None else self._remember)

    def _expected(self) -> Expected:
        header = self._journal.header
        saved = (file for file in self._journal.files.values() if file.outcome is FileOutcome.SAVED)
        return Expected(
            name=self._paths.out.name,
            now=self._now,
            assistant_id=header.assistant_id if header is not None else None,
            flat=header.flat if header is not None else None,
            torn_from=self._journal.end_offset if self._evidence.was_interrupted else None,
            known=self._journal.entries.keys() or self._evidence.ids or frozenset(),
            saved=frozenset(file.file_id for file in saved),
        )

    def findings(self, lines: Callable[[], Iterable[bytes]]) -> Iterator[Finding]:
        """Give all findings.

        Args:
            lines: gives the export's lines with their newlines, split on ``\\n`` only, from the first one on, each time
                that it is called: once, and once more when ids seem to stand there twice, or when complete threads have
                lines in the partial file too.
        """
        yield from self._read(lines())
        if suspicions := self.reading.suspicions:
            yield from self._twice(lines(), suspicions)
        if self._evidence.manifest_fault is not None:
            yield finding("unreadable_manifest", self._evidence.manifest_fault, file=self._paths.manifest.name)
        if self._evidence.journal is not None:
            yield from self._against_journal()
            yield from against_journal(self._paths.manifest.name, self._evidence, self._journal)
        elif self._evidence.has_manifest:
            yield finding("lost_journal", "there is a manifest and no journal", file=self._paths.journal.name)
            yield from against_lines(self._paths.manifest.name, self._evidence, self.reading.totals, self._digests)
        else:
            yield finding("unvouched", "there is no journal beside the export: nothing vouches that its lines are all")
        if self._evidence.wanted_fault is not None:
            yield finding("unreadable_wanted", self._evidence.wanted_fault, file=self._paths.wanted.name)
        yield from partial_findings(
            self._paths.partial.name,
            self._evidence,
            self.reading.threads,
            lambda threads: self._ids_of(threads, lines()),
        )
        yield from self._against_ids()

    # --- lines

    def _read(self, lines: Iterable[bytes]) -> Iterator[Finding]:
        for passed, part in self._superseded.parts(lines):
            if passed:
                self._is_unfinished = True
                self.reading.pass_over(part)
            else:
                yield from self.reading.read(part)

    def _counting(self, lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        """The lines that count, with their numbers."""
        parts = self._superseded.parts(lines)
        marked = ((passed, line) for passed, part in parts for line in part)
        return ((number, line) for number, (passed, line) in enumerate(marked, 1) if not passed)

    def _twice(self, lines: Iterable[bytes], suspicions: Set[int]) -> Iterator[Finding]:
        """Read the lines once more, and hold the ids themselves against each other."""
        seen: dict[str, tuple[str | None, int]] = {}
        for number, line in self._counting(lines):
            (thread_id, _, message_id, *_), _ = check_line(line, number, now=self._now, saved=frozenset())
            if message_id is None or hash(message_id) not in suspicions:
                continue
            if message_id in seen:
                yield self._of_twice(message_id, seen[message_id], (thread_id, number))
            seen.setdefault(message_id, (thread_id, number))

    def _ids_of(self, threads: Set[str], lines: Iterable[bytes]) -> Mapping[str, Set[str]]:
        """Read the lines once more, for the ids of the messages of a few threads that say anything."""
        found: dict[str, set[str]] = {}
        for number, line in self._counting(lines):
            if (name := named(line)) in threads or not name:
                (thread_id, _, message_id, *_), faults = check_line(line, number, now=self._now, saved=frozenset())
                is_blank = any(fault.code == "empty_message" for fault in faults)
                if thread_id is not None and message_id is not None and not is_blank:
                    found.setdefault(thread_id, set()).add(message_id)
        return found

    def _of_twice(self, message_id: str, first: _Stand, second: _Stand) -> Finding:
        """Whose lines are as they were written is not blamed; where both are, it is the API that gave it twice."""
        if self._is_vouched(second[0]) and not self._is_vouched(first[0]):
            first, second = second, first
        (other, line), (own, number) = first, second
        what = f"the message stands at line {line} too, as one of {'this thread' if other == own else other}"
        where: dict[str, Any] = {"file": self._paths.out.name, "line": number, "path": "$.message_id"}
        where |= {"thread_id": own, "message_id": message_id}
        if other == own or not (self._is_vouched(other) and self._is_vouched(own)):
            return finding("duplicate_message", what, **where)
        what += ", and both threads are as the API gave them; nothing to do"
        return Finding(code="duplicate_message", severity=Severity.NOTE, message=what, **where)

    def _is_vouched(self, thread_id: str | None) -> bool:
        entry = self._journal.entries.get(thread_id) if thread_id is not None else None
        return entry is not None and entry.outcome is Outcome.COMPLETE and thread_id not in self._doubted

    def _remember(self, thread: ThreadLines) -> Iterable[Finding]:
        if self._evidence.manifest is not None:
            self._digests.append((thread.thread_id, thread.sha256))
        return ()

    def _judge(self, thread: ThreadLines) -> Iterator[Finding]:
        """Hold a thread's lines against its entry."""
        entry = self._journal.entries.get(thread.thread_id)
        where: dict[str, Any] = {"file": self._paths.out.name, "line": thread.first_line, "thread_id": thread.thread_id}
        if entry is None or thread.sha256 != entry.sha256:
            self._doubted.add(thread.thread_id)
        if entry is None or entry.outcome is not Outcome.COMPLETE:
            if self._is_left(thread):
                self._left.add(thread.thread_id)
                yield Finding(code="unjournalled_thread", severity=Severity.NOTE, message=LEFT_BEHIND, **where)
                return
            what = "the export holds lines of the thread, and the journal does not say that it is complete"
            yield finding("unjournalled_thread", what, **where)
            return
        is_in_place = self._shift.is_in_place(thread.start, thread.ends, entry.end_offset)
        if thread.sha256 != entry.sha256:
            what = f"the thread's {thread.messages} lines are not the {entry.messages} that were written"
            yield finding("digest_mismatch", what, **where)
            return
        yield from self._entry_against(entry, thread, "messages", "first_id", "last_id")
        if not is_in_place:
            what = f"the thread's lines end at byte {thread.ends}, and the journal says {entry.end_offset}"
            yield finding("misplaced_thread", what, **where)

    def _is_left(self, thread: ThreadLines) -> bool:
        """Whether the lines are such as a run that did not end leaves: what it writes has no entry for a moment.

        It was asked for them, then, or the journal knows their thread as one that is not complete. The lines of any
        other thread may be those of an entry that was lost.
        """
        can_be = self._evidence.was_interrupted and thread.thread_id in self._wanted
        return can_be and thread.start >= self._journal.end_offset

    def _entry_against(self, entry: Entry, thread: ThreadLines, *fields: str) -> Iterator[Finding]:
        for field in fields:
            said, found = getattr(entry, field), getattr(thread, field)
            if said != found:
                what = f"the journal says {said} for {field!r}, and the thread's lines say {found}"
                yield self._of_entry("journal_mismatch", what, entry, path=f"$.{field}")

    # --- the journal

    def _against_journal(self) -> Iterator[Finding]:
        name, is_empty = self._paths.journal.name, not self.reading.totals.bytes
        yield from faults(name, self._journal, was_killed=self._evidence.was_interrupted, is_empty=is_empty)
        if self._is_unfinished:
            what = "threads were fetched again, and the run was cut off before their old lines were taken out"
            yield finding("unfinished_rewrite", what, file=name)
        yield from order(name, self._journal)
        for entry in self._journal.complete:
            if entry.thread_id in self.reading.threads:
                continue
            if entry.messages:
                what = f"the journal vouches for {entry.messages} messages, and none of them is in the export"
                yield finding("lost_thread", what, file=self._paths.out.name, thread_id=entry.thread_id)
            else:
                nothing = ThreadLines(entry.thread_id, 0, 0, 0)
                yield from self._entry_against(entry, nothing, "first_id", "last_id", "sha256")

    def _of_entry(self, code: str, what: str, entry: Entry, *, path: str | None = None) -> Finding:
        return of_entry(self._paths.journal.name, self._journal, code, what, entry, path=path)

    # --- the ids

    def _against_ids(self) -> Iterator[Finding]:
        """Hold the export against the ids that were wanted: those that somebody names, and those of the journal."""
        for entry in self._journal.not_complete:
            yield self._of_entry(f"thread_{entry.outcome}", entry.reason or f"the thread is {entry.outcome}", entry)
        for place, row in enumerate(self._evidence.incomplete_threads):
            what = f"the manifest says that the thread is {row.outcome}"
            path = f"$.not_whole[{place}]"
            name = self._paths.manifest.name
            yield finding(f"thread_{row.outcome}", what, file=name, path=path, thread_id=row.thread_id)
        yield from self._not_exported()
        if self._evidence.ids is not None:
            yield from self._not_wanted(self._evidence.ids)

    def _not_exported(self) -> Iterator[Finding]:
        """Each once, whoever names it: the list, the manifest, or what a kill leaves, the file of wanted ids."""
        manifest = self._evidence.manifest
        known = {*self._journal.entries, *(row.thread_id for row in self._evidence.incomplete_threads)}
        come_to = {*known, *(self.reading.threads.keys() - self._left)}
        asked: tuple[tuple[str, Iterable[str], Set[str]], ...] = (
            ("the thread was wanted and is not in the export", self._evidence.ids or (), come_to),
            ("the run ended before the thread had its turn", manifest.unfinished if manifest else (), known),
            (
                "a run that did not end by itself was asked for the thread, and did not come to it",
                self._evidence.wanted,
                come_to,
            ),
        )
        told = set[str]()
        for what, ids, done in asked:
            missed = dict.fromkeys(thread_id for thread_id in ids if thread_id not in done and thread_id not in told)
            told.update(missed)
            yield from (finding("not_exported", what, thread_id=thread_id) for thread_id in missed)

    def _not_wanted(self, ids: Set[str]) -> Iterator[Finding]:
        what = "the list of ids does not name the thread"
        for thread_id, place in self.reading.threads.items():
            if thread_id not in ids:
                yield finding("not_wanted", what, file=self._paths.out.name, line=place.line, thread_id=thread_id)
        for entry in self._journal.complete:
            if not entry.messages and entry.thread_id not in ids:
                yield self._of_entry("not_wanted", what, entry)
