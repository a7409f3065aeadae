"""The files of an export against each other, and a run that is at work or was cut off."""

from collections.abc import Callable
from pathlib import Path

import threadkeep
from canned_threads import message
from exporting import Export, cut_off_at_commit, no_room_to_write, threads_of
from fake_assistants import FakeAssistants
from kills import after_kills
from threadkeep.storage.lock import locked
from threadkeep.validation.findings import Severity

IDS = ("thread_a", "thread_b", "thread_c")


def world(**sizes: int) -> FakeAssistants:
    """A fake with threads of these sizes."""
    fake = FakeAssistants()
    threads = threads_of(**(sizes or {"a": 3, "b": 150, "c": 0}))
    fake.load(
        {"threads": [{"id": name} for name in threads], "messages": [row for rows in threads.values() for row in rows]}
    )
    return fake


def codes(export: Export) -> set[str]:
    """The codes of the findings."""
    return {*threadkeep.validate(export.paths.out).counts}


def test_an_export_at_work_is_reported_first(tmp_path: Path) -> None:
    """As a note; the files of a run before are checked."""
    export = Export(tmp_path)
    with locked(export.paths.lock):
        (one,) = threadkeep.validate(export.paths.out)
        assert (one.code, one.severity) == ("export_at_work", Severity.NOTE)
        assert "nothing has been written yet" in one.message
    export.run_alone(IDS, world())
    export.paths.out.write_bytes(b"")
    with locked(export.paths.lock):
        first, *others = threadkeep.validate(export.paths.out)
    assert (first.code, first.severity) == ("export_at_work", Severity.NOTE)
    assert {one.code for one in others} == {"lost_thread", "manifest_mismatch"}


def test_a_run_that_was_cut_off_is_a_note(tmp_path: Path) -> None:
    """The files of the run before are as they were. Without any the export is not complete."""
    export = Export(tmp_path)
    with no_room_to_write():
        export.run_alone(IDS, world())
    report = threadkeep.validate(export.paths.out)
    assert [(one.code, one.severity) for one in report] == [("unfinished_run", Severity.NOTE)]
    assert "threadkeep write" in next(iter(report)).message
    assert (report.is_complete, report.totals.messages) == (False, 0)
    export.write()
    with cut_off_at_commit(2):
        export.run_alone(IDS, world(), refresh=True)
    report = threadkeep.validate(export.paths.out, ids=IDS)
    assert [(one.code, one.severity) for one in report if one.code != "empty_message"] == [
        ("unfinished_run", Severity.NOTE)
    ]
    assert report.is_complete


def test_no_kill_leaves_more_than_notes(tmp_path: Path) -> None:
    """Between any two changes of the disk, where an export was there before."""

    def prepare(nth: int) -> Callable[[], object]:
        folder = tmp_path / str(nth)
        folder.mkdir()
        Export(folder).run_alone(IDS[:1], world())
        return lambda: Export(folder).run_alone(IDS, world())

    count = 0
    for nth in after_kills(prepare):
        report = threadkeep.validate(tmp_path / str(nth) / "out.ndjson")
        assert [one for one in report if one.severity is not Severity.NOTE] == []
        count += 1
    assert count > 10


def test_each_thread_may_have_its_own_assistant(tmp_path: Path) -> None:
    """Or none, where the assistant is chosen for each thread."""
    fake = FakeAssistants()
    rows = [message("thread_a", 0, assistant_id="asst_a", role="assistant"), message("thread_b", 0, assistant_id=None)]
    fake.load({"threads": [{"id": "thread_a"}, {"id": "thread_b"}], "messages": rows})
    export = Export(tmp_path).run_alone(("thread_a", "thread_b"), fake, assistant_id="auto")
    assert [row.assistant_id for row in export.rows.values()] == ["asst_a", None]
    assert codes(export) <= {"empty_message"}
    content = export.paths.out.read_bytes()
    export.paths.out.write_bytes(
        content.replace(b'"assistant_id":null,"message_id"', b'"assistant_id":"x","message_id"')
    )
    assert {"mixed_assistants", "digest_mismatch"} <= codes(export)


def test_a_thread_without_messages_that_nobody_wanted(tmp_path: Path) -> None:
    """It has no lines, and the index knows it."""
    export = Export(tmp_path).run_alone(IDS, world())
    found = [one for one in threadkeep.validate(export.paths.out, ids=IDS[:2]) if one.severity is not Severity.NOTE]
    assert [(one.code, one.thread_id) for one in found] == [("not_wanted", "thread_c")]


def test_messages_of_a_complete_thread_that_only_the_partial_file_has_are_noted(tmp_path: Path) -> None:
    """A refresh that was cut off in the middle of a thread has brought them."""
    export = Export(tmp_path).run_alone(("thread_b",), world(b=3))
    fake = world(b=150)
    fake.sunset.after_requests(1)
    export.run_alone(("thread_b",), fake, refresh=True)
    assert export.rows["thread_b"].partial is not None
    report = threadkeep.validate(export.paths.out)
    assert report.counts["only_in_partial"] == 1
    assert {one.severity for one in report} == {Severity.NOTE}


def test_the_damaged_one_of_two_threads_is_blamed_for_a_repeated_message(tmp_path: Path) -> None:
    """Whichever comes first."""
    export = Export(tmp_path).run_alone(("thread_a", "thread_b"), world(a=2, b=2))
    content = export.paths.out.read_bytes()
    for mine, other in (("thread_a", "thread_b"), ("thread_b", "thread_a")):
        damaged = content.replace(b'"msg_%s_00001"' % mine.encode(), b'"msg_%s_00000"' % other.encode())
        export.paths.out.write_bytes(damaged)
        (one,) = (one for one in threadkeep.validate(export.paths.out) if one.code == "duplicate_message")
        assert (one.thread_id, one.severity) == (mine, Severity.ERROR)


def test_threads_that_only_lines_name_are_not_fetched_again(tmp_path: Path) -> None:
    """No API knows them, unless the index itself may have lost their rows."""
    export = Export(tmp_path).run_alone(IDS, world())
    line = b'{"thread_id":"thread_x"}\n'
    export.paths.out.write_bytes(export.paths.out.read_bytes() + line)
    report = threadkeep.validate(export.paths.out)
    assert report.counts["unindexed_lines"] == 1
    assert report.refetch == ()
    export.paths.index.write_bytes(export.paths.index.read_bytes() + b"what\n")
    assert threadkeep.validate(export.paths.out).refetch == ("thread_x",)


def test_lines_and_files_of_any_content_are_findings(tmp_path: Path) -> None:
    """And no traceback: a thread id that is a list, a header that is nowhere, a row twice."""
    export = Export(tmp_path).run_alone(("thread_a", "thread_b"), world(a=2, b=2))
    lines = export.lines
    lines[1:2] = [lines[0], lines[0].replace(b'"thread_a"', b"[]"), b"5\n"]
    export.paths.out.write_bytes(b"".join(lines))
    index = export.paths.index.read_bytes().split(b"\n")
    export.paths.index.write_bytes(b"\n".join([b"{}", index[1], *index[1:]]))
    manifest = export.paths.manifest.read_bytes()
    export.paths.manifest.write_bytes(manifest.replace(b'"include": []', b'"include": ["more"]'))
    found = codes(export)
    assert {"duplicate_message", "wrong_type", "not_an_object", "unreadable_index", "index_mismatch"} <= found
    export.paths.manifest.write_bytes(manifest.replace(b'"messages": 4', b'"messages": 5'))
    export.paths.index.write_bytes(b"\n".join(index))
    assert {"manifest_mismatch", "digest_mismatch"} <= codes(export)
