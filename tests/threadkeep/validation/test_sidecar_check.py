"""What stands beside an export, held against its journal."""

import hashlib
from pathlib import Path

import attrs
import pytest

from threadkeep.journal import Entry, FileEntry, FileOutcome, Header, Journal, Outcome, Span
from threadkeep.storage.paths import Paths
from threadkeep.validation.findings import Finding, Severity
from threadkeep.validation.sidecar_check import damage, holds

HEADER = Header(source="x", assistant_id="asst_1", flat=False, started_at="now", include=("runs",))


def line(thread_id: str, number: int) -> bytes:
    """A line of runs."""
    return b'{"thread_id":"%s","run_id":"run_%d"}\n' % (thread_id.encode(), number)


def journal(**lines: list[bytes]) -> Journal:
    """One that vouches for these lines, by thread."""
    entries, end = {}, 0
    for name, own in lines.items():
        end += len(b"".join(own))
        span = Span(lines=len(own), end_offset=end, sha256=hashlib.sha256(b"".join(own)).hexdigest())
        entries[name] = Entry(thread_id=name, outcome=Outcome.COMPLETE, beside={"runs": span})
    return Journal(HEADER, entries)


WHOLE = {name: [line(name, number) for number in range(2)] for name in ("thread_a", "thread_b", "thread_c")}


def found(tmp_path: Path, content: bytes, said: Journal) -> list[tuple[str, int | None, str | None]]:
    """The code, line and thread of each finding."""
    paths = Paths(tmp_path / "out.ndjson")
    paths.beside("runs").write_bytes(content)
    return [(one.code, one.line, one.thread_id) for one in damage(paths, said)]


def test_what_is_whole_has_no_finding(tmp_path: Path) -> None:
    """Also where no thread has a run, or some have none."""
    assert found(tmp_path, b"".join(map(b"".join, WHOLE.values())), journal(**WHOLE)) == []
    assert found(tmp_path, b"", journal(thread_a=[], thread_b=[])) == []
    assert found(tmp_path, b"".join(WHOLE["thread_b"]), journal(thread_a=[], thread_b=WHOLE["thread_b"])) == []
    assert list(damage(Paths(tmp_path / "no.ndjson"), Journal(None, {}))) == []


def test_a_line_lost_is_its_own_threads(tmp_path: Path) -> None:
    """Those behind it are whole, and it was to be expected where they stand."""
    content = b"".join([WHOLE["thread_a"][0], *WHOLE["thread_b"], *WHOLE["thread_c"]])
    assert found(tmp_path, content, journal(**WHOLE)) == [("digest_mismatch", 1, "thread_a")]


def test_threads_that_changed_places_are_told(tmp_path: Path) -> None:
    """Each is whole, and not where it was written; the one behind them is."""
    content = b"".join([*WHOLE["thread_b"], *WHOLE["thread_a"], *WHOLE["thread_c"]])
    assert found(tmp_path, content, journal(**WHOLE)) == [
        ("misplaced_thread", 1, "thread_b"),
        ("misplaced_thread", 3, "thread_a"),
    ]


def test_an_entry_lost_is_its_own_threads(tmp_path: Path) -> None:
    """The next thread was blamed for its lines once."""
    said = journal(**WHOLE)
    said = attrs.evolve(said, entries={name: one for name, one in said.entries.items() if name != "thread_a"})
    content = b"".join(map(b"".join, WHOLE.values()))
    assert found(tmp_path, content, said) == [("unjournalled_thread", 1, "thread_a")]
    assert {one.severity for one in damage(Paths(tmp_path / "out.ndjson"), said)} == {Severity.ERROR}


@pytest.mark.parametrize("strange", [b"{}\n", b"\n", b'{"thread_id":"thr\n'])
def test_lines_that_say_no_thread_belong_to_the_one_before(tmp_path: Path, strange: bytes) -> None:
    """Or to none, at the beginning."""
    content = b"".join(map(b"".join, WHOLE.values()))
    assert found(tmp_path, content + strange, journal(**WHOLE)) == [("digest_mismatch", 5, "thread_c")]
    assert found(tmp_path, strange, journal(thread_a=[])) == [("unjournalled_thread", 1, None)]


@pytest.mark.parametrize("torn", [b"{", b'{"thread_id":"thr', b'{"thread_id":"thread_c","ru'])
@pytest.mark.parametrize("was_killed", [True, False])
def test_a_torn_line_behind_the_journal_is_no_threads(tmp_path: Path, torn: bytes, was_killed: bool) -> None:
    """A note of a run that was killed: it leaves that. One within what the journal vouches for is damage."""
    paths = Paths(tmp_path / "out.ndjson")
    if not was_killed:
        paths.manifest.write_bytes(b"{}")
    for lines, number in ((WHOLE, 7), ({"thread_a": list[bytes]()}, 1)):
        paths.beside("runs").write_bytes(b"".join(map(b"".join, lines.values())) + torn)
        (one,) = damage(paths, journal(**lines))
        severity = Severity.NOTE if was_killed else Severity.ERROR
        assert (one.code, one.line, one.thread_id, one.severity) == ("torn_line", number, None, severity)
    content = b"".join(map(b"".join, WHOLE.values()))[:-1]
    assert found(tmp_path, content, journal(**WHOLE)) == [("digest_mismatch", 5, "thread_c")]


@pytest.mark.parametrize("was_killed", [True, False])
def test_whole_lines_behind_the_journal_are_a_note_after_a_kill(tmp_path: Path, was_killed: bool) -> None:
    """The run had not vouched for them yet; and it may not have begun the file. Else both are damage."""
    paths = Paths(tmp_path / "out.ndjson")
    if not was_killed:
        paths.manifest.write_bytes(b"{}")
    severity = Severity.NOTE if was_killed else Severity.ERROR
    said = journal(thread_a=WHOLE["thread_a"])
    said = attrs.evolve(said, entries={**said.entries, "thread_c": Entry(thread_id="thread_c", outcome=Outcome.FAILED)})
    paths.beside("runs").write_bytes(b"".join(map(b"".join, WHOLE.values())))
    wanted = frozenset({"thread_b"})
    rows = [(one.code, one.line, one.thread_id, one.severity) for one in damage(paths, said, wanted)]
    assert rows == [
        ("unjournalled_thread", 3, "thread_b", severity),
        ("unjournalled_thread", 5, "thread_c", severity),
    ]
    assert Severity.ERROR in {one.severity for one in damage(paths, said)}  # nobody asked for it: its entry was lost
    paths.beside("runs").unlink()
    assert [one.code for one in damage(paths, Journal(HEADER, {}))] == ([] if was_killed else ["lost_file"])
    assert "lost_file" in [one.code for one in damage(paths, said)]


def test_a_file_is_held_against_its_size_and_its_digest(tmp_path: Path) -> None:
    """One that is not there holds nothing."""
    entry = FileEntry(
        file_id="file-a", outcome=FileOutcome.SAVED, name="a", bytes=3, sha256=hashlib.sha256(b"abc").hexdigest()
    )
    path = tmp_path / "a"
    assert not holds(path, entry)
    for content, is_held in ((b"abc", True), (b"abd", False), (b"abcd", False)):
        path.write_bytes(content)
        assert holds(path, entry) is is_held


def test_a_name_that_no_file_can_have_is_a_lost_file(tmp_path: Path) -> None:
    """The journal is only a file: somebody may have written anything into it."""
    entry = FileEntry(file_id="file-a", outcome=FileOutcome.SAVED, name="a" * 300, bytes=1, sha256="0" * 64)
    said = Journal(attrs.evolve(HEADER, include=()), {}, files={"file-a": entry})
    tmp_path.joinpath("out.files").mkdir()
    (one,) = damage(Paths(tmp_path / "out.ndjson"), said)
    assert one.code == "lost_file"


def test_a_file_that_does_not_come_again_is_to_be_restored(tmp_path: Path) -> None:
    """The same command alone fails on it for ever, where the API does not have it any more."""
    entry = FileEntry(file_id="file-a", outcome=FileOutcome.FAILED, name="a", bytes=1, sha256="0" * 64, reason="gone")
    said = Journal(attrs.evolve(HEADER, include=()), {}, files={"file-a": entry})
    paths = Paths(tmp_path / "out.ndjson")

    def told() -> dict[str, bool]:
        return {one.code: "restore" in one.message and "copy" in one.message for one in damage(paths, said)}

    assert told() == {"file_failed": True, "lost_file": True}
    paths.files.mkdir()
    (paths.files / "a").write_bytes(b"b")
    assert told() == {"file_failed": True, "file_mismatch": True}


def test_a_file_that_is_not_whole_is_told_by_its_name(tmp_path: Path) -> None:
    """One that failed, one that nobody asked for, and none that the API does not have."""
    entries = {
        name: FileEntry(file_id=name, outcome=outcome, reason="because")
        for name, outcome in (("file-a", FileOutcome.FAILED), ("file-b", FileOutcome.MISSING))
    }
    thread = Entry(thread_id="thread_a", outcome=Outcome.COMPLETE, files=("file-a", "file-b", "file-c"))
    said = Journal(attrs.evolve(HEADER, include=()), {"thread_a": thread}, files=entries)
    findings: list[Finding] = list(damage(Paths(tmp_path / "out.ndjson"), said))
    assert [(one.code, one.file) for one in findings] == [
        ("file_failed", "out.files/file-a"),
        ("not_exported", "out.files/file-c"),
    ]
