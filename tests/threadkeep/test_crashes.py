"""The files of an export under crashes: whatever was vouched for stays, and what was not is neither lost nor doubled.

A machine writes threads in batches onto a disk from which the power can go at any change, and begins again.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import threadkeep
from simulated_disk import PowerCut, SimulatedDisk
from threadkeep.errors import OutputUnusable
from threadkeep.healing import Asked
from threadkeep.journal import Entry, Header, Outcome, encode_line, fold
from threadkeep.outfiles import Finished, OutFiles
from threadkeep.records.ndjson import encode_message
from threadkeep.spool import Spool
from threadkeep.storage.manifest import Ending, build, read
from threadkeep.storage.paths import Paths
from threadkeep.validation.export_check import Audit, Evidence
from threadkeep.validation.findings import Severity

PATHS = Paths(Path("/nowhere/out.ndjson"))
SIZES = {f"thread_{number}": size for number, size in enumerate((0, 1, 3, 7, 2, 30))}


def lines_of(thread_id: str, version: int = 1) -> list[bytes]:
    """The lines of a thread, as they are after so many changes."""
    ids = [f"msg_{thread_id}_{number}" for number in range(SIZES[thread_id])]
    rows = [{"id": one, "thread_id": thread_id, "role": "user", "created_at": version, "content": []} for one in ids]
    return [encode_message(row, assistant_id="asst_a", flat=False) for row in rows]


def header(began: str) -> Header:
    """Of the same export, begun at one time or another."""
    return Header(source="https://api.test/v1", assistant_id="asst_a", flat=False, started_at=began, include=("runs",))


def spool(files: ExitStack, thread_id: str, most: int | None = None, version: int = 1) -> Spool:
    """The lines of a thread, or the first of them."""
    made = files.enter_context(closing(Spool(PATHS.out.parent)))
    lines = lines_of(thread_id, version)[:most]
    made.add([json.loads(line)["message_id"] for line in lines], lines)
    return made


def finished(files: ExitStack, thread_id: str, version: int = 1) -> Finished:
    """A whole thread, with a line beside it."""
    lines, run = spool(files, thread_id, version=version), files.enter_context(closing(Spool(PATHS.out.parent)))
    run.add(["run_1"], [b'{"thread_id":"%s"}' % thread_id.encode()])
    entry = Entry(
        thread_id=thread_id,
        outcome=Outcome.COMPLETE,
        messages=lines.lines,
        first_id=lines.first_id,
        last_id=lines.last_id,
    )
    return Finished(entry=entry, lines=lines, beside={"runs": run})


class Crashes(RuleBasedStateMachine):
    """`committed` is what the export has promised to hold, of each thread the version; `replaced` what it may hold too,
    until it is written anew."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = SimulatedDisk()
        self.out: OutFiles | None = None
        self.committed: dict[str, int] = {}
        self.replaced: list[bytes] = []
        self.partial: dict[str, int] = {}
        self.runs = 0

    def runs_to_its_end(self, change: Callable[[OutFiles], None], data: st.DataObject, crash: int | None) -> None:
        """Do something, unless the power goes after so many changes to the disk; then begin again."""
        self.disk.left = crash
        try:
            assert self.out is not None
            change(self.out)
        except PowerCut:
            self.disk.cut_the_power(lambda most: data.draw(st.integers(0, most), label="kept"))
            self.out = None
        self.disk.left = None

    def begin(self, data: st.DataObject, crash: int | None) -> None:
        self.runs += 1
        self.replaced = []
        self.disk.left = crash
        try:
            asked = Asked(frozenset(SIZES))
            self.out = OutFiles.begin(PATHS, header(f"run {self.runs}"), disk=self.disk, asked=asked)
        except PowerCut:
            self.disk.cut_the_power(lambda most: data.draw(st.integers(0, most), label="kept"))
        self.disk.left = None

    @initialize(data=st.data(), crash=st.none() | st.integers(0, 25))
    def begins(self, data: st.DataObject, crash: int | None) -> None:
        self.begin(data, crash)

    @precondition(lambda self: self.out is None)
    @rule(data=st.data(), crash=st.none() | st.integers(0, 25))
    def begins_again(self, data: st.DataObject, crash: int | None) -> None:
        self.begin(data, crash)

    @precondition(lambda self: self.out is not None)
    @rule(data=st.data(), crash=st.none() | st.integers(0, 9), count=st.integers(1, 3))
    def commits(self, data: st.DataObject, crash: int | None, count: int) -> None:
        left = [thread_id for thread_id in SIZES if thread_id not in self.committed]
        batch = data.draw(st.permutations(left))[:count]

        def commit(out: OutFiles) -> None:
            with ExitStack() as files:
                entries = out.commit([finished(files, thread_id) for thread_id in batch])
            assert [entry.thread_id for entry in entries if isinstance(entry, Entry)] == batch
            self.committed.update(dict.fromkeys(batch, 1))

        if batch:
            self.runs_to_its_end(commit, data, crash)
            self.may_have_come(batch, 1)

    def may_have_come(self, batch: Sequence[str], version: int) -> None:
        """After a crash in the middle of a commit the journal may vouch for all of it, for a part or for nothing."""
        journal = fold(self.disk.content(PATHS.journal) or b"")
        digests = {entry.thread_id: entry.sha256 for entry in journal.complete}
        for thread_id in batch:
            whole = b"".join(line + b"\n" for line in lines_of(thread_id, version))
            if digests.get(thread_id) == hashlib.sha256(whole).hexdigest():
                self.committed[thread_id] = version

    @precondition(lambda self: self.out is not None and self.committed)
    @rule(data=st.data(), crash=st.none() | st.integers(0, 9))
    def refreshes(self, data: st.DataObject, crash: int | None) -> None:
        """A complete thread is complete again, and is another."""
        thread_id = data.draw(st.sampled_from(sorted(self.committed)))
        version = self.committed[thread_id] + 1

        def commit(out: OutFiles) -> None:
            with ExitStack() as files:
                out.commit([finished(files, thread_id, version)])
            self.replaced += lines_of(thread_id, version - 1)
            self.committed[thread_id] = version

        self.runs_to_its_end(commit, data, crash)
        self.may_have_come([thread_id], version)

    @precondition(lambda self: self.out is not None and self.committed)
    @rule(data=st.data(), outcome=st.sampled_from([Outcome.MISSING, Outcome.FAILED, Outcome.PARTIAL]))
    def is_refreshed_in_vain(self, data: st.DataObject, outcome: Outcome) -> None:
        """What stands of it stands."""
        thread_id = data.draw(st.sampled_from(sorted(self.committed)))
        assert self.out is not None
        (entry,) = self.out.commit([Finished(entry=Entry(thread_id=thread_id, outcome=outcome))])
        assert entry.outcome is Outcome.COMPLETE

    @precondition(lambda self: self.out is not None)
    @rule(data=st.data(), crash=st.none() | st.integers(0, 25))
    def is_written_anew(self, data: st.DataObject, crash: int | None) -> None:
        """At the end of a run, before its manifest."""

        def compact(out: OutFiles) -> None:
            out.compact()
            out.__exit__(None, None, None)
            self.out = None

        self.runs_to_its_end(compact, data, crash)
        self.replaced = []

    @precondition(lambda self: self.out is not None)
    @rule(data=st.data(), crash=st.none() | st.integers(0, 9), most=st.integers(1, 5))
    def is_cut_off(self, data: st.DataObject, crash: int | None, most: int) -> None:
        thread_id = data.draw(st.sampled_from([name for name, size in SIZES.items() if size]))

        def keep(out: OutFiles) -> None:
            with ExitStack() as files:
                pages = spool(files, thread_id, most)
                out.add_partial(pages)
            self.partial[thread_id] = max(pages.lines, self.partial.get(thread_id, 0))
            entry = Entry(thread_id=thread_id, outcome=Outcome.PARTIAL, messages=pages.lines, cursor=pages.last_id)
            out.commit([Finished(entry=entry)])

        if thread_id not in self.committed:
            self.runs_to_its_end(keep, data, crash)

    @precondition(lambda self: self.out is not None)
    @rule(data=st.data(), crash=st.none() | st.integers(0, 9))
    def ends(self, data: st.DataObject, crash: int | None) -> None:
        def end(out: OutFiles) -> None:
            ending = Ending(finished_at="then", listed=list(SIZES), ended_by=None)
            out.compact()
            out.finish(build(out.header, out.journal, ending, {}))
            out.__exit__(None, None, None)
            self.out = None

        self.runs_to_its_end(end, data, crash)
        if self.out is None and crash is None:
            self.is_as_claimed()

    @precondition(lambda self: self.out is not None)
    @rule()
    def is_killed(self) -> None:
        self.disk.kill()
        self.out = None

    @precondition(lambda self: self.out is not None)
    @rule(room=st.integers(0, 3_000), data=st.data())
    def finds_the_disk_full(self, room: int, data: st.DataObject) -> None:
        """Nothing of the batch is there then, and the run can go on."""
        left = [thread_id for thread_id in SIZES if thread_id not in self.committed]
        batch = data.draw(st.permutations(left))[:2]
        self.disk.room = self.disk.used() + room
        assert self.out is not None
        with ExitStack() as files, suppress(OutputUnusable):
            self.out.commit([finished(files, thread_id) for thread_id in batch])
            self.committed.update(dict.fromkeys(batch, 1))
        self.disk.room = None

    # --- what holds

    def is_as_claimed(self) -> None:
        """After a run that ended, its files are valid, and a partial file is there only for what is in it alone."""
        lines = (self.disk.content(PATHS.out) or b"").splitlines(keepends=True)
        journal = fold(self.disk.content(PATHS.journal) or b"")
        partial = (self.disk.content(PATHS.partial) or b"").split(b"\n")[:-1]
        manifest = read(self.disk.content(PATHS.manifest) or b"")
        audit = Audit(PATHS, Evidence(journal=journal, manifest=manifest, partial=partial), now=2**31)
        findings = [one for one in audit.findings(lambda: lines) if one.severity is not Severity.NOTE]
        assert {finding.code for finding in findings} <= {"thread_partial", "not_exported"}
        assert set(manifest.unfinished) == set(SIZES) - set(journal.entries)
        kept = [json.loads(line)["message_id"] for line in partial]
        assert len(set(kept)) == len(kept)
        assert not {json.loads(line)["thread_id"] for line in partial} & self.committed.keys()
        assert not any(self.disk.exists(path) for path in (*PATHS.drafts, *PATHS.rewrites))

    @precondition(lambda self: self.out is not None)
    @invariant()
    def holds_what_it_promised_and_nothing_else(self) -> None:
        assert self.out is not None
        complete = {entry.thread_id for entry in self.out.journal.complete}
        assert complete == self.committed.keys()
        expected = [line for thread_id, version in self.committed.items() for line in lines_of(thread_id, version)]
        assert sorted((self.disk.content(PATHS.out) or b"").splitlines()) == sorted([*expected, *self.replaced])
        beside = [json.loads(line)["thread_id"] for line in self.records(PATHS.beside("runs"))]
        assert set(beside) == self.committed.keys()
        assert len(beside) == len(self.committed) or self.replaced

    @invariant()
    def loses_no_page_that_was_kept(self) -> None:
        kept = {json.loads(line)["message_id"] for line in self.records(PATHS.partial)}
        for thread_id, most in self.partial.items():
            ids = {json.loads(line)["message_id"] for line in lines_of(thread_id)[:most]}
            assert thread_id in self.committed or ids <= kept

    @precondition(lambda self: self.out is None)
    @invariant()
    def has_no_false_alarm(self) -> None:
        """Nothing that was promised is lost in a crash: validate misses what was asked for, and tells of no damage."""
        if not self.disk.exists(PATHS.journal):
            return
        with TemporaryDirectory() as folder:
            for path in (*PATHS.written, *PATHS.rewrites):
                if self.disk.exists(path):
                    Path(folder, path.name).write_bytes(self.disk.content(path) or b"")
            report = threadkeep.validate(Path(folder, PATHS.out.name))
        errors = [one for one in report if one.severity is Severity.ERROR]
        assert {one.code for one in errors} <= {"thread_partial", "not_exported"}, errors
        assert {one.thread_id for one in errors} <= SIZES.keys() - self.committed.keys()

    def records(self, path: Path) -> list[bytes]:
        lines = (self.disk.content(path) or b"").split(b"\n")[:-1]
        return [line for line in lines if line.startswith(b"{")]


TestCrashes = Crashes.TestCase
TestCrashes.settings = settings(max_examples=150, stateful_step_count=25)


def test_a_line_of_the_partial_file_that_nobody_can_read_stays() -> None:
    """It may be somebody's only copy; and of two lines of a message the newer one stays."""
    disk = SimulatedDisk()
    old, new = (lines_of("thread_1")[0].replace(b'"created_at":1', b'"created_at":%d' % time) for time in (1, 2))
    disk.put(PATHS.partial, PATHS.drafts[0], iter([old + b"\n", b"what is this\n", new + b"\n"]))
    disk.put(PATHS.journal, PATHS.drafts[0], iter([encode_line(header("before"))]))
    with OutFiles.begin(PATHS, header("now"), disk=disk) as out:
        out.finish(build(out.header, out.journal, Ending(finished_at="then", listed=[], ended_by=None), {}))
    assert disk.content(PATHS.partial) == new + b"\nwhat is this\n"


def test_a_journal_with_a_hole_is_not_gone_on_with() -> None:
    """A line that cannot be read, before one that can, is no crash."""
    disk = SimulatedDisk()
    entry = encode_line(Entry(thread_id="x", outcome=Outcome.INVALID))
    disk.put(PATHS.journal, PATHS.drafts[0], iter([encode_line(header("before")), b"{}\n", entry]))
    with pytest.raises(OutputUnusable, match=r"line 2 of .*out\.ndjson\.journal cannot be read. To begin anew"):
        OutFiles.begin(PATHS, header("now"), disk=disk)


def test_a_disk_that_takes_no_spool_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of the others."""
    monkeypatch.setattr("threadkeep.spool._SPOOL_BYTES", 10)
    with closing(Spool(PATHS.out.parent)) as spool, pytest.raises(OutputUnusable, match="the pages of a thread: "):
        spool.add(["msg_1"], [b"x" * 100])


def test_an_unknown_kind_beside_the_export_is_no_header() -> None:
    """A journal of a newer threadkeep is refused, not half understood."""
    line = encode_line(header("now")).replace(b'"runs"', b'"dreams"')
    assert fold(line).header is None
